"""From pairs of texts to pairs of token ids: exactly what was sampled, nothing cut, every loss counted."""

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from metareward.errors import StepError
from metareward.records import Message, PreferencePair

TOO_LONG = "longer than max_length"
EMPTY = "empty answer"
SAME = "chosen and rejected are the same tokens"


@dataclass(frozen=True)
class Coder:
    """What a tokenizer can do, as functions, so that this module needs none.

    chat: messages to the ids of a prompt that waits for an answer. text: plain text to ids.
    decode: ids to text without special tokens. end: the token that ends an answer, by the template.
    ends: all tokens that end one.
    """

    chat: Callable[[Sequence[Message]], list[int]]
    text: Callable[[str], list[int]]
    decode: Callable[[Sequence[int]], str]
    end: int
    ends: tuple[int, ...] = ()


@dataclass
class TokenPairs:
    """Pairs ready to train on, row by row, and what became of the others.

    weights: weight and certainty of each. weighted: whether any of them is not 1.
    """

    prompt_ids: list[list[int]] = field(default_factory=list)
    chosen_ids: list[list[int]] = field(default_factory=list)
    rejected_ids: list[list[int]] = field(default_factory=list)
    weights: list[tuple[float, float]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    reencoded: int = 0

    def __len__(self) -> int:
        return len(self.prompt_ids)

    @property
    def weighted(self) -> bool:
        """Whether the loss differs from that of pairs that all weigh the same."""
        return any(weights != (1.0, 1.0) for weights in self.weights)

    @property
    def tokens(self) -> int:
        """Tokens of one epoch; a prompt counts for both answers."""
        answers = sum(len(ids) for ids in [*self.chosen_ids, *self.rejected_ids])
        return answers + 2 * sum(len(ids) for ids in self.prompt_ids)


def encode_pairs(pairs: Iterable[PreferencePair], coder: Coder, max_length: int) -> TokenPairs:
    """Token ids of all pairs that can be trained on, in order.

    Raises StepError when none can, saying why, or when a weight or certainty is out of its range.
    """
    ready = TokenPairs()
    for pair in pairs:
        _check_weights(pair)
        prompt = coder.chat(pair.messages)
        chosen, new_chosen = _answer(pair.chosen, pair.chosen_token_ids, coder)
        rejected, new_rejected = _answer(pair.rejected, pair.rejected_token_ids, coder)
        reason = _unusable(prompt, chosen, rejected, coder, max_length)
        if reason:
            ready.dropped[reason] += 1
            continue
        ready.prompt_ids.append(prompt)
        ready.chosen_ids.append(chosen)
        ready.rejected_ids.append(rejected)
        ready.weights.append((float(pair.weight), float(pair.certainty)))
        ready.reencoded += new_chosen + new_rejected
    if not len(ready):
        raise StepError(_nothing_left(ready.dropped, max_length))
    return ready


def _check_weights(pair: PreferencePair) -> None:
    if not (0 <= pair.weight < math.inf and 0 <= pair.certainty <= 1):
        raise StepError(
            f"pair {pair.id}: its weight is {pair.weight:g} and its certainty {pair.certainty:g}; a weight "
            "is a number, 0 or more, and a certainty a probability in [0, 1]; mend the rule that made it"
        )


def _answer(text: str, sampled: tuple[int, ...] | None, coder: Coder) -> tuple[list[int], bool]:
    """The sampled ids if they say the text; else the text encoded anew, and True."""
    if sampled is not None and coder.decode(sampled) == text:
        return list(sampled), False
    return [*coder.text(text), coder.end], True


def _unusable(
    prompt: list[int], chosen: list[int], rejected: list[int], coder: Coder, max_length: int
) -> str | None:
    if not _says_something(chosen, coder) or not _says_something(rejected, coder):
        return EMPTY
    if chosen == rejected:
        return SAME
    if len(prompt) + max(len(chosen), len(rejected)) > max_length:
        return TOO_LONG
    return None


def _says_something(answer: list[int], coder: Coder) -> bool:
    """Whether there is more than ends of a turn, and other control tokens."""
    said = [token for token in answer if token != coder.end and token not in coder.ends]
    return bool(said) and coder.decode(said) != ""


def _nothing_left(dropped: Counter[str], max_length: int) -> str:
    if not dropped:
        return "no pairs were given, so there is nothing to train on; look at what the pair rules left out"
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items()))
    advice = ""
    if dropped[TOO_LONG]:
        advice = f"; raise dpo.max_length (now {max_length} tokens) or ask for shorter answers"
    return f"none of {sum(dropped.values())} pairs can be trained on: {counts}{advice}"
