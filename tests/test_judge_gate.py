"""The judge gate's limits: what fails, what cannot be told, what follows, and how often it is wrong."""

import dataclasses
from typing import Any

import numpy as np
import pytest

from biased_judges import GATE
from metareward.errors import ConfigError
from metareward.recipes.judge_gate import _RULES, JudgeGate, hold, rule_of
from metareward.recipes.judge_gate_action import decided, said
from metareward.recipes.judge_signals import Share
from metareward.stats.bootstrap import Estimate


def state(name, value, lower, upper, n=50, **settings: Any):
    found = hold(dataclasses.replace(GATE, **settings), {name: Estimate(value, lower, upper, n)}, ())
    return found.signals[0].state


class TestLimits:
    @pytest.mark.parametrize(
        ("name", "passes", "fails"),
        [
            ("score_preference", (0.8, 0.74, 0.9), (0.8, 0.76, 0.9)),
            ("score_preference", (0.1, 0.05, 0.2), (0.98, 0.96, 0.99)),
            ("position", (0.7, 0.59, 0.8), (0.7, 0.61, 0.8)),
            ("position", (0.3, 0.2, 0.41), (0.3, 0.2, 0.39)),
            ("flips", (0.3, 0.19, 0.4), (0.3, 0.21, 0.4)),
            ("score_lean", (0.8, 0.7, 0.9), (0.8, 0.76, 0.9)),
            ("score_lean", (-1.0, -1.0, -1.0), (1.0, 1.0, 1.0)),
            ("mean_change", (0.5, 0.29, 0.7), (0.5, 0.31, 0.7)),
            ("mean_change", (-2.0, -2.5, -1.5), (2.0, 1.5, 2.5)),
            ("same_responses", (0.5, 0.29, 0.7), (0.5, 0.31, 0.7)),
            ("bank", (0.4, 0.3, 0.51), (0.4, 0.3, 0.49)),
            ("bank: master key", (1.0, 0.9, 1.0), (0.2, 0.1, 0.3)),
        ],
    )
    def test_the_whole_interval_must_be_beyond_the_default(self, name, passes, fails):
        assert state(name, *passes) == "passed"
        assert state(name, *fails) == "failed"

    @pytest.mark.parametrize(
        ("name", "setting", "limit", "passes", "fails"),
        [
            ("top_share", "max_top_share", 0.5, (0.6, 0.49, 0.7), (0.6, 0.51, 0.7)),
            ("unreadable", "max_unreadable", 0.5, (0.6, 0.49, 0.7), (0.6, 0.51, 0.7)),
            ("entropy", "min_entropy", 1.0, (0.8, 0.7, 1.1), (0.8, 0.7, 0.9)),
            ("reliability", "min_reliability", 0.7, (0.6, 0.5, 0.71), (0.6, 0.5, 0.69)),
            ("score_margin", "max_score_margin", 1.0, (1.2, 0.9, 1.5), (1.2, 1.1, 1.5)),
            ("score_margin", "max_score_margin", 1.0, (-3.0, -4.0, -2.0), (3.0, 2.0, 4.0)),
            ("alike", "max_alike", 0.8, (0.85, 0.79, 0.9), (0.85, 0.81, 0.9)),
        ],
    )
    def test_limits_that_are_off_by_default(self, name, setting, limit, passes, fails):
        assert state(name, *fails) == "measured"
        assert state(name, *passes, **{setting: limit}) == "passed"
        assert state(name, *fails, **{setting: limit}) == "failed"

    def test_an_estimate_alone_is_enough_if_so_set(self):
        assert state("flips", 0.21, 0.1, 0.3) == "passed"
        assert state("flips", 0.21, 0.1, 0.3, evidence="estimate") == "failed"
        assert state("position", 0.61, 0.5, 0.7, evidence="estimate") == "failed"
        assert state("bank", 0.49, 0.4, 0.6, evidence="estimate") == "failed"

    def test_a_share_of_judge_pairs_is_a_count_without_an_interval(self):
        found = hold(
            dataclasses.replace(GATE, max_judge_share=0.15), {"judge_share": Estimate(0.2, 0.2, 0.2, 5)}, ()
        )
        (signal,) = found.signals
        assert (signal.state, signal.lower) == ("failed", None)
        assert "(5 pairs; limit 15 %)" in str(signal)

    @pytest.mark.parametrize("name", [name for name, rule in _RULES.items() if rule.limit])
    def test_every_limit_can_be_turned_off(self, name):
        rule = rule_of(name)
        worst = 0.0 if rule.beyond == "below" else 1.0 if rule.beyond == "around" else rule.most
        turned_off: dict[str, Any] = {rule.limit: rule.off}
        assert state(name, worst, worst, worst, **turned_off) == "measured"

    @pytest.mark.parametrize("name", ["top_share_change", "unreadable_change", "entropy_change"])
    def test_a_change_is_not_held_to_the_limit_of_what_changes(self, name):
        limits: dict[str, Any] = {"max_top_share": 0.1, "max_unreadable": 0.1, "min_entropy": 2.0}
        for value in (-0.9, 0.9):
            assert state(name, value, value, value, **limits) == "measured"

    def test_signals_that_settled_pairs_cannot_fail_are_only_measured(self):
        found = hold(GATE, {"flips": Estimate(0.9, 0.8, 1.0, 50)}, (), ("flips",))
        assert found.signals[0].state == "measured"
        assert (found.verdict, found.passed, found.failed) == ("measured", False, ())


