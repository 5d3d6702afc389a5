"""How much length control an iteration needs: the least for which what is chosen is not the longer.

Meta-Rewarding (arXiv 2407.19594, section 2.2) sets rho by hand for each iteration. Here it is found from the
iteration's own scores and lengths, before anything is trained.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from math import isfinite, nan
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from metareward.records import Dropped, PreferencePair
from metareward.settings import checked, require
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.base import Shape
from metareward.stages.pair import SCORE_TOLERANCE, ActorPairs, Sides, choose

_STEP = 1000  # rho is searched in thousandths
_SHOWN = 20  # and written down in twentieths


@dataclass(frozen=True, slots=True)
class RhoPoint:
    """What one rho would give: pairs, and the means of chosen - rejected in score and in characters.

    The means are NaN where there is no pair.
    """

    rho: float
    pairs: int
    score_margin: float
    length_difference: float


@dataclass(frozen=True, slots=True)
class RhoChoice:
    """The rho of an iteration; of one that was searched, what was asked of it and the curve.

    reached: whether the mean length difference is at most `target` there. curve: every rho that was tried.
    """

    rho: float
    target: float | None = None
    reached: bool = True
    curve: tuple[RhoPoint, ...] = ()

    @property
    def point(self) -> RhoPoint:
        """The chosen one of the curve."""
        return next(point for point in self.curve if point.rho == self.rho)

    def as_dict(self) -> dict[str, Any]:
        """As plain data; of the curve both ends, the twentieths between, and the chosen point."""
        found = {"rho": self.rho, "automatic": bool(self.curve)}
        if not self.curve:
            return found
        ends = (self.curve[0].rho, self.curve[-1].rho, self.rho)
        shown = [point for point in self.curve if point.rho in ends or _round(point.rho)]
        curve = [{name: _plain(value) for name, value in asdict(point).items()} for point in shown]
        return {**found, "target": self.target, "reached": self.reached, "curve": curve}


@dataclass(frozen=True)
@checked("auto_rho")
class AutoRho:
    """Pairs of `rule` at the smallest rho whose mean length difference is at most `target` characters.

    The difference is chosen - rejected, its mean over the pairs of the iteration. Searched are `least`,
    `most` and all thousandths between them. Where none reaches the target it is the one with the smallest
    difference, and of several such the smallest. One subject a prompt; the pairs are those that `rule` makes
    at that rho, ids included.

    rule: its own rho plays no part.
    """

    name: ClassVar[str] = "actor_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    rule: ActorPairs | AnchoredPairs
    target: float = 0.0
    least: float = 0.0
    most: float = 0.45

    def __post_init__(self) -> None:
        check_search(self.target, (self.least, self.most), "auto_rho.target", "auto_rho.least and most")

    def apply(self, *inputs: Any) -> Iterator[PreferencePair | Dropped]:
        """The pairs, or why there is none. The inputs are read twice: TypeError if they can be read once."""
        return replace(self.rule, rho=self.search(*inputs).rho).apply(*inputs)

    def shape(self, *shapes: Shape) -> Shape:
        """As the rule's."""
        return self.rule.shape(*shapes)

    def search(self, *inputs: Any) -> RhoChoice:
        """The rho, and the curve it was found on. Inputs as those of `rule`."""
        if any(iter(rows) is rows for rows in inputs):
            raise TypeError("AutoRho reads its inputs twice: give lists or artifacts, not iterators")
        curve = rho_curve(self.rule, self._rhos(), *inputs)
        reached = [point for point in curve if point.length_difference <= self.target]
        if reached:
            return RhoChoice(reached[0].rho, self.target, True, curve)
        nearest = min(curve, key=lambda point: (not point.pairs, point.length_difference))
        return RhoChoice(nearest.rho, self.target, False, curve)

    def _rhos(self) -> list[float]:
        inside = [step / _STEP for step in range(_STEP // 2) if self.least < step / _STEP < self.most]
        return sorted({self.least, *inside, self.most})


def rho_curve(rule: ActorPairs | AnchoredPairs, rhos: Sequence[float], *inputs: Any) -> tuple[RhoPoint, ...]:
    """What each of `rhos` (ascending) would give. Reads the inputs once, one prompt in memory at a time.

    A prompt's pair changes only where a response enters a tier, so it is made only there.
    """
    grid = np.array(rhos)
    pairs, lengths = np.zeros(len(grid), np.int64), np.zeros(len(grid), np.int64)
    margins = np.zeros(len(grid))
    for sides in rule.sides(*inputs):
        places = _places(sides, grid)
        for place, end in zip(places, [*places[1:], len(grid)], strict=True):
            chosen = choose(replace(rule, rho=rhos[place]), sides)
            if not isinstance(chosen, str):
                (good, high), (bad, low) = chosen
                pairs[place:end] += 1
                lengths[place:end] += len(good.answer) - len(bad.answer)
                margins[place:end] += high - low
    return tuple(
        RhoPoint(rho, int(n), float(margin / n) if n else nan, float(length / n) if n else nan)
        for rho, n, margin, length in zip(rhos, pairs, margins, lengths, strict=True)
    )


def check_search(target: float, bounds: tuple[float, float], target_name: str, bounds_name: str) -> None:
    """ConfigError unless the target is a number and the bounds are in order, in [0, 0.5)."""
    require(isfinite(target), target_name, "a number of characters", target)
    in_order = 0 <= bounds[0] <= bounds[1] < 0.5
    require(in_order, bounds_name, "two numbers in order, at least 0 and below 0.5", bounds)


def _places(sides: Sides, grid: NDArray[np.float64]) -> list[int]:
    """Where on the grid the pair may change: at the first rho, and about each rho that lets a response in."""
    if not sides.good or not sides.bad or sides.best - sides.worst <= SCORE_TOLERANCE:
        return [0]
    width = sides.best - sides.worst
    enters = [(sides.best - score - SCORE_TOLERANCE) / width for _, score in sides.good]
    enters += [(score - sides.worst - SCORE_TOLERANCE) / width for _, score in sides.bad]
    near = np.searchsorted(grid, enters)[:, None] + np.array([-1, 0, 1])  # rounding may shift it by one
    return sorted({0, *(int(place) for place in near.ravel() if 0 < place < len(grid))})


def _round(rho: float) -> bool:
    return abs(rho * _SHOWN - round(rho * _SHOWN)) < 1e-9


def _plain(value: float) -> float | None:
    return None if value != value else value
