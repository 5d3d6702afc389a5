"""Judge training that the judge gate ends for the rest of a run: no battles, no judge pairs, all counted."""

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
from alike_judges import ALIKE, BOTH, AlikeLater, actions, looped, small
from biased_judges import names, noticed
from metareward import summary
from metareward.cli.render_gates import gate_rows
from metareward.errors import StepError
from metareward.paper import Paper
from metareward.recipes.judge_gate import LEFT_OUT, JudgeGate
from metareward.recipes.settings import Iteration
from metareward.records import Role

JUDGE_ONLY = Iteration(roles=(Role.JUDGE,))
RECIPES = ("meta_rewarding", "combined")


def plan(directory: Any, name: str, settings: Any) -> list[Any]:
    count = len(settings.iterations)
    many, paper = planted.prompts(12 * count + 2), Paper(directory)
    batches = [paper.prompts(many[2 + t * 12 :][:12]) for t in range(count)]
    loops.RECIPES[name][0](paper, loops.START, batches, settings, paper.prompts(many[:2]))
    return paper.steps


@dataclasses.dataclass
class Whole:
    """A finished loop of three iterations, in the second of which judgments have become alike."""

    name: str
    directory: Path
    planned: list[Any]
    run: Any
    asked: loops.Asked
    heard: loops.Heard


@pytest.fixture(scope="module", params=RECIPES)
def whole(request, tmp_path_factory) -> Whole:
    name, directory, heard = request.param, tmp_path_factory.mktemp("whole"), loops.Heard()
    planned = plan(directory, name, small(name))
    run, asked = looped(directory, name, small(name), listen=heard)
    return Whole(name, directory, planned, run, asked, heard)


