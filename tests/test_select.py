"""An iteration takes the epoch that does best on the dev prompts: planted truths, resume, what is told."""

from dataclasses import replace
from pathlib import Path

import pytest

import loops
import planted
from epoch_worlds import SELECT, Epochs, choice, select
from metareward import summary
from metareward.cli import render, render_epochs
from metareward.recipes.settings import Watch
from metareward.run import Run

RECIPES = ("meta_rewarding", "self_rewarding")


def dev_key(run: Run) -> str:
    ids = [prompt.id for prompt in planted.prompts(6)[2:6]]
    (key,) = {
        step.key for _, step in run.store.manifests() if step.name == "prompts" and step.rows == len(ids)
    }
    return key


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize("best", [1, 2, 4])
def test_the_epoch_with_the_best_answers_becomes_the_next_model(tmp_path: Path, name: str, best: int):
    world = Epochs(tmp_path, {epoch: 4 if epoch == best else 1 for epoch in range(1, 5)})
    run, last, trainer, _ = select(tmp_path, world, name)
    assert choice(run).epoch == best
    assert world.epoch_of(last) == best
    assert len(trainer.jobs) == 1, "all epochs are one training"
    assert (last.name, last.fingerprint) == ("M1", run.history.rounds[0].trained.fingerprint)
    assert run.history.looks[-1].model == last
    scores = {each.epoch: each.actor_score for each in choice(run).epochs}
    assert max(scores, key=lambda epoch: scores[epoch] or 0) == best
    lengths = [each.mean_length for each in choice(run).epochs]
    assert lengths == sorted(lengths)
    assert lengths[0] < lengths[-1]


def test_an_epoch_whose_judge_is_broken_is_passed_over(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2}, broken=(2,))
    run, last, _, _ = select(tmp_path, world)
    assert world.epoch_of(last) == 3
    assert [each.judge_holds for each in choice(run).epochs] == [True, False, True, True]
    assert choice(run).epochs[1].judge_accuracy == 0.5
    free, _, _, _ = select(tmp_path / "free", replace(world, root=tmp_path / "free"), watch=Watch(2, 2, 0))
    assert choice(free).epoch == 2, "without a bank the answers alone decide"


def test_the_dev_prompts_are_scored_by_the_first_model_and_never_trained_on_or_reported(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    run, _, _, asked = select(tmp_path, world, iterations=(SELECT, SELECT))
    dev = {prompt.id for prompt in planted.prompts(18)[2:6]}
    trained = {pair.prompt_id for round in run.history.rounds for part in round.pairs for pair in part}
    reported = {answer.prompt_id for look in run.history.looks for answer in look.answers}
    assert not dev & trained
    assert not dev & reported
    texts = {prompt.messages[0].content for prompt in planted.prompts(18)[2:6]}
    seen = [
        request for request in asked.requests if any(text in request.messages[-1].content for text in texts)
    ]
    assert {request.step for request in seen} == {"generate", "judge"}
    steps = {step.key: step for _, step in run.store.manifests()}
    made = {
        step.key for step in steps.values() if step.name == "generate" and step.section.startswith("iter")
    }
    of_dev = [step for step in steps.values() if step.name == "judge" and step.inputs[0] == dev_key(run)]
    refereed = [step for step in of_dev if step.inputs[1] in made]
    assert len(refereed) == 8, "four epochs of two iterations"
    assert {step.model for step in refereed} == {loops.START.fingerprint}
    banks = {step.inputs[1] for step in of_dev} - made
    assert len(banks) == 1, "one bank for all epochs of all iterations"
    assert steps[steps[banks.pop()].inputs[1]].model == loops.START.fingerprint
    assert len(asked.opened) < 40, "models are not loaded and unloaded for every epoch twice"


def test_later_iterations_go_on_from_the_chosen_epoch(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    run, last, trainer, _ = select(
        tmp_path, world, iterations=(SELECT, SELECT, replace(SELECT, select="fixed"))
    )
    assert [round.start.name for round in run.history.rounds] == ["M0", "M1", "M2"]
    assert [job.start for job in trainer.jobs[1:]] == [round.trained.path for round in run.history.rounds[:2]]
    assert [world.epoch_of(round.trained) for round in run.history.rounds] == [2, 2, 4]
    assert run.history.rounds[2].training.choice is None  # type: ignore[union-attr]
    assert last.name == "M3"


def test_a_second_run_asks_nothing_trains_nothing_and_takes_the_same(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    run, last, _, _ = select(tmp_path, world)
    again, last_again, trainer, asked = select(tmp_path, world)
    assert not asked.opened
    assert not trainer.jobs
    assert (last_again, choice(again)) == (last, choice(run))


def test_a_run_that_was_fixed_at_an_epoch_shares_its_weights(tmp_path: Path):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2})
    select(tmp_path, world)
    fixed = replace(SELECT, select="fixed", stop_after_epoch=3)
    run, last, trainer, _ = select(tmp_path, world, iterations=(fixed,))
    assert not trainer.jobs
    assert world.epoch_of(last) == 3
    back, _, trainer, _ = select(tmp_path, world, iterations=(replace(SELECT, stop_after_epoch=3),))
    assert not trainer.jobs
    assert [each.epoch for each in choice(back).epochs] == [1, 2, 3], "stop_after_epoch is the last looked at"
    assert run.history.rounds[0].training.choice is None  # type: ignore[union-attr]


def test_the_summary_and_the_screen_have_every_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    world = Epochs(tmp_path, {1: 1, 2: 4, 3: 3, 4: 2}, broken=(3,))
    run, _, _, _ = select(tmp_path, world, iterations=(SELECT, replace(SELECT, select="fixed")))
    first, second = summary.summarise(run.history, tmp_path)["iterations"]
    assert first["selection"] == choice(run).as_dict()
    assert second["selection"] is None
    (table,) = render_epochs.tables([first, second])
    render.out.print(table)
    said = " ".join(capsys.readouterr().out.split())
    assert "Iteration 0: epoch 2 is taken" in said
    assert table.row_count == 4
    marks = [str(cell) for cell in table.columns[-1].cells]
    assert marks == ["", "taken", "judge worse than at the start", ""]
