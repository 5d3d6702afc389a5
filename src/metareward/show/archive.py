"""The rows of a run's finished steps, found by one id column at a time.

A whole run has about a million rows with texts; a search reads their ids alone, and then the few rows
that were asked for.
"""

from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metareward.errors import StoreError
from metareward.records import Battle, Dropped, Judgment, PreferencePair, Prompt, Response
from metareward.store import Manifest, Store, columns

KINDS: dict[str, type[Any]] = {
    kind.__name__: kind for kind in (Prompt, Response, Judgment, Battle, PreferencePair)
}


class Archive:
    """The finished steps of a run, searched by one column at a time."""

    def __init__(self, store: Store) -> None:
        self._steps = [step for step in store.manifests() if step[1].record in KINDS]

    def matching(self, prefix: str) -> dict[str, type[Any]]:
        """Each id that begins with `prefix`, and the kind of record it names."""
        found: dict[str, type[Any]] = {}
        for directory, step in self._steps:
            for path in _parts(directory, step, "rows"):
                ids = _column(path, "id")
                hits = ids.filter(pc.starts_with(ids, pattern=prefix))  # type: ignore[attr-defined]
                found.update(dict.fromkeys(hits.to_pylist(), KINDS[step.record]))
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

    def first_made(self, step: Manifest) -> Manifest:
        """The step that first made a step's pairs, where rules after it only took of them or weighed them."""
        of_pairs = {manifest.key: manifest for _, manifest in self._steps if manifest.record == step.record}
        while step.inputs[:1] and step.inputs[0] in of_pairs:
            step = of_pairs.pop(step.inputs[0])  # once each: a forged manifest may name itself
        return step

    def dropped(self, ids: Collection[str]) -> Iterator[tuple[Manifest, Dropped]]:
        """What rules said on leaving out the subjects `ids`."""
        for directory, step in self._steps:
            for row in _selected(directory, step, "dropped", Dropped, "subject_id", ids):
                yield step, row


def ids_of(directory: Path, step: Manifest) -> pa.Array:
    """The ids of a step's rows."""
    found = [_column(path, "id").combine_chunks() for path in _parts(directory, step, "rows")]
    return pa.concat_arrays(found) if found else pa.array([], pa.string())


def _parts(directory: Path, step: Manifest, table: str) -> list[Path]:
    return [directory / name for name in step.parts if name.startswith(f"{table}-")]


def _column(path: Path, name: str) -> pa.ChunkedArray:
    return _table(path, [name])[name]


def _table(path: Path, names: list[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=names)
            if names and (table.column_names != names or not pa.types.is_string(table.column(0).type)):
                raise ValueError(f"it has no column {names[0]!r} of texts")
            return table
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(f"{path}: damaged or missing ({error}); run the config again to mend it") from error


def _selected(
    directory: Path, step: Manifest, table: str, kind: type[Any], column: str, ids: Collection[str]
) -> Iterator[Any]:
    wanted = pa.array(sorted(ids), pa.string())
    for path in _parts(directory, step, table):
        mask = pc.is_in(_column(path, column), value_set=wanted)  # type: ignore[attr-defined]
        if pc.any(mask).as_py():  # type: ignore[attr-defined]
            for batch in _table(path).filter(mask).to_batches():
                yield from _records(path, kind, batch)


def _records(path: Path, kind: type[Any], batch: pa.RecordBatch) -> Iterator[Any]:
    try:
        yield from (row for _, row in columns.from_batch(kind, batch))
    except ValueError as error:
        raise StoreError(f"{path}: damaged ({error}); run the config again to mend it") from error
