"""Checks everything a run has stored against its checksums, and touches nothing."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from metareward.errors import StoreError
from metareward.store import parts
from metareward.store.artifact import Manifest
from metareward.store.confine import check_confined

_HEADER_SIZE = 8  # a safetensors file begins with the length of its header, as 8 little-endian bytes


@dataclass(frozen=True, slots=True)
class Finding:
    """One stored step or model.

    state: `whole`; `unfinished` (rows that lie there will be used, the rest asked); `damaged`.
    rows: unharmed rows on the disk. redo: rows of a once whole step that would be done again; None where
        that cannot be told. damaged: files that would be set aside.
    """

    name: str
    section: str
    state: str
    rows: int
    redo: int | None
    damaged: tuple[str, ...]


def verify(root: Path) -> Iterator[Finding]:
    """A finding for each step and each trained model of the run in `root`.

    StoreError if something in it leads out of it (see `confine`).
    """
    check_confined(root)
    for directory in sorted(path for path in (root / "artifacts").glob("*") if path.is_dir()):
        yield _step(directory)
    for directory in sorted(path for path in (root / "models").glob("*") if path.is_dir()):
        yield _model(directory)


def _step(directory: Path) -> Finding:
    found = parts.find(directory)
    whole = [part for part in found if part.is_whole()]
    counts = {part: count for part in whole if (count := _count(part)) is not None}
    damaged = [part.path.name for part in found if part not in counts]
    rows = sum(count for part, count in counts.items() if part.table == "rows")
    file = directory / "manifest.json"
    if not file.is_file():
        state = "damaged" if damaged else "unfinished"
        return Finding(directory.name, "", state, rows, None, tuple(damaged))
    try:
        manifest = Manifest.load(file)
    except StoreError:
        return Finding(directory.name, "", "damaged", rows, None, (*damaged, file.name))
    missing = sorted(set(manifest.parts) - {part.path.name for part in found})
    harmed = (*damaged, *(f"{name} (missing)" for name in missing))
    state = "damaged" if harmed else "whole"
    return Finding(directory.name, manifest.section, state, rows, manifest.rows - rows, harmed)


def _count(part: parts.Part) -> int | None:
    """Its rows; None if the bytes are what the name says and yet no Parquet."""
    try:
        return part.count()
    except (OSError, pa.ArrowException):
        return None


def _model(directory: Path) -> Finding:
    weights = sorted(directory.glob("*.safetensors"))
    harmed = [path.name for path in weights if not _has_its_length(path)]
    try:
        json.loads((directory / "metareward.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        harmed.append("metareward.json")
    return Finding(f"models/{directory.name}", "", "damaged" if harmed else "whole", 0, None, tuple(harmed))


def _has_its_length(path: Path) -> bool:
    """Whether a safetensors file is as long as its header says."""
    size = path.stat().st_size
    with path.open("rb") as file:
        length = int.from_bytes(file.read(_HEADER_SIZE), "little")
        if _HEADER_SIZE + length > size:
            return False
        try:
            header = json.loads(file.read(length))
            ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return False
    return size == _HEADER_SIZE + length + max(ends, default=0)
