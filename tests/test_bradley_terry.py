"""Bradley-Terry strengths: outside oracles, closed forms, and what must hold for any wins."""

from collections.abc import Callable

import choix
import evalica
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import expit

from metareward.stats.bradley_terry import DEFAULT_PRIOR, log_likelihood, strengths

Matrix = NDArray[np.float64]


@st.composite
def win_matrices(draw: st.DrawFn, most: int = 4, largest: int = 6) -> Matrix:
    """Whole-number wins, half of them zero, so that many rows never win and many graphs fall apart."""
    size = draw(st.integers(2, largest))
    entries = st.one_of(st.just(0), st.integers(0, most))
    flat = draw(st.lists(entries, min_size=size * size, max_size=size * size))
    wins = np.array(flat, dtype=np.float64).reshape(size, size)
    np.fill_diagonal(wins, 0)
    return wins


priors = st.sampled_from([1e-4, DEFAULT_PRIOR, 0.1, 1.0, 30.0])
quick = settings(max_examples=60, deadline=None)


def connected_wins(size: int, seed: int) -> Matrix:
    wins = np.random.default_rng(seed).integers(1, 9, (size, size)).astype(np.float64)
    np.fill_diagonal(wins, 0)
    return wins


def choix_strengths(wins: Matrix, prior: float) -> Matrix:
    games = [
        (m, n) for m in range(len(wins)) for n in range(len(wins)) for _ in range(int(wins[m, n]))
    ]  # fmt: skip
    # choix subtracts alpha ||eps||^2 (its docstring says variance 1 / alpha; its objective has no half).
    return choix.opt_pairwise(len(wins), games, alpha=prior / 2, method="Newton-CG", tol=1e-12)


def evalica_strengths(wins: Matrix) -> Matrix:
    winners, losers = np.nonzero(wins)
    result = evalica.bradley_terry(
        [f"{m}" for m in winners],
        [f"{n}" for n in losers],
        [evalica.Winner.X] * len(winners),
        weights=list(wins[winners, losers]),
        tolerance=1e-13,
        limit=100_000,
    )
    logs = np.log(np.array([result.scores[f"{m}"] for m in range(len(wins))]))
    return logs - logs.mean()


# Outside oracles


@quick
@given(win_matrices(), st.sampled_from([0.01, 0.1, 1.0]))
def test_agrees_with_choix_on_any_wins_under_a_prior(wins: Matrix, prior: float):
    ours, theirs = strengths(wins, prior), choix_strengths(wins, prior)
    assert log_likelihood(wins, ours, prior) == pytest.approx(log_likelihood(wins, theirs, prior), abs=1e-6)
    assert log_likelihood(wins, ours, prior) >= log_likelihood(wins, theirs, prior) - 1e-12
    np.testing.assert_allclose(ours, theirs, atol=1e-4)


@pytest.mark.parametrize(
    "wins",
    [
        np.array([[0, 3, 3], [0, 0, 2], [0, 1, 0]], dtype=np.float64),  # one that always wins
        np.array([[0, 3, 0, 0], [1, 0, 0, 0], [0, 0, 0, 2], [0, 0, 2, 0]], dtype=np.float64),  # two islands
        np.array([[0, 1, 1], [0, 0, 1], [0, 0, 0]], dtype=np.float64),  # a perfect order
        np.zeros((3, 3)),  # nothing at all
    ],
)
def test_agrees_with_choix_where_likelihood_alone_has_no_maximum(wins: Matrix):
    np.testing.assert_allclose(strengths(wins), choix_strengths(wins, DEFAULT_PRIOR), atol=1e-6)


@pytest.mark.parametrize("size", [2, 5, 11])
def test_agrees_with_evalica_without_a_prior(size: int):
    wins = connected_wins(size, seed=size) * np.random.default_rng(0).uniform(0.1, 1, (size, size))
    ours, theirs = strengths(wins, prior=0), evalica_strengths(wins)
    assert log_likelihood(wins, ours, 0) >= log_likelihood(wins, theirs, 0) - 1e-12
    np.testing.assert_allclose(ours, theirs, atol=1e-9)


def test_agrees_with_choix_and_evalica_on_one_problem_at_once():
    wins = connected_wins(6, seed=3)
    np.testing.assert_allclose(strengths(wins, 0), evalica_strengths(wins), atol=1e-9)
    np.testing.assert_allclose(strengths(wins, 1e-9), choix_strengths(wins, 1e-9), atol=1e-6)


# Closed forms


