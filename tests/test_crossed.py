"""Means over base models and seeds: what a row or a column shares does not average out."""

import numpy as np
import pytest
from scipy import stats

from metareward.stats.crossed import mean_of_table, widened


def test_the_value_is_the_mean_of_the_cells_that_are_there():
    table = [[1.0, 2.0], [3.0, np.nan], [np.nan, np.nan]]
    found = mean_of_table(table)
    assert found.value == pytest.approx(2.0)
    assert found.n == 2, "a row without a cell is no unit"


def test_one_row_is_a_sample_of_columns_and_one_cell_says_nothing():
    assert mean_of_table([[1.0, 2.0, 4.0]]).n == 3
    alone = mean_of_table([[1.5]])
    assert (alone.value, alone.n) == (1.5, 1)
    assert np.isnan(alone.lower)
    assert np.isnan(alone.upper)
    with pytest.raises(ValueError, match="at least one cell"):
        mean_of_table([[np.nan, np.nan]])


def test_few_units_have_students_interval_at_least():
    two = mean_of_table([[1.0, 1.2]])
    theirs = stats.ttest_1samp([1.0, 1.2], 0).confidence_interval()
    assert (two.lower, two.upper) == pytest.approx((theirs.low, theirs.high))
    table = np.random.default_rng(3).normal(size=(3, 6))
    found, theirs = mean_of_table(table), stats.ttest_1samp(table.mean(1), 0).confidence_interval()
    assert found.lower <= theirs.low + 1e-9
    assert found.upper >= theirs.high - 1e-9


def test_many_seeds_of_few_bases_do_not_hide_that_the_bases_differ():
    """The bases' means are 0 to 4 whatever the seed: more seeds must not narrow the interval."""
    few = mean_of_table(np.repeat([[0.0], [1.0], [2.0], [3.0], [4.0]], 2, axis=1))
    many = mean_of_table(np.repeat([[0.0], [1.0], [2.0], [3.0], [4.0]], 40, axis=1))
    assert (many.lower, many.upper) == pytest.approx((few.lower, few.upper))
    assert many.upper - many.lower > 1.2
    turned = mean_of_table(np.repeat([[0.0, 1.0, 2.0, 3.0, 4.0]], 40, axis=0))
    assert turned.upper - turned.lower > 1.2, "nor do many bases hide that the seeds differ"


def test_what_all_cells_have_is_certain():
    found = mean_of_table(np.full((3, 4), 0.7))
    assert (found.lower, found.upper) == pytest.approx((0.7, 0.7))


def test_signs_and_scales_are_kept():
    table = np.random.default_rng(0).normal(size=(6, 3))
    once, turned, twice = (mean_of_table(times * table) for times in (1, -1, 2))
    assert (turned.lower, turned.upper) == pytest.approx((-once.upper, -once.lower), abs=0.05)
    assert (twice.lower, twice.upper) == pytest.approx((2 * once.lower, 2 * once.upper))
    assert once.lower < once.value < once.upper


def test_equal_seeds_give_equal_intervals():
    table = np.random.default_rng(1).normal(size=(6, 5))
    assert mean_of_table(table, 5) == mean_of_table(table, 5)
    assert mean_of_table(table, 5) != mean_of_table(table, 6)


def test_few_units_widen_and_many_do_not():
    assert widened(1000) == pytest.approx(0.025, rel=0.02)
    assert widened(5) == pytest.approx(stats.norm.cdf(-np.sqrt(5 / 4) * 2.7764), rel=1e-3)
    assert list(map(widened, (2, 3, 5, 10, 30))) == sorted(map(widened, (2, 3, 5, 10, 30)))
    with pytest.raises(ValueError, match="two units"):
        widened(1)


@pytest.mark.parametrize(
    ("rows", "columns", "least"),
    [
        (1, 2, 0.92),
        (1, 3, 0.92),
        (1, 5, 0.88),
        (2, 2, 0.9),
        (2, 3, 0.9),
        (3, 3, 0.92),
        (5, 3, 0.9),
        (8, 2, 0.87),
    ],
)
def test_intervals_cover_the_truth_about_as_often_as_the_docs_say(rows, columns, least):
    """Half of what a seed does is common to all bases; bases differ as much as seeds do."""
    generator, covered, times = np.random.default_rng(2), 0, 200
    for seed in range(times):
        base = generator.normal(0, 0.1, (rows, 1)) * (rows > 1)
        shared, own = generator.normal(0, 0.07, (1, columns)), generator.normal(0, 0.07, (rows, columns))
        found = mean_of_table(base + shared + own, seed % 5, draws=1000)
        covered += found.lower <= 0 <= found.upper
    assert covered / times >= least
