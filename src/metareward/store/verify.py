"""Checks everything a run has stored against its checksums, and touches nothing."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from metareward import disk
from metareward.errors import StoreError
from metareward.store import parts
from metareward.store.artifact import Manifest
from metareward.store.confine import check_confined
from metareward.store.store import CURRENT, MANIFEST, QUESTION, harmed_in, question_of

_RESULT, _CHECKPOINT = "metareward.json", "COMPLETE.json"
_TRAINED_AGAIN = "the model is set aside and trained again"
_REWRITTEN = ("run.json", CURRENT)


@dataclass(frozen=True, slots=True)
class Finding:
    """One stored step, model or file of a run.

    state: `whole`; `unfinished` (rows that lie there will be used, the rest asked); `damaged`.
    rows: unharmed rows on the disk. redo: rows of a once whole step (pairs of a once whole training) that
        would be done again; None where that cannot be told. damaged: files that would be set aside.
    """

    name: str
    section: str
    state: str
    rows: int
    redo: int | None
    damaged: tuple[str, ...]
    note: str = ""


def verify(root: Path) -> Iterator[Finding]:
    """A finding for each step, each trained model and each training under way of the run in `root`, and
    for each harmed file beside them. Reads every byte.

    StoreError if something in it leads out of it (see `confine`).
    """
    check_confined(root)
    yield from _files(root)
    for directory in _folders(root / "artifacts"):
        yield _step(directory)
    for directory in _folders(root / "models"):
        yield _model(directory)
    for directory in _folders(root / "training"):
        if any(directory.glob(f"checkpoints/*/{_CHECKPOINT}")):
            yield _training(directory)


def _folders(parent: Path) -> list[Path]:
    """The folders that are used: not those in the making, not those set aside."""
    return sorted(path for path in parent.glob("*") if path.is_dir() and "." not in path.name)


def _files(root: Path) -> Iterator[Finding]:
    """What lies beside the steps. The config is compared before a run goes on; the rest is written anew."""
    for name in ("config.json", *_REWRITTEN):
        file = root / name
        try:
            if file.is_file():
                disk.read_checked(file)
        except StoreError:
            note = "is written anew by the next run" if name in _REWRITTEN else "remove it to go on"
            yield Finding(name, "", "damaged", 0, 0, (name,), note)
    for file in sorted([*root.glob("sessions/*.json"), *root.glob("training/*/step.json")]):
        try:
            if file.stat().st_size:  # a session that was killed at once has left an empty one
                disk.read_checked(file)
        except StoreError:
            note = "a record; nothing is done again"
            yield Finding(str(file.relative_to(root)), "", "damaged", 0, 0, (file.name,), note)


def _step(directory: Path) -> Finding:
    harmed = harmed_in(directory)
    usable = [part for part in parts.find(directory) if part.path not in harmed]
    rows = sum(part.count() for part in usable if part.table == "rows")
    names = [path.name for path in harmed if path.name != MANIFEST]
    file = directory / MANIFEST
    section, redo, note = "", None, ""
    if file.is_file():
        try:
            manifest = Manifest.load(file)
        except StoreError:
            names.append(file.name)
        else:
            section, redo = manifest.section, manifest.rows - rows
            note = ("asked again" if manifest.model else "worked out again") if redo else ""
            here = {part.path.name for part in parts.find(directory)}
            names += [f"{name} (missing)" for name in sorted(set(manifest.parts) - here)]
    if (directory / QUESTION).is_file() and question_of(directory) is None:
        names.append(QUESTION)
    state = "damaged" if names else "whole" if file.is_file() else "unfinished"
    return Finding(directory.name, section, state, rows, redo, tuple(names), note)


def _model(directory: Path) -> Finding:
    name = f"models/{directory.name}"
    try:
        result = disk.read_checked(directory / _RESULT)
    except StoreError:
        return Finding(name, "", "damaged", 0, None, (_RESULT,), _TRAINED_AGAIN)
    harmed = tuple(disk.harmed(directory, result["files"]))
    redo = result["pairs_used"] if harmed else 0
    state, note = ("damaged", _TRAINED_AGAIN) if harmed else ("whole", "")
    return Finding(name, "", state, 0, redo, harmed, note)


def _training(directory: Path) -> Finding:
    """A training that is not finished: would its checkpoint be used?"""
    harmed = []
    for marker in sorted(directory.glob(f"checkpoints/*/{_CHECKPOINT}")):
        try:
            files = disk.harmed(marker.parent, disk.read_checked(marker)["files"])
        except StoreError:
            files = [marker.name]
        harmed += [f"{marker.parent.name}/{file}" for file in files]
    state, note = ("damaged", "begun again from the first step") if harmed else ("unfinished", "")
    return Finding(f"training/{directory.name}", "", state, 0, None, tuple(harmed), note)
