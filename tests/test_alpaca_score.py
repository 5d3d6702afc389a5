"""AlpacaEval 2 from annotations: rates, errors and counts against scipy, and what is never passed over."""

import math
import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.special import expit

from alpaca_worlds import annotations, world
from metareward.errors import DataError
from metareward.evaluate.alpaca_eval import LengthControl, check_same_set, score, win_rate
from metareward.evaluate.annotations import Annotation, Annotations, Instruction
from metareward.evaluate.length_control import Weights, fit, length_term

NAN = math.nan


@given(st.lists(st.floats(0, 1), min_size=2, max_size=40))
@settings(max_examples=100, deadline=None)
def test_rate_and_error_are_the_mean_and_its_standard_error(preferences):
    found = win_rate(preferences)
    assert found["win_rate"] == pytest.approx(100 * np.mean(preferences), abs=1e-9)
    assert found["standard_error"] == pytest.approx(100 * stats.sem(preferences), abs=1e-9)
    assert found["n_wins"] == sum(p > 0.5 for p in preferences)
    assert found["n_wins_baseline"] == sum(p < 0.5 for p in preferences)
    assert found["n_wins"] + found["n_wins_baseline"] + found["n_ties"] == len(preferences)
    low, high = found["win_rate_interval"]
    assert 0 <= low <= found["win_rate"] + 1e-9
    assert found["win_rate"] - 1e-9 <= high <= 100


def test_by_hand():
    found = win_rate([1.0, 0.0, 0.5, 0.75])
    assert found["win_rate"] == 56.25
    # deviations .4375 -.5625 -.0625 .1875: squares sum to .546875; /3, /4, root
    assert found["standard_error"] == pytest.approx(100 * math.sqrt(0.546875 / 3 / 4))
    assert (found["n_wins"], found["n_wins_baseline"], found["n_ties"]) == (2, 1, 1)
    assert found["discrete_win_rate"] == 62.5
    low, high = found["win_rate_interval"]
    assert high - low == pytest.approx(2 * 1.959963984540054 * found["standard_error"])


def test_one_row_has_no_error_and_no_interval():
    found = score(annotations([0.5]))
    assert (found["n"], found["standard_error"], found["win_rate_interval"]) == (1, None, None)


def test_lengths_are_means_cut_off_as_on_the_leaderboard():
    found = score(annotations([0.1, 0.9], [(10, 5), (11, 8)]))
    assert (found["avg_length"], found["avg_length_baseline"]) == (6, 10)


def test_datasets_are_scored_apart():
    found = score(annotations([0.0, 1.0, 0.25], datasets=["b", "a", "a"]))["datasets"]
    assert list(found) == ["a", "b"]
    assert (found["a"]["n"], found["a"]["win_rate"]) == (2, 62.5)
    assert found["a"]["standard_error"] == pytest.approx(100 * stats.sem([1.0, 0.25]))
    assert found["b"]["standard_error"] is None


@pytest.mark.parametrize(
    ("control", "reason"),
    [
        (None, "no difficulties"),
        (LengthControl(weights=Weights(1, 1, 1)), "no difficulties"),
        (LengthControl(np.zeros(3)), "neither the baseline's rows .* nor published weights"),
    ],
)
def test_without_its_inputs_there_is_no_length_control_and_a_reason(control, reason):
    found = score(annotations([0.1, 0.9, 0.4]), control)
    assert found["lc_win_rate"] is None
    assert found["lc_standard_error"] is None
    assert re.search(reason, found["lc_reason"])


def test_published_weights_give_the_mean_chance_and_its_spread():
    difficulty = np.array([0.0, 1.0, -2.0])
    found = score(annotations([0.1, 0.9, 0.4]), LengthControl(difficulty, weights=Weights(9, 0.5, -1)))
    chances = expit(0.5 * difficulty - 1)
    assert found["lc_win_rate"] == pytest.approx(100 * chances.mean())
    assert found["lc_standard_error"] == pytest.approx(100 * stats.sem(chances))
    assert found["lc_reason"] is None
    assert "published" in found["lc_method"]


