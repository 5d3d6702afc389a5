"""Judge training in the loop: who meta-judges, what the gate says of planted biases, and what follows."""

import dataclasses
import json

import pytest

import biased_judges
import loops
import planted
from biased_judges import Biased, failed, gated, looped, settings
from metareward import config, summary
from metareward.errors import ConfigError, NoPairsError, StepError
from metareward.events import Noticed
from metareward.paper import Paper
from metareward.recipes.combined import Combined
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.recipes.settings import Iteration, Watch
from metareward.records import Battle, Role
from metareward.stages.matching import stated
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair_judge import JudgePairs
from metareward.stages.settle import Settle
from metareward.train.fake import FakeTrainer
from pairing_worlds import pairs

FAIR = Biased()
TO_HIGHER = Biased(higher=0.95)
TO_FIRST = Biased(first=0.75)
SCORE = {"score_preference", "score_lean"}
POSITION = {"position", "flips"}
JUDGE_ONLY = (Iteration(roles=(Role.JUDGE,)), Iteration(roles=(Role.ACTOR, Role.JUDGE)))


def names(run):
    return [[rows.manifest.name for rows in round.pairs] for round in run.history.rounds]


def noticed(heard):
    return [event.message for event in heard if isinstance(event, Noticed)]


class TestPlantedBiases:
    @pytest.mark.parametrize("reading", ["free", "forced"])
    def test_a_lean_to_the_higher_score_fires_the_gates_of_the_score(self, tmp_path, reading):
        wanted = settings(reading=reading, judge_gate=JudgeGate("drop judge"))
        run = looped(tmp_path, TO_HIGHER, wanted)
        assert failed(run) == [SCORE]
        signals = run.history.judge_gates[0].report.as_dict()
        assert signals["score_preference"]["value"] > 0.9
        assert signals["score_margin"]["value"] > 1
        assert names(run) == [["actor_pairs"]]

    @pytest.mark.parametrize("reading", ["free", "forced"])
    def test_a_lean_to_the_first_position_fires_the_gates_of_position(self, tmp_path, reading):
        wanted = settings(reading=reading, judge_gate=JudgeGate("drop judge"))
        run = looped(tmp_path, TO_FIRST, wanted)
        assert failed(run) == [POSITION]
        signals = run.history.judge_gates[0].report.as_dict()
        assert signals["position"]["value"] > 0.8
        assert abs(signals["score_preference"]["value"] - 0.5) < 0.15

    @pytest.mark.parametrize("reading", ["free", "forced"])
    def test_the_margin_is_known_before_training_and_can_leave_pairs_out_by_itself(self, tmp_path, reading):
        margin = JudgeGate("drop judge", max_score_preference=1.0, max_score_lean=1.0, max_score_margin=0.5)
        wanted = settings(reading=reading, judge_gate=margin)
        run = looped(tmp_path / "biased", TO_HIGHER, wanted)
        assert failed(run) == [{"score_margin"}]
        (signal,) = run.history.judge_gates[0].report.failed
        assert 0.5 < signal.lower < signal.value < signal.upper
        assert names(run) == [["actor_pairs"]]
        (round,) = run.history.rounds
        assert {pair.role for rows in round.training.pairs for pair in rows} == {Role.ACTOR}
        assert failed(looped(tmp_path / "fair", FAIR, wanted)) == [set()]

    def test_a_lean_to_the_lower_score_shows_with_the_other_sign(self, tmp_path):
        class ToLower(Biased):
            def compare(self, request):
                told = TO_HIGHER.compare(request)
                return told.translate(str.maketrans("AB", "BA")) if isinstance(told, str) else told

        run = looped(tmp_path, ToLower(), gated("warn"))
        signals = run.history.judge_gates[0].report.as_dict()
        assert signals["score_preference"]["value"] < 0.1
        assert signals["score_margin"]["value"] < -1
        assert failed(run) == [set()]

    def test_a_judge_that_starts_to_give_more_points_fires_the_drift(self, tmp_path):
        class Rising(Biased):
            def __call__(self, request, model):
                world = FAIR if model.fingerprint == loops.START.fingerprint else Biased(points=2)
                return Biased.__call__(world, request, model)

        watch = Watch(1, 2, bank_prompts=2)
        wanted = dataclasses.replace(gated("warn", iterations=2, fewest=2), watch=watch)
        run = looped(tmp_path, Rising(), wanted)
        assert not failed(run)[0]
        assert {"mean_change", "same_responses"} <= failed(run)[1]
        signals = run.history.judge_gates[1].report.as_dict()
        assert signals["mean_change"]["value"] > 1
        assert signals["same_responses"]["value"] > 0.5
        assert "mean_change" not in run.history.judge_gates[0].report.as_dict(), "there is nothing before"

    def test_a_judge_that_prefers_empty_answers_fires_the_bank(self, tmp_path):
        run = looped(tmp_path, Biased(blind=True), gated("warn", bank_prompts=12))
        assert {"bank: constant answer", "bank: master key"} <= failed(run)[0]
        assert not failed(run)[0] & (SCORE | POSITION)

    def test_a_fair_one_fires_none_over_twenty_seeds(self, tmp_path):
        """Every truth lies well inside its limit, so even one alarm in 20 runs is too many."""
        alarms = [
            name
            for seed in range(20)
            for names in failed(looped(tmp_path / str(seed), FAIR, gated("drop judge", seed), 20))
            for name in names
        ]
        assert alarms == []


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


