"""The mean of a table of values whose rows and columns are both samples: base models and seeds, say."""

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

from metareward.stats.bootstrap import COVERAGE, Estimate

DRAWS = 4000
FEW = 5  # units


def mean_of_table(values_RC: ArrayLike, seed: int = 0, draws: int = DRAWS) -> Estimate:
    """The mean of the cells, resampling rows and columns independently (the pigeonhole bootstrap, Owen 2007).

    values_RC: [rows, columns], NaN where there is no cell. Cells of a row share it, and so do those of a
    column: what they share does not average out. `n` is the number of rows that have a cell, or of columns
    where there is one row; with one, nothing is known and the ends are NaN. The percentiles are widened for
    small `n` (`widened`), and with fewer than `FEW` units, which no bootstrap can serve, each end is the
    outer one of the bootstrap's and of Student's t over the means of the units. Raises ValueError without a
    cell.
    """
    table_RC = _occupied(np.asarray(values_RC, float))
    rows, columns = table_RC.shape
    n = rows if rows > 1 else columns
    value = float(np.nanmean(table_RC))
    if n < 2:
        return Estimate(value, np.nan, np.nan, n)
    row_DR, column_DC = _how_often(rows, columns, seed, draws)
    there_RC = ~np.isnan(table_RC)
    counts_D = ((row_DR @ there_RC) * column_DC).sum(1)
    sums_D = ((row_DR @ np.where(there_RC, table_RC, 0.0)) * column_DC).sum(1)
    means_D = sums_D[counts_D > 0] / counts_D[counts_D > 0]
    tail = 100 * widened(n)
    lower, upper = np.percentile(means_D, [tail, 100 - tail])
    half = student(np.nanmean(table_RC, 1 if rows > 1 else 0)) if n < FEW else 0.0
    return Estimate(value, min(float(lower), value - half), max(float(upper), value + half), n)


def student(means_N: NDArray[np.float64]) -> float:
    """Half the width of Student's interval of a mean of `N` >= 2 units."""
    n = len(means_N)
    return float(stdtrit(n - 1, 0.5 + COVERAGE / 2) * means_N.std(ddof=1) / sqrt(n))


@lru_cache(maxsize=64)
def widened(n: int) -> float:
    """The share of draws to leave out at each end, for `n` units.

    A percentile interval of few units is too narrow by sqrt((n - 1) / n), and by a normal's quantile in the
    place of t's; this is the expanded percentile interval of Hesterberg (2015). Raises ValueError below two
    units.
    """
    if n < 2:
        raise ValueError("an interval needs at least two units")
    quantile = stdtrit(n - 1, 0.5 + COVERAGE / 2)
    return float(ndtr(-sqrt(n / (n - 1)) * quantile))


def _occupied(table_RC: NDArray[np.float64]) -> NDArray[np.float64]:
    there_RC = ~np.isnan(table_RC)
    if table_RC.ndim != 2 or not there_RC.any():
        raise ValueError("a mean needs at least one cell")
    return table_RC[there_RC.any(1)][:, there_RC.any(0)]


@lru_cache(maxsize=8)
def _how_often(
    rows: int, columns: int, seed: int, draws: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """How often each draw takes each row and each column; the same draws serve every measure."""
    generator = np.random.default_rng(seed)
    row_DR = generator.multinomial(rows, [1 / rows] * rows, draws)
    return row_DR.astype(float), generator.multinomial(columns, [1 / columns] * columns, draws).astype(float)
