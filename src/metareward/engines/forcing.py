"""Forced reading: which tokens to feed after an answer, and which to read the verdict from."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metareward.engines.base import Forced
from metareward.engines.chat import encode_text

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


_TINY = 1e-12  # a share that rounding may make 0


@dataclass(frozen=True)
class ForcedTokens:
    """`prefix + choice`, tokenised jointly for each choice.

    common: what all share, to be fed; nothing of a choice is in it. remainders: what is left for each
    choice, to be scored. endings: the whole of it and the end-of-turn token.
    """

    common: tuple[int, ...]
    remainders: Mapping[str, tuple[int, ...]]
    endings: Mapping[str, tuple[int, ...]]

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


def tokenise(tokenizer: "PreTrainedTokenizerBase", forced: Forced, end: int) -> ForcedTokens:
    """Work out a forced reading. `end` is the end-of-turn token id that closes each ending."""
    whole = {
        choice: tuple(encode_text(tokenizer, forced.prefix + choice, continuing=True))
        for choice in forced.choices
    }
    common = _shared(list(whole.values()))
    # With one choice, or choices that begin alike, the shared part reaches into the choice: take that back.
    while common and len(_decode(tokenizer, common)) > len(forced.prefix):
        common = common[:-1]
    remainders = {choice: ids[len(common) :] for choice, ids in whole.items()}
    return ForcedTokens(common, remainders, {choice: (*ids, end) for choice, ids in whole.items()})


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
