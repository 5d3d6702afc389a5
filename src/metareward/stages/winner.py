"""How a winner is asked for and read: by the meta-judge between judgments, by a judge between responses."""

import numpy as np

from metareward import readers
from metareward.engines.base import Completion, Forced, Sampling
from metareward.reasoning import Split
from metareward.records import Outcome

_LETTERS = {Outcome.FIRST: "A", Outcome.SECOND: "B", Outcome.TIE: "tie"}


def asking(
    reading: str, temperature: float, top_p: float, max_tokens: int, label: str = readers.WINNER
) -> tuple[Sampling, Forced | None]:
    """How to draw the text and what to force after it, for a `free` or a `forced` reading."""
    forced = Forced(_prefix(label), ("A", "B")) if reading == "forced" else None
    return Sampling(temperature, top_p, max_tokens, (f"{label}:",) if forced else ()), forced


def lines(reading: str, label: str = readers.WINNER) -> tuple[str, ...]:
    """The verdict lines that a free reading reads."""
    return () if reading == "forced" else (f"{label}: A", f"{label}: B")


def read(
    reading: str, completion: Completion, split: Split, label: str = readers.WINNER
) -> tuple[Outcome, float | None]:
    """Who won by position, and in a forced reading the probability of the first. Nobody, inside reasoning.

    A forced verdict goes to the likelier letter; it is a tie if both are equally likely.
    """
    if reading == "free":
        answer = completion.text[split.begin :]
        return readers.read_winner(answer, completion.finish, label), None
    if completion.choice_log_probs is None:
        return Outcome.UNREADABLE, None
    log_a, log_b = completion.choice_log_probs["A"], completion.choice_log_probs["B"]
    p_first, p_second = _probability_of_first(log_a, log_b), _probability_of_first(log_b, log_a)
    return _likelier(p_first, p_second), p_first


def with_verdict(
    completion: Completion, outcome: Outcome, label: str = readers.WINNER
) -> tuple[str, tuple[int, ...] | None]:
    """The text of a forced verdict with the line that agrees with `outcome`, and its tokens if known."""
    letter = _LETTERS[outcome]
    text = f"{completion.text}{completion.closing}{_prefix(label)}{letter}"
    if completion.token_ids is None or completion.endings is None or letter not in completion.endings:
        return text, None
    return text, completion.token_ids + completion.endings[letter]


def _prefix(label: str) -> str:
    return f"\n{label}: "


def _probability_of_first(log_a: float, log_b: float) -> float:
    return float(1 / (1 + np.exp(np.clip(log_b - log_a, -700, 700))))


def _likelier(p_first: float, p_second: float) -> Outcome:
    """A tie as soon as one of the two cannot be told from a half: the same whichever is called first."""
    if 0.5 in (p_first, p_second):
        return Outcome.TIE
    return Outcome.FIRST if p_first > 0.5 else Outcome.SECOND
