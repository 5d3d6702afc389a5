"""Strict readers of a judge's own verdict. Unreadable is a state of its own, never a number.

A verdict is a whole line that says nothing else (`Score: 4`, `**Final score:** 4/5`, `得分: 4`), anywhere in
the text. It is read where a careful person would be certain: all such lines say the same, none is quoted,
said of a single criterion, or taken back, and the text was not cut off (the `1` of a `10` would be read).
"""

from metareward.readers.expected import expected_score
from metareward.readers.forms import asked_for
from metareward.readers.scale import HIGHEST, LOWEST, WIDEST, Scale, check_label
from metareward.readers.verdicts import WINNER, Reading, read_score, read_winner, winner_unread

__all__ = [
    "HIGHEST",
    "LOWEST",
    "WIDEST",
    "WINNER",
    "Reading",
    "Scale",
    "asked_for",
    "check_label",
    "expected_score",
    "read_score",
    "read_winner",
    "winner_unread",
]
