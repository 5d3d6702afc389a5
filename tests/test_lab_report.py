"""From planted cells to numbers: known differences, and intervals that are as wide as they must be."""

import json
import math

import numpy as np
import pytest

from lab_cells import cell, gate, model
from metareward.errors import DataError
from metareward.lab import tables
from metareward.lab.reading import course, end_of, last_models, measures
from metareward.lab.report import DIFFER, intervals, report
from metareward.lab.report import differ as differ_or_none

FLAT = [3.0] * 7


def differ(found, one, other):
    apart = differ_or_none(found, one, other)
    assert apart is not None
    return apart


def grid(condition, bases, seeds, truths, **changes):
    """A loop for every base model and seed; `truths` of both."""
    return [cell(condition, b, s, truths(b, s), **changes) for b in range(bases) for s in range(seeds)]


class TestReading:
    def test_every_number_is_where_it_is_said_to_be(self):
        seen = model(
            0, 3.0, 0.8, greedy=4.0, cold=3.5, own=0.7, meta=0.6, higher=0.9, first=0.4, words=7, praised=0.3
        )
        found = {name: read(seen) for name, read in measures().items()}
        told = {"truth": 3.0, "truth_cold": 3.5, "truth_greedy": 4.0, "judge_fixed": 0.8, "judge_own": 0.7}
        told |= {"meta_right": 0.6, "meta_higher": 0.9, "meta_first": 0.4, "words": 7, "praised": 0.3}
        assert {name: found[name] for name in told} == told
        assert (found["meets_sampled_all"], found["meets_greedy_all"]) == (0.6, 0.8)
        assert (found["judge_fixed_all"], found["judge_own_all"]) == (0.8, 0.7)

    def test_a_judge_overrates_by_its_mean_score_less_the_merit(self):
        assert measures()["overrates"](model(0, 3.0, score=4.0, merit=2.5)) == 1.5
        assert measures()["overrates"](model(0, 3.0, score=None)) is None

    def test_the_end_is_the_mean_of_the_last_three_but_never_of_the_first_model(self):
        assert end_of([0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 9.0]) == 6.0
        assert end_of([0.0, 4.0]) == 4.0
        assert end_of([0.0, 1.0, None]) is None
        assert (last_models(6), last_models(1)) == (["M4", "M5", "M6"], ["M1"])

    def test_the_last_model_of_a_loop_that_ended_early_stands_for_the_rest(self):
        early = cell("a", 0, 0, [1.0, 2.0, 3.0], ended="no pairs")
        assert course(early, measures()["truth"], 6) == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0, 3.0]

    def test_missing_models_are_an_error_if_the_loop_did_not_end_early(self):
        with pytest.raises(DataError, match="there are 3 models, and 7 of a loop of 6"):
            course(cell("a", 0, 0, [1.0, 2.0, 3.0]), measures()["truth"], 6)


class TestConditions:
    def test_start_end_and_change(self):
        found = report(grid("a", 1, 2, lambda b, s: [2.0 + s, 0, 0, 0, 3.0, 4.0, 5.0 + s]), 6)
        truth = found["conditions"]["a"]["measures"]["truth"]
        assert truth["start"]["value"] == 2.5
        assert truth["end"]["value"] == pytest.approx(np.mean([4.0, 13 / 3]))
        assert truth["change"]["value"] == pytest.approx(np.mean([2.0, 4 / 3]))
        assert (truth["mean"][6], truth["lowest"][6], truth["highest"][6]) == (5.5, 5.0, 6.0)
        assert found["end"] == ["M4", "M5", "M6"]

    def test_what_was_never_measured_is_none_and_not_zero(self):
        found = report([cell("a", 0, 0, FLAT, meta=None)], 6)
        meta = found["conditions"]["a"]["measures"]["meta_right"]
        assert (meta["start"], meta["end"], meta["mean"][0]) == (None, None, None)
        assert "| - |" in tables.markdown(found)

    def test_the_first_iteration_of_each_alarm_and_how_many_had_judge_pairs(self):
        bad, good = {"flips": (0.6, "failed")}, {"flips": (0.1, "passed")}
        gates = [gate(0, **good), gate(1, **bad), gate(2, **bad)]
        cells = [
            cell("a", 0, 0, FLAT, gates=gates, judge_pairs=[3, 0, 2]),
            cell("a", 0, 1, FLAT, gates=gates[:1], judge_pairs=[1, 1, 1, 1, 1, 1]),
        ]
        found = report(cells, 6)["conditions"]["a"]
        assert found["alarms"] == {"flips": [{"base": 0, "seed": 0, "iteration": 1}]}
        assert [entry["iterations"] for entry in found["judge_pairs"]] == [2, 6]

    def test_a_loop_that_ended_early_is_said(self):
        cells = [cell("a", 0, 1, [3.0, 2.0], ended="no pair is left"), cell("a", 0, 0, FLAT)]
        found = report(cells, 6)
        (entry,) = found["ended"]
        assert entry["said"] == (
            "a, base 0, seed 1 ended in iteration 1 (no pair is left): its M1 stands for M2 to M6"
        )
        assert "its M1 stands for M2 to M6" in tables.markdown(found)
        assert found["conditions"]["a"]["measures"]["truth"]["end"]["value"] == 2.5

    def test_nothing_and_the_same_twice_are_errors(self):
        with pytest.raises(DataError, match="no cell"):
            report([], 6)
        with pytest.raises(DataError, match="several cells of a, base 0, seed 0"):
            report([cell("a", 0, 0, FLAT)] * 2, 6)


