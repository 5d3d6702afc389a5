"""Agreement statistics against scikit-learn and scipy, and by hand."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from metareward.stats.agreement import best_of_credit, cohen_kappa, kendall, pair_credits, spearman

metrics = pytest.importorskip("sklearn.metrics")
RATINGS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=30)
VALUES = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=2, max_size=12)


@given(RATINGS)
def test_kappa_is_that_of_scikit_learn(rows):
    first, second = [list(side) for side in zip(*rows, strict=True)]
    ours = cohen_kappa(first, second)
    if len(set(first) | set(second)) < 2:
        assert ours is None
        return
    theirs = metrics.cohen_kappa_score(first, second)
    assert (ours is None and math.isnan(theirs)) or ours == pytest.approx(theirs)


def test_kappa_by_hand():
    """Cohen's own kind of example: 25 + 15 of 50 agree, shares .6/.4 and .7/.3: (.8 - .54) / .46."""
    first = ["yes"] * 30 + ["no"] * 20
    second = ["yes"] * 25 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 10
    expected = 0.6 * 0.7 + 0.4 * 0.3
    assert cohen_kappa(first, second) == pytest.approx((35 / 50 - expected) / (1 - expected))
    assert cohen_kappa([], []) is None
    with pytest.raises(ValueError, match="2 ratings cannot be compared with 1"):
        cohen_kappa([1, 2], [1])


@given(VALUES)
def test_rank_correlations_are_those_of_scipy_and_none_where_they_are_undefined(rows):
    ours, theirs = [list(map(float, side)) for side in zip(*rows, strict=True)]
    for measure, oracle in ((spearman, stats.spearmanr), (kendall, stats.kendalltau)):
        found = measure(ours, theirs)
        if len(set(ours)) < 2 or len(set(theirs)) < 2:
            assert found is None
        else:
            assert found == pytest.approx(oracle(ours, theirs)[0])


@given(VALUES)
def test_pair_credits_are_what_kendall_counts(rows):
    """Without ties on either side, tau is twice the mean credit, less one."""
    ours = [value + place / 100 for place, (value, _) in enumerate(rows)]
    theirs = [value + place / 100 for place, (_, value) in enumerate(rows)]
    credits = pair_credits(ours, theirs)
    assert len(credits) == len(rows) * (len(rows) - 1) // 2
    assert 2 * np.mean(credits) - 1 == pytest.approx(kendall(ours, theirs))


def test_a_tie_of_ours_is_half_right_and_a_tie_of_theirs_does_not_count():
    assert pair_credits([1, 1], [2, 1]) == [0.5]
    assert pair_credits([2, 1], [2, 1]) == [1.0]
    assert pair_credits([1, 2], [2, 1]) == [0.0]
    assert pair_credits([1, 2], [1, 1]) == []


def test_best_of_is_a_chance_where_ours_ties():
    assert best_of_credit([1, 3, 3], [0, 1, 2]) == 0.5
    assert best_of_credit([1, 2, 3], [0, 1, 2]) == 1.0
    assert best_of_credit([3, 2, 1], [0, 2, 2]) == 0.0
    assert best_of_credit([1, 1], [5, 5]) == 1.0
    with pytest.raises(ValueError, match="best of nothing"):
        best_of_credit([], [])
