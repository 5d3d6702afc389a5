"""Evaluation fine-tuning in whole loops on the fake engine: what is trained, kept apart, and said."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
import ranked_worlds
from metareward import summary
from metareward.errors import NoPairsError
from metareward.paper import Paper
from metareward.recipes.eft import EFT
from metareward.records import Demonstration
from metareward.supervision import SupervisionLevel
from metareward.train.fake import FakeTrainer
from metareward.train.sft import SFT

NAMES = sorted(loops.RECIPES)


def eft(folder: Path, **changes: Any) -> EFT:
    source = ranked_worlds.write(folder / "ranked.jsonl", ranked_worlds.usual(30))
    settings = {"held_out": 10, "sft": SFT(batch_size=4, epochs=2, stop_after_epoch=1)}
    return EFT(enabled=True, source=source, **{**settings, **changes})


def run_with(folder: Path, name: str, tuning: EFT, world: Any = None, trainer: Any = None) -> Any:
    settings = replace(loops.RECIPES[name][1](), eft=tuning)
    asked = loops.Asked(world or planted.World())
    folder.mkdir(exist_ok=True)
    return loops.loop(folder / "run", asked, name, settings, trainer=trainer), asked


@pytest.mark.parametrize("name", NAMES)
def test_the_loop_begins_with_the_fine_tuned_model(tmp_path, name):
    trainer = FakeTrainer()
    (run, _), _ = run_with(tmp_path, name, eft(tmp_path), trainer=trainer)
    tuned = run.history.tuned
    assert tuned is not None
    first, second = trainer.jobs[:2]
    assert isinstance(first.dpo, SFT)
    assert (first.start, second.start) == (loops.START.path, tuned.trained.path)
    assert run.history.looks[0].model.fingerprint == tuned.trained.fingerprint == first.key
    assert run.history.looks[0].model.name == "M0"


def test_only_judgments_that_agree_with_people_are_taken_and_the_sign_flips_with_the_judge(tmp_path):
    (run, _), _ = run_with(tmp_path, "self_rewarding", eft(tmp_path))
    rows = list(run.history.tuned.demonstrations)
    assert len(rows) > 100
    assert all(
        planted.quality_of(row.messages[0].content) == pytest.approx(row.score, abs=0.21) for row in rows
    )
    with pytest.raises(NoPairsError, match=r"no judgment is left.*order disagrees with people"):
        run_with(tmp_path / "flipped", "self_rewarding", eft(tmp_path), planted.World(flipped=True))


def test_the_verdict_of_people_follows_their_ranks_whatever_the_judge_says(tmp_path):
    for justification in ("own", "neutral"):
        tuning = eft(tmp_path, verdict="human", justification=justification)
        (run, _), asked = run_with(tmp_path / justification, "self_rewarding", tuning, planted.World(True))
        rows = list(run.history.tuned.demonstrations)
        means = {q: {row.score for row in rows if row.quality == q / 5} for q in (1, 3, 5)}
        assert means == {1: {1}, 3: {3}, 5: {5}}
        assert all(row.text.endswith(f"\nScore: {row.score:g}") for row in rows)
        assert all(("This is off by" in row.text) == (justification == "own") for row in rows)
        assert tuning.how in str(run.history.supervision)
        assert asked.requests


def test_nothing_held_out_is_trained_on_and_every_prompt_is_on_one_side(tmp_path):
    (run, _), _ = run_with(tmp_path, "self_rewarding", eft(tmp_path))
    found = eft(tmp_path).read()
    held = {prompt.id for prompt in found.held_out.prompts}
    trained = {row.prompt_id for row in run.history.tuned.taken}
    assert len(held) == 10
    assert trained
    assert not held & trained
    assert len(held | {prompt.id for prompt in found.train.prompts}) == 30


def test_the_judge_is_measured_before_and_after_with_the_baseline_beside_it(tmp_path):
    (run, _), _ = run_with(tmp_path, "self_rewarding", eft(tmp_path))
    for said in (run.history.tuned.before, run.history.tuned.after):
        assert said["readable"]["value"] == 1
        assert said["pairwise"]["value"] == said["pairwise_shorter_is_better"]["value"] == 1
        assert 0.5 < said["length_baseline"]["value"] < 0.9
    (run, _), _ = run_with(tmp_path / "mute", "self_rewarding", eft(tmp_path, verdict="human"), _mute)
    before = run.history.tuned.before
    assert before["pairwise"] is None
    assert "no rank agreement" in before["why"]
    assert before["readable"]["value"] == 0


def _mute(request: Any, model: Any) -> Any:
    """Never gives a verdict while it judges responses that people ranked."""
    if request.step == "judge" and model.fingerprint == loops.START.fingerprint:
        return "It is what it is. I cannot say."
    return planted.World()(request, model)


@pytest.mark.parametrize(
    "changes", [{}, {"verdict": "human", "justification": "neutral"}, {"verdict": "human"}]
)
def test_on_paper_every_step_has_the_key_it_will_have(tmp_path, changes):
    recipe, small = loops.RECIPES["meta_rewarding"]
    settings = replace(small(), eft=eft(tmp_path, **changes))
    many = planted.prompts(14)

    def plan():
        paper = Paper(tmp_path / "run")
        held_out = paper.prompts(many[:2])
        recipe(paper, loops.START, [paper.prompts(many[2:8]), paper.prompts(many[8:])], settings, held_out)
        return paper.steps

    before = plan()
    (run, _), _ = run_with(tmp_path, "meta_rewarding", settings.eft)
    after = plan()
    assert [step.key for step in before] == [step.key for step in after]
    assert {step.state for step in after} == {"done"}
    assert all(early.calls >= late.calls for early, late in zip(before, after, strict=True))
    assert run.history.tuned.trained.fingerprint in {step.key for step in before if step.step == "train"}


def test_a_second_run_repeats_nothing(tmp_path):
    tuning = eft(tmp_path)
    (run, model), _ = run_with(tmp_path, "meta_rewarding", tuning)
    (again, same), asked = run_with(tmp_path, "meta_rewarding", tuning)
    assert not asked.opened
    assert model == same
    assert list(again.history.tuned.taken) == list(run.history.tuned.taken)


def test_the_summary_says_what_it_learnt_from_and_the_counts_add_up(tmp_path):
    tuning = eft(tmp_path, max_response_characters=140)
    (run, _), _ = run_with(tmp_path, "self_rewarding", tuning)
    said = summary.summarise(run.history, run.store.root)
    assert said["supervision"] == "EFT from human ranks (ranked.jsonl, sampled judgments)"
    assert run.history.supervision.level is SupervisionLevel.EFT_HUMAN_RANKS
    tuned, found = said["eft"], run.history.tuned
    assert tuned["demonstrations"] == len(found.demonstrations)
    dropped = found.demonstrations.manifest.dropped
    assert len(found.demonstrations) + sum(dropped.values()) == 3 * len(tuning.read().train.responses)
    distinct = {(row.response_id, row.judgment_id) for row in found.taken}
    assert len(distinct) + sum(found.taken.manifest.dropped.values()) == len(found.demonstrations)
    assert all(isinstance(row, Demonstration) for row in found.taken)
    assert tuned["left_out"]["response too long"] > 0


def test_off_it_changes_nothing(tmp_path):
    (run, _), _ = run_with(tmp_path, "meta_rewarding", EFT())
    assert run.history.tuned is None
    assert str(run.history.supervision) == "none"
    assert summary.summarise(run.history, run.store.root)["eft"] is None