class TestDifferences:
    def test_they_are_paired_so_what_base_models_and_seeds_share_cancels(self):
        """Base models and seeds differ by whole points, the conditions by .2 everywhere."""
        better = grid("better", 3, 3, lambda b, s: [1.0 + b + s / 2 + 0.2] * 7)
        worse = grid("worse", 3, 3, lambda b, s: [1.0 + b + s / 2] * 7)
        found = report(better + worse, 6)
        apart = differ(found, "better", "worse")
        assert [apart[end] for end in ("value", "lower", "upper")] == pytest.approx([0.2, 0.2, 0.2])
        truth = found["conditions"]["better"]["measures"]["truth"]["end"]
        assert truth["upper"] - truth["lower"] > 1, "unpaired they would overlap"

    def test_the_sign_is_that_of_the_first_less_the_second(self):
        found = report(
            grid("a", 1, 3, lambda b, s: [3.0 + s] * 7) + grid("b", 1, 3, lambda b, s: [1.0] * 7), 6
        )
        one, other = differ(found, "a", "b"), differ(found, "b", "a")
        assert one["value"] == 3.0
        assert other["value"] == -3.0
        assert (other["lower"], other["upper"]) == (-one["upper"], -one["lower"])
        assert one["lower"] < 3.0 < one["upper"]
        assert differ_or_none(found, "a", "c") is None

    def test_loops_of_one_base_model_are_not_so_many_witnesses(self):
        """Helped on one base model, harmed on the other, alike with all seeds: nothing is shown."""
        up = grid("a", 2, 6, lambda b, s: [3.0 + (0.5 if b else -0.4)] * 7)
        found = differ(report(up + grid("b", 2, 6, lambda b, s: FLAT), 6), "a", "b")
        assert found["value"] == pytest.approx(0.05)
        assert found["lower"] <= -0.4
        assert found["upper"] >= 0.5
        assert found["n"] == 2

    def test_in_how_many_loops_it_is_so(self):
        """Of six pairs of loops two are better, one is equal, three are worse."""
        moved = [0.2, 0.1, 0.0, -0.1, -0.2, -0.3]
        up = grid("mine", 1, 6, lambda b, s: [3.0 + moved[s]] * 7)
        found = report(grid("self_rewarding", 1, 6, lambda b, s: FLAT) + up, 6)
        assert (
            differ(found, "mine", "self_rewarding")["above"],
            differ(found, "self_rewarding", "mine")["above"],
        ) == (2, 3)
        _, heads, rows = tables.differences(found)
        assert dict(zip(heads, rows[0], strict=True))["truth higher in"] == "2 of 6"

    def test_only_what_both_have_is_compared(self):
        some = [cell("a", 0, 0, [4.0] * 7), cell("a", 1, 0, [9.0] * 7)]
        found = report([*some, cell("b", 0, 0, FLAT), cell("b", 0, 1, [1.0] * 7)], 6)
        (entry,) = [one for one in found["differences"] if one["measure"] == "truth"]
        assert (entry["value"], entry["cells"], entry["lower"]) == (-1.0, 1, None)
        assert (entry["one"], entry["other"]) == ("b", "a")

    def test_every_measure_of_interest_for_every_two(self):
        found = report([cell(name, 0, 0, FLAT) for name in "abc"], 6)
        assert len(found["differences"]) == 3 * len(DIFFER)

    def test_the_reference_is_meta_rewarding_if_it_is_there(self):
        names = ("oracle", "self_rewarding", "meta_rewarding")
        assert report([cell(name, 0, 0, FLAT) for name in names], 6)["reference"] == "meta_rewarding"
        assert report([cell(name, 0, 0, FLAT) for name in names[:2]], 6)["reference"] == "self_rewarding"
        assert report([cell("mine", 0, 0, FLAT)], 6)["reference"] == "mine"


