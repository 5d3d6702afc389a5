"""What carries a cell out in tests: planted results in no time, and ways to come to nothing."""

import os
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from lab_cells import cell as planted_cell
from metareward import disk
from metareward.errors import DataError
from metareward.events import Listener, Noticed, StepStarted
from metareward.lab.cell import RESULT, Cell, read_cell
from metareward.recipes.meta_rewarding import meta_rewarding


def world(folder: Path, *bases: int) -> str:
    """A directory with what looks like base models."""
    for base in bases:
        (folder / f"base-{base}").mkdir(parents=True)
        (folder / f"base-{base}" / "config.json").write_text("{}")
        (folder / f"base-{base}" / "model.safetensors").write_text(f"weights of {base}")
    return str(folder)


def planted(cell: Cell, root: Path, listen: Listener) -> dict[str, Any]:
    """A loop whose truth rises by a tenth an iteration; by its name, a cell comes to something else."""
    if (found := read_cell(root / cell.place / RESULT)) and found["key"] == cell.key:
        return found
    disk.make_directory(root / cell.place)
    with (root / cell.place / "tries").open("a") as tries:
        tries.write("x")
    for number in range(cell.budget.iterations):
        listen(StepStarted(f"iteration {number}", "generate", 4, 0))
    listen(Noticed("", "the judge gate failed (planted)"))
    _WAYS.get(cell.name.partition("-")[0], _nothing)(root / cell.place)
    truths = [3.0 + cell.base / 10 + number / 10 for number in range(cell.budget.iterations + 1)]
    told = planted_cell(cell.name, cell.base, cell.seed, truths)
    told |= {"key": cell.key, "process": os.getpid(), "threads": os.environ.get("OMP_NUM_THREADS")}
    disk.write_json(root / cell.place / RESULT, told)
    return told


def tries(root: Path, cell: str) -> int:
    """How often a cell was carried out."""
    return len((root / cell / "tries").read_text())


def _nothing(folder: Path) -> None:
    pass


def _fails(folder: Path) -> None:
    if not (folder / "mended").exists():
        raise ZeroDivisionError("three divided by nothing")


def _mistakes(folder: Path) -> None:
    raise DataError("the prompts are in another castle")


def _dies(folder: Path) -> None:
    print("famous last words", flush=True)
    os._exit(3)


def _waits(folder: Path) -> None:
    """Until it is interrupted, which it writes down, as a run puts away what it was doing."""
    if (folder / "put away").exists():
        return
    try:
        (folder / "waiting").touch()
        time.sleep(60)
    finally:
        time.sleep(0.3)  # a second interruption would find it here
        (folder / "put away").touch()


_WAYS = {"fails": _fails, "mistakes": _mistakes, "dies": _dies, "waits": _waits}


def own_recipe(  # type: ignore[no-untyped-def]
    run, model, batches, recipe, held_out=None, dev=None
):
    """A user's own: Meta-Rewarding at a higher temperature than it was set."""
    generate = replace(recipe.generate, temperature=1.0)
    return meta_rewarding(run, model, batches, replace(recipe, generate=generate), held_out, dev)
