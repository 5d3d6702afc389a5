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
    found = ladder(["M0", "M1"], [{"a": 1.0, "b": 1.0}, {"a": 2.0, "b": 2.0}])[1]
    assert 0 < found["elo"] < 1500
    assert found["win_rate"] == 1.0


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