class TestHonesty:
    def test_one_loop_claims_nothing(self):
        found = report([cell("a", 0, 0, FLAT), cell("b", 0, 0, [4.0] * 7)], 6)
        assert found["intervals"] == "one base model and one seed: no difference is claimed"
        assert differ(found, "b", "a")["lower"] is None
        assert "[" not in tables.markdown(found)

    @pytest.mark.parametrize(
        ("bases", "seeds", "said", "rough"),
        [
            (1, 2, "say nothing of other base models", "only 2 seeds"),
            (1, 5, "over seeds", None),
            (2, 1, "2 base models and one seed", "only 2 base models"),
            (3, 3, "over base models and seeds, each resampled as a whole", "only 3 base models"),
            (5, 2, "5 base models and 2 seeds", None),
        ],
    )
    def test_what_few_units_are_worth_is_said(self, bases, seeds, said, rough):
        found = intervals(grid("a", bases, seeds, lambda b, s: FLAT))
        assert said in found
        assert ("rough" in found) == (rough is not None)
        assert (rough or "") in found

    def test_that_many_differences_were_looked_at_is_said(self):
        many = [one for name in "abc" for one in grid(name, 1, 2, lambda b, s: FLAT)]
        assert tables.UNCORRECTED in tables.markdown(report(many, 6))
        assert tables.UNCORRECTED not in tables.markdown(report(many[:4], 6))

    def test_it_is_plain_data_and_holds_everything(self):
        cells = grid("a", 2, 2, lambda b, s: [3.0 + b] * 7, gates=[gate(0, flips=(None, "cannot tell"))])
        found = report(cells, 6, {"a": "what it is"})
        told = json.loads(json.dumps(found, allow_nan=False))
        assert told["cells"] == cells
        assert told["conditions"]["a"]["about"] == "what it is"


class TestTables:
    def test_numbers_as_they_are_shown(self):
        whole = {"value": 0.6178, "lower": 0.5, "upper": 0.75, "n": 3}
        assert tables.number(whole) == "0.62 [0.50, 0.75]"
        assert tables.number({**whole, "lower": None, "upper": None}) == "0.62"
        assert tables.number(None) == "-"
        assert tables.percent(whole) == "62 % [50, 75]"
        assert tables.percent(whole, False) == "62 %"
        assert tables.number({**whole, "value": -0.001}, "+z.2f", False) == "+0.00"

    def test_differences_of_shares_are_points_and_have_the_right_sign(self):
        cells = [cell("meta_rewarding", 0, 0, FLAT, [0.5] * 7), cell("mine", 0, 0, FLAT, [0.62] * 7)]
        title, heads, rows = tables.differences(report(cells, 6))
        assert title.startswith("Differences from meta_rewarding")
        assert dict(zip(heads, rows[0], strict=True))["judge right, points"] == "+12"

    def test_a_markdown_table_is_one(self):
        found = report(grid("a", 2, 2, lambda b, s: [3.0 + b + s] * 7), 6)
        for block in tables.markdown(found).split("\n\n")[1::2]:
            rows = [line for line in block.splitlines() if line.startswith("|")]
            assert len({line.count("|") for line in rows}) <= 1

    def test_why_a_loop_ended_is_text_and_no_markup(self):
        found = report([cell("a", 0, 0, [3.0], ended="<script>*x*")], 6)
        assert "<script>" not in tables.markdown(found)
        assert math.isfinite(found["conditions"]["a"]["measures"]["truth"]["end"]["value"])
