"""A set of demonstrations in which neither a score nor length gives the verdict away.

In ranks that people gave, the longer response is usually the better one (in an OASST2 set that we tried, in
82 % of the pairs that differ). A judge trained on all of them learns to measure
length. So what is trained is chosen by pairs: every pair whose shorter side is better, every pair of about
equal lengths, and of the others, in which length and merit agree, only so many that they do not prevail.
"""

import random
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import ClassVar

from metareward.ids import fingerprint, seed_of
from metareward.records import Demonstration, Dropped
from metareward.settings import check_seed, positive, require
from metareward.stages.base import Shape

IN_NO_PAIR = "in no pair that people rank apart"
LONGER_PREVAILS = "only in pairs whose longer side is better, of which enough are there"
COMMON_SCORE = "its score is the most common one"

Pair = tuple[Demonstration, Demonstration]
"""The better response's demonstration, and the worse one's."""


@dataclass(frozen=True)
class Balanced:
    """Demonstrations balanced over length and score: subjects are demonstrations; some come several times.

    Every pair of a prompt's responses whose quality differs by more than `margin` counts once for each side.
    A side that is in several chosen pairs is repeated, up to `most_copies` times: so pairs whose shorter
    side is better are weighted up. At last the most common score is reduced to the second most common.

    matched: lengths that differ by no more than this factor are equal ones. longer_share: how many pairs
    whose longer side is better are taken, for each one whose shorter side is; None takes every demonstration
    once, whatever its length. scores: whether scores are balanced.
    """

    name: ClassVar[str] = "balanced_judgments"
    record: ClassVar[type[Demonstration]] = Demonstration

    longer_share: float | None = 1.0
    matched: float = 1.25
    margin: float = 0.0
    most_copies: int = 4
    scores: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        share = self.longer_share
        require(share is None or positive(share), "eft.longer_share", "unset or a number above 0", share)
        require(1 <= self.matched < 100, "eft.matched", "at least 1 and below 100", self.matched)
        require(0 <= self.margin < float("inf"), "eft.margin", "a number, 0 or more", self.margin)
        require(self.most_copies >= 1, "eft.most_copies", "at least 1", self.most_copies)
        check_seed("eft.seed", self.seed)

    def apply(self, demonstrations: Iterable[Demonstration]) -> Iterator[Demonstration | Dropped]:
        """The copies of each demonstration, or why there is none.

        TypeError if they can be read only once: what is in them is read when they are copied.
        """
        if iter(demonstrations) is demonstrations:
            raise TypeError("Balanced reads the demonstrations twice: give a list or an artifact")
        rows = [replace(row, messages=(), text="", token_ids=None) for row in demonstrations]
        uses, reasons = self._uses(rows)
        if self.scores:
            self._balance_scores(rows, uses, reasons)
        for row in demonstrations:
            if not uses[row.id]:
                yield Dropped(row.id, reasons.get(row.id, IN_NO_PAIR))
            for copy in range(uses[row.id]):
                yield replace(row, id=fingerprint(row.id, copy), copy=copy)

    def shape(self, *shapes: Shape) -> Shape:
        """At most each one as often as may be."""
        (rows,) = shapes
        most = self.most_copies if self.longer_share is not None else 1
        return Shape(rows.rows * most, rows.tokens)

    def _uses(self, rows: Sequence[Demonstration]) -> tuple[Counter[str], dict[str, str]]:
        """How often each is taken, and for those in pairs that are not, why."""
        if self.longer_share is None:
            return Counter(row.id for row in rows), {}
        shorter, matched, longer = self.strata(rows)
        random.Random(seed_of("eft balance", self.seed)).shuffle(longer)
        enough = round(self.longer_share * len(shorter))
        counted = Counter(side.id for pair in [*shorter, *matched, *longer[:enough]] for side in pair)
        uses = Counter({row: min(count, self.most_copies) for row, count in counted.items()})
        left = {side.id: LONGER_PREVAILS for pair in longer[enough:] for side in pair}
        return uses, left

    def strata(self, rows: Sequence[Demonstration]) -> tuple[list[Pair], list[Pair], list[Pair]]:
        """Pairs whose shorter side is better, whose sides are about equally long, whose longer is better."""
        shorter: list[Pair] = []
        matched: list[Pair] = []
        longer: list[Pair] = []
        for better, worse in _pairs(rows, self.margin):
            short, long = sorted((better.length, worse.length))
            if long <= self.matched * short:
                matched.append((better, worse))
            else:
                (shorter if better.length < worse.length else longer).append((better, worse))
        return shorter, matched, longer

    def _balance_scores(
        self, rows: Sequence[Demonstration], uses: Counter[str], reasons: dict[str, str]
    ) -> None:
        """Take copies of the most common score away, by seed, until the next one is as common."""
        count = Counter[int]()
        for row in rows:
            count[_point(row)] += uses[row.id]
        ordered = count.most_common(2)
        if len(ordered) < 2 or not ordered[1][1]:
            return
        (common, most), (_, second) = ordered
        copies = [row.id for row in rows if _point(row) == common for _ in range(uses[row.id])]
        for name in random.Random(seed_of("eft scores", self.seed)).sample(copies, most - second):
            uses[name] -= 1
            reasons[name] = COMMON_SCORE


def _pairs(rows: Sequence[Demonstration], margin: float) -> Iterator[Pair]:
    """Pairs of the same draw: each response of a prompt against each other one of another quality."""
    groups: dict[str, list[Demonstration]] = {}
    for row in rows:
        groups.setdefault(row.prompt_id, []).append(row)
    for group in groups.values():
        for first, second in combinations(group, 2):
            ahead = _quality(first) - _quality(second)
            if first.response_id != second.response_id and abs(ahead) > margin:
                yield (first, second) if ahead > 0 else (second, first)


def _quality(row: Demonstration) -> float:
    assert row.quality is not None, "a judgment is of a response that people rated"
    return row.quality


def _point(row: Demonstration) -> int:
    assert row.score is not None, "a judgment that is learnt has a verdict"
    return int(row.score + 0.5)
