"""What ends judge training: any failure or a listed signal, as it is set; the first stop counts."""

import dataclasses

import pytest

import loops
from alike_judges import ALIKE, BOTH, AlikeLater, actions, looped, small
from biased_judges import TO_HIGHER, Biased, names
from metareward import config, summary
from metareward.errors import ConfigError
from metareward.history import Gated, History
from metareward.recipes.gate import Gate
from metareward.recipes.judge_gate import LEFT_OUT, GateReport, JudgeGate
from metareward.recipes.settings import Watch
from metareward.stages.meta_judge import MetaJudge


class TestActions:
    def test_any_failure_ends_judge_training_if_that_is_the_action(self, tmp_path):
        settings = small("meta_rewarding", JudgeGate("stop judge"))
        run, _ = looped(tmp_path, "meta_rewarding", settings, TO_HIGHER)
        assert actions(run) == [(0, "stop judge")]
        assert {signal.name for signal in run.history.judge_gates[0].report.failed} >= {"score_preference"}
        assert names(run) == [["actor_pairs"]] * 3

    def test_a_signal_that_is_not_listed_only_does_what_the_action_says(self, tmp_path):
        """The first model's meta-judge prefers the higher score; then judgments become alike."""

        class OnlyFirst(AlikeLater):
            def __call__(self, request, model):
                if request.step == "meta_judge" and model.fingerprint == loops.START.fingerprint:
                    return TO_HIGHER(request, model)
                return AlikeLater.__call__(self, request, model)

        gate = dataclasses.replace(ALIKE, action="drop judge")
        run, _ = looped(tmp_path, "meta_rewarding", small("meta_rewarding", gate), OnlyFirst())
        assert actions(run) == [(0, "drop judge"), (1, "stop judge")]
        assert [round.battles is not None for round in run.history.rounds] == [True, True, False]

    def test_with_all_battles_between_other_scores_there_is_always_something_to_tell_apart(self, tmp_path):
        settings = small("meta_rewarding", meta_judge=MetaJudge(between="different"))
        run, _ = looped(tmp_path, "meta_rewarding", settings, Biased())
        assert "alike" not in run.history.judge_gates[0].report.as_dict()

    def test_pairs_that_an_attack_left_are_left_out_as_well_and_none_are_made_after(self, tmp_path):
        class Fooled(AlikeLater):
            def judge(self, request):
                empty = "quality" not in request.messages[-1].content
                fooled = empty and request.seed % 2 == 0
                return "Splendid.\nScore: 5" if fooled else Biased.judge(self, request)

        attack = Gate(
            enabled=True,
            harden=True,
            items=loops.PAIRS,
            limit=2,
            samples=4,
            families=("null",),
            max_wins=0.99,
        )
        settings = small("meta_rewarding", JudgeGate("stop judge", max_top_share=0.001), attack=attack)
        run, _ = looped(tmp_path, "meta_rewarding", settings, Fooled())
        assert actions(run) == [(0, "stop judge")]
        first, *later = run.history.rounds
        assert [rows.manifest.name for rows in first.left_out] == ["attack_pairs", "judge_pairs"]
        assert all(len(rows) for rows in first.left_out)
        assert names(run) == [["actor_pairs"]] * 3
        assert not any(round.left_out for round in later)
        told = summary.save(run.history, tmp_path)
        accounts = {one["step"]: one for one in told["iterations"][0]["accounts"]}
        for step, rows in zip(("attack_pairs", "judge_pairs"), first.left_out, strict=True):
            assert accounts[step]["left_out"][LEFT_OUT] == len(rows)
            assert accounts[step]["given"] == sum(accounts[step]["left_out"].values())
        assert told["judge_gates"][0]["left_out"] == sum(map(len, first.left_out))

    def test_a_share_of_judge_pairs_does_not_need_any(self, tmp_path):
        iterations = [
            dataclasses.replace(BOTH, max_judge_share=0.3, judge_share_by=by)
            for by in ("weight", "weight", "weight", "sampling")
        ]
        run, _ = looped(tmp_path, "meta_rewarding", small("meta_rewarding", iterations=iterations))
        shares = [
            entry["judge_share_of_weight"] for entry in summary.summarise(run.history, tmp_path)["iterations"]
        ]
        assert shares == [pytest.approx(0.3), 0, 0, 0]

    def test_held_out_models_are_looked_at_to_the_end(self, tmp_path):
        settings = small("meta_rewarding", watch=Watch(1, 2, bank_prompts=0))
        run, _ = looped(tmp_path, "meta_rewarding", settings)
        assert all(look.battles is not None for look in run.history.looks)
        assert len(run.history.looks) == 4


class TestHistory:
    def gated(self, iteration, action):
        return Gated(iteration, loops.START, action, GateReport(()))

    def test_the_first_stop_is_the_one_that_counts(self):
        history = History()
        assert history.judge_stopped is None
        history.judge_gates += [self.gated(0, "none"), self.gated(1, "drop judge")]
        assert history.judge_stopped is None
        history.judge_gates += [self.gated(2, "stop judge"), self.gated(3, "stop judge")]
        assert history.judge_stopped == 2

    def test_iteration_zero_counts(self):
        assert History(judge_gates=[self.gated(0, "stop judge")]).judge_stopped == 0


class TestConfig:
    def load(self, directory, text):
        path = directory / "c.toml"
        path.write_text(text)
        return config.load(path).method.judge_gate

    @pytest.mark.parametrize("recipe", ["meta_rewarding", "combined"])
    def test_from_a_config(self, tmp_path, recipe):
        gate = self.load(
            tmp_path,
            f'recipe = "{recipe}"\n[judge_gate]\naction = "drop judge"\nmax_alike = 0.8\n'
            'stop_judge_when = ["alike", "bank"]\n',
        )
        assert gate == JudgeGate("drop judge", max_alike=0.8, stop_judge_when=("alike", "bank"))
        assert self.load(tmp_path, '[judge_gate]\naction = "stop judge"').action == "stop judge"

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ('stop_judge_when = ["likeness"]', "must be names among .*'likeness'"),
            (
                'stop_judge_when = ["alike"]',
                r"judge_gate\.max_alike must be other than 1, at which it is off",
            ),
            ('stop_judge_when = "alike"', r"judge_gate\.stop_judge_when must be a list"),
            ("max_alike = 2.0", r"judge_gate\.max_alike must be between 0 and 1"),
            ('stop_judge = ["alike"]', "did you mean 'stop_judge_when'"),
            ('action = "stop the judge"', r"judge_gate\.action"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path, text, message):
        with pytest.raises(ConfigError, match=message):
            self.load(tmp_path, f"[judge_gate]\n{text}")

    def test_it_is_off_by_default(self):
        gate = JudgeGate()
        assert (gate.max_alike, gate.stop_judge_when, gate.action) == (1.0, (), "warn")
