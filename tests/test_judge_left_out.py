"""What follows when the judge gate fails: pairs left out and counted, iterations skipped, runs stopped."""

import dataclasses
import json

import pytest

import loops
import planted
from biased_judges import FAIR, TO_HIGHER, Biased, failed, gated, looped, names, noticed
from metareward import summary
from metareward.errors import NoPairsError, StepError
from metareward.paper import Paper
from metareward.recipes.meta_rewarding import meta_rewarding
from metareward.recipes.settings import Iteration
from metareward.records import Role
from metareward.train.fake import FakeTrainer

JUDGE_ONLY = (Iteration(roles=(Role.JUDGE,)), Iteration(roles=(Role.ACTOR, Role.JUDGE)))


class TestActions:
    def test_a_warning_has_the_numbers_and_changes_nothing(self, tmp_path):
        heard = loops.Heard()
        warned = looped(tmp_path / "a", TO_HIGHER, gated("warn"), listen=heard)
        plain = looped(tmp_path / "b", TO_HIGHER, gated("warn", max_score_preference=1.0, max_score_lean=1.0))
        (said,) = noticed(heard)
        assert said.startswith("the judge gate failed (")
        assert "of the battles go to the higher score (24 prompts; limit 75 %)" in said
        assert said.endswith("its judge pairs are used all the same")
        assert loops.everything(warned) == loops.everything(plain)
        assert [gate.action for gate in warned.history.judge_gates] == ["warn"]
        assert [gate.action for gate in plain.history.judge_gates] == ["none"]

    def test_left_out_pairs_are_counted_and_the_counts_add_up(self, tmp_path):
        run = looped(tmp_path, TO_HIGHER, gated())
        told = summary.save(run.history, tmp_path)
        (round,), (entry,) = run.history.rounds, told["iterations"]
        (gate,) = told["judge_gates"]
        (left_out,) = round.left_out
        assert gate["left_out"] == len(left_out) == entry["dropped"]["left out by the judge gate"]
        assert len(left_out) + sum(left_out.manifest.dropped.values()) == len(round.prompts)
        (account,) = [account for account in entry["accounts"] if account["step"] == "judge_pairs"]
        assert account["given"] == account["kept"] + sum(account["left_out"].values()) == len(round.prompts)
        assert (account["kept"], account["left_out"]["left out by the judge gate"]) == (0, len(left_out))
        assert entry["judge_pairs"] == 0
        assert entry["battles"] == len(round.battles) > 0, "they were paid for, and are told"
        assert entry["trained_pairs"] == len(round.pairs[0])
        assert (gate["action"], gate["passed"], gate["iteration"]) == ("drop judge", False, 0)
        saved = json.loads((tmp_path / "summary.json").read_text())
        assert saved["judge_gates"][0]["signals"]["score_preference"]["state"] == "failed"

    def test_only_the_iteration_that_fails_loses_its_pairs(self, tmp_path):
        class OnlyFirst(Biased):
            def __call__(self, request, model):
                world = TO_HIGHER if model.fingerprint == loops.START.fingerprint else FAIR
                return Biased.__call__(world, request, model)

        run = looped(tmp_path, OnlyFirst(), gated(iterations=2))
        assert names(run) == [["actor_pairs"], ["actor_pairs", "judge_pairs"]]
        assert [gate.action for gate in run.history.judge_gates] == ["drop judge", "none"]

    def test_a_stop_has_the_numbers_keeps_what_was_paid_and_can_be_lifted(self, tmp_path):
        first = loops.Asked(TO_HIGHER)
        with pytest.raises(StepError, match=r"iteration 0: the judge gate failed \(.*--change"):
            loops.loop(tmp_path, first, settings=gated("stop"), prompts=24)
        again = loops.Asked(TO_HIGHER)
        with pytest.raises(StepError):
            loops.loop(tmp_path, again, settings=gated("stop"), prompts=24)
        assert not again.opened, "the same command asks nothing and says the same"
        rest = loops.Asked(TO_HIGHER)
        run, _ = loops.loop(tmp_path, rest, settings=gated("warn"), prompts=24)
        assert not {r.id for r in first.requests} & {r.id for r in rest.requests}
        assert len(run.history.rounds) == 1

    def test_too_few_prompts_pass_or_fail_as_configured(self, tmp_path):
        passed = looped(tmp_path / "a", TO_HIGHER, gated(), prompts=6)
        assert failed(passed) == [set()]
        strict = looped(tmp_path / "b", TO_HIGHER, gated(cannot_tell="fail"), prompts=6)
        assert {"score_preference", "flips"} <= failed(strict)[0]
        assert names(strict) == [["actor_pairs"]]

    def test_a_second_session_says_the_same_and_asks_nothing(self, tmp_path):
        run = looped(tmp_path, TO_HIGHER, gated(iterations=2))
        asked = loops.Asked(TO_HIGHER)
        again, _ = loops.loop(tmp_path, asked, settings=gated(iterations=2), prompts=24)
        assert not asked.opened
        assert [g.report for g in again.history.judge_gates] == [g.report for g in run.history.judge_gates]
        assert loops.everything(again) == loops.everything(run)


class TestNothingLeft:
    def wanted(self, world=TO_HIGHER, **limits):
        return dataclasses.replace(gated(**limits), iterations=JUDGE_ONLY)

    def test_the_iteration_is_skipped_and_the_model_stays(self, tmp_path):
        heard, trainer = loops.Heard(), FakeTrainer()
        run = looped(tmp_path, TO_HIGHER, self.wanted(), listen=heard, trainer=trainer)
        skipped, trained = run.history.rounds
        assert skipped.skipped
        assert not trained.skipped
        assert trained.start.fingerprint == loops.START.fingerprint
        assert "a gate left out the judge pairs and no other pair is left: M0 stays as it is" in noticed(
            heard
        )
        assert len(trainer.jobs) == 1
        told = summary.save(run.history, tmp_path)
        assert [entry["skipped"] for entry in told["iterations"]] == [True, False]
        assert told["iterations"][0]["trained_pairs"] == 0
        assert told["iterations"][0]["loss_first"] is None
        assert told["checkpoint"] == f"models/{trained.trained.fingerprint}"

    def test_or_the_run_stops(self, tmp_path):
        with pytest.raises(StepError, match=r"M0 stays as it is; the run stops here"):
            looped(tmp_path, TO_HIGHER, self.wanted(nothing_left="stop"))

    def test_a_run_that_skips_all_has_no_checkpoint(self, tmp_path):
        wanted = dataclasses.replace(self.wanted(), iterations=JUDGE_ONLY[:1])
        run = looped(tmp_path, TO_HIGHER, wanted)
        assert summary.save(run.history, tmp_path)["checkpoint"] is None

    def test_a_passing_judge_without_pairs_is_still_an_error(self, tmp_path):
        wanted = dataclasses.replace(
            self.wanted(), iterations=(Iteration(roles=(Role.JUDGE,), max_judgment_characters=1),)
        )
        with pytest.raises(NoPairsError, match="chosen judgment over the length limit"):
            looped(tmp_path, FAIR, wanted)

    def test_the_plan_knows_what_the_run_did(self, tmp_path):
        wanted = self.wanted()
        looped(tmp_path, TO_HIGHER, wanted)
        many = planted.prompts(50)
        paper = Paper(tmp_path)
        batches = [paper.prompts(many[2:26]), paper.prompts(many[26:])]
        meta_rewarding(paper, loops.START, batches, wanted, paper.prompts(many[:2]))
        assert {step.state for step in paper.steps} == {"done"}
        assert [step.section for step in paper.steps if step.step == "train"] == ["iteration 1"]
