"""The mean of a table of values whose rows and columns are both samples: base models and seeds, say."""

from functools import lru_cache
from math import sqrt

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from metareward.stats.bootstrap import COVERAGE, Estimate

DRAWS = 4000


def mean_of_table(values_RC: ArrayLike, seed: int = 0, draws: int = DRAWS) -> Estimate:
    """The mean of the cells, resampling rows and columns independently (the pigeonhole bootstrap, Owen 2007).

    values_RC: [rows, columns], NaN where there is no cell. Cells of a row share it, and so do those of a
    column: what they share does not average out. `n` is the number of rows that have a cell, or of columns
    where there is one row; with one, nothing is known and the ends are NaN. The percentiles are widened for
    small `n` (`widened`). Raises ValueError without a cell.
    """
    table_RC = _occupied(np.asarray(values_RC, float))
    rows, columns = table_RC.shape
    n = rows if rows > 1 else columns
    value = float(np.nanmean(table_RC))
    if n < 2:
        return Estimate(value, np.nan, np.nan, n)
    row_DR, column_DC = _drawn(rows, columns, seed, draws)
    drawn_DRC = table_RC[row_DR[:, :, None], column_DC[:, None, :]]
    there_D = (~np.isnan(drawn_DRC)).sum((1, 2))
    means = np.nansum(drawn_DRC, (1, 2))[there_D > 0] / there_D[there_D > 0]
    tail = 100 * widened(n)
    lower, upper = np.percentile(means, [tail, 100 - tail])
    return Estimate(value, float(lower), float(upper), n)


def widened(n: int) -> float:
    """The share of draws to leave out at each end, for `n` units.

    A percentile interval of few units is too narrow by sqrt((n - 1) / n), and by a normal's quantile in the
    place of t's; this is the expanded percentile interval of Hesterberg (2015). Raises ValueError below two
    units.
    """
    if n < 2:
        raise ValueError("an interval needs at least two units")
    quantile = stats.t.ppf(0.5 + COVERAGE / 2, n - 1)
    return float(stats.norm.cdf(-sqrt(n / (n - 1)) * quantile))


def _occupied(table_RC: NDArray[np.float64]) -> NDArray[np.float64]:
    there_RC = ~np.isnan(table_RC)
    if table_RC.ndim != 2 or not there_RC.any():
        raise ValueError("a mean needs at least one cell")
    return table_RC[there_RC.any(1)][:, there_RC.any(0)]


@lru_cache(maxsize=8)
def _drawn(rows: int, columns: int, seed: int, draws: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The same resamples serve every measure of one comparison."""
    generator = np.random.default_rng(seed)
    return generator.integers(0, rows, (draws, rows)), generator.integers(0, columns, (draws, columns))
