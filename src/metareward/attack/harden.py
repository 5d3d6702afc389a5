"""Judge training pairs from what an attack got: the judgment that resisted over the one that was fooled.

Both are the model's own, sampled for the same question, so that they differ in nothing but the draw. Where
none resisted none is made up, in a forced reading neither: the verdict line could be replaced there, but
the justification before it was written by a judge that was fooled, and training on it would teach a judge
to write one thing and conclude another.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import fmean
from typing import ClassVar, TypeVar

from metareward.attack.outcomes import won_by_first
from metareward.attack.suite import CLEAN, RERUN
from metareward.ids import fingerprint
from metareward.records import Case, Comparison, Dropped, Judgment, PreferencePair, Role
from metareward.settings import require
from metareward.stages.base import Shape

_Verdict = TypeVar("_Verdict", Judgment, Comparison)
_UNREADABLE = "no readable judgment"
_RESISTED = "no judgment was fooled"
_FOOLED = "no judgment resisted"
_NO_MEASURE = "no readable judgment of the responses without attack"


@dataclass(frozen=True)
class AttackPairs:
    """Pairs of judgments of one attacked response, one subject each; clean responses are no subjects.

    An empty response deserves nothing: a judgment is fooled if it reaches `threshold` or the mean score of
    the good response; the lowest score is chosen, the highest rejected. An attacked good or flawed response
    deserves what it got without the attack: a judgment is fooled if it puts the response on the wrong side
    of the other one's mean score; of the others the one nearest to the deserved score is chosen, and of the
    fooled ones the one furthest from it rejected.
    """

    name: ClassVar[str] = "attack_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    threshold: float = 4.0

    def __post_init__(self) -> None:
        require(0 < self.threshold <= 5, "attack.threshold", "above 0 and at most 5", self.threshold)

    def apply(
        self, cases: Iterable[Case], judgments: Iterable[Judgment]
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair for each attacked response, or why there is none."""
        cases, rows = list(cases), _grouped(judgments, "response_id")
        plain: dict[tuple[str, str], list[float]] = {}
        for case in cases:
            if case.family in (CLEAN, RERUN):
                scores = [j.score for j in rows.get(case.id, []) if j.score is not None]
                plain.setdefault((case.item, case.side), []).extend(scores)
        for case in cases:
            if case.family not in (CLEAN, RERUN):
                good, flawed = (plain[case.item, side] for side in ("good", "flawed"))
                yield self._pair(case, rows.get(case.id, []), good, flawed)

    def shape(self, *shapes: Shape) -> Shape:
        """At most a pair a case; tokens of both sides, the question not counted."""
        cases, judgments = shapes
        return Shape(cases.rows, 2 * judgments.tokens)

    def _pair(
        self, case: Case, judgments: list[Judgment], good: list[float], flawed: list[float]
    ) -> PreferencePair | Dropped:
        read = [(judgment, judgment.score) for judgment in judgments if judgment.score is not None]
        if not read:
            return Dropped(case.id, _UNREADABLE)
        if not good or (case.side != "none" and not flawed):
            return Dropped(case.id, _NO_MEASURE)
        limits = _Deserved(case.side, fmean(good), fmean(flawed or [0.0]), self.threshold)
        told = [
            _Told(judgment, limits.credit(score), limits.fooled(score), str(int(score + 0.5)))
            for judgment, score in read
        ]
        return _between(self, case, told)


@dataclass(frozen=True)
class _Deserved:
    """What a response deserves: nothing if it is empty, else what it got without the attack."""

    side: str
    good: float
    flawed: float
    threshold: float

    def credit(self, score: float) -> float:
        """Minus the distance of a score from the deserved one."""
        return -abs(score - {"none": 0.0, "flawed": self.flawed, "good": self.good}[self.side])

    def fooled(self, score: float) -> bool:
        """Whether a score says of an empty or flawed response that it is good, or the reverse."""
        if self.side == "good":
            return score <= self.flawed
        return score >= (min(self.threshold, self.good) if self.side == "none" else self.good)


@dataclass(frozen=True)
class AttackComparisonPairs:
    """Pairs of comparisons of one attacked response with its opponent, one subject a case and order.

    Fooled is one that names the flawed or the empty response. The surest right one is chosen, the surest
    wrong one rejected; a tie is neither.
    """

    name: ClassVar[str] = "attack_comparison_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    def apply(
        self, cases: Iterable[Case], comparisons: Iterable[Comparison]
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair for each attacked response shown first, and shown second, or why there is none."""
        rows = _grouped(comparisons, "prompt_id")
        for case in cases:
            if case.family in (CLEAN, RERUN):
                continue
            for shown_first in (True, False):
                own = [
                    row for row in rows.get(case.prompt_id, []) if (row.first_id == case.id) == shown_first
                ]
                yield self._pair(case, own, shown_first)

    def shape(self, *shapes: Shape) -> Shape:
        """At most two pairs a case; tokens of both sides, the question not counted."""
        cases, comparisons = shapes
        return Shape(2 * cases.rows, 2 * comparisons.tokens)

    def _pair(self, case: Case, comparisons: list[Comparison], shown_first: bool) -> PreferencePair | Dropped:
        first_is_right = shown_first == (case.side == "good")
        read = [(row, first) for row in comparisons if (first := won_by_first(row)) is not None]
        right = [(row, first if first_is_right else 1 - first) for row, first in read if first != 0.5]
        if not right:
            return Dropped(case.id, "only ties" if read else _UNREADABLE)
        told = [_Told(row, share - 1, share < 0.5, row.outcome.value) for row, share in right]
        return _between(self, case, told)


@dataclass(frozen=True)
class _Told:
    """One judgment. credit: minus its distance from the right verdict. written: what its last line says."""

    judgment: Judgment | Comparison
    credit: float
    fooled: bool
    written: str


def _between(rule: object, case: Case, told: list[_Told]) -> PreferencePair | Dropped:
    resisted = [row for row in told if not row.fooled]
    fooled = [row for row in told if row.fooled]
    if not fooled:
        return Dropped(case.id, _RESISTED)
    if not resisted:
        return Dropped(case.id, _FOOLED)
    best = max(resisted, key=lambda row: (row.credit, row.judgment.id))
    worst = min(fooled, key=lambda row: (row.credit, row.judgment.id))
    if best.written == worst.written:
        return Dropped(case.id, "the same verdict is written in both")
    chosen, rejected = best.judgment, worst.judgment
    return PreferencePair(
        id=fingerprint("pair", rule, case.id, chosen.id, rejected.id),
        role=Role.JUDGE,
        prompt_id=case.prompt_id,
        response_id=case.id,
        messages=chosen.messages,
        chosen_id=chosen.id,
        rejected_id=rejected.id,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_token_ids=chosen.token_ids,
        rejected_token_ids=rejected.token_ids,
        chosen_score=best.credit,
        rejected_score=worst.credit,
        chosen_reasoning=chosen.reasoning,
        rejected_reasoning=rejected.reasoning,
    )


def _grouped(rows: Iterable[_Verdict], column: str) -> dict[str, list[_Verdict]]:
    found: dict[str, list[_Verdict]] = {}
    for row in rows:
        found.setdefault(getattr(row, column), []).append(row)
    return found