def root(function: Callable[[float], float]) -> float:
    """Where a falling function is zero, between 0 and 50, by bisection down to neighbouring doubles."""
    low, high = 0.0, 50.0
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if function(middle) > 0 else (low, middle)
    return low


def test_two_without_a_prior_differ_by_the_log_of_the_ratio():
    first, second = strengths(np.array([[0, 3.0], [1.0, 0]]), prior=0)
    assert first == pytest.approx(np.log(3) / 2, abs=1e-14)
    assert second == pytest.approx(-np.log(3) / 2, abs=1e-14)


@pytest.mark.parametrize(
    ("weight", "prior"), [(1.0, 0.01), (0.3, 0.01), (1e6, 0.01), (1e-9, 0.5), (5.0, 1e-6)]
)
def test_one_that_always_beats_the_other_solves_its_scalar_equation(weight: float, prior: float):
    expected = root(lambda e: weight * expit(-2 * e) - prior * e)
    first, second = strengths(np.array([[0, weight], [0, 0]]), prior)
    assert first == pytest.approx(expected, rel=1e-9)
    assert second == pytest.approx(-expected, rel=1e-9)


def test_very_light_wins_without_a_prior_are_still_solved():
    wins = np.array([[0, 3e-11], [1e-11, 0]])
    np.testing.assert_allclose(strengths(wins, 0), [np.log(3) / 2, -np.log(3) / 2], atol=1e-12)


def test_very_uneven_wins_without_a_prior_are_still_solved():
    wins = np.array([[0, 1e8], [1e-8, 0]])
    np.testing.assert_allclose(strengths(wins, 0), [8 * np.log(10), -8 * np.log(10)], rtol=1e-7)


def test_wins_that_throw_undamped_newton_off_are_still_solved():
    wins = np.zeros((5, 5))
    wins[0, 3], wins[0, 4], wins[1, 3] = 1e4, 1e-3, 1e-3
    wins[2, 0] = wins[2, 1] = 1e3
    wins[3, 1] = wins[3, 4] = 1
    expected = [5.71432849, -7.58004411, 14.54955008, -5.09232306, -7.59151122]  # by Nelder-Mead
    np.testing.assert_allclose(strengths(wins), expected, atol=1e-6)


def test_log_likelihood_of_a_known_case():
    wins = np.array([[9, 2.0], [1.0, 9]])
    expected = 2 * np.log(0.75) + np.log(0.25) - 0.1 / 2 * (np.log(3) / 2) ** 2 * 2
    eps = np.array([np.log(3) / 2, -np.log(3) / 2])
    assert log_likelihood(wins, eps, 0.1) == pytest.approx(expected, abs=1e-15)


# What must hold for any wins


@quick
@given(win_matrices(largest=11), priors)
def test_is_a_stationary_point_that_sums_to_zero(wins: Matrix, prior: float):
    eps = strengths(wins, prior)
    expected = wins * expit(eps[None, :] - eps[:, None])
    gradient = expected.sum(axis=1) - expected.sum(axis=0) - prior * eps
    assert np.linalg.norm(gradient) < 1e-10
    assert abs(eps.sum()) < 1e-9
    assert np.isfinite(eps).all()


@quick
@given(win_matrices(), priors, st.integers(0, 2**32 - 1))
def test_no_other_strengths_have_a_higher_objective(wins: Matrix, prior: float, seed: int):
    eps = strengths(wins, prior)
    other = eps + np.random.default_rng(seed).normal(scale=0.3, size=len(eps))
    assert log_likelihood(wins, eps, prior) > log_likelihood(wins, other, prior)


@quick
@given(win_matrices(), priors, st.randoms())
def test_renaming_the_competitors_renames_the_strengths(wins: Matrix, prior: float, random):
    order = list(range(len(wins)))
    random.shuffle(order)
    np.testing.assert_allclose(
        strengths(wins[np.ix_(order, order)], prior), strengths(wins, prior)[order], atol=1e-9
    )


@quick
@given(win_matrices(), priors)
def test_losses_for_wins_turn_the_sign(wins: Matrix, prior: float):
    np.testing.assert_allclose(strengths(wins.T, prior), -strengths(wins, prior), atol=1e-9)


@quick
@given(win_matrices(), priors, st.data())
def test_one_more_win_raises_the_winner_and_lowers_the_loser(wins: Matrix, prior: float, data: st.DataObject):
    winner, loser = data.draw(st.permutations(range(len(wins))))[:2]
    more = wins.copy()
    more[winner, loser] += 1
    before, after = strengths(wins, prior), strengths(more, prior)
    assert after[winner] > before[winner]
    assert after[loser] < before[loser]


