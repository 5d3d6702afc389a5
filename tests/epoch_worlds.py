"""A world in which the epochs of a training answer with planted qualities, and runs that take the best."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import loops
import planted
from metareward import disk
from metareward.engines.base import Request
from metareward.models.base import Model
from metareward.recipes.settings import Iteration, Watch
from metareward.records import Role
from metareward.run import Run
from metareward.train.dpo import DPO
from metareward.train.fake import FakeTrainer

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


def choice(run: Run, iteration: int = 0) -> Any:
    training = run.history.rounds[iteration].training
    assert training is not None
    return training.choice
