"""Percentile bootstrap over clusters: prompts are the independent units, not the answers to one prompt."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray

DRAWS = 2000
COVERAGE = 0.95
_CHUNK = 256  # draws whose indices are in memory at once
_REMEMBERED = 2_000_000  # indices of a whole bootstrap that are kept for the next measure


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number, its 95 % interval, and how many independent units it rests on."""

    value: float
    lower: float
    upper: float
    n: int

    def as_dict(self) -> dict[str, float]:
        """As plain data."""
        return {"value": self.value, "lower": self.lower, "upper": self.upper, "n": self.n}


def mean_of_clusters(clusters: Sequence[Sequence[float]], seed: int = 0, draws: int = DRAWS) -> Estimate:
    """The mean over all values, resampling whole clusters (Efron and Tibshirani 1993, chapter 13).

    clusters: the values of each independent unit; empty ones are left out. Raises ValueError if all are.
    """
    kept = [cluster for cluster in clusters if len(cluster)]
    return ratio_of_sums([sum(cluster) for cluster in kept], [len(cluster) for cluster in kept], seed, draws)


def ratio_of_sums(above: ArrayLike, below: ArrayLike, seed: int = 0, draws: int = DRAWS) -> Estimate:
    """sum(above) / sum(below), resampling units; above, below: [units]. ValueError if there are none.

    A resample of units that are all 0 below does not count.
    """
    above_N, below_N = np.asarray(above, float), np.asarray(below, float)
    return resampled(
        lambda rows_DN: above_N[rows_DN].sum(-1) / below_N[rows_DN].sum(-1), len(above_N), seed, draws
    )


@np.errstate(divide="ignore", invalid="ignore")
def difference(
    now: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    then: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    units: tuple[int, int],
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """now - then, two statistics (as in `resampled`) of independent samples of so many units each.

    `n` is the smaller of the two. Raises ValueError if one of them has no units.
    """
    if min(units) < 1:
        raise ValueError("a bootstrap needs at least one unit")
    found = [
        np.concatenate([statistic(rows_DN) for rows_DN in _chunks(count, seed + place, draws)])
        for place, (statistic, count) in enumerate(zip((now, then), units, strict=True))
    ]
    each = [float(statistic(np.arange(n)[None])[0]) for statistic, n in zip((now, then), units, strict=True)]
    apart = found[0] - found[1]
    tail = 100 * (1 - COVERAGE) / 2
    lower, upper = np.percentile(apart[np.isfinite(apart)], [tail, 100 - tail])
    return Estimate(each[0] - each[1], float(lower), float(upper), min(units))


@np.errstate(divide="ignore", invalid="ignore")
def resampled(
    statistic: Callable[[NDArray[np.int64]], NDArray[np.float64]],
    units: int,
    seed: int = 0,
    draws: int = DRAWS,
) -> Estimate:
    """A statistic of `units` independent units, with its percentile interval over `draws` resamples.

    statistic: takes indices of shape [D, units], one resample a row, and gives [D] numbers. Draws in
    which it is not finite (a resample without any decided case) do not count. Raises ValueError if there
    are no units.
    """
    if units < 1:
        raise ValueError("a bootstrap needs at least one unit")
    small = units * draws <= _REMEMBERED
    chunks = _remembered(units, seed, draws) if small else _chunks(units, seed, draws)
    found = np.concatenate([statistic(rows_DN) for rows_DN in chunks])
    values = found[np.isfinite(found)]
    value = float(statistic(np.arange(units)[None])[0])
    tail = 100 * (1 - COVERAGE) / 2
    lower, upper = np.percentile(values, [tail, 100 - tail]) if len(values) else (np.nan, np.nan)
    return Estimate(value, float(lower), float(upper), units)


def _chunks(units: int, seed: int, draws: int) -> Iterator[NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    for start in range(0, draws, _CHUNK):
        yield generator.integers(0, units, (min(_CHUNK, draws - start), units))


@lru_cache(maxsize=4)
def _remembered(units: int, seed: int, draws: int) -> tuple[NDArray[np.int64], ...]:
    """The same resamples serve every measure of one evaluation."""
    return tuple(_chunks(units, seed, draws))
