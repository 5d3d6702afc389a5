"""Immutable files of rows, named with their own checksum."""

import errno
import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from metareward import disk
from metareward.errors import StoreError
from metareward.ids import file_digest
from metareward.store.columns import POSITION

_NAME = re.compile(
    r"(?P<table>rows|dropped)-(?P<first>\d{9})-(?P<last>\d{9})-(?P<digest>[0-9a-f]{16})\.parquet"
)
_DIGEST = 16
_COST = b"metareward.cost"
_SESSION = "session"
_POSITION = pa.field(POSITION, pa.int64(), nullable=False)


@dataclass(frozen=True, slots=True)
class Part:
    """One file of rows at positions `first`..`last` (gaps are possible), named with its own SHA-256."""

    path: Path
    table: str
    first: int
    last: int
    digest: str

    def is_whole(self) -> bool:
        """Whether the bytes still have the checksum in the name. StoreError if that cannot be told."""
        try:
            return (
                self.path.is_file() and file_digest(self.path).startswith(self.digest) and self._is_parquet()
            )
        except OSError as error:
            if error.errno == errno.EIO:  # the disk has lost it
                return False
            raise StoreError(f"{self.path}: cannot be read: {error.strerror or error}") from error

    def _is_parquet(self) -> bool:
        """Whoever made the file may have named it by the checksum of anything."""
        try:
            schema = pq.read_schema(self.path)
        except (OSError, pa.ArrowException):
            return False
        return POSITION in schema.names and schema.field(POSITION).equals(_POSITION)

    def count(self) -> int:
        """Number of rows, from the file's footer."""
        return pq.read_metadata(self.path).num_rows

    def positions(self) -> NDArray[np.int64]:
        """Where its rows belong, in the order of the file."""
        chunks = [  # not through to_numpy, which loads pandas where that is installed: 33 MB
            np.frombuffer(chunk.buffers()[1], np.int64, len(chunk), 8 * chunk.offset)
            for chunk in self._column(POSITION).chunks
            if len(chunk)
        ]
        return np.concatenate(chunks) if chunks else np.zeros(0, np.int64)

    def ids(self) -> list[str]:
        """The ids of its rows, in the order of the file; what was left out has none."""
        return self._column("id").to_pylist() if "id" in pq.read_schema(self.path).names else []

    def _column(self, name: str) -> pa.ChunkedArray:
        # not pq.read_table, which loads pandas, too
        with pq.ParquetFile(self.path) as file:
            return file.read([name])[name]

    def cost(self) -> dict[str, Any]:
        """What the rows of this part cost, as written with them."""
        return {name: value for name, value in self._about().items() if name != _SESSION}

    def session(self) -> int | None:
        """The number of the session that wrote this part, where it had one."""
        return self._about().get(_SESSION)

    def _about(self) -> dict[str, Any]:
        found = pq.read_schema(self.path).metadata or {}
        return json.loads(found.get(_COST, b"{}"))


@dataclass(frozen=True, slots=True)
class Ready:
    """A part that is not on the disk yet. To write it twice is to write it once."""

    name: str
    content: bytes


def find(directory: Path) -> list[Part]:
    """The parts that lie in a directory, by first position."""
    parts = [_parse(path) for path in directory.glob("*.parquet")]
    return sorted((part for part in parts if part), key=lambda part: (part.first, part.last, part.digest))


def prepare(
    table: str, rows: pa.Table, span: tuple[int, int], cost: dict[str, float], session: int | None = None
) -> Ready:
    """Rows as the file they will be."""
    rows = rows.replace_schema_metadata({_COST: json.dumps({**cost, _SESSION: session}).encode()})
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression="zstd")
    content = sink.getvalue().to_pybytes()
    digest = hashlib.sha256(content).hexdigest()[:_DIGEST]
    return Ready(f"{table}-{span[0]:09d}-{span[1]:09d}-{digest}.parquet", content)


def write(directory: Path, ready: Ready) -> None:
    """Write one part so that it either exists whole under its name or does not exist."""
    disk.replace(directory / ready.name, ready.content)


def _parse(path: Path) -> Part | None:
    match = _NAME.fullmatch(path.name)
    if not match:
        return None
    return Part(path, match["table"], int(match["first"]), int(match["last"]), match["digest"])
