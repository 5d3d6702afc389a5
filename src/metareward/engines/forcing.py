"""Forced reading: which tokens to feed after an answer, and which to read the verdict from."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metareward.engines.base import Forced
from metareward.engines.chat import encode_text
from metareward.reasoning import Markers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_TINY = 1e-12  # a share that rounding may make 0


@dataclass(frozen=True)
class ForcedTokens:
    """`prefix + choice`, tokenised jointly for each choice.

    common: what all share, to be fed; nothing of a choice is in it. remainders: what is left for each
    choice, to be scored. endings: the whole of it and the end-of-turn token. closing: what stands before the
    prefix to end reasoning; its tokens are in `common` and `endings`.
    """

    common: tuple[int, ...]
    remainders: Mapping[str, tuple[int, ...]]
    endings: Mapping[str, tuple[int, ...]]
    closing: str = ""

    def ends(self, markers: Markers | None) -> bool:
        """Whether it ends reasoning between these markers; None: whatever the prompt opened."""
        return bool(self.closing) and (markers is None or self.closing.strip() == markers.close)

    @property
    def single(self) -> bool:
        """Whether every choice is decided by the next token alone."""
        return all(len(remainder) == 1 for remainder in self.remainders.values())

    def exclusive(self, log_probs: Mapping[str, float]) -> dict[str, float]:
        """Each choice's log-probability without what goes on to a longer choice.

        Where `10` is written in two tokens, the probability of `1` holds that of `10`; what is left is that
        of `1` and no `0` after it.
        """
        return {choice: self._without_longer(choice, log_probs) for choice in log_probs}

    def _without_longer(self, choice: str, log_probs: Mapping[str, float]) -> float:
        own = self.remainders[choice]
        longer = [name for name, ids in self.remainders.items() if ids != own and ids[: len(own)] == own]
        share = sum(math.exp(log_probs[name] - log_probs[choice]) for name in longer)
        return log_probs[choice] + math.log(max(1 - share, _TINY)) if longer else log_probs[choice]

    @property
    def longest(self) -> int:
        """Tokens of the longest ending, the end-of-turn token not counted."""
        return max((len(ending) - 1 for ending in self.endings.values()), default=len(self.common))


def tokenise(
    tokenizer: "PreTrainedTokenizerBase", forced: Forced, end: int, inside: Markers | None = None
) -> ForcedTokens:
    """Work out a forced reading. `end` is the end-of-turn token id that closes each ending.

    inside: of the reasoning that is to be ended first, by its own marker on a line of its own.
    """
    lead = _marker(tokenizer, inside.close) if inside else ()
    closing = inside.ending(forced.prefix) if inside else ""
    # What follows the marker is encoded in one piece, as the model would write it.
    prefix = closing.removeprefix(f"\n{inside.close}") + forced.prefix if inside else forced.prefix
    whole = {
        choice: tuple(encode_text(tokenizer, prefix + choice, continuing=True)) for choice in forced.choices
    }
    common = _shared(list(whole.values()))
    # With one choice, or choices that begin alike, the shared part reaches into the choice: take that back.
    while common and len(_decode(tokenizer, common)) > len(prefix):
        common = common[:-1]
    remainders = {choice: ids[len(common) :] for choice, ids in whole.items()}
    endings = {choice: (*lead, *ids, end) for choice, ids in whole.items()}
    return ForcedTokens((*lead, *common), remainders, endings, closing)


def _marker(tokenizer: "PreTrainedTokenizerBase", text: str) -> tuple[int, ...]:
    """The tokens of a marker on a new line, those of its parts that are tokens of their own as these."""
    vocabulary: dict[str, int] = tokenizer.get_added_vocab()  # pyright: ignore
    added = {name: index for name, index in vocabulary.items() if name in text}
    names = sorted(map(re.escape, added), key=len, reverse=True)
    pieces = re.split(f"({'|'.join(names)})", f"\n{text}") if added else [f"\n{text}"]
    ids: list[int] = []
    for piece in pieces:
        ids += [added[piece]] if piece in added else encode_text(tokenizer, piece, continuing=True)
    return tuple(ids)


def _shared(sequences: list[tuple[int, ...]]) -> tuple[int, ...]:
    if not sequences:
        return ()
    low, high = min(sequences), max(sequences)
    count = next(
        (i for i, (a, b) in enumerate(zip(low, high, strict=False)) if a != b), min(len(low), len(high))
    )
    return low[:count]


def _decode(tokenizer: "PreTrainedTokenizerBase", ids: tuple[int, ...]) -> str:
    return str(tokenizer.decode(list(ids), clean_up_tokenization_spaces=False))