class TestWhoMetaJudges:
    def test_the_first_model_or_the_current_one(self, tmp_path):
        for by in ("first", "current"):
            run = looped(tmp_path / by, FAIR, settings(iterations=2, meta_judge_by=by), prompts=6)
            held = [{battle.model for battle in round.battles} for round in run.history.rounds]
            second = loops.START.fingerprint if by == "first" else run.history.rounds[1].start.fingerprint
            assert held == [{loops.START.fingerprint}, {second}]
            judged = {judgment.model for judgment in run.history.rounds[1].judgments}
            assert judged == {run.history.rounds[1].start.fingerprint}, "the judge is the current one"

    @pytest.mark.parametrize("by", ["first", "current"])
    def test_in_combined_too(self, tmp_path, by):
        wanted = dataclasses.replace(loops.small_combined(), meta_judge_by=by)
        run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), "combined", wanted)
        held = [{battle.model for battle in round.battles or ()} for round in run.history.rounds]
        second = loops.START.fingerprint if by == "first" else run.history.rounds[1].start.fingerprint
        assert held == [{loops.START.fingerprint}, {second}]
        assert Combined().meta_judge_by == "first"

    def test_the_paper_takes_the_current_one(self):
        assert MetaRewarding().meta_judge_by == "current"
        assert MetaRewarding().settle == Settle()

    def test_nothing_else_is_accepted(self):
        with pytest.raises(ConfigError, match=r"meta_judge_by must be 'current' or 'first'"):
            MetaRewarding(meta_judge_by="newest")  # type: ignore[arg-type]


