"""Judge training that has ended, without a loop around it: what an iteration does then, and what is told."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import loops
from metareward import summary
from metareward.cli.render_gates import gate_rows
from metareward.history import STOPS_JUDGE, Gated, History
from metareward.recipes.judge_gate import JudgeGate, hold
from metareward.recipes.judging import Judged, judged, nothing_left
from metareward.recipes.settings import Iteration
from metareward.records import Role
from metareward.stats.bootstrap import Estimate

REPORT = hold(JudgeGate(max_alike=0.8), {"alike": Estimate(0.93, 0.9, 0.95, 30)}, ())
ENDED = "no judge is trained any more and no other pair is left: start stays as it is"
LEFT_OUT = "a gate left out the judge pairs and no other pair is left: start stays as it is"


class Ran:
    """A run that has measured this much, and can only conclude and warn."""

    def __init__(self, *actions: str):
        gates = [Gated(number, loops.START, action, REPORT) for number, action in enumerate(actions)]
        self.history = History(judge_gates=gates)
        self.warned: list[tuple[str, bool]] = []

    def conclude(self, rule: Callable[..., Any], *rows: Any) -> Any:
        return rule(*rows)

    def warn(self, text: str, stop: bool = False) -> None:
        self.warned.append((text, stop))


def begun(run: Any, *roles: Role) -> Judged:
    """What an iteration with these roles rests on, where there is nothing to hold battles with."""
    nothing: Any = None
    return judged(run, nothing, Iteration(roles=roles), loops.START, loops.START, [], [], [], verdict=nothing)


class TestAfterwards:
    def test_an_iteration_that_would_train_the_judge_has_its_pairs_dropped(self):
        assert begun(Ran(STOPS_JUDGE), Role.JUDGE) == Judged(drops_judge=True)
        assert begun(Ran("none", STOPS_JUDGE, "warn"), Role.ACTOR, Role.JUDGE) == Judged(drops_judge=True)

    def test_one_that_trains_the_actor_alone_has_nothing_dropped(self):
        """So it is still an error if it has no pair: nothing was left out of it."""
        found = begun(Ran(STOPS_JUDGE), Role.ACTOR)
        assert found == Judged()
        run: Any = Ran(STOPS_JUDGE)
        assert not nothing_left(run, JudgeGate(), loops.START, [[]], found)


class TestNothingLeft:
    def said(self, run: Any, found: Judged, gate: JudgeGate | None = None, pairs: Any = ()) -> Any:
        assert nothing_left(run, gate or JudgeGate(), loops.START, pairs, found)
        ((text, stop),) = run.warned
        return text, stop

    def test_why_is_that_no_judge_is_trained_only_where_that_was_so_before(self):
        battles: Any = []
        assert self.said(Ran(STOPS_JUDGE), Judged(drops_judge=True)) == (ENDED, False)
        assert self.said(Ran(STOPS_JUDGE), Judged(battles, drops_judge=True)) == (LEFT_OUT, False)
        assert self.said(Ran("drop judge"), Judged(battles, drops_judge=True)) == (LEFT_OUT, False)
        assert self.said(Ran("none"), Judged(drops_judge=True)) == (LEFT_OUT, False), "by an attack"

    def test_it_stops_the_run_only_if_it_is_to(self):
        text, stop = self.said(Ran(STOPS_JUDGE), Judged(drops_judge=True), JudgeGate(nothing_left="stop"))
        assert stop
        assert text == f"{ENDED}; the run stops here, as [judge_gate] nothing_left says"

    def test_one_pair_is_something(self):
        run: Any = Ran(STOPS_JUDGE)
        assert not nothing_left(run, JudgeGate(), loops.START, [[], ["pair"]], Judged(drops_judge=True))
        assert not run.warned
        assert self.said(Ran(STOPS_JUDGE), Judged(drops_judge=True), pairs=[[], []])[0] == ENDED


class TestTold:
    def rows(self, action: str, iterations: int, judge_stopped: int | None = None) -> dict[str, list[str]]:
        """The table of a run in whose first iteration the judge gate failed."""
        gate = {"iteration": 0, "passed": False, "action": action, "signals": REPORT.as_dict()}
        entries = [{"iteration": number} for number in range(iterations)]
        told = {"judge_gates": [gate], "iterations": entries, "judge_stopped": judge_stopped}
        return dict(gate_rows(told))

    def test_likeness_is_a_share_in_percent_with_its_interval_and_a_mark_where_it_failed(self):
        assert self.rows("warn", 2)["same in two judgments that met"] == ["93 % [90, 95] !", "-"]

    def test_that_it_ended_in_the_first_iteration_is_said_of_all_that_follow(self):
        verdicts = self.rows(STOPS_JUDGE, 3, judge_stopped=0)["judge gate"]
        assert verdicts == ["failed, judge stopped", "judge stopped", "judge stopped"]

    @pytest.mark.parametrize(
        ("actions", "expected"),
        [((STOPS_JUDGE,), 0), (("warn", STOPS_JUDGE), 1), (("drop judge", "none"), None)],
    )
    def test_the_summary_has_the_iteration(self, tmp_path: Path, actions: Any, expected: int | None):
        assert summary.summarise(Ran(*actions).history, tmp_path)["judge_stopped"] == expected
