"""Rows of text files: JSON a line, a JSON array, a table of CSV or TSV, a prompt a line; also within gzip."""

import csv
import gzip
import json
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from metareward import files
from metareward.errors import DataError
from metareward.rows.base import BadRow, Row, kind
from metareward.settings import shown

_LONGEST_LINE = 64 * 2**20
_LARGEST_ARRAY = 2**30
_MOST_UNPACKED = 2**34
_FIELD = 64 * 2**20  # characters of a field of a table


def json_lines(path: Path, name: str) -> Iterator[Row]:
    """A JSON value a line."""
    for where, line in _lines(path, name):
        try:
            text = _decoded(line, where)
            if text.strip():
                yield where, parsed(text, where, _line_hint(text))
        except BadRow as bad:
            yield where, bad


def plain_lines(path: Path, name: str) -> Iterator[Row]:
    """A prompt a line; blank lines are passed over."""
    for where, line in _lines(path, name):
        try:
            text = _decoded(line, where).strip("\r\n")
            if text.strip():
                yield where, text
        except BadRow as bad:
            yield where, bad


def json_array(path: Path, name: str) -> Iterator[Row]:
    """The values of one JSON array."""
    try:
        text = files.decode(b"".join(_unpacked(path, _LARGEST_ARRAY)))
        rows = parsed(text, name, "; the file must be one array [row, row, ...]; one row a line is .jsonl")
    except files.UnreadableError as error:
        raise DataError(f"{name}: {error}") from None
    except BadRow as bad:
        raise DataError(str(bad)) from None
    if not isinstance(rows, list):
        raise DataError(f"{name}: must be a JSON array of rows, not {kind(rows)}; one row a line is .jsonl")
    yield from ((f"{name}:{number}", row) for number, row in enumerate(rows, 1))


def table(path: Path, name: str) -> Iterator[Row]:
    """The rows of CSV or TSV by the names in its first line; every value is a text."""
    delimiter = "\t" if ".tsv" in path.name.lower()[-7:] else ","
    before = csv.field_size_limit(_FIELD)
    rows = csv.reader(_texts(path, name), delimiter=delimiter, strict=True)
    try:
        header = next(rows, [])
        check_columns(header, name)
        for row in rows:
            where = f"{name}:{rows.line_num}"
            if len(row) == len(header):
                yield where, dict(zip(header, row, strict=True))
            elif row:
                told = f"{where}: {len(row)} values, and the first line names {len(header)} columns"
                yield where, BadRow("another number of values", f"{told}; put values with commas in quotes")
    except csv.Error as error:
        raise DataError(f"{name}: not a table: {error} (near line {rows.line_num})") from None
    finally:
        csv.field_size_limit(before)


def _texts(path: Path, name: str) -> Iterator[str]:
    for where, line in _lines(path, name):
        try:
            yield _decoded(line, where)
        except BadRow as bad:  # a row may be several lines, so one of them cannot be left out
            raise DataError(str(bad)) from None


def check_columns(names: Sequence[str], where: str) -> None:
    """DataError if two columns have one name."""
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{where}: two columns are called {shown(twice[0])}; rename or remove one")


def _lines(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    with _opened(path) as lines:
        taken = 0
        for number, line in enumerate(_each(lines, name), 1):
            where = f"{name}:{number}"
            taken += len(line)
            if len(line) > _LONGEST_LINE:
                told = f"the line has more than {_LONGEST_LINE:,} bytes; split or remove it"
                raise DataError(f"{where}: {told}")
            if taken > _MOST_UNPACKED:
                raise DataError(f"{name}: has more than {_MOST_UNPACKED:,} bytes; is it the right file?")
            yield where, line


def _each(lines: IO[bytes], name: str) -> Iterator[bytes]:
    try:
        yield from iter(lambda: lines.readline(_LONGEST_LINE + 1), b"")
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{name}: cannot be unpacked as gzip: {error}; fetch the file again") from None


def _unpacked(path: Path, most_bytes: int) -> Iterable[bytes]:
    with _opened(path) as file:
        try:
            data = file.read(most_bytes + 1)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise files.UnreadableError(f"cannot be unpacked as gzip: {error}") from None
    if len(data) > most_bytes:
        raise files.UnreadableError(f"has more than {most_bytes:,} bytes; is it the right file?")
    return [data]


def _opened(path: Path) -> IO[bytes]:
    return gzip.open(path) if path.suffix.lower() == ".gz" else path.open("rb")  # type: ignore[return-value]


def _decoded(data: bytes, where: str) -> str:
    try:
        return files.decode(data)
    except files.UnreadableError as error:
        raise BadRow("not UTF-8", f"{where}: {error}") from None


def parsed(text: str, where: str, hint: str) -> Any:
    """A JSON value; BadRow says where it is none."""
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise BadRow(
            "not JSON", f"{where}: not JSON: {error.msg} ({place}column {error.colno}){hint}"
        ) from None
    except RecursionError:
        raise BadRow(
            "not JSON", f"{where}: not usable JSON: nested too deeply; mend or remove the row"
        ) from None
    except ValueError as error:
        told = str(error).partition(";")[0]
        raise BadRow("not JSON", f"{where}: not usable JSON: {told}; mend or remove the row") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name given twice JSON keeps the last, which the writer of the row may not know."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{shown(next(name for name in row if names.count(name) > 1))} is given twice")
    return row


def _line_hint(text: str) -> str:
    if text.lstrip().startswith("["):
        return "; this looks like a JSON array, whose file must end in .json"
    comma = ", and no comma after it" if text.rstrip().endswith(",") else ""
    return f"; each line must be one JSON object{comma}"
