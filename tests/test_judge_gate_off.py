"""The value at which each limit of the judge gate is off, and what that turns off."""

import dataclasses
from typing import Any

import pytest

from metareward.recipes.judge_gate import _RULES, JudgeGate, hold
from metareward.stats.bootstrap import Estimate

OFF = {
    "max_score_preference": 1.0,
    "max_position_lean": 0.5,
    "max_flips": 1.0,
    "max_score_lean": 1.0,
    "max_score_margin": 5.0,
    "max_alike": 1.0,
    "max_mean_rise": 5.0,
    "max_top_share": 1.0,
    "max_unreadable": 1.0,
    "min_entropy": 0.0,
    "min_reliability": 0.0,
    "min_bank_accuracy": 0.0,
    "max_judge_share": 1.0,
}
LIMITED = [(name, rule.limit) for name, rule in _RULES.items() if rule.limit]


def state(name: str, value: float, **settings: Any) -> str:
    gate = dataclasses.replace(JudgeGate(), **settings)
    (signal,) = hold(gate, {name: Estimate(value, value, value, 50)}, ()).signals
    return signal.state


def test_every_limit_is_here():
    assert {limit for _, limit in LIMITED} == set(OFF)


@pytest.mark.parametrize(("name", "limit"), LIMITED)
def test_off_is_where_no_value_can_be_beyond(name: str, limit: str):
    off = OFF[limit]
    worst, step = (1.0, -0.01) if limit == "max_position_lean" else (off, -0.01 if off else 0.01)
    assert state(name, worst, **{limit: off}) == "measured"
    assert state(name, worst, **{limit: off + step}) == "failed"


def test_no_lean_at_all_is_a_limit_like_any_other():
    assert state("position", 0.6, max_position_lean=0.0) == "failed"
    assert state("position", 0.5, max_position_lean=0.0) == "passed"
