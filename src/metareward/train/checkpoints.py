"""Which checkpoint of a training may be trusted: only one whose marker was written after all the rest."""

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.errors import StoreError

MARKER = "COMPLETE.json"
PREFIX = "checkpoint-"
_FILES = "files"


def seal(checkpoint: Path, facts: Mapping[str, Any]) -> None:
    """Declare a checkpoint complete: all of it is on the disk before its marker, which has its digests."""
    disk.sync_tree(checkpoint)
    disk.write_checked(checkpoint / MARKER, {**facts, _FILES: disk.digests(checkpoint, but=MARKER)})


def last_complete(folder: Path) -> Path | None:
    """The complete checkpoint with the most steps. All other checkpoints of the folder are removed."""
    complete = [path for path in _checkpoints(folder) if (path / MARKER).exists()]
    best = max(complete, key=_step, default=None)
    for path in _checkpoints(folder):
        if path != best:
            remove(path)
    return best


def last_unharmed(folder: Path, tell: Callable[[Path], object]) -> Path | None:
    """As `last_complete`, but every byte is checked; a harmed one is set aside and its new place told."""
    best = last_complete(folder)
    if best is None or not _harmed(best):
        return best
    tell(disk.set_aside(best))
    return None


def facts_of(checkpoint: Path) -> dict[str, Any]:
    """What `seal` was given."""
    content = disk.read_checked(checkpoint / MARKER)
    return {name: value for name, value in content.items() if name != _FILES}


def _harmed(checkpoint: Path) -> bool:
    try:
        return bool(disk.harmed(checkpoint, disk.read_checked(checkpoint / MARKER)[_FILES]))
    except StoreError:
        return True


def _checkpoints(folder: Path) -> list[Path]:
    return [path for path in folder.glob(PREFIX + "*") if path.name.removeprefix(PREFIX).isdigit()]


def _step(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix(PREFIX))


def remove(checkpoint: Path) -> None:
    """Marker first, so that a half-removed checkpoint is never taken for a whole one."""
    disk.remove(checkpoint / MARKER)
    shutil.rmtree(checkpoint, ignore_errors=True)