class TestAlikeJudgments:
    def test_judge_training_ends_where_judgments_become_alike(self, whole):
        run, asked, heard = whole.run, whole.asked, whole.heard
        assert actions(run) == [(0, "none"), (1, "stop judge")]
        first, second = (gate.report.as_dict()["alike"] for gate in run.history.judge_gates)
        assert first["value"] < 0.5 < 0.8 < second["lower"]
        assert [list_[1:] for list_ in names(run)] == [["judge_pairs"], [], []]
        assert all(list_[:1] == ["actor_pairs"] for list_ in names(run)), "the actor is trained throughout"
        assert [round.battles is not None for round in run.history.rounds] == [True, True, False]
        last = {answer.id for answer in run.history.rounds[2].responses}
        assert last
        held_out = {row.id for look in run.history.looks for row in look.battles}
        fought = {battle.id for round in run.history.rounds[:2] for battle in round.battles}
        assert {r.id for r in asked.requests if r.step == "meta_judge"} <= held_out | fought
        (said,) = [message for message in noticed(heard) if "judge gate" in message]
        assert re.search(r"9\d % \[9\d, 9\d\] of what two judgments in battle say is the same", said)
        assert said.endswith("and no judge is trained in the rest of the run")

    def test_everything_is_counted_and_said(self, whole):
        run = whole.run
        told = summary.save(run.history, whole.directory)
        assert told["judge_stopped"] == 1
        stopped, after = told["iterations"][1:]
        (left_out,) = run.history.rounds[1].left_out
        assert told["judge_gates"][1]["left_out"] == stopped["dropped"][LEFT_OUT] == len(left_out) > 8
        assert (stopped["judge_pairs"], stopped["judge_share_of_weight"]) == (0, 0)
        assert (after["battles"], after["judge_pairs"], after["judge_share_of_weight"]) == (0, 0, 0)
        assert after["trained_pairs"] == after["actor_pairs"] > 8
        assert LEFT_OUT not in after["dropped"]
        for entry in told["iterations"]:
            for account in entry["accounts"]:
                assert account["given"] == account["kept"] + sum(account["left_out"].values())
        assert not {"meta_judge", "judge_pairs"} & {account["step"] for account in after["accounts"]}
        assert dict(gate_rows(told))["judge gate"] == ["passed", "failed, judge stopped", "judge stopped"]

    def test_a_second_session_asks_nothing_and_says_the_same(self, whole):
        run, heard = whole.run, loops.Heard()
        again, asked = looped(whole.directory, whole.name, small(whole.name), listen=heard)
        assert noticed(heard) == noticed(whole.heard)
        assert not asked.opened
        assert [gate.report for gate in again.history.judge_gates] == [
            gate.report for gate in run.history.judge_gates
        ]
        assert actions(again) == actions(run)
        assert loops.everything(again) == loops.everything(run)

    @pytest.mark.parametrize("share", [0.3, 0.6, 0.95])
    def test_a_run_that_was_broken_off_goes_on_as_if_it_had_not_been(self, tmp_path, whole, share):
        settings = small(whole.name)
        broken = loops.Asked(AlikeLater(), break_at=int(share * len(whole.asked.requests)))
        with pytest.raises(KeyboardInterrupt):
            loops.loop(tmp_path, broken, whole.name, settings, prompts=12)
        rest, _ = looped(tmp_path, whole.name, settings)
        assert actions(rest) == actions(whole.run)
        assert loops.everything(rest) == loops.everything(whole.run)

    def test_on_paper_only_what_is_certain_is_left_out(self, whole):
        def battles(steps: list[Any]) -> list[str]:
            return [s.section for s in steps if s.step == "meta_judge" and s.section.startswith("iteration")]

        assert battles(whole.planned) == ["iteration 0", "iteration 1", "iteration 2"]
        after = plan(whole.directory, whole.name, small(whole.name))
        assert battles(after) == ["iteration 0", "iteration 1"]
        assert {step.state for step in after} == {"done"}
        trained = {round.trained.fingerprint for round in whole.run.history.rounds}
        assert trained <= {step.key for step in after if step.step == "train"}
        assert sum(step.calls for step in after) < sum(step.calls for step in whole.planned)

    def test_a_plan_knows_it_before_the_iterations_to_come(self, whole):
        longer = small(whole.name, iterations=(BOTH,) * 4)
        steps = [s for s in plan(whole.directory, whole.name, longer) if s.section == "iteration 3"]
        assert "to do" in {step.state for step in steps}
        assert "meta_judge" not in {step.step for step in steps}


@pytest.mark.parametrize("name", RECIPES)
class TestOtherCourses:
    def test_an_iteration_of_the_judge_alone_is_then_skipped_or_stops_the_run(self, tmp_path, name):
        iterations, heard = (BOTH, BOTH, JUDGE_ONLY, BOTH), loops.Heard()
        run, _ = looped(tmp_path, name, small(name, iterations=iterations), listen=heard)
        assert [round.skipped for round in run.history.rounds] == [False, False, True, False]
        assert "no judge is trained any more and no other pair is left: M2 stays as it is" in noticed(heard)
        assert names(run)[2:] == [[], ["actor_pairs"]]
        told = summary.save(run.history, tmp_path)["iterations"]
        assert told[2]["skipped"]
        assert (told[2]["trained_pairs"], told[2]["judge_share_of_weight"]) == (0, None)
        assert {step.state for step in plan(tmp_path, name, small(name, iterations=iterations))} == {"done"}
        strict = small(name, dataclasses.replace(ALIKE, nothing_left="stop"), iterations)
        with pytest.raises(
            StepError, match=r"iteration 2: no judge is trained any more .* M2 stays as it is"
        ):
            looped(tmp_path, name, strict)

    def test_without_the_list_or_the_limit_the_judge_goes_on(self, tmp_path, name):
        for place, gate in (("off", JudgeGate()), ("warn", JudgeGate(max_alike=0.8))):
            run, _ = looped(tmp_path / place, name, small(name, gate, (BOTH,) * 2))
            assert all("judge_pairs" in list_ for list_ in names(run))
            assert summary.summarise(run.history, tmp_path / place)["judge_stopped"] is None
