"""Which checkpoint of a training may be trusted: only one whose marker was written after all the rest."""

import json
import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MARKER = "COMPLETE.json"
PREFIX = "checkpoint-"


def seal(checkpoint: Path, facts: Mapping[str, Any]) -> None:
    """Declare a checkpoint complete: everything in it is on the disk before its marker is."""
    sync_tree(checkpoint)
    write_json(checkpoint / MARKER, facts)


def last_complete(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps. All other checkpoints of the folder are removed."""
    complete = [path for path in _checkpoints(folder) if (path / MARKER).exists()]
    best = max(complete, key=_step, default=None)
    for path in _checkpoints(folder):
        if path != best:
            _remove(path)
    return best


def facts_of(checkpoint: Path) -> dict[str, Any]:
    """What `seal` was given."""
    return json.loads((checkpoint / MARKER).read_text())


def sync_tree(folder: Path) -> None:
    """Force every file below a folder, and the folders themselves, to the disk."""
    for path in [*folder.rglob("*"), folder, folder.parent]:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def write_json(path: Path, value: Any) -> None:
    """Write a small file so that it is there whole or not at all."""
    partial = path.with_name(path.name + ".partial")
    with partial.open("w") as file:
        json.dump(value, file, indent=1, sort_keys=True)
        file.flush()
        os.fsync(file.fileno())
    partial.replace(path)


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(PREFIX + "*") if path.name.removeprefix(PREFIX).isdigit()]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def _remove(checkpoint: Path) -> None:
    """Marker first, so that a half-removed checkpoint is never taken for a whole one."""
    (checkpoint / MARKER).unlink(missing_ok=True)
    shutil.rmtree(checkpoint)
