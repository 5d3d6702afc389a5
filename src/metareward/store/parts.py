"""Immutable files: written aside, flushed to the disk, renamed to a name that carries their checksum."""

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metareward.errors import StoreError
from metareward.ids import file_digest

_NAME = re.compile(
    r"(?P<table>rows|dropped)-(?P<first>\d{9})-(?P<last>\d{9})-(?P<digest>[0-9a-f]{16})\.parquet"
)
_DIGEST = 16
_COST = b"metareward.cost"


@dataclass(frozen=True, slots=True)
class Part:
    """One file of rows at positions `first`..`last` (gaps are possible), named with its own SHA-256."""

    path: Path
    table: str
    first: int
    last: int
    digest: str

    def is_whole(self) -> bool:
        """Whether the bytes still have the checksum in the name."""
        return self.path.is_file() and file_digest(self.path).startswith(self.digest)

    def count(self) -> int:
        """Number of rows, from the file's footer."""
        return pq.read_metadata(self.path).num_rows

    def cost(self) -> dict[str, Any]:
        """What the rows of this part cost, as written with them."""
        found = pq.read_schema(self.path).metadata or {}
        return json.loads(found.get(_COST, b"{}"))


def find(directory: Path) -> list[Part]:
    """The parts that lie in a directory, by first position."""
    parts = [_parse(path) for path in directory.glob("*.parquet")]
    return sorted((part for part in parts if part), key=lambda part: (part.first, part.last, part.digest))


def write(directory: Path, table: str, rows: pa.Table, span: tuple[int, int], cost: dict[str, float]) -> Part:
    """Write one part so that it either exists whole under its final name or does not exist."""
    rows = rows.replace_schema_metadata({_COST: json.dumps(cost).encode()})
    aside = directory / f".{os.getpid()}.tmp"
    try:
        pq.write_table(rows, aside, compression="zstd")
        _sync(aside)
        digest = file_digest(aside)[:_DIGEST]
        path = directory / f"{table}-{span[0]:09d}-{span[1]:09d}-{digest}.parquet"
        aside.rename(path)
        _sync(directory)
    except OSError as error:
        aside.unlink(missing_ok=True)
        raise StoreError(
            f"{directory}: cannot write: {error.strerror or error}. Rows already written are kept; "
            "make room or give write permission, then run the same command again."
        ) from error
    return Part(path, table, *span, digest)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file atomically."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        aside.write_bytes(text.encode("utf-8", "backslashreplace"))  # a lone surrogate as JSON writes it
        _sync(aside)
        aside.rename(path)
        _sync(path.parent)
    except OSError as error:
        raise StoreError(f"{path}: cannot write: {error.strerror or error}") from error


def set_aside(path: Path) -> Path:
    """Move a damaged file out of the way without deleting it."""
    number = 0
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    path.rename(target)
    return target


def _parse(path: Path) -> Part | None:
    match = _NAME.fullmatch(path.name)
    if not match:
        return None
    return Part(path, match["table"], int(match["first"]), int(match["last"]), match["digest"])


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
