"""The reference model's log-probabilities of a training's answers, stored once for all its sessions."""

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from metareward import disk
from metareward.errors import StoreError

COLUMNS = ("ref_chosen_logps", "ref_rejected_logps")


def store(file: Path, chosen: Any, rejected: Any) -> None:
    """Write the sums of log-probabilities [pairs], in natural log units, atomically."""
    content = io.BytesIO()
    np.savez(content, **dict(zip(COLUMNS, (chosen, rejected), strict=True)))
    disk.replace(file, content.getvalue())


def load(file: Path, pairs: int) -> dict[str, Any]:
    """What was stored, by column. StoreError if it is damaged (numpy's archive has checksums)."""
    try:
        with np.load(io.BytesIO(file.read_bytes()), allow_pickle=False) as stored:
            columns = {name: stored[name] for name in COLUMNS}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{file}: damaged ({error})") from error
    if any(len(column) != pairs for column in columns.values()):
        raise StoreError(f"{file}: damaged (it is not about {pairs} pairs)")
    return columns


def usable(file: Path, pairs: int) -> bool:
    """Whether it lies there and is whole; one that is damaged is set aside."""
    if not file.exists():
        return False
    try:
        load(file, pairs)
    except StoreError:
        disk.set_aside(file)
        return False
    return True