class TestDebiased:
    def test_hidden_scores_keep_a_score_bias_from_showing(self, tmp_path):
        """The biased meta-judge finds no score to lean to and falls back on the marks."""
        hidden = settings(meta_judge=MetaJudge(show_scores=False), judge_gate=JudgeGate("drop judge"))
        run = looped(tmp_path, TO_HIGHER, hidden)
        assert failed(run) == [set()]
        assert names(run) == [["actor_pairs", "judge_pairs"]]
        for pair in run.history.rounds[0].pairs[1]:
            assert "Score: " in pair.chosen, "what is trained on stays whole"

    def test_battles_of_equal_scores_make_pairs_of_equal_scores(self, tmp_path):
        same = settings(meta_judge=MetaJudge(between="same"), judge_gate=JudgeGate("drop judge"))
        run = looped(tmp_path, TO_HIGHER, same)
        signals = run.history.judge_gates[0].report.as_dict()
        assert "score_preference" not in signals
        assert signals["score_margin"]["value"] == 0
        assert failed(run) == [set()]

    @pytest.mark.parametrize("reading", ["free", "forced"])
    def test_each_of_their_pairs_is_between_two_judgments_that_state_one_score(self, tmp_path, reading):
        """And battles that were held for all serve them: none is asked again."""
        looped(tmp_path, TO_HIGHER, settings(reading=reading))
        asked = loops.Asked(TO_HIGHER)
        same = settings(reading=reading, meta_judge=MetaJudge(reading=reading, between="same"))
        run, _ = loops.loop(tmp_path, asked, settings=same, prompts=24)
        (round,) = run.history.rounds
        held_out = {row.id for look in run.history.looks for row in (look.battles or ())}
        assert not {r.id for r in asked.requests if r.step == "meta_judge"} - held_out
        own = {judgment.id: judgment for judgment in round.judgments}
        scores = [(stated(own[p.chosen_id]), stated(own[p.rejected_id])) for p in round.pairs[1]]
        assert len(scores) >= 10
        assert all(chosen == rejected is not None for chosen, rejected in scores)

    def test_battles_of_different_scores_say_nothing_of_position_among_equals(self, tmp_path):
        run = looped(tmp_path, FAIR, settings(meta_judge=MetaJudge(between="different")))
        assert "position" not in run.history.judge_gates[0].report.as_dict()

    def test_settled_over_both_orders_a_position_bias_is_measured_and_does_no_harm(self, tmp_path):
        wanted = settings(reading="forced", settle=Settle("together"), judge_gate=JudgeGate("drop judge"))
        run = looped(tmp_path, TO_FIRST, wanted)
        signals = run.history.judge_gates[0].report.as_dict()
        assert failed(run) == [set()]
        assert signals["flips"]["value"] > 0.5
        assert signals["flips"]["state"] == "measured"
        for pair in run.history.rounds[0].pairs[1]:
            marks = [int(biased_judges._MARK.findall(text)[-1]) for text in (pair.chosen, pair.rejected)]
            assert marks[0] != marks[1]

    def test_pairs_are_made_of_the_battles_as_they_count(self, tmp_path):
        wanted = settings(reading="forced", settle=Settle("together"))
        (round,) = looped(tmp_path, TO_FIRST, wanted).history.rounds
        rule = JudgePairs(wanted.prior, None, wanted.meta_judge.seed)
        rows = (round.prompts, round.responses, round.judgments)
        held = list(round.battles)
        made = list(round.pairs[1])
        settled = [row for row in Settle("together").apply(held) if isinstance(row, Battle)]
        assert len(settled) == len(held)
        assert made == pairs(rule.apply(*rows, settled))
        assert made != pairs(rule.apply(*rows, held))

    def test_a_margin_needs_probabilities(self):
        with pytest.raises(ConfigError, match=r"meta_judge\.reading must be 'forced' for a margin"):
            settings(settle=Settle("together", margin=0.1))
        settings(settle=Settle("together"))


class TestConfig:
    def load(self, directory, text):
        path = directory / "c.toml"
        path.write_text(text)
        return config.load(path).method

    def test_from_a_config(self, tmp_path):
        method = self.load(
            tmp_path,
            'meta_judge_by = "first"\n[meta_judge]\nreading = "forced"\nshow_scores = false\n'
            'between = "same"\nmax_length_ratio = 1.5\n'
            '[settle]\norders = "together"\nfalse_decisions = 0.05\n'
            '[judge_gate]\naction = "drop judge"\nmax_flips = 0.3\n',
        )
        assert method.meta_judge_by == "first"
        assert (method.meta_judge.show_scores, method.meta_judge.between) == (False, "same")
        assert method.meta_judge.max_length_ratio == 1.5
        assert method.settle == Settle("together", 0.0, 0.05)
        assert method.judge_gate == JudgeGate("drop judge", max_flips=0.3)

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('meta_judge_by = "newest"', r"meta_judge_by must be 'current' or 'first'"),
            ('[judge_gate]\naction = "drop"', r"judge_gate\.action"),
            ("[judge_gate]\nmax_flip = 0.1", "did you mean 'max_flips'"),
            ('[settle]\norders = "together"\nmargin = 0.5', r"meta_judge\.reading must be 'forced'"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, text, message):
        with pytest.raises(ConfigError, match=message):
            self.load(tmp_path, text)
