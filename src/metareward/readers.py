"""Strict readers of a judge's own verdict line. Unreadable is a state of its own, never a number.

Only the last line counts, and the whole of it must be the verdict, in ASCII: a line ends at LF or CRLF and
at nothing else; digits are 0 to 9; blanks are spaces and tabs; emphasis (`*`, `_`) and a heading (`#`) may
stand around it, but not quoting (`>`, quotation marks, backticks), for what a judge quotes is not what it
says. A value off the scale is refused, a minus as well; lines that contradict the last one make it
unreadable; a text that was cut off is not read (the `1` of a `10` would be).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from metareward.records import Finish, Outcome

LOWEST, HIGHEST = 0, 5
_LONGEST = 80  # characters of a verdict line; what is longer is none, so that reading takes linear time
_EMPHASIS = str.maketrans("*_#\t", "    ")
# No two quantifiers meet, so that no line takes more than linear time.
_SCORE = re.compile(
    r"Score: *(-?[0-9]{1,6}(?:\.[0-9]{1,6})?) *(?:/ *([0-9]{1,6}) *)?(?:points? *)?(?:\. *)?", re.ASCII
)
_WINNER = re.compile(r"Winner: *(?:(?:Judgment|Response) +)?(A|B|Tie) *(?:\. *)?", re.IGNORECASE | re.ASCII)
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
    found = list(_verdicts(_SCORE, text))
    if not found or found[-1] is None:
        return Reading(unread="no verdict line")
    verdicts = [verdict for verdict in found if verdict is not None]
    if len({float(verdict[1]) for verdict in verdicts}) > 1:
        return Reading(unread="contradictory verdicts")
    number, scale = verdicts[-1][1], verdicts[-1][2]
    if number.startswith("-") or not LOWEST <= float(number) <= HIGHEST:
        return Reading(unread="off the scale")
    if scale is not None and int(scale) != HIGHEST:
        return Reading(unread="off the scale")
    return Reading(score=float(number))


def read_winner(text: str, finish: Finish) -> Outcome:
    """Read `Winner: A`, `B` or `tie` from the last line of a verdict between two texts."""
    if finish is not Finish.STOP:
        return Outcome.UNREADABLE
    found = list(_verdicts(_WINNER, text))
    named = {verdict[1].lower() for verdict in found if verdict is not None}
    if not found or found[-1] is None or len(named) > 1:
        return Outcome.UNREADABLE
    return _OUTCOMES[named.pop()]


def expected_score(log_probs: Mapping[str, float]) -> tuple[float, float]:
    """Expected value over the allowed digits, and the probability of all of them together.

    sum_d d p(d) / sum_d p(d), as in Self-J (arXiv 2409.00935), with natural log-probabilities in.
    """
    logs = np.array(list(log_probs.values()), dtype=np.float64)
    digits = np.array([float(choice) for choice in log_probs])
    weights = np.exp(logs - logs.max())
    return float(digits @ weights / weights.sum()), float(np.exp(logs).sum())


def _verdicts(pattern: re.Pattern[str], text: str) -> Iterator[re.Match[str] | None]:
    """For each line that is not blank its verdict, or None."""
    for line in text.split("\n"):
        if line := line.removesuffix("\r").strip(" \t"):
            short = len(line) <= _LONGEST
            yield pattern.fullmatch(line.translate(_EMPHASIS).strip(" ")) if short else None