def test_a_fit_is_that_of_the_length_control():
    made, difficulty, gamed = world(60)
    found = score(made, LengthControl(difficulty, gamed))
    base, own = ([getattr(row, name) for row in made.rows] for name in ("len_baseline", "len_model"))
    preference = np.array([row.preference for row in made.rows])
    weights = fit(
        length_term(np.array(base, float), np.array(own, float)), difficulty, preference, gamed, None
    )
    assert found["lc_win_rate"] == pytest.approx(100 * weights.win_probabilities(difficulty).mean())
    assert found["lc_weights"]["C"] == weights.penalty
    low, high = found["lc_interval"]
    assert low < found["lc_win_rate"] < high
    assert high - low > 2 * found["lc_standard_error"] * 0.2
    assert score(made, LengthControl(difficulty, gamed)) == found  # the bootstrap has its seed


def test_the_unregularised_fit_has_another_name_and_another_number():
    made, difficulty, gamed = world(60)
    found = score(made, LengthControl(difficulty, regularised=False))
    assert found["lc_method"] == "length_controlled_noreg"
    assert found["lc_win_rate"] != pytest.approx(score(made, LengthControl(difficulty, gamed))["lc_win_rate"])


def test_the_interval_covers_what_resampled_data_would_give():
    """The bootstrap's width is near the spread of rates over worlds drawn anew."""
    rates, widths = [], []
    for seed in range(8):
        made, difficulty, _ = world(150, seed=100 + seed)
        found = score(made, LengthControl(difficulty, regularised=False))
        rates.append(found["lc_win_rate"])
        widths.append(found["lc_interval"][1] - found["lc_interval"][0])
    spread = np.std(rates, ddof=1)
    assert 0.5 < np.mean(widths) / (2 * 1.96 * spread) < 2


def test_the_baseline_itself_is_at_one_half():
    rows = tuple(Annotation(n, 0.5, 10 + n, 10 + n) for n in range(6))
    found = score(Annotations(rows), LengthControl(np.zeros(6), weights=Weights(1, 1, 1)))
    assert (found["win_rate"], found["standard_error"]) == (50.0, 0.0)
    assert (found["lc_win_rate"], found["lc_standard_error"]) == (50.0, 0.0)


def test_a_model_named_as_its_baseline_is_at_one_half_whatever_the_judge_said():
    rows = tuple(Annotation(n, 0.4, 10 + n, 20 + n) for n in range(6))
    control = LengthControl(np.zeros(6), weights=Weights(1, 1, 1))
    assert score(Annotations(rows, "x", "x"), control)["lc_win_rate"] == 50.0
    assert score(Annotations(rows, "x", "y"), control)["lc_win_rate"] != 50.0


def test_ties_of_equal_lengths_only_are_not_the_baseline_if_a_preference_is_not_a_tie():
    rows = tuple(Annotation(n, 0.5 + 0.1 * (n == 2), 10 + n, 10 + n) for n in range(6))
    _, _, gamed = world(6)
    with pytest.raises(DataError, match="do not determine"):
        score(Annotations(rows), LengthControl(np.zeros(6), gamed))


def missing(numbers, size=1000, **more):
    rows = tuple(Annotation(n, 0.1 + 0.8 * (n % 2), 100 + n, 50 + 2 * n) for n in numbers)
    difficulty = np.linspace(-2, 2, size)
    return Annotations(rows), LengthControl(difficulty, weights=Weights(-1, 1, -0.5), **more)


def test_few_missing_rows_are_counted_and_difficulties_go_by_position_as_published():
    left = [n for n in range(1000) if n not in (3, 500, 501, 999)]
    given, control = missing(left)
    found = score(given, control)
    assert (found["n"], found["missing"], found["lc_difficulty"]) == (996, 4, "by row position")
    difficulty = np.linspace(-2, 2, 1000)
    assert found["lc_win_rate"] == pytest.approx(100 * expit(difficulty[:996] - 0.5).mean(), abs=1e-12)
    given, control = missing(left, by_number=True)
    found = score(given, control)
    assert found["lc_difficulty"] == "by instruction"
    assert found["lc_win_rate"] == pytest.approx(100 * expit(difficulty[left] - 0.5).mean(), abs=1e-12)


