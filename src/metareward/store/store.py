"""The store of one run: artifacts by key, rows that siblings already paid for, damage set aside."""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

from metareward import disk
from metareward.errors import StoreError
from metareward.store import parts
from metareward.store.artifact import Artifact, Manifest, selected
from metareward.store.confine import check_confined
from metareward.store.places import Ids, Positions

R = TypeVar("R")
CURRENT = "current.json"
MANIFEST = "manifest.json"
QUESTION = "question"


class Store:
    """Artifacts below `root/artifacts`, one directory each, named by step and key.

    mend: set damaged files aside and remove what killed processes left. Only for who has claimed the run;
    without it nothing is ever changed, and damaged files are passed over.
    """

    def __init__(self, root: Path, mend: bool = False) -> None:
        check_confined(root)
        self.root = root
        self.damaged: list[Path] = []
        self._mend = mend
        self._checked: dict[str, frozenset[Path]] = {}

    def artifact(self, name: str, key: str, record: type[R]) -> Artifact[R]:
        """A handle on an artifact, whole or not. Its files are checked the first time it is asked for."""
        directory = self.root / "artifacts" / f"{name}-{key}"
        if key not in self._checked and directory.is_dir():
            harmed = harmed_in(directory)
            if self._mend:
                disk.sweep(directory)
                self.damaged += [disk.set_aside(path) for path in harmed]
            self._checked[key] = frozenset() if self._mend else frozenset(harmed)
        return Artifact(directory, key, record, self._checked.get(key, frozenset()))

    def done(self, artifact: Artifact[Any]) -> Positions:
        """Positions of the rows (and drops) that lie on the disk."""
        found = Positions()
        for part in artifact.parts:
            found.put(part.positions())
        return found

    def answered(
        self,
        artifact: Artifact[Any],
        question_key: str,
        wanted: Callable[[str], bool] = lambda name: True,
    ) -> Iterator[Any]:
        """Rows of other artifacts that asked the same question (other prompts, other counts).

        wanted: says by its id whether a row is; of the others nothing but the id is read.
        """
        for part in self._siblings(artifact, question_key):
            yield from selected(part, artifact.record, [wanted(name) for name in part.ids()])

    def answered_ids(self, artifact: Artifact[Any], question_key: str) -> Ids:
        """The ids of such rows, which are much cheaper to read than the rows."""
        return Ids(name for part in self._siblings(artifact, question_key) for name in part.ids())

    def _siblings(self, artifact: Artifact[Any], question_key: str) -> Iterator[parts.Part]:
        for directory in sorted((self.root / "artifacts").glob("*")):
            if directory != artifact.directory and question_of(directory) == question_key:
                yield from (part for part in parts.find(directory) if part.is_whole())

    def mark(self, artifact: Artifact[Any], question_key: str) -> None:
        """Say which question an artifact's rows answer, before the first row."""
        disk.make_directory(artifact.directory)
        content = f"{question_key} {_short_digest(question_key)}\n".encode()
        disk.replace(artifact.directory / QUESTION, content)

    def manifests(self, current: bool = False, whole_only: bool = False) -> Iterator[tuple[Path, Manifest]]:
        """Every whole artifact's directory and manifest; or only what the last run in here used.

        A damaged manifest is a StoreError, or with `whole_only` passed over.
        """
        known = self.root / CURRENT
        used = _steps_of(known) if current and known.is_file() else None
        for path in sorted((self.root / "artifacts").glob(f"*/{MANIFEST}")):
            if used is not None and path.parent.name.rpartition("-")[2] not in used:
                continue
            try:
                yield path.parent, Manifest.load(path)
            except StoreError:
                if not whole_only:
                    raise

    def set_current(self, keys: Iterable[str]) -> None:
        """Note which steps the last run used: after a change of settings older ones lie beside them."""
        if self.root.is_dir():
            disk.write_checked(self.root / CURRENT, {"steps": list(dict.fromkeys(keys))})


def harmed_in(directory: Path) -> list[Path]:
    """The files of an artifact that must not be used: parts that are damaged or hold what another part
    holds, and the manifest if it is damaged or names other parts than those that are whole.
    """
    found = parts.find(directory)
    whole = [part for part in found if part.is_whole()]
    harmed = [part.path for part in found if part not in whole]
    manifest = directory / MANIFEST
    if not manifest.is_file():
        return harmed + _repeated(whole)
    if harmed or not _agrees(manifest, whole):
        return [*harmed, *_repeated(whole), manifest]
    return []


def question_of(directory: Path) -> str | None:
    """The question an artifact's rows answer; None if that was never said or the marker is damaged.

    A step that is whole says it again in its manifest.
    """
    try:
        question, _, digest = (directory / QUESTION).read_bytes().decode("ascii", "replace").partition(" ")
    except OSError:
        question, digest = "", ""
    if question and digest.strip() == _short_digest(question):
        return question
    try:
        return Manifest.load(directory / MANIFEST).question_key
    except StoreError:
        return None


def _steps_of(file: Path) -> set[str]:
    try:
        return set(disk.read_checked(file)["steps"])
    except (KeyError, TypeError) as error:
        raise StoreError(f"{file}: damaged ({error!r}); run the config again to mend it") from None


def _agrees(manifest: Path, whole: list[parts.Part]) -> bool:
    try:
        return set(Manifest.load(manifest).parts) == {part.path.name for part in whole}
    except StoreError:
        return False


def _repeated(found: list[parts.Part]) -> list[Path]:
    """Parts with a row that an earlier part has, too: two processes without a lock may leave such."""
    held, repeated = Positions(), []
    for part in found:
        positions = part.positions()
        if any(position in held for position in positions.tolist()):
            repeated.append(part.path)
        else:
            held.put(positions)
    return repeated


def _short_digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
