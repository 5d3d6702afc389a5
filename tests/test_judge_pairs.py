"""Pairwise accuracy of a judge: signs, ties, unread verdicts, length, calibration, two judges compared."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import DataError
from metareward.evaluate.judge_pairs import Judged, calibration, compared, score

VERDICT = st.sampled_from([0.0, 0.5, 1.0, None])
PAIR = st.builds(Judged, st.sampled_from([0.0, 1.0]), VERDICT, VERDICT)


def value(said, name):
    return said[name]["value"]


def test_a_judge_that_knows_and_one_that_is_wrong():
    right = [Judged(better, better, better) for better in (1.0, 0.0) * 10]
    wrong = [Judged(one.better, 1 - one.better, 1 - one.better) for one in right]
    for name in ("accuracy", "accuracy_without_ties", "accuracy_both_orders_together", "agreement"):
        assert value(score(right), name) == 1.0
        assert value(score(wrong), name) == 0.0
    assert value(score(right), "right_in_both_orders") == 1.0
    assert score(right)["kappa"] == 1.0
    assert score(wrong)["kappa"] == pytest.approx(-1.0)
    assert value(score(wrong), "position_consistency") == 1.0


def test_a_judge_that_always_names_the_first_shown():
    judged = [Judged(better, 1.0, 0.0) for better in (1.0, 0.0) * 10]
    said = score(judged)
    assert value(said, "accuracy") == 0.5
    assert value(said, "accuracy_first_order") == 0.5
    assert value(said, "right_in_both_orders") == 0.0
    assert value(said, "position_consistency") == 0.0
    assert value(said, "first_shown_wins") == 1.0
    assert value(said, "accuracy_both_orders_together") == 0.5


def test_ties_are_half_right_with_them_and_nothing_without():
    said = score([Judged(1.0, 0.5, 1.0), Judged(0.0, 0.5, 0.5)])
    assert value(said, "accuracy") == pytest.approx((0.5 + 1 + 0.5 + 0.5) / 4)
    assert value(said, "accuracy_without_ties") == 1.0
    assert value(said, "tie_rate") == 0.75
    assert value(said, "accuracy_both_orders_together") == pytest.approx((1 + 0.5) / 2)


def test_equal_pairs_count_in_agreement_alone():
    said = score([Judged(0.5, 0.5, 1.0), Judged(1.0, 1.0, 1.0)])
    assert said["equal_pairs"] == 1
    assert value(said, "accuracy") == 1.0
    assert value(said, "agreement") == 0.75


def test_unread_verdicts_are_neither_right_nor_wrong():
    said = score([Judged(1.0, None, 1.0, unread=1), Judged(1.0, None, None, unread=2)])
    assert value(said, "accuracy") == 1.0
    assert said["unread_verdicts"] == 3
    assert said["right_in_both_orders"] is None
    with pytest.raises(DataError, match=r"none of 1 pairs has a readable verdict .*\(2 verdicts"):
        score([Judged(1.0, None, None, unread=2)])
    with pytest.raises(DataError, match="1 pairs are equal"):
        score([Judged(0.5, 1.0, 1.0)])


def test_length_is_told_apart():
    long_good, long_bad = (30, 10), (10, 30)
    judged = [Judged(1.0, 1.0, 1.0, lengths=long_good)] * 3 + [Judged(1.0, 0.0, 0.0, lengths=long_bad)]
    said = score([replace(one, cluster=str(n)) for n, one in enumerate(judged)])
    assert value(said, "length_baseline") == 0.75
    assert value(said, "accuracy_longer_is_better") == 1.0
    assert value(said, "accuracy_shorter_is_better") == 0.0
    assert (said["accuracy_longer_is_better"]["n"], said["accuracy_shorter_is_better"]["n"]) == (3, 1)
    assert value(score([Judged(1.0, 1.0, 1.0, lengths=(5, 5))]), "length_baseline") == 0.5


def test_categories_are_apart():
    said = score([Judged(1.0, 1.0, 1.0, "a"), Judged(1.0, 0.0, 0.0, "b")])
    assert {name: entry["value"] for name, entry in said["categories"].items()} == {"a": 1.0, "b": 0.0}
    assert score([Judged(1.0, 1.0, 1.0)])["categories"] == {}


@given(st.lists(PAIR, min_size=1, max_size=12))
def test_turning_pair_and_verdicts_round_changes_no_accuracy(judged):
    def flip(verdict):
        return None if verdict is None else 1 - verdict

    turned = [Judged(1 - one.better, flip(one.swapped), flip(one.straight)) for one in judged]
    try:
        said = score(judged)
    except DataError:
        with pytest.raises(DataError):
            score(turned)
        return
    for name in ("accuracy", "position_consistency", "right_in_both_orders", "first_shown_wins", "kappa"):
        one, other = said[name], score(turned)[name]
        assert one == pytest.approx(other) if one is not None else other is None


def test_prompts_with_many_pairs_do_not_narrow_the_interval():
    generator = np.random.default_rng(0)
    verdicts = [float(generator.random() < 0.7) for _ in range(40)]
    once = score([Judged(1.0, v, v, cluster=str(n)) for n, v in enumerate(verdicts)])["accuracy"]
    often = score([Judged(1.0, v, v, cluster=str(n)) for n, v in enumerate(verdicts) for _ in range(20)])[
        "accuracy"
    ]
    assert (often["lower"], often["upper"]) == pytest.approx((once["lower"], once["upper"]))
    assert often["n"] == 40


def test_calibration_of_a_coin_of_an_oracle_and_of_a_boaster():
    coin = calibration([Judged(float(n % 2), 1.0, None, p_first=0.5) for n in range(20)])
    assert coin is not None
    assert coin["brier"] == 0.25
    assert coin["error"] == 0.0
    boaster = calibration([Judged(float(n % 2), 1.0, None, p_first=1.0) for n in range(20)])
    assert boaster is not None
    assert boaster["brier"] == boaster["error"] == 0.5
    assert boaster["bins"] == [{"said": 1.0, "true": 0.5, "n": 20}]
    assert calibration([Judged(1.0, 1.0, None)]) is None


def test_brier_is_that_of_scikit_learn():
    metrics = pytest.importorskip("sklearn.metrics")
    generator = np.random.default_rng(1)
    judged = [
        Judged(float(generator.integers(2)), 1.0, None, p_first=float(generator.random())) for _ in range(50)
    ]
    ours = calibration(judged)
    assert ours is not None
    theirs = metrics.brier_score_loss([one.better for one in judged], [one.p_first for one in judged])
    assert ours["brier"] == pytest.approx(theirs)


def test_two_judges_are_compared_on_the_same_pairs():
    generator = np.random.default_rng(2)
    truth = [float(generator.integers(2)) for _ in range(80)]
    good = [Judged(t, t, t, cluster=str(n)) for n, t in enumerate(truth)]
    poor = [replace(one, straight=1 - one.better) for one in good]
    found = compared(good, poor)
    assert found["difference"]["value"] == 0.5
    assert found["difference"]["lower"] == 0.5
    assert compared(poor, good)["difference"]["value"] == -0.5
    assert compared(good, good)["difference"]["upper"] == 0.0
    with pytest.raises(DataError, match="not the same pairs"):
        compared(good, good[:-1])
    with pytest.raises(DataError, match="no pair was read by both"):
        compared([Judged(1.0, None, None)], [Judged(1.0, 1.0, 1.0)])
