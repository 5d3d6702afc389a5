"""One cell of a comparison: a condition, a base model and a seed, carried out as any run is."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from metareward import disk, summary
from metareward.engines.base import OpenEngine
from metareward.errors import NoPairsError, UserError
from metareward.evaluate.base import Evaluations
from metareward.events import Listener, Noticed, ignore
from metareward.ids import fingerprint
from metareward.lab.bases import PLAIN, packed_fingerprint, unpack
from metareward.lab.conditions import Budget, Condition
from metareward.lab.measure import AgainstTruth
from metareward.lab.world import prompts
from metareward.run import Run
from metareward.train.dpo import TrainMachine

RESULT = "cell.json"
MACHINE = TrainMachine(pairs_per_device=32, share_prompt=False, checkpoint_minutes=60)
_ROWS, _SLOTS = 768, 200_000


@dataclass(frozen=True)
class Cell:
    """What one loop is: everything its result depends on."""

    name: str
    condition: Condition
    budget: Budget
    base: int
    seed: int
    world: str = PLAIN

    @property
    def place(self) -> str:
        """Where it lies below the comparison's directory."""
        return f"base-{self.base}/seed-{self.seed}/{self.name}"

    def method(self) -> Any:
        """The recipe's settings, and how each of its models is measured: sampled as the budget says, so that
        conditions which sample otherwise are measured alike.
        """
        settings, common = self.condition.settings(self.budget, self.seed), self.budget.common(self.seed)
        battles = getattr(settings, "meta_judge", None) or self.budget.battles(self.seed)
        battles = replace(battles, between="all", max_length_ratio=None)
        against = AgainstTruth(common["generate"], common["judge"], battles, seed=self.seed)
        return replace(settings, evaluate=Evaluations((against,)))

    @property
    def key(self) -> str:
        """The name of its result."""
        recipe = getattr(self.condition.recipe, "__qualname__", "")
        settings = (self.method(), self.budget)
        return fingerprint("cell", recipe, *settings, packed_fingerprint(self.base, self.world), self.seed)


def run_cell(cell: Cell, root: Path, listen: Listener = ignore) -> dict[str, Any]:
    """Carry a cell out below `root`, or go on with it, or find its result; returns what it came to.

    A loop that runs out of pairs ends there, and says so: its last model stands for those that never were.
    """
    folder, key = root / cell.place, cell.key
    if (found := read_cell(folder / RESULT)) and found["key"] == key:
        return found
    warnings: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, Noticed):
            warnings.append(f"{event.section}: {event.message}")
        listen(event)

    told = _carry_out(cell, cell.method(), root, hear)
    about = {"key": key, "condition": cell.name, "base": cell.base, "seed": cell.seed, "warnings": warnings}
    disk.write_json(folder / RESULT, {**about, **told})
    return {**about, **told}


def open_engine() -> OpenEngine:
    """The engine of the lab's models, with room for many of their short rows."""
    from metareward.engines.transformers import open_transformers

    return open_transformers("cpu", "float32", _SLOTS, _ROWS, window=8 * _ROWS)


def read_cell(file: Path) -> dict[str, Any] | None:
    """What a cell came to; None if it has not ended, or cannot be read."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and "key" in found else None


def _carry_out(cell: Cell, method: Any, root: Path, hear: Listener) -> dict[str, Any]:
    from metareward.train.inline import train_inline

    start = unpack(cell.base, root / f"base-{cell.base}" / "model", cell.world)
    ended = None
    with Run(root / cell.place, open_engine(), train_inline, MACHINE, hear) as run:
        batches = [run.prompts(batch) for batch in _batches(cell.budget, cell.seed)]
        try:
            cell.condition.recipe(run, start, batches, method)
        except NoPairsError as error:
            ended = str(error).partition("\n")[0]
        told = summary.summarise(run.history, run.store.root)
    return {
        "models": _measured(told["models"], cell),
        "iterations": told["iterations"],
        "gates": told["judge_gates"],
        "ended": ended,
    }


def _measured(models: Sequence[dict[str, Any]], cell: Cell) -> list[dict[str, Any]]:
    """Every model with what is true of it. UserError if a recipe has not looked at one."""
    found = [{"model": each["model"], **each["evaluations"].get(AgainstTruth.name, {})} for each in models]
    if not found or not all("actor" in each for each in found):
        raise UserError(
            f"{cell.name}: a model was never measured; a recipe looks at every model, the first one too, "
            "with `Watcher.look` and the evaluations of its settings"
        )
    return found


def _batches(budget: Budget, seed: int) -> list[Sequence[Any]]:
    asked = prompts("train", budget.prompts * budget.iterations, seed)
    return [asked[begin : begin + budget.prompts] for begin in range(0, len(asked), budget.prompts)]
