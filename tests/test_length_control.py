"""The fit of the length control against an optimiser and a cross-validation of our own, and its signs."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import expit
from sklearn import model_selection

from alpaca_worlds import world
from metareward.errors import DataError
from metareward.evaluate.length_control import BaselineRows, Weights, fit, length_term


def columns(made):
    rows = made.rows
    base = np.array([row.len_baseline for row in rows], float)
    own = np.array([row.len_model for row in rows], float)
    return length_term(base, own), np.array([row.preference for row in rows])


def design(length, difficulty, preference, gamed):
    """Straight from the formulae: [w1, w2, w3] features, soft labels, and 0.1 for a gamed row."""
    own = np.column_stack([length, difficulty, np.ones(len(length))])
    if gamed is None:
        return own, preference, np.ones(len(own))
    other = np.column_stack([np.tanh(gamed.length), gamed.difficulty, 0 * gamed.length])
    weight = np.r_[np.full(len(other), 0.1), np.ones(len(own))]
    return np.vstack([other, own]), np.r_[gamed.preference, preference], weight


def best(features, labels, weight, penalty):
    """min |w|_1 + C sum weight (soft log loss), with w split into its positive and negative part."""

    def objective(parts):
        w = parts[:3] - parts[3:]
        z = features @ w
        loss = penalty * np.sum(weight * (np.logaddexp(0, z) - labels * z))
        slope = penalty * features.T @ (weight * (expit(z) - labels))
        return loss + parts.sum(), np.r_[slope + 1, 1 - slope]

    start = np.full(6, 0.1)
    found = minimize(objective, start, jac=True, bounds=[(0, None)] * 6, options={"maxiter": 3000, "ftol": 0})
    return found.x[:3] - found.x[3:]


@given(st.integers(0, 10_000), st.sampled_from([0.01, 0.5, 20.0]), st.booleans())
@settings(max_examples=25, deadline=None)
def test_weights_are_the_minimum_of_the_penalised_soft_log_loss(seed, penalty, regularised):
    made, difficulty, gamed = world(80, seed)
    length, preference = columns(made)
    gamed = gamed if regularised else None
    weights = fit(length, difficulty, preference, gamed, penalty)
    expected = best(*design(length, difficulty, preference, gamed), penalty)
    assert np.allclose([weights.length, weights.difficulty, weights.model], expected, atol=5e-3)


@pytest.mark.parametrize("seed", range(4))
def test_the_penalty_is_the_best_of_ten_in_grouped_cross_validation(seed):
    made, difficulty, gamed = world(60, seed, length_effect=-0.3, skill=0.05)
    length, preference = columns(made)
    features, labels, weight = design(length, difficulty, preference, gamed)
    # groups of equal size are dealt out in turn, the last first; the order of folds does not matter
    fold = np.arange(len(labels))[::-1] % 5
    scores = []
    for penalty in np.logspace(-4, 4, 10):
        losses = []
        for left_out in range(5):
            train, test = fold != left_out, fold == left_out
            w = best(features[train], labels[train], weight[train], penalty)
            p = expit(features[test] @ w)
            losses.append(
                np.mean(weight[test] * (labels[test] * np.log(p) + (1 - labels[test]) * np.log1p(-p)))
            )
        scores.append(np.mean(losses))
    chosen = fit(length, difficulty, preference, gamed, None).penalty
    assert chosen is not None
    place = int(np.argmin(np.abs(np.log(np.logspace(-4, 4, 10) / chosen))))
    assert chosen == pytest.approx(np.logspace(-4, 4, 10)[place])
    assert scores[place] == pytest.approx(max(scores), abs=2e-6)


def test_both_copies_of_a_row_are_in_one_fold(monkeypatch):
    seen = []

    class Watched(model_selection.GroupKFold):
        def split(self, X, y=None, groups=None):
            seen.append(np.asarray(groups))
            return super().split(X, y, groups)

    monkeypatch.setattr(model_selection, "GroupKFold", Watched)
    made, difficulty, gamed = world(30)
    fit(*columns(made)[:1], difficulty, columns(made)[1], gamed, None)
    groups = seen[0]
    assert len(groups) == 2 * 90
    assert np.array_equal(groups[:90], groups[90:])
    assert len(set(groups)) == 90


def test_unread_rows_are_left_out_of_the_fit():
    made, difficulty, gamed = world(60)
    length, preference = columns(made)
    read = np.arange(60) % 7 != 0
    holes = np.where(read, preference, np.nan)
    some = fit(length, difficulty, holes, gamed, 1.0)
    assert some == fit(length[read], difficulty[read], preference[read], gamed, 1.0)
    assert some != fit(length, difficulty, preference, gamed, 1.0)


def test_signs_a_model_that_wins_by_length_loses_at_equal_lengths():
    draw = np.random.default_rng(1)
    base, own = draw.integers(100, 1000, 400).astype(float), draw.integers(500, 3000, 400).astype(float)
    difficulty = draw.normal(size=400)
    length = length_term(base, own)
    assert length.mean() < 0  # the model's outputs are the longer ones
    won = expit(-3 * length + 2 * difficulty - 1)
    weights = fit(length, difficulty, won, None, None)
    assert weights.length < -2
    assert weights.difficulty > 1  # difficulty is in favour of the model
    assert weights.win_probabilities(difficulty).mean() < won.mean() - 0.1


def test_the_baselines_rows_have_a_tenth_of_the_weight():
    made, difficulty, gamed = world(50)
    length, preference = columns(made)
    # tanh of a length is what a row enters with, and it has no part in w3: ten copies weigh one row
    ten = BaselineRows(*(np.repeat(part, 10) for part in (gamed.length, gamed.difficulty, gamed.preference)))
    expected = best(*design(length, difficulty, preference, ten), 3.0)
    found = fit(length, difficulty, preference, ten, 3.0)
    assert np.allclose([found.length, found.difficulty, found.model], expected, atol=5e-3)
    assert abs(fit(length, difficulty, preference, gamed, 3.0).length - found.length) > 0.02


def test_the_length_term_is_standardised_with_ddof_1():
    base, own = np.array([10.0, 20.0, 40.0]), np.array([5.0, 30.0, 10.0])
    delta = np.array([5.0, -10.0, 30.0])
    sd = np.sqrt(((delta - delta.mean()) ** 2).sum() / 2)
    assert np.allclose(length_term(base, own), np.tanh(delta / sd))
    assert np.sign(length_term(base, own)[0]) == 1  # the shorter model is on the positive side


def test_equal_differences_have_a_sign_only():
    assert length_term(np.array([7.0, 9.0]), np.array([5.0, 7.0])).tolist() == [1.0, 1.0]


@pytest.mark.parametrize(("base", "own"), [([5.0], [3.0]), ([5.0, 6.0], [5.0, 6.0]), ([], [])])
def test_lengths_that_determine_nothing_are_refused(base, own):
    with pytest.raises(DataError, match=f"the {len(base)} annotations do not determine"):
        length_term(np.array(base), np.array(own))


def test_too_few_rows_for_five_folds_are_refused():
    few = np.array([0.1, 0.2, -0.3])
    with pytest.raises(DataError, match="3 readable annotations are too few"):
        fit(few, few, np.array([0.1, 0.9, 0.5]), None, None)


def test_probabilities_leave_the_length_out():
    weights = Weights(length=5.0, difficulty=2.0, model=-1.0)
    assert np.allclose(weights.win_probabilities(np.array([0.0, 1.0])), expit([-1.0, 1.0]))