class TestCannotTell:
    def test_too_few_prompts(self):
        assert state("flips", 1.0, 0.9, 1.0, n=9) == "cannot tell"
        assert state("flips", 1.0, 0.9, 1.0, n=10) == "failed"
        assert state("flips", 1.0, 0.9, 1.0, n=10, fewest=11) == "cannot tell"
        assert state("flips", 0.0, 0.0, 0.1, n=9) == "cannot tell"

    def test_no_rows_at_all(self):
        (signal,) = hold(GATE, {}, ["flips"]).signals
        assert (signal.state, signal.value, signal.n) == ("cannot tell", None, 0)
        assert str(signal) == "flips: no rows to tell it by"

    def test_without_a_limit_there_is_nothing_to_tell(self):
        (signal,) = hold(dataclasses.replace(GATE, max_flips=1.0), {}, ["flips"]).signals
        assert signal.state == "measured"

    @pytest.mark.parametrize(("setting", "verdict"), [("pass", "cannot tell"), ("fail", "failed")])
    def test_it_counts_as_configured(self, setting, verdict):
        gate = dataclasses.replace(GATE, cannot_tell=setting)
        few = hold(gate, {"flips": Estimate(0.1, 0.0, 0.3, 3)}, ["position"])
        assert (few.verdict, few.passed) == (verdict, False)
        assert (len(few.told), len(few.held)) == (0, 2)
        if verdict == "failed":
            told = said(few, "warn")
            assert "too few to tell: 10 % [0, 30]" in told
            assert "position: no rows to tell it by" in told


class TestVerdict:
    """Passed is what could be told and did not fail; where nothing could be told nothing has passed."""

    GOOD, BAD, FEW = Estimate(0.1, 0.05, 0.15, 50), Estimate(0.5, 0.4, 0.6, 50), Estimate(0.1, 0.0, 0.3, 3)

    @pytest.mark.parametrize(
        ("flips", "preference", "verdict", "told"),
        [
            (GOOD, GOOD, "passed", 2),
            (GOOD, FEW, "passed", 1),
            (FEW, FEW, "cannot tell", 0),
            (BAD, FEW, "failed", 1),
            (BAD, GOOD, "failed", 2),
        ],
    )
    def test_it_is_one_of_three(self, flips, preference, verdict, told):
        found = hold(GATE, {"flips": flips, "score_preference": preference}, ())
        assert (found.verdict, len(found.told), len(found.held)) == (verdict, told, 2)
        assert found.passed is (verdict == "passed")
        assert (decided(GATE, found) == "none") is (verdict != "failed")

    def test_no_battle_at_all_has_not_passed(self):
        found = hold(GATE, {}, ["score_preference", "position", "flips"])
        assert (found.verdict, found.passed, len(found.held)) == ("cannot tell", False, 3)
        assert decided(dataclasses.replace(GATE, action="stop"), found) == "none"


class TestDecided:
    """Which action follows: the sternest of `action` and of what `stop_judge_when` asks for."""

    def what(self, *failing, **settings: Any):
        gate = dataclasses.replace(GATE, max_alike=0.8, **settings)
        bad = {"alike": Estimate(0.9, 0.85, 0.95, 50), "flips": Estimate(0.5, 0.4, 0.6, 50)}
        bad["bank: master key"] = Estimate(0.1, 0.0, 0.2, 50)
        good = {"alike": Estimate(0.5, 0.4, 0.6, 50)}
        return decided(gate, hold(gate, {**good, **{name: bad[name] for name in failing}}, ()))

    def test_what_passes_has_no_consequence(self):
        for action in ("warn", "equal scores", "drop judge", "stop judge", "stop"):
            assert self.what(action=action, stop_judge_when=("alike",)) == "none"

    @pytest.mark.parametrize("action", ["warn", "equal scores", "drop judge", "stop judge", "stop"])
    def test_without_a_list_the_action_is_that_of_all(self, action):
        assert self.what("alike", action=action) == self.what("flips", action=action) == action

    @pytest.mark.parametrize(
        ("action", "listed", "other"),
        [
            ("warn", "stop judge", "warn"),
            ("drop judge", "stop judge", "drop judge"),
            ("stop judge", "stop judge", "stop judge"),
            ("stop", "stop", "stop"),
        ],
    )
    def test_a_listed_signal_ends_judge_training_and_others_do_as_the_action_says(
        self, action, listed, other
    ):
        settings = {"action": action, "stop_judge_when": ("alike",)}
        assert self.what("alike", **settings) == listed
        assert self.what("flips", **settings) == other
        assert self.what("flips", "alike", **settings) == listed

    def test_the_bank_stands_for_its_kinds(self):
        assert self.what("bank: master key", stop_judge_when=("bank",)) == "stop judge"
        assert self.what("bank: master key", stop_judge_when=("alike",)) == "warn"

    @pytest.mark.parametrize(("setting", "expected"), [("fail", "stop judge"), ("pass", "none")])
    def test_what_cannot_be_told_counts_as_configured(self, setting, expected):
        gate = dataclasses.replace(GATE, max_alike=0.8, stop_judge_when=("alike",), cannot_tell=setting)
        assert decided(gate, hold(gate, {}, ["alike"])) == expected


