"""Biases of a meta-judge in the loop: the gate names each that is planted, and settings keep them out."""

import dataclasses

import pytest

import biased_judges
import loops
from biased_judges import FAIR, TO_FIRST, TO_HIGHER, Biased, failed, gated, looped, names, settings
from metareward.errors import ConfigError
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.settings import Watch
from metareward.records import Battle, Role
from metareward.stages.matching import stated
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair_judge import JudgePairs
from metareward.stages.settle import Settle
from pairing_worlds import pairs

SCORE = {"score_preference", "score_lean"}
POSITION = {"position", "flips"}


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
