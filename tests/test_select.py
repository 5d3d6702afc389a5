"""An iteration takes the epoch that does best on the dev prompts: planted truths, resume, plan, refusals."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
from metareward import disk, summary
from metareward.cli import render, render_epochs
from metareward.config import RECIPES as CONFIG_RECIPES
from metareward.config import load
from metareward.engines.base import Request
from metareward.errors import ConfigError, StepError
from metareward.ledger import ledger
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.recipes.settings import Iteration, Watch
from metareward.records import Role
from metareward.run import Run
from metareward.session import execute, sketch
from metareward.store.verify import verify
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.fake import FakeTrainer
from metareward.train.job import RESULT, read_result

RECIPES = ("meta_rewarding", "self_rewarding")
SELECT = Iteration(select="dev", roles=(Role.ACTOR,))


@dataclass
class Epochs:
    """A world in which the epochs of a training answer with planted qualities, and some judges are broken."""

    root: Path
    qualities: dict[int, int]
    broken: tuple[int, ...] = ()

    def __call__(self, request: Request, model: Model) -> Any:
        epoch = self.epoch_of(model)
        if request.step == "generate" and epoch:
            return (
                f"An answer of quality {min(5, self.qualities[epoch] + request.seed % 2)}."
                + " Filler." * epoch
            )
        if request.step == "judge" and epoch in self.broken:
            return "This is off by 0.\nScore: 3"
        return planted.World()(request, model)

    def epoch_of(self, model: Model) -> int | None:
        step = self.root / "training" / model.fingerprint / "step.json"
        if not step.is_file():
            return None
        settings = disk.read_checked(step)["step"]
        return settings["stop_after_epoch"] or settings["epochs"]


def select(
    root: Path, world: Epochs, name: str = "meta_rewarding", iterations: Any = (SELECT,), **more: Any
) -> tuple[Run, Model, FakeTrainer, loops.Asked]:
    """A run of 6 prompts an iteration, 2 held out, 4 to select on."""
    recipe, small = loops.RECIPES[name]
    settings = replace(small(), iterations=tuple(iterations), dpo=DPO(batch_size=2, epochs=4))
    settings = replace(settings, watch=more.pop("watch", Watch(2, 2, bank_prompts=4)))
    many, trainer, asked = (
        planted.prompts(6 * len(settings.iterations) + 6),
        FakeTrainer(),
        loops.Asked(world),
    )
    with Run(root, asked, trainer, **more) as run:
        batches = [run.prompts(many[6 + 6 * t :][:6]) for t in range(len(settings.iterations))]
        last = recipe(run, loops.START, batches, settings, run.prompts(many[:2]), run.prompts(many[2:6]))
    return run, last, trainer, asked


def dev_key(run: Run) -> str:
    ids = [prompt.id for prompt in planted.prompts(6)[2:6]]
    (key,) = {
        step.key for _, step in run.store.manifests() if step.name == "prompts" and step.rows == len(ids)
    }
    return key


def choice(run: Run, iteration: int = 0) -> Any:
    training = run.history.rounds[iteration].training
    assert training is not None
    return training.choice


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


CONFIG = """
recipe = "{recipe}"
[machine]
engine = "fake"
[prompts]
per_iteration = 4
held_out = 2
dev = {dev}
[generate]
samples = 3
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 2
[watch]
bank_prompts = 2
[[iterations]]
roles = ["actor"]
select = "dev"
"""


def test_dev_prompts_are_needed_and_are_apart(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(recipe="self_rewarding", dev=0))
    with pytest.raises(ConfigError, match=r"iterations\[0\]\.select must be 'fixed', or \[prompts\] dev"):
        load(file)
    file.write_text(CONFIG.format(recipe="self_rewarding", dev=1))
    with pytest.raises(ConfigError, match=r"prompts\.dev must be 0, or at least 2"):
        load(file)
    with pytest.raises(ConfigError, match="select must be 'fixed' or 'dev'"):
        Iteration(select="best")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="needs prompts to select on"):
        recipe, small = loops.RECIPES["self_rewarding"]
        many = planted.prompts(6)
        with Run(tmp_path / "run", loops.Asked(planted.World()), FakeTrainer()) as run:
            recipe(run, loops.START, [run.prompts(many)], replace(small(), iterations=(SELECT,)))


@pytest.mark.parametrize("recipe", sorted(CONFIG_RECIPES))
def test_a_config_with_dev_prompts_runs_is_planned_and_recorded(tmp_path: Path, recipe: str):
    file = tmp_path / "config.toml"
    file.write_text(CONFIG.format(recipe=recipe, dev=3))
    config = load(file, tmp_path / "run")
    ahead = recipe in ("combined", "temporal")  # whose model of the future is one more
    assert sketch(config).models_to_keep == 2 + ahead
    told = execute(config, loops.Heard())
    assert told["iterations"][0]["selection"]["epoch"] in (1, 2)
    assert {step.state for step in sketch(config).steps} == {"done"}
