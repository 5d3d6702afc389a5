"""The benchmark of the alarms: the recommended limit tells a collapse from health, before training."""

import re
import sys
from pathlib import Path

import pytest

from metareward.recipes.judge_gate import Signal
from metareward.simulate import World

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import judge_alarms as alarms  # noqa: E402
from collapse_conditions import Condition  # noqa: E402
from judge_collapse import loop  # noqa: E402


@pytest.fixture(scope="module")
def rows():
    found = {}
    for name in ("paper, iteration 1", "paper, iteration 2"):
        condition = Condition("faithful", name, alarms.recipe(), World(alarms.META[name]))
        found[name] = alarms._rows(condition, loop(condition, seed=1))
    return found


def a_row(margin, lower, drift, gain, iteration=0):
    signal = Signal("score_margin", margin, lower, 2 * margin - lower, 40, None, "measured")
    return alarms.Row("m", iteration, {"score_margin": signal}, drift, gain)


def test_every_iteration_has_its_gate_and_what_came_of_it(rows):
    for own in rows.values():
        assert [row.iteration for row in own] == list(range(alarms.ITERATIONS))
        assert all(set(alarms.SIGNALS) <= row.signals.keys() for row in own)


def test_the_healthy_meta_judge_raises_no_alarm_and_the_collapsed_one_does_from_the_first(rows):
    assert not any(row.alarmed for row in rows["paper, iteration 1"])
    collapsed = rows["paper, iteration 2"]
    assert [row.alarmed for row in collapsed[:4]] == [True] * 4
    assert all(row.drift > 0 for row in collapsed)
    assert sum(row.gain for row in collapsed) < 0 < sum(row.gain for row in rows["paper, iteration 1"])


def test_the_margin_tells_the_drift_better_than_the_share_of_battles_does(rows):
    every = [row for own in rows.values() for row in own]
    drifts = [row.drift for row in every]
    margin, share = (
        alarms._correlation([row.value(name) for row in every], drifts)
        for name in ("score_margin", "score_preference")
    )
    assert margin > max(0.7, share)


def test_judgments_become_more_alike(rows):
    for own in rows.values():
        values = [row.value("alike") for row in own]
        assert 0 < values[0] < values[-1] < 1


def test_an_alarm_needs_the_whole_interval():
    assert a_row(1.5, 1.01, 0.3, -0.1).alarmed
    assert not a_row(1.5, 0.99, 0.3, -0.1).alarmed
    assert not a_row(-3.0, -4.0, -0.3, 0.1).alarmed


def test_sums_by_hand():
    rows = [a_row(1.5, 1.2, 0.4, -0.1), a_row(1.5, 1.2, 0.2, 0.02), a_row(0.0, -0.5, 0.0, 0.03, 1)]
    assert alarms._summary(rows[:2]) == {
        "iterations": 2, "less accurate": 1, "drift": 0.3, "accuracy": -0.04,
    }  # fmt: skip
    told = alarms._by_iteration(rows)
    assert told["score_margin"] == [1.5, 0.0]
    assert told["alike"] == [0, 0]
    assert (told["drift"], told["gain"], told["alarms"]) == ([0.3, 0.0], [-0.04, 0.03], [2, 0])


def test_the_limit_is_the_one_that_the_page_recommends():
    page = (ROOT / "docs/gates.md").read_text()
    table = re.findall(r"^\| (\d+)[^|]*\| (\d+) \|", page, re.MULTILINE)
    recommended = {int(judgments): float(limit) for judgments, limit in table}
    assert recommended[alarms.PAPER.judge.samples] == alarms.LIMIT
    assert recommended[11] == 2.0
