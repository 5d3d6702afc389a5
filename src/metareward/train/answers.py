"""From demonstrations to token ids and labels: what was sampled, nothing cut, no loss on a prompt."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from metareward.errors import StepError
from metareward.records import Demonstration
from metareward.train.tokens import EMPTY, TOO_LONG, Coder

NO_LOSS = -100  # the label of a token that is read and not learnt, as torch and TRL have it


@dataclass
class TokenAnswers:
    """Demonstrations ready to train on, row by row, and what became of the others.

    ids: prompt and answer. labels: the answer's ids in their places, `NO_LOSS` on the prompt.
    reencoded: answers whose tokens were not sampled, or did not say the text, and were made of it.
    """

    ids: list[list[int]] = field(default_factory=list)
    labels: list[list[int]] = field(default_factory=list)
    dropped: Counter[str] = field(default_factory=Counter)
    reencoded: int = 0

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def tokens(self) -> int:
        """Tokens of one epoch."""
        return sum(len(ids) for ids in self.ids)


def encode_answers(rows: Iterable[Demonstration], coder: Coder, max_length: int) -> TokenAnswers:
    """Token ids of all demonstrations that can be trained on, in order; the end of the turn is learnt too.

    Raises StepError when none can, saying why.
    """
    ready = TokenAnswers()
    for row in rows:
        prompt = coder.chat(row.messages)
        sampled = row.token_ids
        is_new = sampled is None or coder.decode(sampled) != row.text
        answer = [*coder.text(row.text), coder.end] if sampled is None or is_new else list(sampled)
        if not row.text.strip():
            ready.dropped[EMPTY] += 1
        elif len(prompt) + len(answer) > max_length:
            ready.dropped[TOO_LONG] += 1
        else:
            ready.ids.append([*prompt, *answer])
            ready.labels.append([*[NO_LOSS] * len(prompt), *answer])
            ready.reencoded += is_new
    if not len(ready):
        raise StepError(_nothing_left(ready.dropped, max_length))
    return ready


def _nothing_left(dropped: Counter[str], max_length: int) -> str:
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(dropped.items())) or "none was given"
    raised = f"; raise sft.max_length (now {max_length} tokens)" if dropped[TOO_LONG] else ""
    return f"no demonstration can be trained on: {counts}{raised}"
