"""At most so many judge pairs for each actor pair: what is over the share is left out, by content."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import ClassVar

from metareward.ids import seed_of
from metareward.records import Dropped, PreferencePair, Role
from metareward.settings import check_seed, require
from metareward.stages.base import Shape

OVER = "over the share of judge pairs"


@dataclass(frozen=True)
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
        if iter(part) is part:
            raise TypeError(
                "CapJudgePairs reads the pairs twice: give a list or an artifact, not an iterator"
            )
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


def most(share: float, actors: int) -> int:
    """The greatest number of judge pairs with judge / (judge + actors) <= share, the decimal as written."""
    exact = Fraction(str(share))
    return int(exact * actors / (1 - exact))
