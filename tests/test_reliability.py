"""Entropy and reliability against published numbers, scipy and the analysis of variance by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metareward.stats.bootstrap import difference, mean_of_clusters, ratio_of_sums
from metareward.stats.reliability import entropy, reliability, spread

# Shrout and Fleiss (1979), table 2: six targets, four judges; their table 4 has ICC(1, 4) = .44.
SHROUT_FLEISS = [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]]


def rho(*prompts):
    return reliability([found for scores in prompts if (found := spread(scores)) is not None]).value


class TestEntropy:
    @given(st.lists(st.integers(0, 50), min_size=2, max_size=6).filter(any))
    @settings(max_examples=50, deadline=None)
    def test_it_is_scipys(self, counts):
        assert float(entropy(np.array(counts, float))) == pytest.approx(
            stats.entropy(counts, base=2), abs=1e-12
        )

    def test_by_hand(self):
        assert float(entropy(np.array([4.0, 0, 0]))) == 0
        assert float(entropy(np.array([1.0, 1, 2]))) == 1.5
        assert float(entropy(np.ones(6))) == pytest.approx(np.log2(6))

    def test_nothing_has_none(self):
        assert np.isnan(entropy(np.zeros(6)))


class TestReliability:
    def test_of_one_prompt_it_is_the_published_icc(self):
        assert rho(SHROUT_FLEISS) == pytest.approx(0.44, abs=0.005)

    def test_it_is_one_less_the_ratio_of_mean_squares(self):
        between = 4 * np.var([np.mean(row) for row in SHROUT_FLEISS], ddof=1)
        within = np.mean([np.var(row, ddof=1) for row in SHROUT_FLEISS])
        assert rho(SHROUT_FLEISS) == pytest.approx(1 - within / between)

    def test_a_difference_between_prompts_is_no_difference_between_responses(self):
        lifted = [[score + 100 for score in row] for row in SHROUT_FLEISS]
        assert rho(SHROUT_FLEISS, lifted) == pytest.approx(rho(SHROUT_FLEISS))

    def test_ends(self):
        assert rho([[1, 1], [4, 4]]) == 1
        assert rho([[1, 4], [4, 1]]) == 0, "sb2 is not below 0"

    @pytest.mark.parametrize("noise", [0.5, 1.0, 2.0])
    def test_it_finds_what_was_planted(self, noise):
        generator = np.random.default_rng(0)
        truth = generator.normal(size=(400, 5, 1))
        scores = truth + generator.normal(0, noise, size=(400, 5, 4))
        found = reliability([spread(list(map(list, prompt))) for prompt in scores])  # type: ignore[misc]
        expected = 1 / (1 + noise**2 / 4)
        assert found.lower <= expected <= found.upper
        assert found.value == pytest.approx(expected, abs=0.03)

    @pytest.mark.parametrize("scores", [[], [[1, 2]], [[1], [2]], [[1, 2], []]])
    def test_what_says_nothing_is_left_out(self, scores):
        assert spread(scores) is None

    def test_nothing_at_all_has_none(self):
        with pytest.raises(ValueError, match="at least one unit"):
            reliability([])


class TestDifference:
    def of(self, now, then, seed=0):
        def mean(values):
            return lambda rows: np.asarray(values, float)[rows].mean(-1)

        return difference(mean(now), mean(then), (len(now), len(then)), seed)

    def test_the_sign_is_now_less_then(self):
        found = self.of([4.0, 5.0, 4.0, 5.0], [1.0, 2.0, 1.0, 2.0])
        assert found.value == 3
        assert found.lower > 2
        assert self.of([1.0, 2.0], [4.0, 5.0]).value == -3

    def test_the_interval_is_that_of_two_independent_means(self):
        generator = np.random.default_rng(1)
        now, then = generator.normal(1, 2, 300), generator.normal(0, 1, 200)
        found = self.of(now, then)
        half = 1.96 * np.sqrt(now.var() / 300 + then.var() / 200)
        assert found.upper - found.lower == pytest.approx(2 * half, rel=0.08)
        assert found.n == 200

    def test_the_same_values_are_resampled_apart(self):
        """Two samples of equal values are still two: their difference has an interval."""
        found = self.of([0.0, 1.0] * 20, [0.0, 1.0] * 20)
        assert found.value == 0
        assert found.lower < 0 < found.upper

    def test_nothing_has_no_difference(self):
        with pytest.raises(ValueError, match="at least one unit"):
            self.of([1.0], [])


def test_a_ratio_of_sums_is_the_mean_over_all_values():
    clusters = [[1.0, 2.0], [3.0], [4.0, 5.0, 6.0]]
    assert ratio_of_sums([3.0, 3.0, 15.0], [2, 1, 3]) == mean_of_clusters(clusters)
    assert ratio_of_sums([3.0, 3.0, 15.0], [2, 1, 3]).value == 3.5


def test_a_ratio_leaves_out_resamples_that_have_nothing_below():
    """One unit of three has anything below, so 8 resamples in 27 have not; the others all say the same."""
    found = ratio_of_sums([3.0, 0.0, 0.0], [2.0, 0.0, 0.0])
    assert (found.value, found.lower, found.upper) == (1.5, 1.5, 1.5)