class TestFalseAlarms:
    """At the limit itself the interval lies beyond it about 2.5 % of the time; inside the limit less."""

    def rate(self, truth, name, prompts=30, trials=20, draws=2000, spread=None):
        generator, failed = np.random.default_rng(0), 0
        for _ in range(draws):
            ends = (truth * (spread or 1), (1 - truth) * (spread or 1))
            shares = generator.beta(*ends, prompts) if spread else np.full(prompts, truth)
            won = generator.binomial(trials, shares).astype(float)
            share = Share(list(won), [float(trials)] * prompts)
            estimate = share.estimate()
            assert estimate is not None
            failed += bool(hold(GATE, {name: estimate}, ()).failed)
        return failed / draws

    @pytest.mark.parametrize(("name", "limit"), [("score_preference", 0.75), ("flips", 0.2)])
    @pytest.mark.parametrize("spread", [None, 3.0], ids=["alike", "prompts differ"])
    def test_at_the_limit(self, name, limit, spread):
        assert 0.005 < self.rate(limit, name, spread=spread) < 0.05

    def test_inside_it_hardly_ever(self):
        assert self.rate(0.5, "position") == 0
        assert self.rate(0.63, "score_preference") == 0

    def test_beyond_it_nearly_always(self):
        assert self.rate(0.977, "score_preference") == 1
        assert self.rate(0.878, "position") == 1


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            (
                {"action": "shrug"},
                r"judge_gate\.action must be 'warn', 'equal scores', 'drop judge', 'stop judge' or 'stop'",
            ),
            ({"nothing_left": "go"}, r"judge_gate\.nothing_left must be 'skip' or 'stop'"),
            ({"evidence": "guess"}, r"judge_gate\.evidence"),
            ({"cannot_tell": "maybe"}, r"judge_gate\.cannot_tell"),
            ({"fewest": 1}, r"judge_gate\.fewest must be 2 or more"),
            ({"bank_prompts": 1}, r"judge_gate\.bank_prompts must be 0, or at least 2"),
            ({"bank_prompts": -1}, r"judge_gate\.bank_prompts"),
            ({"bank_judgments": 0}, r"judge_gate\.bank_judgments"),
            ({"max_flips": 1.1}, r"judge_gate\.max_flips must be between 0 and 1"),
            ({"max_position_lean": 0.6}, r"judge_gate\.max_position_lean must be between 0 and 0\.5"),
            ({"max_mean_rise": 6.0}, r"judge_gate\.max_mean_rise must be between 0 and 5"),
            ({"max_alike": 1.1}, r"judge_gate\.max_alike must be between 0 and 1"),
            (
                {"stop_judge_when": ("likeness",)},
                r"judge_gate\.stop_judge_when must be names among .*alike.*, not 'likeness'",
            ),
            ({"stop_judge_when": ("entropy_change",)}, r"judge_gate\.stop_judge_when must be names among"),
            (
                {"stop_judge_when": ("flips", "alike")},
                r"max_alike must be other than 1, at which it is off, to have 'alike' in stop_judge_when",
            ),
            ({"stop_judge_when": ("entropy",)}, r"judge_gate\.min_entropy must be other than 0"),
            ({"min_bank_accuracy": float("nan")}, r"judge_gate\.min_bank_accuracy"),
        ],
    )
    def test_mistakes_are_named(self, settings, message):
        with pytest.raises(ConfigError, match=message):
            JudgeGate(**settings)

    def test_the_paper_is_warned_and_loses_nothing(self):
        assert GATE.action == "warn"
        assert GATE.bank_prompts == 0, "nothing is asked that the paper does not ask"

    def test_the_limits_are_the_published_alarms(self):
        """Score preference above 75 %, position off a half by 10 %, flips above 20 %, a rise of .3 points."""
        limits = (GATE.max_score_preference, GATE.max_position_lean, GATE.max_flips, GATE.max_mean_rise)
        assert limits == (0.75, 0.1, 0.2, 0.3)
