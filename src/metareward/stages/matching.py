"""Which judgments of a response meet in battle: all of them (the paper), or only matched ones."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import pairwise, permutations
from typing import Literal

from metareward.records import Judgment

Between = Literal["all", "different", "same"]
BETWEEN = ("all", "different", "same")
_WORD = re.compile(r"\w+")


def stated(judgment: Judgment) -> float | None:
    """The score a judgment's text states; None where there is none.

    A free reading's score as it was read; a forced reading's expected value rounded half up, which is what
    the verdict line written for it says. Two judgments have the same score if these are equal.
    """
    if judgment.score is None or judgment.confidence is None:
        return judgment.score
    return float(int(judgment.score + 0.5))


def pairings(
    judgments: Iterable[Judgment], between: Between = "all", max_length_ratio: float | None = None
) -> Iterator[tuple[Judgment, Judgment]]:
    """Every ordered pair of readable judgments that may meet: each two of them in both orders.

    between: "different" or "same" lets only judgments of different or of the same stated score meet.
    max_length_ratio: the longer text has at most so many times the characters of the shorter one.
    """
    readable = [judgment for judgment in judgments if judgment.score is not None]
    for first, second in permutations(readable, 2):
        if between != "all" and (stated(first) == stated(second)) != (between == "same"):
            continue
        if max_length_ratio is None or length_ratio(first.answer, second.answer) <= max_length_ratio:
            yield first, second


def length_ratio(one: str, other: str) -> float:
    """How many times the characters of the shorter text the longer one has; an empty one counts as one."""
    shorter, longer = sorted((max(1, len(one)), max(1, len(other))))
    return longer / shorter


def likeness(one: Judgment, other: Judgment) -> float:
    """How little there is to tell two judgments apart by: from 0 to 1, where they say the very same.

    0 if their stated scores differ. Else the Dice coefficient of their pairs of neighbouring words, counted
    as often as they occur, without regard to case: twice what both have, by what they have together.
    """
    if stated(one) != stated(other):
        return 0.0
    ours, theirs = _neighbours(one.answer), _neighbours(other.answer)
    return 2 * (ours & theirs).total() / (ours.total() + theirs.total())


@lru_cache(maxsize=256)  # more than there are judgments of a response
def _neighbours(text: str) -> Counter[tuple[str, str]]:
    """Each two neighbouring words, the ends of the text counted as words: there is always one."""
    return Counter(pairwise(["", *_WORD.findall(text.casefold()), ""]))
