"""Rows of a JSON or JSON Lines file, read strictly: a file that is not one says so, with the place."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from metareward import files
from metareward.errors import DataError
from metareward.rows import BadRow
from metareward.rows.arrow import parquet_rows

Row = Mapping[str, Any]
_SHOWN = 3
_LARGEST = 2**30


def read_rows(path: Path) -> list[Row]:
    """The objects of a file: one a line, or one array of them, also within gzip; or the rows of Parquet.

    DataError names the line that is wrong.
    """
    if path.suffix.lower() == ".parquet":
        rows = _of_parquet(path)
    elif (text := _text(path)).lstrip().startswith("["):
        rows = _array(path, text)
    else:
        rows = [row for _, row in _numbered(path, text)]
    if not rows:
        raise DataError(f"{path}: there are no rows in it")
    return rows


def numbered_rows(path: Path) -> list[tuple[str, Row]]:
    """The objects of a JSON Lines file, each with where it stands ("answers.jsonl:12").

    Raises DataError, with the place, for what is not one object a line.
    """
    return _numbered(path, _text(path))


def _numbered(path: Path, text: str) -> list[tuple[str, Row]]:
    numbered = ((f"{path.name}:{number}", line) for number, line in enumerate(text.split("\n"), 1))
    return [(where, _object(line, where)) for where, line in numbered if line.strip()]


def _text(path: Path) -> str:
    """The text of a file, without a byte-order mark; DataError says why there is none."""
    try:
        data = files.read_bytes(path, _LARGEST, unpack=True)
        files.check_encoding(data)
    except files.UnreadableError as error:
        raise DataError(f"{path}: {error}") from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line, byte = data.count(b"\n", 0, error.start) + 1, error.start - data.rfind(b"\n", 0, error.start)
        raise DataError(f"{path}:{line}: not UTF-8 (byte {byte}: {error.reason})") from None


def _of_parquet(path: Path) -> list[Row]:
    try:
        files.check_plain(path)
    except files.UnreadableError as error:
        raise DataError(f"{path}: {error}") from None
    found = []
    for _, row in parquet_rows(path, str(path)):
        if isinstance(row, BadRow):
            raise row
        found.append(row)
    return found


def _array(path: Path, text: str) -> list[Row]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is not an object but {type(row).__name__}")
    return rows


def _object(line: str, where: str) -> Row:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}; one object a line is wanted") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: a JSON {type(row).__name__}, not an object; one object a line is wanted")
    return row


def complain(path: Path, faults: Iterable[tuple[str, str]], total: int, wanted: str) -> None:
    """Raise one DataError that counts faults by kind, with the first places of each; nothing if none.

    faults: (kind, place) pairs. wanted: what a right file holds.
    """
    faults = list(faults)
    if not faults:
        return
    parts = []
    for kind, count in Counter(kind for kind, _ in faults).most_common():
        places = [place for found, place in faults if found == kind][:_SHOWN]
        more = ", ..." if count > len(places) else ""
        parts.append(f"{count} of {total} rows {kind} ({', '.join(places)}{more})")
    raise DataError(f"{path}: {'; '.join(parts)}. {wanted}")


def require_fields(path: Path, rows: list[Row], holds: Callable[[Row], bool], wanted: str) -> None:
    """DataError, with the fields that were found, unless every row is of a known form."""
    wrong = [row for row in rows if not holds(row)]
    if wrong:
        found = ", ".join(sorted({str(name)[:40] for row in wrong for name in row})[:12]) or "none"
        raise DataError(
            f"{path}: {len(wrong)} of {len(rows)} rows are of another form; their fields are: {found}. "
            f"{wanted}"
        )
