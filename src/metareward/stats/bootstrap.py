"""Percentile bootstrap over clusters: prompts are the independent units, not the answers to one prompt."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

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
    sums = np.array([sum(cluster) for cluster in kept], dtype=np.float64)
    counts = np.array([len(cluster) for cluster in kept], dtype=np.float64)
    return resampled(lambda rows_DN: sums[rows_DN].sum(-1) / counts[rows_DN].sum(-1), len(kept), seed, draws)


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
