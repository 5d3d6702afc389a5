"""Rows of a JSON or JSON Lines file, read strictly: a file that is not one says so, with the place."""

import codecs
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

from metareward.errors import DataError

Row = Mapping[str, Any]
_SHOWN = 3


def read_rows(path: Path) -> list[Row]:
    """The objects of a file: one a line, or one array of them. DataError names the line that is wrong."""
    data = _data(path)
    if not data.lstrip().startswith(b"["):
        rows = [row for _, row in numbered_rows(path)]
    else:
        rows = _array(path, data)
    if not rows:
        raise DataError(f"{path}: there are no rows in it")
    return rows


def numbered_rows(path: Path) -> list[tuple[str, Row]]:
    """The objects of a JSON Lines file, each with where it stands ("answers.jsonl:12").

    Raises DataError, with the place, for what is not one object a line.
    """
    numbered = ((f"{path.name}:{number}", line) for number, line in enumerate(_data(path).split(b"\n"), 1))
    return [(where, _object(line, where)) for where, line in numbered if line.strip()]


def _data(path: Path) -> bytes:
    """The bytes of a file, without a byte-order mark."""
    try:
        return path.read_bytes().removeprefix(codecs.BOM_UTF8)
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a directory; name a .jsonl file in it") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _array(path: Path, data: bytes) -> list[Row]:
    try:
        rows = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is not an object but {type(row).__name__}")
    return rows


def _object(line: bytes, where: str) -> Row:
    try:
        row = json.loads(line.decode("utf-8"))
    except UnicodeDecodeError as error:
        raise DataError(f"{where}: not UTF-8 (byte {error.start + 1}: {error.reason})") from None
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
