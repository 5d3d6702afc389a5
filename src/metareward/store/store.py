"""The store of one run: artifacts by key, rows that siblings already paid for, damage set aside."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pyarrow.parquet as pq

from metareward.errors import StoreError
from metareward.store import columns, parts
from metareward.store.artifact import Artifact, Manifest, read
from metareward.store.confine import check_confined

R = TypeVar("R")
CURRENT = "current.json"


class Store:
    """Artifacts below `root/artifacts`, one directory each, named by step and key."""

    def __init__(self, root: Path) -> None:
        check_confined(root)
        self.root = root
        self.damaged: list[Path] = []
        self._checked: set[str] = set()

    def artifact(self, name: str, key: str, record: type[R]) -> Artifact[R]:
        """A handle on an artifact, whole or not. Its files are checked the first time it is asked for."""
        artifact = Artifact(self.root / "artifacts" / f"{name}-{key}", key, record)
        if key not in self._checked and artifact.directory.is_dir():
            self._set_damage_aside(artifact)
            self._checked.add(key)
        return artifact

    def done(self, artifact: Artifact[Any]) -> set[int]:
        """Positions of the rows (and drops) that lie on the disk."""
        return {
            position
            for part in parts.find(artifact.directory)
            for position in pq.read_table(part.path, columns=[columns.POSITION])[columns.POSITION].to_pylist()
        }

    def answered(self, artifact: Artifact[Any], question_key: str) -> Iterator[Any]:
        """Rows of other artifacts that asked the same question (other prompts, other counts)."""
        for directory in sorted((self.root / "artifacts").glob("*")):
            marker = directory / "question"
            if directory == artifact.directory or not marker.is_file():
                continue
            if marker.read_bytes() == question_key.encode():
                for part in parts.find(directory):
                    if part.is_whole():
                        yield from (row for _, row in read(part, artifact.record))

    def mark(self, artifact: Artifact[Any], question_key: str) -> None:
        """Say which question an artifact's rows answer, before the first row."""
        artifact.directory.mkdir(parents=True, exist_ok=True)
        (artifact.directory / "question").write_text(question_key, encoding="utf-8")

    def manifests(self, current: bool = False) -> Iterator[tuple[Path, Manifest]]:
        """Every whole artifact's directory and manifest; or only what the last run in here used."""
        known = self.root / CURRENT
        used = _steps_of(known) if current and known.is_file() else None
        for path in sorted((self.root / "artifacts").glob("*/manifest.json")):
            manifest = Manifest.load(path)
            if used is None or manifest.key in used:
                yield path.parent, manifest

    def set_current(self, keys: Iterable[str]) -> None:
        """Note which steps the last run used: after a change of settings older ones lie beside them."""
        if self.root.is_dir():
            parts.write_json(self.root / CURRENT, {"steps": list(dict.fromkeys(keys))})

    def _set_damage_aside(self, artifact: Artifact[Any]) -> None:
        harmed = [part.path for part in parts.find(artifact.directory) if not part.is_whole()]
        for stray in artifact.directory.glob(".*.tmp"):
            stray.unlink()
        if artifact.whole and (harmed or not _agrees(artifact)):
            harmed.append(artifact.manifest_path)
        self.damaged += [parts.set_aside(path) for path in harmed]


def _steps_of(file: Path) -> set[str]:
    try:
        return set(json.loads(file.read_text(encoding="utf-8"))["steps"])
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise StoreError(f"{file}: damaged ({error!r}); run the config again to mend it") from None


def _agrees(artifact: Artifact[Any]) -> bool:
    try:
        named = set(Manifest.load(artifact.manifest_path).parts)
    except Exception:  # noqa: BLE001 - a manifest that cannot be read is damaged, whatever the reason
        return False
    return named == {part.path.name for part in parts.find(artifact.directory)}
