"""What a choice among epochs costs: weights that are kept or removed, one training, and the plan of it."""

from dataclasses import replace
from pathlib import Path

import pytest

import loops
import planted
from epoch_worlds import SELECT, Epochs, choice, select
from metareward import summary
from metareward.cli import render
from metareward.errors import StepError
from metareward.ledger import ledger
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.recipes.settings import Watch
from metareward.store.verify import verify
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import RESULT, read_result


def models_with_weights(root: Path) -> int:
    return len(list(root.glob("models/*/weights.txt")))


def test_epochs_are_kept_unless_the_machine_says_otherwise(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    _, last, _, _ = select(tmp_path, world)
    assert models_with_weights(tmp_path) == 4
    thrifty = TrainMachine(keep_epochs=False)
    _, again, trainer, asked = select(tmp_path, world, machine=thrifty)
    assert models_with_weights(tmp_path) == 1
    assert (Path(last.path) / "weights.txt").exists()
    assert not trainer.jobs
    assert not asked.opened
    assert again == last
    assert {finding.state for finding in verify(tmp_path)} == {"whole"}
    resumed, third, trainer, asked = select(tmp_path, world, machine=thrifty)
    assert (third, trainer.jobs, asked.opened) == (last, [], []), "what was removed is not trained again"
    assert choice(resumed).epoch == 2


def test_removed_weights_that_are_asked_again_say_what_to_do(tmp_path: Path):
    world, thrifty = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2}), TrainMachine(keep_epochs=False)
    select(tmp_path, world, machine=thrifty)
    with pytest.raises(StepError, match=r"weights of this epoch were removed \(keep_epochs = false"):
        select(tmp_path, world, machine=thrifty, watch=Watch(3, 2, bank_prompts=4))


def test_removed_weights_that_are_trained_on_are_trained_again(tmp_path: Path):
    world, thrifty = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2}), TrainMachine(keep_epochs=False)
    select(tmp_path, world, machine=thrifty)
    fixed = replace(SELECT, select="fixed", stop_after_epoch=3)
    _, last, trainer, _ = select(tmp_path, world, iterations=(fixed,), machine=thrifty)
    assert [job.dpo.stop_after_epoch for job in trainer.jobs] == [3]
    assert (Path(last.path) / "weights.txt").exists()


def test_what_all_epochs_cost_is_told_once(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    run, _, _, _ = select(tmp_path, world)
    for path in tmp_path.glob("models/*"):
        result = read_result(path / RESULT)
        from metareward.train.job import write_result

        write_result(path, replace(result, tokens=100 * result.steps, seconds=float(result.steps)))
    steps = max(read_result(path / RESULT).steps for path in tmp_path.glob("models/*"))
    told = ledger(tmp_path)
    assert sum(line.trained_tokens for line in told.lines) == 100 * steps
    entry = summary.summarise(run.history, tmp_path)["iterations"][0]
    assert entry["seconds"]["train"] == steps
    assert entry["tokens"]["train"]["trained"] == 100 * steps


def test_the_plan_counts_one_training_and_the_models_it_keeps(tmp_path: Path):
    recipe, small = loops.RECIPES["meta_rewarding"]
    settings = replace(small(), iterations=(SELECT,), dpo=DPO(batch_size=2, epochs=4), watch=Watch(2, 2, 4))
    many = planted.prompts(12)

    def plan() -> Paper:
        paper = Paper(tmp_path)
        parts = [paper.prompts(many[6:])], settings, paper.prompts(many[:2]), paper.prompts(many[2:6])
        recipe(paper, loops.START, *parts)
        return paper

    before = plan()
    trainings = [step for step in before.steps if step.step == "train"]
    assert [(step.models, step.state) for step in trainings] == [(4, "to do")]
    assert (before.models_to_keep, before.as_dict()["models_to_keep"], before.model_bytes) == (4, 4, None)
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    run, last, _, _ = select(tmp_path, world)
    after = plan()
    assert {step.state for step in after.steps} == {"done"}
    assert after.models_to_keep == 0
    assert len(after.steps) == len(before.steps)
    dev = [step for step in before.steps if step.section.startswith("iteration 0")]
    asked = [step.step for step in dev if step.step != "train"]
    assert asked.count("generate") == 1 + 1 + 4, "the batch, the first model on dev, and each epoch"
    planned = [step.key for step in after.steps if step.section == "held-out M1"]
    assert planned != [step.key for step in before.steps if step.section == "held-out M1"]
    assert any(last.fingerprint in name for name in (path.name for path in tmp_path.glob("models/*")))
    assert run.history.rounds[0].trained.fingerprint == last.fingerprint


def test_a_plan_knows_the_size_of_a_model_that_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    start = tmp_path / "start"
    start.mkdir()
    (start / "model.safetensors").write_bytes(b"x" * 500)
    (start / "model-2.safetensors").write_bytes(b"x" * 500)
    paper = Paper(tmp_path / "run")
    prompts = paper.prompts(planted.prompts(3))
    model = Model("start", str(start), "f0")
    paper.train_epochs(DPO(), [prompts], model, model, (1, 2, 10))
    assert (paper.model_bytes, paper.models_to_keep) == (1000, 3)
    render.plan(paper)
    assert "kept on the disk: 3, about 0.0 GB" in capsys.readouterr().out
