"""A step's rows: whole if and only if a manifest exists and every part it names is unharmed."""

import heapq
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Generic, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from metareward import disk
from metareward.errors import StoreError
from metareward.records import Dropped
from metareward.store import columns, parts
from metareward.store.confine import check_manifest
from metareward.store.parts import Part

R = TypeVar("R")
_BATCH = 512  # rows read at a time from one part


@dataclass(frozen=True, slots=True)
class Cost:
    """What rows took: wall seconds of the engine, tokens read and tokens written, and in how many calls.

    calls: answers that an engine gave, those of a second try included. failures: how many of them were
        failures. reused: rows that were taken over from other artifacts and cost nothing here.
    """

    seconds: float = 0.0
    prompt_tokens: int = 0
    output_tokens: int = 0
    calls: int = 0
    failures: int = 0
    reused: int = 0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(
            self.seconds + other.seconds,
            self.prompt_tokens + other.prompt_tokens,
            self.output_tokens + other.output_tokens,
            self.calls + other.calls,
            self.failures + other.failures,
            self.reused + other.reused,
        )


@dataclass(frozen=True)
class Manifest:
    """The last file of an artifact: what it depends on, what it holds, what it cost."""

    name: str
    key: str
    question_key: str | None
    record: str
    rows: int
    parts: dict[str, str]
    dropped: dict[str, int]
    inputs: list[str]
    step: dict[str, Any]
    model: str | None
    section: str
    cost: dict[str, Any]
    version: int = 1
    extra: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_manifest(vars(self))

    @classmethod
    def load(cls, path: Path) -> "Manifest":
        """Read a manifest; StoreError if it is damaged."""
        try:
            return cls(**disk.read_checked(path))
        except TypeError as error:
            raise StoreError(f"{path}: damaged ({error})") from error

    def save(self, path: Path) -> None:
        """Write it, atomically and with its own checksum, as the last file of the artifact."""
        disk.write_checked(path, asdict(self))


@dataclass(frozen=True)
class Artifact(Generic[R]):
    """The rows of one step, iterated in canonical order and as often as needed, never all in memory.

    The order is that of the step's questions, whatever the order in which answers came. unusable: files
    that were found damaged but could not be set aside, because the store is only read.
    """

    directory: Path
    key: str
    record: type[R]
    unusable: frozenset[Path] = frozenset()

    @property
    def manifest_path(self) -> Path:
        """Where the manifest lies once the artifact is whole."""
        return self.directory / "manifest.json"

    @property
    def whole(self) -> bool:
        """Whether everything is there. Damaged files are found when the store opens an artifact."""
        return self.manifest_path not in self.unusable and self.manifest_path.is_file()

    @property
    def parts(self) -> list[Part]:
        """The parts that can be used, whether named by a manifest or not."""
        return [part for part in parts.find(self.directory) if part.path not in self.unusable]

    @cached_property
    def manifest(self) -> Manifest:
        """The manifest; StoreError if the artifact is not whole."""
        if not self.whole:
            raise StoreError(f"{self.directory}: this step is not finished; run the same command again")
        return Manifest.load(self.manifest_path)

    def __len__(self) -> int:
        return self.manifest.rows

    def __iter__(self) -> Iterator[R]:
        return (row for _, row in self._rows("rows", self.record))

    def so_far(self) -> Iterator[R]:
        """The rows that lie there, whole or not."""
        return (row for _, row in merged([part for part in self.parts if part.table == "rows"], self.record))

    def dropped(self) -> Iterator[Dropped]:
        """What the rule left out, with reasons."""
        return (row for _, row in self._rows("dropped", Dropped))

    @property
    def cost(self) -> Cost:
        """What the rows cost, over all sessions that worked on them."""
        return Cost(**self.manifest.cost)

    def _rows(self, table: str, record: type[Any]) -> Iterator[tuple[int, Any]]:
        found = [part for part in self.parts if part.path.name in self.manifest.parts]
        if len(found) != len(self.manifest.parts):
            raise StoreError(f"{self.directory}: parts are missing; run the same command again to mend it")
        return merged([part for part in found if part.table == table], record)


def by_session(found: list[Part]) -> dict[int, Cost]:
    """What parts cost, summed by the session that wrote them; parts of no session are left out."""
    spent: dict[int, Cost] = {}
    for part in found:
        number = part.session()
        if number is not None:
            spent[number] = spent.get(number, Cost()) + Cost(**part.cost())
    return dict(sorted(spent.items()))


def merged(found: list[Part], record: type[Any]) -> Iterator[tuple[int, Any]]:
    """Rows of several parts by position; a part is opened only when the merge reaches it."""
    waiting = sorted(found, key=lambda part: part.first, reverse=True)
    heap: list[tuple[int, int, Any, Iterator[tuple[int, Any]]]] = []
    tie = 0
    while waiting or heap:
        while waiting and (not heap or waiting[-1].first <= heap[0][0]):
            rows = read(waiting.pop(), record)
            first = next(rows, None)
            if first is not None:
                heapq.heappush(heap, (first[0], (tie := tie + 1), first[1], rows))
        if not heap:
            continue
        position, order, row, rows = heapq.heappop(heap)
        yield position, row
        if (following := next(rows, None)) is not None:
            heapq.heappush(heap, (following[0], order, following[1], rows))


def read(part: Part, record: type[Any]) -> Iterator[tuple[int, Any]]:
    """Stream the rows of one part. StoreError if it was damaged since it was checked."""
    return (row for batch in _batches(part) for row in _rows_of(part, record, batch))


def selected(part: Part, record: type[Any], wanted: list[bool]) -> Iterator[Any]:
    """The rows of one part at the places that are wanted; batches without any are not made rows of."""
    first = 0
    for batch in _batches(part) if any(wanted) else ():
        mine = wanted[first : first + len(batch)]
        first += len(batch)
        if any(mine):
            chosen = batch if all(mine) else batch.filter(pa.array(mine))
            yield from (row for _, row in _rows_of(part, record, chosen))


def _batches(part: Part) -> Iterator[pa.RecordBatch]:
    with _readable(part), pq.ParquetFile(part.path) as file:
        yield from file.iter_batches(_BATCH)


def _rows_of(part: Part, record: type[Any], batch: pa.RecordBatch) -> Iterator[tuple[int, Any]]:
    with _readable(part):
        yield from columns.from_batch(record, batch)


@contextmanager
def _readable(part: Part) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, pa.ArrowException) as error:
        raise StoreError(
            f"{part.path}: cannot be read ({error}); run the same command again: a damaged part is set aside "
            "and its rows are done again"
        ) from error
