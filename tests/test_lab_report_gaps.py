"""Reports on cells with gaps: a number that was never measured, loops that ended, base models left out."""

import pytest

from lab_cells import cell, gate
from metareward.lab.report import differ, report

FLAT = [3.0] * 4


def right(found, name="a"):
    """What is said of the share of battles that the better judgment won."""
    return found["conditions"][name]["measures"]["meta_right"]


class TestNotMeasured:
    def test_one_cell_without_a_number_takes_none_from_the_others(self):
        values = (None, 0.4, 0.8)
        found = right(report([cell("a", 0, seed, FLAT, meta=own) for seed, own in enumerate(values)], 3))
        for when in ("start", "end"):
            assert (found[when]["value"], found[when]["n"]) == (pytest.approx(0.6), 2)
        assert found["mean"] == pytest.approx([0.6] * 4)
        assert (found["lowest"], found["highest"]) == ([0.4] * 4, [0.8] * 4)

    @pytest.mark.parametrize("missing", [0, 2])
    def test_there_is_no_change_from_or_to_what_was_not_measured(self, missing):
        gap = cell("a", 0, 0, FLAT, meta=0.5)
        gap["models"][missing]["meta_judge"]["right"] = None
        found = right(report([gap, cell("a", 0, 1, FLAT, meta=0.5)], 3))
        assert (found["change"]["value"], found["change"]["n"]) == (0, 1)
        assert found["mean"][missing] == 0.5, "of the other cell"

    def test_conditions_are_compared_where_both_were_measured(self):
        these = [cell("a", 0, seed, FLAT, meta=own) for seed, own in enumerate((0.9, 0.9, None))]
        those = [cell("b", 0, seed, FLAT, meta=own) for seed, own in enumerate((0.6, None, 0.2))]
        apart = differ(report(these + those, 3), "a", "b", "meta_right")
        assert apart is not None
        assert (apart["value"], apart["n"]) == (pytest.approx(0.3), 1)
        assert (apart["cells"], apart["above"]) == (1, 1)

    def test_only_a_signal_that_failed_is_an_alarm(self):
        signals = {"flips": (0.1, "passed"), "position": (None, "cannot tell"), "alike": (0.4, "measured")}
        found = report([cell("a", 0, 0, FLAT, gates=[gate(0, **signals), gate(1, bank=(0.3, "failed"))])], 3)
        assert found["conditions"]["a"]["alarms"] == {"bank": [{"base": 0, "seed": 0, "iteration": 1}]}


class TestEnded:
    @pytest.mark.parametrize(
        ("models", "stands"),
        [(2, ": its M1 stands for M2 to M3"), (3, ": its M2 stands for M3"), (4, "")],
        ids=["two are missing", "one is missing", "none is missing"],
    )
    def test_it_is_said_which_models_another_stands_for(self, models, stands):
        early = cell("a", 0, 0, FLAT[:models], ended="no pairs")
        (entry,) = report([early], 3)["ended"]
        assert entry["said"] == f"a, base 0, seed 0 ended in iteration {models - 1} (no pairs){stands}"
        assert entry["iteration"] == models - 1


class TestSomeBaseModels:
    def test_cells_of_any_base_models_and_seeds_in_any_order(self):
        """Base models 5 and 2, seeds 9 and 7: they need not begin at 0, nor come in order."""
        truths = {(5, 9): 1.0, (5, 7): 2.0, (2, 9): 3.0, (2, 7): 4.0}
        found = report([cell("a", *where, [truth] * 4) for where, truth in truths.items()], 3)
        assert (found["bases"], found["seeds"]) == ([2, 5], [7, 9])
        end = found["conditions"]["a"]["measures"]["truth"]["end"]
        assert (end["value"], end["n"]) == (2.5, 2)
