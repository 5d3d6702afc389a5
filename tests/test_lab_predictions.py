"""What the signals of the gate foretold: correlations, hits and false alarms of planted cells."""

import numpy as np
import pytest

from lab_cells import cell, gate
from metareward.lab import tables
from metareward.lab.alarms import predictions
from metareward.lab.report import report


class TestPredictions:
    def loops(self, values, changes, states=None, left_out=0):
        """A loop for each row of values of one signal before iterations, and of changes of truth after."""
        cells = []
        for number, (own, moved) in enumerate(zip(values, changes, strict=True)):
            truths = [3.0, *(3.0 + total for total in np.cumsum(moved))]
            gates = [
                gate(t, left_out, flips=(value, states[number][t] if states else "measured"))
                for t, value in enumerate(own)
            ]
            cells.append(cell("a", 0, number, truths, gates=gates))
        return predictions(cells)

    def test_the_correlation_is_pearsons_over_all_iterations(self):
        draw = np.random.default_rng(0)
        values = draw.normal(size=(6, 5))
        changes = -0.3 * values + draw.normal(size=(6, 5)) * 0.2
        found = self.loops(values, changes)["signals"]["flips"]
        wanted = np.corrcoef(values.ravel(), changes.ravel())[0, 1]
        assert found["correlation"]["value"] == pytest.approx(wanted)
        assert wanted < -0.7
        assert found["correlation"]["lower"] < wanted < found["correlation"]["upper"] < 0
        assert (found["iterations"], found["loops"], found["hits"]) == (30, 6, None)

    def test_what_is_said_before_an_iteration_is_held_against_that_iteration(self):
        """The signal says exactly what comes next, and nothing of what came before."""
        values = [[0.1, -0.2, 0.3, -0.4, 0.2]] * 5
        assert self.loops(values, values)["signals"]["flips"]["correlation"]["value"] == pytest.approx(1.0)

    def test_few_loops_have_no_interval_and_few_iterations_no_correlation(self):
        few = self.loops([[0.1, 0.2, 0.3]] * 2, [[0.1, 0.3, 0.2]] * 2)["signals"]["flips"]["correlation"]
        assert few["value"] > 0
        assert (few["lower"], few["upper"]) == (None, None)
        assert self.loops([[0.1, 0.2]], [[0.1, 0.3]])["signals"]["flips"]["correlation"] is None

    def test_a_constant_says_nothing(self):
        assert self.loops([[0.5] * 6] * 5, [[0.1, -0.1] * 3] * 5)["signals"]["flips"]["correlation"] is None

    def test_hits_and_false_alarms(self):
        states = [["failed", "failed", "failed", "passed", "passed", "cannot tell"]]
        changes = [[-0.1, -0.2, 0.0, -0.1, 0.1, -0.3]]
        found = self.loops([[0.5] * 6], changes, states)["signals"]["flips"]
        counts = {name: found[name] for name in ("hits", "false_alarms", "misses", "quiet", "cannot_tell")}
        assert counts == {"hits": 2, "false_alarms": 1, "misses": 1, "quiet": 1, "cannot_tell": 1}

    def test_the_gate_as_a_whole(self):
        found = self.loops([[0.5] * 2], [[-0.1, 0.1]], [["failed", "passed"]])["signals"]["any"]
        assert (found["hits"], found["quiet"], found["false_alarms"], found["misses"]) == (1, 1, 0, 0)

    def test_harm_that_a_gate_kept_away_is_no_false_alarm(self):
        found = self.loops([[0.5] * 3], [[0.1] * 3], [["failed"] * 3], left_out=4)
        assert found == {
            "signals": {"actor_score_margin": found["signals"]["actor_score_margin"]},
            "averted": 3,
        }

    def test_pairs_that_were_made_anew_count_nowhere_either(self):
        gates = [{**gate(0, flips=(0.5, "failed")), "action": "equal scores"}, gate(1, flips=(0.5, "failed"))]
        found = predictions([cell("a", 0, 0, [3.0, 2.0, 2.5], gates=gates)])
        assert (found["averted"], found["signals"]["flips"]["iterations"]) == (1, 1)
        assert found["signals"]["flips"]["false_alarms"] == 1

    def test_what_is_foretold_may_be_the_judges_leniency(self):
        values = [[0.1, -0.2, 0.3, -0.4, 0.2]] * 5
        cells = []
        for number, own in enumerate(values):
            gates = [gate(t, flips=(value, "measured")) for t, value in enumerate(own)]
            made = cell("a", 0, number, [3.0, 3.1, 3.0, 3.2, 3.3, 3.1], gates=gates)
            for model, score in zip(made["models"], [2.0, *(2.0 + np.cumsum(own))], strict=True):
                model["judge"]["fixed"]["score"] = score
            cells.append(made)
        drift, truth = (predictions(cells, of)["signals"]["flips"] for of in ("score_fixed", "truth"))
        assert drift["correlation"]["value"] == pytest.approx(1.0)
        assert abs(truth["correlation"]["value"]) < 0.9

    def test_an_iteration_that_ended_the_loop_changed_nothing(self):
        gates = [gate(0, flips=(0.5, "failed")), gate(1, flips=(0.5, "failed"))]
        found = predictions([cell("a", 0, 0, [3.0, 2.0], gates=gates, ended="no pairs")])["signals"]["flips"]
        assert (found["iterations"], found["hits"]) == (1, 1)

    def test_the_table_has_the_strongest_first_after_the_gate(self):
        draw = np.random.default_rng(1)
        strong = draw.normal(size=12)
        gates = [
            gate(t, flips=(value, "passed"), position=(-(value**2), "passed"))
            for t, value in enumerate(strong)
        ]
        truths = [3.0, *(3.0 + total for total in np.cumsum(strong))]
        found = report([cell("a", 0, 0, truths, gates=gates)], 12)
        names = [row[0] for row in tables.predictions(found)[2]]
        assert names[:2] == ["gate as a whole", "flips"]
