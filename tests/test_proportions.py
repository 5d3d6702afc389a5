"""Intervals of shares against scipy, against simulation, and where they must not collapse."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from metareward.stats.proportions import apart, clustered_wilson, effective_trials, wilson


@given(st.integers(1, 3000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(trials, data, confidence):
    successes = data.draw(st.integers(0, trials))
    theirs = binomtest(successes, trials).proportion_ci(confidence, method="wilson")
    lower, upper = wilson(successes, trials, confidence)
    assert lower == pytest.approx(theirs.low, abs=1e-12)
    assert upper == pytest.approx(theirs.high, abs=1e-12)
    assert 0 <= lower <= successes / trials <= upper <= 1


@pytest.mark.parametrize(
    ("successes", "trials", "confidence"),
    [(0, 0, 0.95), (-1, 5, 0.95), (6, 5, 0.95), (1, 2, 0.0), (1, 2, 1.0)],
)
def test_what_has_no_interval_is_refused(successes, trials, confidence):
    with pytest.raises(ValueError):
        wilson(successes, trials, confidence)


def test_a_cluster_of_equal_trials_counts_once():
    """Three trials that always agree say no more than one: 40 clusters of 3 are 40 trials, nearly."""
    won = np.array([3] * 25 + [0] * 15)
    assert effective_trials(won, np.full(40, 3)) == pytest.approx(39)  # one degree of freedom is the share's


def test_clusters_of_one_are_plain_trials():
    won = np.array([1] * 70 + [0] * 30)
    assert effective_trials(won, np.ones(100)) == pytest.approx(99)
    narrow, wide = wilson(70, 100), clustered_wilson(won, np.ones(100))
    assert wide[0] <= narrow[0] < narrow[1] <= wide[1]


def test_more_independence_than_chance_is_not_believed():
    """Clusters that all have one success of two look better than independent trials; they count as such."""
    assert effective_trials(np.ones(30), np.full(30, 2)) == 60
    assert effective_trials([0, 2] + [1] * 28, np.full(30, 2)) == 60


def test_nothing_and_everything_have_the_width_of_their_clusters():
    sizes = np.full(20, 5)
    assert clustered_wilson(np.zeros(20), sizes) == pytest.approx(wilson(0, 20))
    assert clustered_wilson(sizes, sizes) == pytest.approx(wilson(20, 20))
    assert effective_trials([2], [4]) == 1


def test_coverage_of_correlated_trials():
    """Clusters with a success rate of their own: near 95 % of intervals hold the truth, plain ones do not."""
    random, truth, rounds = np.random.default_rng(0), 0.7, 600
    sizes = random.integers(1, 6, 150)
    held = plain = 0
    for _ in range(rounds):
        won = random.binomial(sizes, random.beta(0.7, 0.3, len(sizes)))
        lower, upper = clustered_wilson(won, sizes)
        held += lower <= truth <= upper
        lower, upper = wilson(int(won.sum()), int(sizes.sum()))
        plain += lower <= truth <= upper
    assert 0.925 <= held / rounds <= 0.975
    assert plain / rounds < 0.85


@pytest.mark.parametrize(
    ("now", "then", "lower", "upper"),
    [
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((6, 7), (2, 7), 0.0582, 0.8062),
        ((5, 56), (0, 29), -0.0381, 0.1926),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 20), 0.6791, 1.0),
    ],
)
def test_the_difference_of_two_shares_is_as_published(now, then, lower, upper):
    """Newcombe 1998 (Statistics in Medicine 17, 873), table II, method 10."""
    sides = [(won / tried, *wilson(won, tried)) for won, tried in (now, then)]
    assert apart(*sides) == pytest.approx((lower, upper), abs=6e-5)
    assert apart(*sides[::-1]) == pytest.approx((-upper, -lower), abs=6e-5)


def test_it_agrees_with_a_bootstrap_of_clusters():
    random = np.random.default_rng(1)
    sizes = random.integers(1, 4, 400)
    won = random.binomial(sizes, random.beta(2, 1, 400))
    draws = random.integers(0, 400, (4000, 400))
    shares = won[draws].sum(1) / sizes[draws].sum(1)
    low, high = np.quantile(shares, [0.025, 0.975])
    assert clustered_wilson(won, sizes) == pytest.approx((low, high), abs=0.006)


@pytest.mark.parametrize(
    ("won", "tried"), [([], []), ([1], [0]), ([2], [1]), ([-1], [1]), ([1, 1], [1]), ([[1]], [[1]])]
)
def test_clusters_that_make_no_sense_are_refused(won, tried):
    with pytest.raises(ValueError):
        effective_trials(won, tried)