def test_many_missing_rows_stop_it_with_counts_unless_a_subset_is_meant():
    given, control = missing(range(0, 1000, 2), by_number=True)
    with pytest.raises(DataError, match="500 of the set's 1000 instructions have no annotation"):
        score(given, control)
    assert score(given, control, allow_missing=1.0)["n"] == 500


@pytest.mark.parametrize("gone", [10, 11])
def test_one_in_a_hundred_may_be_missing(gone):
    given, control = missing(range(1000 - gone))
    if gone == 10:
        assert score(given, control)["missing"] == 10
    else:
        with pytest.raises(DataError, match="11 of the set's 1000"):
            score(given, control)


def test_without_a_known_size_gaps_in_the_numbers_are_missing_rows():
    with pytest.raises(DataError, match="98 of the set's 100"):
        score(Annotations((Annotation(0, 0.5, 1, 2), Annotation(99, 0.5, 1, 2))))


@pytest.mark.parametrize("numbered", [True, False])
def test_rows_outside_the_set_are_counted(numbered):
    rows = tuple(Annotation(n if numbered else None, 0.5, 1, 2 + n) for n in range(7))
    with pytest.raises(DataError, match="2 of 7 annotations are not of the set, which has 5"):
        score(Annotations(rows), LengthControl(np.zeros(5)))


def test_unread_rows_stop_it_with_counts():
    with pytest.raises(DataError, match="2 of 5 annotations have no readable preference"):
        score(annotations([0.1, NAN, 0.4, NAN, 1.0]))


def test_unread_rows_can_be_left_out_as_published():
    """Out of the win rate and the fit, but their chance is part of the controlled rate."""
    made, difficulty, gamed = world(60)
    rows = list(made.rows)
    rows[7] = Annotation(7, NAN, rows[7].len_baseline, rows[7].len_model)
    control = LengthControl(difficulty, gamed)
    found = score(Annotations(tuple(rows)), control, allow_unread=0.02)
    read = [row.preference for row in rows if row.number != 7]
    assert (found["n"], found["unread"]) == (59, 1)
    assert found["win_rate"] == pytest.approx(100 * np.mean(read))
    w = found["lc_weights"]
    assert found["lc_win_rate"] == pytest.approx(
        100 * expit(w["difficulty"] * difficulty + w["model"]).mean()
    )


def test_nothing_readable_is_never_a_score():
    with pytest.raises(DataError, match="3 of 3 annotations have no readable preference"):
        score(annotations([NAN] * 3), allow_unread=1.0)


def test_difficulties_by_instruction_need_the_instructions():
    rows = Annotations((Annotation(None, 0.1, 5, 6), Annotation(None, 0.2, 5, 9)))
    control = LengthControl(np.zeros(2), weights=Weights(1, 1, 1), by_number=True)
    with pytest.raises(DataError, match="2 of 2 annotations do not say which instruction"):
        score(rows, control)


def test_instructions_and_difficulties_of_two_sets():
    known = [Instruction(n, f"Do {n}.") for n in range(3)]
    check_same_set(LengthControl(np.zeros(3)), known)
    check_same_set(LengthControl(), known)
    with pytest.raises(DataError, match="3 instructions and 5 difficulties"):
        check_same_set(LengthControl(np.zeros(5)), known)


def test_no_number_is_ever_nan():
    for preferences in ([0.0] * 4, [1.0] * 4, [0.5] * 4, [0.0, 1.0, 0.5, 0.2]):
        found = score(annotations(preferences), LengthControl(np.arange(4.0), weights=Weights(1, 1, 1)))
        flat = [value for value in found.values() if isinstance(value, float)]
        assert flat
        assert all(math.isfinite(value) for value in flat)