@quick
@given(win_matrices(), priors, st.floats(0.01, 100))
def test_only_the_ratio_of_wins_to_prior_matters(wins: Matrix, prior: float, factor: float):
    np.testing.assert_allclose(strengths(factor * wins, factor * prior), strengths(wins, prior), atol=1e-7)


@quick
@given(win_matrices(), st.floats(-50, 50))
def test_a_constant_added_to_all_changes_no_likelihood(wins: Matrix, constant: float):
    eps = np.linspace(-1, 2, len(wins))
    shifted = log_likelihood(wins, eps + constant, prior=0)
    assert shifted == pytest.approx(log_likelihood(wins, eps, prior=0), rel=1e-9, abs=1e-9)


@quick
@given(win_matrices(), priors)
def test_the_diagonal_is_ignored_and_the_argument_left_alone(wins: Matrix, prior: float):
    noisy = wins + 7 * np.eye(len(wins))
    np.testing.assert_array_equal(strengths(noisy, prior), strengths(wins, prior))
    eps = np.linspace(-1, 1, len(wins))
    assert log_likelihood(noisy, eps, prior) == log_likelihood(wins, eps, prior)
    assert (np.diag(noisy) == 7).all()


def test_the_default_prior_hardly_moves_a_comparison_of_the_papers_size():
    rng = np.random.default_rng(5)
    truth = rng.normal(size=11)
    truth -= truth.mean()
    wins = expit(truth[:, None] - truth[None, :])  # what 110 battles at weight one half give on average
    shrunk = strengths(wins)
    np.testing.assert_allclose(shrunk, truth, rtol=0.01, atol=0.02)
    wins[0], wins[:, 0] = 1.0, 0.0
    assert 3 < strengths(wins)[0] < 8


def test_planted_strengths_come_back_from_many_sampled_games():
    rng = np.random.default_rng(11)
    truth = np.array([1.5, 0.5, 0.0, -0.5, -1.5])
    games = 20_000
    upper = np.triu(rng.binomial(games, expit(truth[:, None] - truth[None, :])), 1)
    wins = (upper + np.tril((games - upper).T, -1)).astype(np.float64)
    np.testing.assert_allclose(strengths(wins), truth, atol=0.05)


# Edges and refusals


def test_nobody_and_somebody_alone():
    assert strengths(np.zeros((0, 0))).shape == (0,)
    assert strengths(np.array([[3.0]])).tolist() == [0.0]
    assert strengths(np.array([[3.0]]), prior=0).tolist() == [0.0]


def test_a_competitor_without_games_stays_at_zero():
    eps = strengths(np.array([[0, 4.0, 0], [1.0, 0, 0], [0, 0, 0]]))
    assert eps[0] > 0 > eps[1]
    assert eps[2] == pytest.approx(0, abs=1e-15)


@pytest.mark.parametrize("size", [2, 4])
def test_without_a_prior_an_unbeaten_competitor_is_refused(size: int):
    wins = connected_wins(size, seed=1)
    wins[:, 0] = 0
    with pytest.raises(ValueError, match=r"strongly connected.*2 groups.*prior above 0"):
        strengths(wins, prior=0)


def test_without_a_prior_a_cycle_is_enough():
    wins = np.array([[0, 2.0, 0], [0, 0, 2.0], [2.0, 0, 0]])
    np.testing.assert_allclose(strengths(wins, prior=0), 0, atol=1e-12)


@pytest.mark.parametrize(
    ("wins", "prior", "message"),
    [
        (np.zeros((2, 3)), 0.01, "square"),
        (np.zeros(4), 0.01, "square"),
        (np.array([[0, np.nan], [1, 0]]), 0.01, "finite and non-negative"),
        (np.array([[0, np.inf], [1, 0]]), 0.01, "finite and non-negative"),
        (np.array([[0, -1.0], [1, 0]]), 0.01, "finite and non-negative"),
        (np.zeros((2, 2)), -0.1, "prior must be"),
        (np.zeros((2, 2)), float("nan"), "prior must be"),
        (np.zeros((2, 2)), float("inf"), "prior must be"),
    ],
)
def test_malformed_input_is_refused(wins: Matrix, prior: float, message: str):
    with pytest.raises(ValueError, match=message):
        strengths(wins, prior)
    with pytest.raises(ValueError, match=message):
        log_likelihood(wins, np.zeros(2), prior)


def test_strengths_of_another_length_are_refused():
    with pytest.raises(ValueError, match=r"shape \(3,\)"):
        log_likelihood(np.zeros((3, 3)), np.zeros(2))
