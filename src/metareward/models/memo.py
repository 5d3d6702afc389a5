"""What was found out about large files, kept for as long as they are the same."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from metareward.errors import ModelError
from metareward.ids import fingerprint
from metareward.models.catalogue import cache_directory

Found = TypeVar("Found")
_SMALL = 1 << 26  # bytes that are read faster than a note is worth
Stamp = tuple[tuple[str, int, int, int], ...]
"""Of each file its name, size, time of change in nanoseconds and inode."""

_trusting = True


def stamp(files: Iterable[Path]) -> Stamp:
    """What tells, without reading them, whether files are still those that they were. A missing one is left
    out.
    """
    found = []
    for file in sorted(files):
        with suppress(OSError):
            state = file.stat()
            found.append((file.name, state.st_size, state.st_mtime_ns, state.st_ino))
    return tuple(found)


def remembered(what: str, files: Iterable[Path], find: Callable[[], Found]) -> Found:
    """What `find` gives (plain JSON) about files; from the notes of an earlier time if they are the same.

    A file that was written over is another one even if its time was set back (its ctime tells). Where the
    cache cannot be written, it is found out anew each time.
    """
    files = sorted(files)
    if sum(file.stat().st_size for file in files) < _SMALL:
        return find()
    state = [[str(file.resolve()), *_state(file)] for file in files]
    note = _place(what, [entry[0] for entry in state])
    known = _read(note)
    if _trusting and known.get("state") == state and "found" in known:
        return known["found"]
    found = find()
    _write(note, {"state": state, "found": found})
    return found


@contextmanager
def anew() -> Iterator[None]:
    """Everything is looked at again while the context lasts, whatever the notes say."""
    global _trusting
    before, _trusting = _trusting, False
    try:
        yield
    finally:
        _trusting = before


def _state(file: Path) -> list[int]:
    state = file.stat()
    return [state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino]


def _place(what: str, names: list[str]) -> Path | None:
    try:
        return cache_directory() / "found" / f"{fingerprint(what, names)}.json"
    except ModelError:  # no home directory
        return None


def _read(note: Path | None) -> Mapping[str, Any]:
    try:
        content = json.loads(note.read_text(encoding="utf-8")) if note else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _write(note: Path | None, content: Mapping[str, Any]) -> None:
    if note is None:
        return
    with suppress(OSError):
        note.parent.mkdir(parents=True, exist_ok=True)
        aside = note.with_name(f".{note.name}.{os.getpid()}")
        aside.write_text(json.dumps(content) + "\n", encoding="utf-8")
        aside.replace(note)
