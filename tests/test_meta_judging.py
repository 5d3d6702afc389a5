"""Who meta-judges, and how judge training is set in a config."""

import dataclasses

import pytest

import loops
import planted
from biased_judges import FAIR, looped, settings
from metareward import config
from metareward.errors import ConfigError
from metareward.recipes.combined import Combined
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.meta_rewarding import MetaRewarding
from metareward.stages.settle import Settle


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
