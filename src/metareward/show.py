"""Why is this record here: a record's causes, and what came of it, as a plain tree.

Found by scanning only the id columns of a run's finished steps; texts are read for the few rows that are
shown. Texts come from models: they stay plain strings, with control characters written out.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metareward import templates
from metareward.errors import StoreError, UserError
from metareward.records import Battle, Dropped, Judgment, Outcome, PreferencePair, Prompt, Response, Role
from metareward.store import Manifest, Store, columns, parts

SHORTEST = 6
_LISTED = 8  # candidates named in an error
_KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Prompt, Response, Judgment, Battle, PreferencePair)
}
_WORDS = {"PreferencePair": "preference pair"}
_BIDIRECTIONAL = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Found:
    """A record and the finished steps that hold it, the first of which its story is told from."""

    record: Any
    steps: tuple[Manifest, ...]


@dataclass(frozen=True)
class Story:
    """A tree of plain facts. Texts in it are fit for a terminal: see `visible`."""

    title: str
    facts: dict[str, Any] = field(default_factory=dict)
    children: tuple["Story", ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data, for JSON."""
        children = [child.as_dict() for child in self.children]
        return {"title": self.title, "facts": dict(self.facts), "children": children}


def find(store: Store, id_prefix: str) -> Found:
    """The one record whose id begins with `id_prefix` (6 or more characters of it).

    Raises UserError if there is none or more than one, StoreError if a file of the run is damaged.
    """
    prefix = _checked(id_prefix)
    archive = _Archive(store)
    matches = archive.matching(prefix)
    if not matches:
        raise UserError(
            f"no record of {store.root} has an id that begins with {prefix!r}. Only finished steps are searched"
        )
    if len(matches) > 1:
        raise UserError(
            f"{prefix!r} is the beginning of {len(matches)} ids of {store.root}; write more of it:"
            f"{_listed(f'{word(kind)} {name}' for name, kind in sorted(matches.items()))}"
        )
    ((name, kind),) = matches.items()
    rows = list(archive.rows(kind, "id", [name]))
    return Found(rows[0][1], tuple(step for step, _ in rows))


def explain(store: Store, id_prefix: str) -> Story:
    """Why a record is there: its causes down to the prompt, and what was made of it. Errors as `find`."""
    return _Teller(_Archive(store), find(store, id_prefix)).tell()


def explain_in(directories: Sequence[Path], id_prefix: str) -> Story:
    """The story of a record that lies in one of several runs; UserError if none or several have it."""
    prefix = _checked(id_prefix)
    holding = [path for path in directories if _Archive(Store(path)).matching(prefix)]
    if not holding:
        raise UserError(
            f"no record has an id that begins with {prefix!r}. Searched the finished steps of:"
            f"{_listed(map(str, directories))}"
        )
    if len(holding) > 1:
        raise UserError(
            f"{len(holding)} runs have a record whose id begins with {prefix!r}; say which with --run:"
            f"{_listed(map(str, holding))}"
        )
    return explain(Store(holding[0]), prefix)


def visible(text: str) -> str:
    """Untrusted text as a terminal may show it: control, bidirectional and unpaired characters escaped.

    Line breaks and tabs stay.
    """
    return "".join(map(_shown, text))


def word(kind: type[Any]) -> str:
    """What a person calls a kind of record."""
    return _WORDS.get(kind.__name__, kind.__name__.lower())


def _shown(character: str) -> str:
    if character in "\n\t" or character == " ":
        return character
    hidden = unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") or character in _BIDIRECTIONAL
    return character.encode("unicode_escape").decode() if hidden else character


def _checked(id_prefix: str) -> str:
    prefix = id_prefix.strip().lower()
    if len(prefix) < SHORTEST:
        raise UserError(f"{id_prefix!r} is too short for an id; give {SHORTEST} or more characters of it")
    return prefix


def _listed(lines: Iterable[str]) -> str:
    lines = list(lines)
    more = [f"and {len(lines) - _LISTED} more"] if len(lines) > _LISTED else []
    return "".join(f"\n  {line}" for line in [*lines[:_LISTED], *more])


class _Archive:
    """The finished steps of a run, searched by one column at a time."""

    def __init__(self, store: Store) -> None:
        self._steps = [step for step in store.manifests() if step[1].record in _KINDS]

    def matching(self, prefix: str) -> dict[str, type[Any]]:
        """Each id that begins with `prefix`, and the kind of record it names."""
        found: dict[str, type[Any]] = {}
        for directory, step in self._steps:
            for path in _parts(directory, step, "rows"):
                ids = _column(path, "id")
                hits = ids.filter(pc.starts_with(ids, pattern=prefix))  # type: ignore[attr-defined]
                found.update(dict.fromkeys(hits.to_pylist(), _KINDS[step.record]))
        return found

    def rows(
        self, kind: type[Any], column: str, ids: Collection[str], steps: Collection[str] | None = None
    ) -> Iterator[tuple[Manifest, Any]]:
        """Rows of a kind whose `column` is among `ids`, with their step; only from `steps` if given."""
        for directory, step in self._steps:
            if step.record == kind.__name__ and (steps is None or step.key in steps):
                for row in _selected(directory, step, "rows", kind, column, ids):
                    yield step, row

    def distinct(
        self, kind: type[Any], column: str, ids: Collection[str], steps: Collection[str] | None = None
    ) -> list[Any]:
        """As `rows`, without steps, and a row that lies in several steps once."""
        return list({row.id: row for _, row in self.rows(kind, column, ids, steps)}.values())

    def dropped(self, ids: Collection[str]) -> Iterator[tuple[Manifest, Dropped]]:
        """What rules said on leaving out the subjects `ids`."""
        for directory, step in self._steps:
            for row in _selected(directory, step, "dropped", Dropped, "subject_id", ids):
                yield step, row


def _parts(directory: Path, step: Manifest, table: str) -> list[Path]:
    return [directory / name for name in step.parts if name.startswith(f"{table}-")]


def _column(path: Path, name: str) -> pa.ChunkedArray:
    return _table(path, [name])[name]


def _table(path: Path, names: list[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=names)
    except (OSError, pa.ArrowException) as error:
        raise StoreError(f"{path}: damaged or missing ({error}); run the config again to mend it") from error


def _selected(
    directory: Path, step: Manifest, table: str, kind: type[Any], column: str, ids: Collection[str]
) -> Iterator[Any]:
    wanted = pa.array(sorted(ids), pa.string())
    for path in _parts(directory, step, table):
        mask = pc.is_in(_column(path, column), value_set=wanted)  # type: ignore[attr-defined]
        if pc.any(mask).as_py():  # type: ignore[attr-defined]
            for batch in _table(path).filter(mask).to_batches():
                yield from (row for _, row in columns.from_batch(kind, batch))
