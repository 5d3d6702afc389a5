"""Every change to a run's files: whole or not at all, and one place where a test can let any one fail.

A file gets its name only when its bytes are on the disk: written aside, synced, renamed, directory synced.
"""

import errno
import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from math import isfinite
from pathlib import Path
from typing import Any

from metareward.errors import StoreError
from metareward.ids import file_digest

Act = Callable[[], object]
Guard = Callable[[str, Path, Act], object]
"""Carries out `act`, the operation of this name on this path, or not."""

ADVICE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make the disk writable",
    errno.EACCES: "give write permission",
    errno.EPERM: "give write permission",
    errno.EIO: "look after the disk",
    errno.EFBIG: "let files grow (ulimit -f)",
}
_CHECKSUM = "checksum"
_READERS = 4  # large files are hashed side by side


def _plainly(operation: str, path: Path, act: Act) -> object:
    return act()


_guard: Guard = _plainly


@contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Let `guard` carry out every change this process makes: write, sync, rename, remove, make_directory."""
    global _guard
    before, _guard = _guard, guard
    try:
        yield
    finally:
        _guard = before


def write(path: Path, content: bytes) -> None:
    """Write a file in place. Like all here it raises StoreError when the disk refuses."""
    _do("write", path, lambda: path.write_bytes(content))


def sync(path: Path) -> None:
    """Force a file or a directory to the disk."""
    _do("sync", path, lambda: _sync(path))


def rename(path: Path, target: Path) -> None:
    """Give a file or directory another name; an existing file of that name is replaced."""
    _do("rename", path, lambda: path.replace(target))


def remove(path: Path) -> None:
    """Remove a file; it need not exist."""
    _do("remove", path, lambda: path.unlink(missing_ok=True))


def make_directory(path: Path) -> None:
    """Make a directory and its parents, where they are missing."""
    if not path.is_dir():
        _do("make_directory", path, lambda: path.mkdir(parents=True, exist_ok=True))


def replace(path: Path, content: bytes) -> None:
    """Write a file so that it has this content or, whatever happens, what it had before."""
    aside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        _do("write", aside, lambda: aside.write_bytes(content), told=path)
        _do("sync", aside, lambda: _sync(aside), told=path)
        rename(aside, path)
        sync(path.parent)
    except StoreError:
        with suppress(OSError):
            aside.unlink(missing_ok=True)  # half a file must not fill a full disk
        raise


def sweep(folder: Path) -> None:
    """Remove what `replace` left behind in processes that were killed. Only for who holds the run."""
    for stray in sorted(folder.glob(".*.tmp")):
        remove(stray)


def set_aside(path: Path) -> Path:
    """Move a damaged file or directory out of the way without deleting it."""
    number = 0
    while (target := path.with_name(f"{path.name}.damaged-{number}")).exists():
        number += 1
    rename(path, target)
    return target


def sync_tree(folder: Path) -> None:
    """Force every file below a folder, and the folders themselves, to the disk."""
    for path in [*sorted(folder.rglob("*")), folder, folder.parent]:
        sync(path)


def finite(content: Any) -> Any:
    """Plain data as JSON can hold it: null in the place of NaN and infinities, which are none of it."""
    if isinstance(content, float):
        return content if isfinite(content) else None
    if isinstance(content, Mapping):
        return {name: finite(value) for name, value in content.items()}
    return [finite(value) for value in content] if isinstance(content, list | tuple) else content


def json_text(content: Any, indent: int | None = 2, ascii_only: bool = False) -> str:
    """Plain data as JSON that every reader takes; see `finite`."""
    return json.dumps(finite(content), indent=indent, ensure_ascii=ascii_only, allow_nan=False)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file atomically."""
    text = json_text(content) + "\n"
    replace(path, text.encode("utf-8", "backslashreplace"))  # a lone surrogate as JSON writes it


def write_checked(path: Path, content: dict[str, Any]) -> None:
    """Write a small JSON file atomically, its own checksum in it."""
    content = finite(content)
    write_json(path, {**content, _CHECKSUM: _checksum(content)})


def read_checked(path: Path) -> dict[str, Any]:
    """What `write_checked` wrote; StoreError if it is damaged or cannot be read."""
    try:
        content = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{path}: damaged ({error})") from error
    except OSError as error:
        raise StoreError(f"{path}: cannot be read: {error.strerror or error}") from error
    if not isinstance(content, dict) or content.pop(_CHECKSUM, None) != _checksum(content):
        raise StoreError(f"{path}: damaged (its content does not have its checksum)")
    return content


def digests(folder: Path, but: str = "") -> dict[str, str]:
    """SHA-256 of every file below a folder, by relative path; `but` is left out."""
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != but]
    with ThreadPoolExecutor(_READERS) as readers:
        found = readers.map(file_digest, files)
        return {str(path.relative_to(folder)): digest for path, digest in zip(files, found, strict=True)}


def harmed(folder: Path, known: Mapping[str, str]) -> list[str]:
    """The files that are missing or have another digest than `digests` said."""
    found = digests(folder)
    return [name for name, digest in known.items() if found.get(name) != digest]


def refusal(place: object, error: OSError, what: str = "cannot write: ") -> str:
    """What to tell the user when the disk refuses something."""
    advice = ADVICE.get(error.errno or 0, "mend that")
    return (
        f"{place}: {what}{error.strerror or error}. What was stored before is kept; {advice}, then run the "
        "same command again."
    )


def _do(operation: str, path: Path, act: Act, told: Path | None = None) -> None:
    """Carry out one change; what the disk refuses is said of `told`, the file that the user knows."""
    try:
        _guard(operation, path, act)
    except OSError as error:
        raise StoreError(refusal(told or path, error)) from error


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checksum(content: dict[str, Any]) -> str:
    text = json.dumps(json.loads(json.dumps(content)), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:32]
