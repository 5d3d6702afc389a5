"""Rows of a JSON or JSON Lines file, read strictly: a file that is not one says so, with the place."""

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
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise DataError(f"{path}: there is no such file") from None
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from None
    rows = _array(path, text) if text.lstrip().startswith("[") else _lines(path, text)
    if not rows:
        raise DataError(f"{path}: there are no rows in it")
    for number, row in enumerate(rows, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}: row {number} is not an object but {type(row).__name__}")
    return rows


def _array(path: Path, text: str) -> list[Any]:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not valid JSON: {error}") from None


def _lines(path: Path, text: str) -> list[Any]:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                rows.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}:{number}: not a line of JSON Lines: {error}") from None
    return rows


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
