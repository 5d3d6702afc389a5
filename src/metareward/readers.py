"""Strict readers of a judge's own verdict line. Unreadable is a state of its own, never a number.

Only the last line counts, the whole line must be the verdict, a value off the scale is refused, and a
text that was cut off is not read (the `1` of a `10` would be).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from metareward.records import Finish, Outcome

LOWEST, HIGHEST = 0, 5
_DECORATION = r"[*_`#>\s]*"
_SCORE = re.compile(
    rf"{_DECORATION}Score:{_DECORATION}(-?\d+(?:\.\d+)?)\s*(?:/\s*(\d+))?\s*(?:points?)?{_DECORATION}\.?{_DECORATION}"
)
_WINNER = re.compile(
    rf"{_DECORATION}Winner:{_DECORATION}(?:(?:Judgment|Response)\s+)?(A|B|Tie){_DECORATION}\.?{_DECORATION}",
    re.IGNORECASE,
)
_OUTCOMES = {"a": Outcome.FIRST, "b": Outcome.SECOND, "tie": Outcome.TIE}


@dataclass(frozen=True, slots=True)
class Reading:
    """A score in 0..5, or why there is none. Exactly one of the two is set."""

    score: float | None = None
    unread: str | None = None


def read_score(text: str, finish: Finish) -> Reading:
    """Read `Score: N` from the last line of a judgment."""
    if finish is Finish.FAILED:
        return Reading(unread="engine failure")
    if finish is Finish.LENGTH:
        return Reading(unread="cut off")
    found = [match for line in text.splitlines() if (match := _SCORE.fullmatch(line))]
    if not found or not _SCORE.fullmatch(_last_line(text)):
        return Reading(unread="no verdict line")
    if len({float(match[1]) for match in found}) > 1:
        return Reading(unread="contradictory verdicts")
    score = float(found[-1][1])
    scale = found[-1][2]
    if not LOWEST <= score <= HIGHEST or (scale is not None and int(scale) != HIGHEST):
        return Reading(unread="off the scale")
    return Reading(score=score)


def read_winner(text: str, finish: Finish) -> Outcome:
    """Read `Winner: A`, `B` or `tie` from the last line of a verdict between two texts."""
    if finish is not Finish.STOP:
        return Outcome.UNREADABLE
    match = _WINNER.fullmatch(_last_line(text))
    return _OUTCOMES[match[1].lower()] if match else Outcome.UNREADABLE


def expected_score(log_probs: Mapping[str, float]) -> tuple[float, float]:
    """Expected value over the allowed digits, and the probability of all of them together.

    sum_d d p(d) / sum_d p(d), as in Self-J (arXiv 2409.00935), with natural log-probabilities in.
    """
    logs = np.array(list(log_probs.values()), dtype=np.float64)
    digits = np.array([float(choice) for choice in log_probs])
    weights = np.exp(logs - logs.max())
    return float(digits @ weights / weights.sum()), float(np.exp(logs).sum())


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
