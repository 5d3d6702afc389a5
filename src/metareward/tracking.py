"""The loop's own numbers for TensorBoard, W&B and trackio: once for each model, iteration and gate.

What a summary says of a model (scores, lengths, unreadable judgments, known pairs), of an iteration (pairs,
losses, seconds), of its judge gate and of the ladders (Elo) is one row of numbers at the step of the model's
or the iteration's number. Rows that were told stay told; one that has changed is told again.
"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.errors import StoreError
from metareward.ids import fingerprint
from metareward.train.tracking import FOLDER, Tracked

SECONDS = 120  # a tracker that takes longer is given up until the next time
_TOLD = "told.json"


def rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, int, dict[str, float]]]:
    """What there is to tell: a name for each row, its step, and its numbers. The unknown is left out."""
    for number, model in enumerate(summary.get("models") or ()):
        yield f"model {number}", number, _numbers("model", model)
    for iteration in summary.get("iterations") or ():
        number = int(iteration["iteration"])
        yield f"iteration {number}", number, _numbers("iteration", iteration)
    for gate in summary.get("judge_gates") or ():
        number = int(gate["iteration"])
        yield f"judge gate {number}", number, _numbers("judge_gate", gate)
    for number, attack in enumerate(summary.get("attacks") or ()):
        yield f"attack {number}", number, _numbers("attack", attack)
    for name, ladder in (summary.get("ladders") or {}).items():
        for number, rung in enumerate(_rungs(ladder)):
            yield f"ladder {name} {number}", number, _numbers(f"ladder/{name}", rung)


def tell(root: Path, trackers: Sequence[str], summary: Mapping[str, Any]) -> list[str]:
    """Tell each tracker what it was not told of the run in `root`; returns what went wrong, in sentences."""
    if not trackers:
        return []
    told, problems = _told(root), []
    for tracker in trackers:
        before = told.get(tracker, {})
        marks = {name: fingerprint(numbers) for name, _, numbers in rows(summary) if numbers}
        new = [
            {"step": step, "numbers": numbers}
            for name, step, numbers in rows(summary)
            if numbers and before.get(name) != marks[name]
        ]
        if not new:
            continue
        problem = _tell(root, tracker, sorted(new, key=lambda row: row["step"]))
        if problem:
            problems.append(f"{tracker} was not told the loop's numbers: {problem}")
        else:
            told[tracker] = {**before, **marks}
            disk.make_directory(root / FOLDER)
            disk.write_json(root / FOLDER / _TOLD, told)
    return problems


def _tell(root: Path, tracker: str, new: list[dict[str, Any]]) -> str | None:
    """Hand rows to a child process; None if it took them."""
    about = Tracked.loop(root, fingerprint(str(root.absolute())))
    file = root / FOLDER / f"{tracker}.json"
    about.folder.mkdir(parents=True, exist_ok=True)
    named = {"project": about.project, "name": about.name, "id": about.id, "folder": str(about.folder)}
    disk.write_json(file, {"tracker": tracker, **named, "rows": new})
    command = [sys.executable, "-m", "metareward.train.tell", str(file)]
    try:
        done = subprocess.run(
            command,
            env={**about.variables, **os.environ},
            capture_output=True,
            text=True,
            errors="replace",
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return f"it took more than {SECONDS} seconds"
    finally:
        file.unlink(missing_ok=True)
    if done.returncode == 0:
        return None
    lines = [line for line in done.stderr.splitlines() if line.strip()]
    return lines[-1].strip() if lines else f"its process ended with status {done.returncode}"


def _told(root: Path) -> dict[str, dict[str, str]]:
    """What earlier sessions told, by tracker and row. A file that cannot be read means: nothing."""
    with suppress(OSError, ValueError, StoreError):
        found = json.loads((root / FOLDER / _TOLD).read_text(encoding="utf-8"))
        if isinstance(found, dict) and all(isinstance(each, dict) for each in found.values()):
            return found
    return {}


def _rungs(ladder: Any) -> list[Any]:
    """The entries of a ladder, model by model."""
    return list(ladder or ())


def _numbers(prefix: str, value: Any) -> dict[str, float]:
    """Every finite number of nested mappings and lists, under its path."""
    if isinstance(value, bool):
        return {prefix: float(value)}
    if isinstance(value, int | float):
        return {prefix: float(value)} if math.isfinite(value) else {}
    items: Any = ()
    if isinstance(value, Mapping):
        items = value.items()
    elif isinstance(value, list | tuple):
        items = enumerate(value)
    found: dict[str, float] = {}
    for name, part in items:
        found |= _numbers(f"{prefix}/{name}", part)
    return found
