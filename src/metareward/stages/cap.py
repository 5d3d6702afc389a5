"""At most so large a share for the judge pairs: of the pairs, or of the weight that their losses have."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from math import fsum
from typing import ClassVar

from metareward.ids import fingerprint, seed_of
from metareward.records import Dropped, PreferencePair, Role
from metareward.settings import check_seed, checked, require
from metareward.stages.base import Shape

OVER = "over the share of judge pairs"


@dataclass(frozen=True)
@checked("cap_judge_pairs")
class CapJudgePairs:
    """The judge pairs that may stay where they must not be more than a share of all pairs.

    Of the judge pairs of *all* parts together, the greatest number stays that keeps
    judge / (judge + actor) <= max_share. Which ones is a sample by seed and pair id alone, whatever their
    order, and a larger share keeps all that a smaller one keeps. Without actor pairs none may stay: a
    training on judge pairs alone is what the cap is there to prevent. One subject a judge pair of the part.

    max_share: above 0 and below 1.
    """

    name: ClassVar[str] = "cap_judge_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    max_share: float
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 < self.max_share < 1, "max_judge_share", "above 0 and below 1", self.max_share)
        check_seed("cap_judge_pairs.seed", self.seed)

    def apply(
        self, part: Iterable[PreferencePair], *parts: Iterable[PreferencePair]
    ) -> Iterator[PreferencePair | Dropped]:
        """Each judge pair of `part`, or that it was left out; `parts` are all that is trained on, `part` too.

        TypeError if `part` can be read only once.
        """
        _require_twice(self, part)
        judge, actors = set[str](), 0
        for pair in (pair for each in parts for pair in each):
            actors += pair.role is not Role.JUDGE
            judge |= {pair.id} if pair.role is Role.JUDGE else set()
        kept = self._kept(judge, actors)
        for pair in part:
            if pair.role is Role.JUDGE:
                yield pair if pair.id in kept else Dropped(pair.id, OVER)

    def shape(self, part: Shape, *parts: Shape) -> Shape:
        """At most what came in; how many of each role there will be is not known before."""
        return part

    def _kept(self, judge: set[str], actors: int) -> set[str]:
        order = sorted(judge, key=lambda name: (seed_of("cap", self.seed, name), name))
        return set(order[: most(self.max_share, actors)])


@dataclass(frozen=True)
@checked("weigh_judge_pairs")
class WeighJudgePairs:
    """All judge pairs, at so small a weight that they have no more than a share of the total weight.

    The weight of every judge pair is multiplied with one factor: the greatest, but at most 1, that keeps
    judge / (judge + actor) <= max_share, each the sum of the weights of its pairs in *all* parts together. A
    pair whose weight changes gets an id of its own, for it trains another model. Without weight among the
    actor pairs no judge pair stays, as in `CapJudgePairs`. One subject a judge pair of the part.

    max_share: above 0 and below 1.
    """

    name: ClassVar[str] = "weigh_judge_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    max_share: float

    def __post_init__(self) -> None:
        require(0 < self.max_share < 1, "max_judge_share", "above 0 and below 1", self.max_share)

    def apply(
        self, part: Iterable[PreferencePair], *parts: Iterable[PreferencePair]
    ) -> Iterator[PreferencePair | Dropped]:
        """Each judge pair of `part` with its weight; `parts` are all that is trained on, `part` too.

        TypeError if `part` can be read only once.
        """
        _require_twice(self, part)
        factor = self._factor(pair for each in parts for pair in each)
        for pair in part:
            if pair.role is Role.JUDGE:
                yield _weighed(pair, factor) if factor else Dropped(pair.id, OVER)

    def shape(self, part: Shape, *parts: Shape) -> Shape:
        """As many as came in."""
        return part

    def _factor(self, pairs: Iterable[PreferencePair]) -> float:
        judge: dict[str, float] = {}
        actors: list[float] = []
        for pair in pairs:
            if pair.role is Role.JUDGE:
                judge[pair.id] = pair.weight
            else:
                actors.append(pair.weight)
        weight, allowed = fsum(judge.values()), _odds(self.max_share) * Fraction(fsum(actors))
        return min(1.0, float(allowed / Fraction(weight))) if weight else float(allowed > 0)


def most(share: float, actors: int) -> int:
    """The greatest number of judge pairs with judge / (judge + actors) <= share, the decimal as written."""
    return int(_odds(share) * actors)


def _odds(share: float) -> Fraction:
    exact = Fraction(str(share))
    return exact / (1 - exact)


def _weighed(pair: PreferencePair, factor: float) -> PreferencePair:
    if factor == 1:
        return pair
    weight = pair.weight * factor
    return replace(pair, id=fingerprint("weighed", pair.id, weight), weight=weight)


def _require_twice(rule: object, part: Iterable[PreferencePair]) -> None:
    if iter(part) is part:
        name = type(rule).__name__
        raise TypeError(f"{name} reads the pairs twice: give a list or an artifact, not an iterator")
