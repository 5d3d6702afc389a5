"""What a run's directory may hold: a directory may come from anywhere, so nothing in it is believed.

No file of it leads out of it, and a manifest says only what a manifest can say.
"""

import os
import re
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

from metareward.errors import StoreError

_NAME = re.compile(r"[A-Za-z0-9][\w.:-]*")  # of a key, a step, a kind of record: never a path
_PART = re.compile(r"(rows|dropped)-\d{9}-\d{9}-[0-9a-f]{16}\.parquet", re.ASCII)


def check_confined(root: Path) -> None:
    """StoreError if anything below `root` is a link, a device or a pipe: reading or writing it could
    reach any file of this machine, or never end.
    """
    for directory, folders, files in os.walk(root):
        for name in (*folders, *files):
            path = Path(directory, name)
            try:
                kind = path.lstat().st_mode
            except FileNotFoundError:  # a file that another process has just renamed
                continue
            if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
                raise StoreError(
                    f"{path}: a link or special file; everything in a run's directory must lie in it, so "
                    "nothing of it was used. Copy what it stands for to its place, or remove it"
                )


def check_manifest(fields: dict[str, Any]) -> None:
    """TypeError unless each field of a manifest has its type, and names are names and not paths."""
    for name, holds in _FIELDS.items():
        if not holds(fields[name]):
            raise TypeError(f"{name} is not what a manifest says: {str(fields[name])[:80]!r}")


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(_NAME.fullmatch(value))


def _is_number(value: Any) -> bool:
    return type(value) in (int, float)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _table(key: Callable[[Any], bool], value: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, dict) and all(key(k) and value(v) for k, v in given.items())


_FIELDS: dict[str, Callable[[Any], bool]] = {
    **dict.fromkeys(("name", "key", "record"), _is_name),
    **dict.fromkeys(("question_key", "model"), lambda value: value is None or _is_text(value)),
    "section": _is_text,
    "rows": _is_number,
    "parts": _table(lambda name: _is_text(name) and bool(_PART.fullmatch(name)), _is_text),
    "dropped": _table(_is_text, _is_number),
    "cost": _table(_is_text, _is_number),
    "step": _table(_is_text, lambda value: True),
    "inputs": lambda value: isinstance(value, list) and all(map(_is_text, value)),
}
