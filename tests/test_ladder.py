"""The ladder of checkpoints: signs, known odds, drift of the criterion told from progress."""

import math

import numpy as np
import pytest

from metareward.evaluate.ladder import ladder, scores_by_prompt
from metareward.records import Finish, Judgment


def shifted(shift, prompts=60, seed=0):
    generator = np.random.default_rng(seed)
    return {f"p{n}": float(value) for n, value in enumerate(generator.normal(2.5 + shift, 1.0, prompts))}


def test_a_better_model_stands_higher_and_a_worse_one_lower():
    first, better, worse = ladder(
        ["M0", "M1", "M2"], [shifted(0), shifted(1.5, seed=1), shifted(-1.5, seed=2)]
    )
    assert (first["elo"], first["win_rate"]) == (0.0, None)
    assert better["lower"] > 0
    assert worse["upper"] < 0
    assert better["win_rate"] > 0.5 > worse["win_rate"]
    assert better["win_rate_lower"] <= better["win_rate"] <= better["win_rate_upper"]


def test_two_models_are_as_far_apart_as_their_games_say():
    """Three wins in four games are odds of 3, so 400 log10(3) points, but for the small prior."""
    base = {f"p{n}": 2.0 for n in range(400)}
    other = {f"p{n}": 3.0 if n % 4 else 1.0 for n in range(400)}
    found = ladder(["M0", "M1"], [base, other])[1]
    assert found["elo"] == pytest.approx(400 * math.log10(3), rel=0.01)
    assert found["win_rate"] == 0.75
    assert found["games"] == 400


def test_equal_scores_are_half_a_win_each():
    same = {f"p{n}": 3.0 for n in range(20)}
    found = ladder(["M0", "M1"], [same, same])[1]
    assert found["elo"] == pytest.approx(0, abs=1e-6)
    assert found["win_rate"] == 0.5


def test_a_model_that_wins_everything_stays_in_reach():
    found = ladder(["M0", "M1"], [flat(1.0, 6), flat(2.0, 6)])[1]
    assert 0 < found["elo"] < 1500
    assert found["win_rate"] == 1.0


def flat(score, prompts):
    return {f"p{n}": score for n in range(prompts)}


@pytest.mark.parametrize("prompts", [5, 12])
def test_where_no_resample_differs_the_interval_is_wilsons(prompts):
    """All of n won is a rate of n / (n + 1.96^2) to 1, and Elo 400 log10(p / (1 - p)) of it: no upper end."""
    found = ladder(["M0", "M1"], [flat(1.0, prompts), flat(2.0, prompts)])[1]
    low = prompts / (prompts + 1.959964**2)
    assert found["win_rate_lower"] == pytest.approx(low, abs=1e-6)
    assert found["lower"] == pytest.approx(400 * math.log10(low / (1 - low)), rel=1e-4)
    assert (found["upper"], found["win_rate_upper"]) == (None, 1.0)
    turned = ladder(["M0", "M1"], [flat(2.0, prompts), flat(1.0, prompts)])[1]
    assert (turned["lower"], turned["upper"]) == (None, pytest.approx(-found["lower"]))


def test_fewer_than_five_prompts_cannot_tell():
    found = ladder(["M0", "M1"], [flat(2.02, 4), flat(1.0, 4)])[1]
    assert (found["elo"], found["lower"], found["upper"], found["games"]) == (None, None, None, 4)
    assert (found["win_rate"], found["win_rate_upper"] < 1) == (0.0, True), "the share itself is known"


@pytest.mark.parametrize(("apart", "rate"), [(0.0, 0.5), (0.004, 0.5), (0.05, 0.5), (0.051, 1.0)])
def test_scores_within_a_hundredth_of_the_scale_are_a_tie(apart, rate):
    found = ladder(["M0", "M1"], [flat(2.0, 8), flat(2.0 + apart, 8)])[1]
    assert found["win_rate"] == rate
    assert (abs(found["elo"]) < 1e-6) is (rate == 0.5)
    assert found["lower"] < found["elo"], "an interval always"


def test_no_shared_prompt_is_no_number():
    found = ladder(["M0", "M1"], [{"a": 1.0}, {"b": 2.0}])[1]
    assert found["elo"] is None
    assert found["win_rate"] is None
    assert found["games"] == 0


def test_a_prompt_that_one_model_lacks_does_not_count_against_it():
    full = {f"p{n}": 2.0 for n in range(30)}
    some = {f"p{n}": 3.0 for n in range(10)}
    found = ladder(["M0", "M1"], [full, some])[1]
    assert found["games"] == 10
    assert found["win_rate"] == 1.0


def test_nothing_judged_at_all():
    assert [entry["elo"] for entry in ladder(["M0", "M1"], [{}, {}])] == [0.0, None]


def test_scores_are_means_of_readable_judgments():
    def judgment(prompt, score):
        unread = None if score is not None else "cut off"
        return Judgment("j", prompt, "r", 0, "m", (), "", None, Finish.STOP, score, unread)

    rows = [judgment("a", 1.0), judgment("a", 4.0), judgment("a", None), judgment("b", None)]
    assert scores_by_prompt(rows) == {"a": 2.5}
