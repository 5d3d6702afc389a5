"""What the judge gate says: one sentence with the numbers, plain data, a table."""

import dataclasses

import pytest

from biased_judges import GATE
from metareward.cli.render_gates import gate_rows, legend
from metareward.recipes.judge_gate import hold
from metareward.recipes.judge_gate_action import said
from metareward.stats.bootstrap import Estimate


class TestSaid:
    report = hold(
        GATE, {"score_preference": Estimate(0.977, 0.96, 0.99, 120), "flips": Estimate(0, 0, 0, 50)}, ()
    )

    @pytest.mark.parametrize(
        ("action", "then"),
        [
            ("warn", "its judge pairs are used all the same"),
            ("drop judge", "the judge pairs of this iteration are left out"),
            ("stop judge", "its judge pairs are left out, and no judge is trained in the rest of the run"),
            ("stop", "add --change"),
        ],
    )
    def test_one_sentence_with_the_numbers(self, action, then):
        told = said(self.report, action)
        assert told.startswith(
            "the judge gate failed (98 % [96, 99] of the battles go to the higher score "
            "(120 prompts; limit 75 %)): "
        )
        assert told.endswith(then)
        assert "\n" not in told

    def test_alike_judgments_are_said_so(self):
        gate = dataclasses.replace(GATE, max_alike=0.8)
        told = said(hold(gate, {"alike": Estimate(0.93, 0.9, 0.95, 30)}, ()), "stop judge")
        assert (
            "(93 % [90, 95] of what two judgments in battle say is the same (30 prompts; limit 80 %))" in told
        )

    def test_a_limit_about_the_middle_is_said_so(self):
        report = hold(GATE, {"position": Estimate(0.878, 0.8, 0.9, 30)}, ())
        assert "limit 50 % ± 10" in said(report, "warn")

    def test_as_plain_data(self):
        plain = self.report.as_dict()
        assert plain["score_preference"] == {
            "value": 0.977, "lower": 0.96, "upper": 0.99, "n": 120, "limit": 0.75, "state": "failed",
        }  # fmt: skip

    def test_the_table_marks_what_failed(self):
        gates = [
            {"iteration": 1, "passed": False, "action": "drop judge", "signals": self.report.as_dict()},
        ]
        rows = dict(gate_rows({"judge_gates": gates, "iterations": [{"iteration": 0}, {"iteration": 1}]}))
        assert rows["judge gate"] == ["-", "failed, pairs left out"]
        assert rows["battles won by the higher score"] == ["-", "98 % [96, 99] !"]
        assert rows["pairs decided oppositely in the two orders"] == ["-", "0 % [0, 0]"]
        assert not dict(gate_rows({"judge_gates": [], "iterations": [{"iteration": 0}]}))

    def test_the_table_says_where_judge_training_ended(self):
        plain = {"signals": self.report.as_dict()}
        gates = [
            {"iteration": 0, "passed": True, "action": "none", **plain},
            {"iteration": 1, "passed": False, "action": "stop judge", **plain},
        ]
        result = {"judge_gates": gates, "iterations": [{"iteration": n} for n in range(4)]}
        rows = dict(gate_rows({**result, "judge_stopped": 1}))
        assert rows["judge gate"] == ["passed", "failed, judge stopped", "judge stopped", "judge stopped"]
        assert dict(gate_rows(result))["judge gate"] == ["passed", "failed, judge stopped", "-", "-"]

    def test_what_could_not_be_told_is_not_said_to_have_passed(self):
        few = {"flips": Estimate(0.1, 0.0, 0.3, 3)}
        some = {**few, "score_preference": Estimate(0.5, 0.4, 0.6, 40)}
        reports = [hold(GATE, few, ["position"]), hold(GATE, some, ["position"])]
        gates = [
            {
                "iteration": number,
                "action": "none",
                "passed": report.passed,
                "verdict": report.verdict,
                "told": len(report.told),
                "held": len(report.held),
                "signals": report.as_dict(),
            }
            for number, report in enumerate(reports)
        ]
        result = {"judge_gates": gates, "iterations": [{"iteration": 0}, {"iteration": 1}]}
        rows = dict(gate_rows(result))
        assert rows["judge gate"] == [
            "cannot tell (0 of 2 signals told)",
            "passed (1 of 3 signals told)",
        ]
        assert rows["pairs decided oppositely in the two orders"] == ["10 % [0, 30] ?", "10 % [0, 30] ?"]

    def test_a_mark_is_explained_where_it_stands(self):
        def of(*estimates):
            signals = [hold(GATE, {"flips": one}, ()).as_dict() for one in estimates]
            return legend({"judge_gates": [{"signals": each} for each in signals]})

        good, bad, few = (Estimate(0.1, 0.05, 0.15, 50), Estimate(0.5, 0.4, 0.6, 50), Estimate(0, 0, 0.4, 3))
        assert of(good) == of() == ""
        assert ("!" in of(bad), "?" in of(bad)) == (True, False)
        assert ("!" in of(good, few), "? is over too few prompts" in of(good, few)) == (False, True)
        assert of(bad, few).count("; ") == 2

    def test_a_signal_that_failed_is_in_the_table_whatever_it_is(self):
        failed = hold(GATE, {"bank: master key": Estimate(0.1, 0.0, 0.2, 30)}, ()).as_dict()
        gates = [{"iteration": 0, "passed": False, "action": "warn", "signals": failed}]
        rows = dict(gate_rows({"judge_gates": gates, "iterations": [{"iteration": 0}]}))
        assert rows["judge gate, bank: master key"] == ["0.10 [0.00, 0.20] !"]
