"""Bootstrap intervals over clusters: the right centre, the right width, against scipy and by simulation."""

import numpy as np
import pytest
from scipy import stats

from metareward.stats.bootstrap import mean_of_clusters, resampled


def test_with_one_value_a_cluster_it_is_the_plain_percentile_bootstrap():
    values = np.random.default_rng(0).normal(size=80)
    ours = mean_of_clusters([[value] for value in values], seed=1, draws=8000)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=8000, method="percentile", rng=2)
    assert ours.value == pytest.approx(values.mean())
    assert ours.lower == pytest.approx(theirs.confidence_interval.low, abs=0.02)
    assert ours.upper == pytest.approx(theirs.confidence_interval.high, abs=0.02)
    assert ours.n == 80


def test_the_value_is_the_mean_over_all_values_not_over_clusters():
    assert mean_of_clusters([[1.0, 1.0, 1.0], [0.0]]).value == 0.75
    assert mean_of_clusters([[1.0], [], [0.0]]).n == 2


def test_repeating_what_a_prompt_says_does_not_narrow_the_interval():
    shares = np.random.default_rng(3).random(40)
    once = mean_of_clusters([[share] for share in shares], seed=4)
    often = mean_of_clusters([[share] * 25 for share in shares], seed=4)
    assert (often.lower, often.upper) == pytest.approx((once.lower, once.upper))


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    generator = np.random.default_rng(5)
    covered = 0
    for seed in range(300):
        levels = generator.normal(0.3, 1.0, size=40)
        clusters = [generator.normal(level, 0.5, size=3).tolist() for level in levels]
        estimate = mean_of_clusters(clusters, seed, draws=500)
        covered += estimate.lower <= 0.3 <= estimate.upper
    assert 0.90 <= covered / 300 <= 0.98


def test_draws_without_a_finite_statistic_do_not_count():
    wins, games = np.array([1.0, 0.0, 0.0]), np.array([1.0, 1.0, 0.0])

    def share(rows):
        with np.errstate(invalid="ignore"):
            return wins[rows].sum(-1) / games[rows].sum(-1)

    estimate = resampled(share, 3, seed=0)
    assert estimate.value == 0.5
    assert (estimate.lower, estimate.upper) == (0.0, 1.0)


def test_equal_seeds_give_equal_intervals_and_no_units_is_an_error():
    clusters = np.random.default_rng(0).normal(size=(30, 2)).tolist()
    assert mean_of_clusters(clusters, 7) == mean_of_clusters(clusters, 7)
    assert mean_of_clusters(clusters, 7) != mean_of_clusters(clusters, 8)
    with pytest.raises(ValueError, match="at least one unit"):
        mean_of_clusters([[]])
