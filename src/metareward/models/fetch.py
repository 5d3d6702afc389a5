"""Fetching a catalogue model: have its parts, convert what they make, publish it in one step."""

import errno
import fcntl
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from metareward.errors import ModelError
from metareward.ids import file_digest
from metareward.models.catalogue import CONVERSION, Entry, find
from metareward.models.convert import check_installed, convert
from metareward.models.parts import bytes_needed, gather, join, kept_bytes, room_needed
from metareward.models.verify import DIGESTS, damaged

MANIFEST = "metareward.json"
_STALE_SECONDS = 24 * 3600  # a working directory this old belongs to a process that died
_KEPT_SECONDS = 30 * _STALE_SECONDS  # and parts this old to a fetch that nobody will go on with


def get(name: str, cache: Path | None = None, listen: Callable[[str], None] = lambda _: None) -> Path:
    """The directory of a catalogue model, fetched and converted first if it is not there yet.

    listen: told what is being done, a line at a time. Safe when several processes ask at once: one
    fetches, the others wait and take what it published. Parts that have arrived are kept until then, so
    a fetch that was killed goes on where it was. A model that is damaged by its checksums is set aside and
    fetched again. Raises ModelError.
    """
    entry = find(name)
    target = entry.directory(cache)
    if not _is_whole(entry, cache, listen):
        with _letters(entry, target), _alone(entry, target, listen):
            if not _is_whole(entry, cache):
                _fetch(entry, target, listen)
    return target


def _is_whole(entry: Entry, cache: Path | None, listen: Callable[[str], None] = lambda _: None) -> bool:
    """Whether the model lies in the cache, every byte of it; tells what is damaged."""
    if not is_fetched(entry, cache):
        return False
    target = entry.directory(cache)
    try:
        bad = damaged(target / MANIFEST)
    except (OSError, ValueError, KeyError, TypeError):  # it was replaced or removed meanwhile
        return is_fetched(entry, cache)
    if bad:
        listen(
            f"{entry.name}: {bad[0]} in {target} is damaged (its checksum is not that of when it was made); "
            "the model is set aside and fetched again"
        )
    return not bad


def is_fetched(entry: Entry, cache: Path | None = None) -> bool:
    """Whether the model lies in the cache in whole: its manifest is there and every file has its size."""
    target = entry.directory(cache)
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: (target / name).stat().st_size for name in manifest["files"]}
        return manifest["fingerprint"] == entry.fingerprint and sizes == manifest["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return False


def _fetch(entry: Entry, target: Path, listen: Callable[[str], None]) -> None:
    check_installed(entry)
    kept = _parts_directory(entry, target)
    _sweep(target.parent)
    _check_room(entry, kept)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=target.parent, ignore_cleanup_errors=True) as name:
        work = Path(name)
        with _kept(kept):
            gather(entry, kept, work, listen)
        gguf = join(entry, kept, work / "model.gguf")
        model = work / "model"
        model.mkdir()
        listen(f"{entry.name}: converting, once and for all")
        convert(gguf, entry, model)
        _write_manifest(entry, model)
        _publish(entry, model, target)
    shutil.rmtree(kept, ignore_errors=True)


def _parts_directory(entry: Entry, target: Path) -> Path:
    return target.parent / f".parts-{entry.sha256[:16]}"


@contextmanager
def _kept(kept: Path) -> Iterator[None]:
    """The directory of the parts; if not one of them arrived, it is not left behind."""
    kept.mkdir(exist_ok=True)
    try:
        yield
    finally:
        with suppress(OSError):  # not empty
            kept.rmdir()


@contextmanager
def _alone(entry: Entry, target: Path, listen: Callable[[str], None]) -> Iterator[None]:
    """One fetch of a model at a time. Where files cannot be locked all go ahead, which costs but is safe."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / f".lock-{entry.name}").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            listen(f"{entry.name}: another process is fetching it; waiting")
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError as error:
            if error.errno not in (errno.ENOLCK, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS):
                raise
        yield


def _check_room(entry: Entry, kept: Path) -> None:
    there, free = kept_bytes(entry, kept), shutil.disk_usage(kept.parent).free
    if free < bytes_needed(entry) - there:
        raise ModelError(
            f"{entry.name}: no space left for it, {free / 1e9:.1f} GB are free at {kept.parent}. "
            f"{room_needed(entry, there)}"
        )


def _write_manifest(entry: Entry, model: Path) -> None:
    files = {path.name: path.stat().st_size for path in sorted(model.iterdir())}
    for path in model.iterdir():  # safetensors writes for its owner only, but a cache may be shared
        path.chmod(0o644)
    manifest = {
        "name": entry.name,
        "fingerprint": entry.fingerprint,
        "conversion": CONVERSION,
        "parts": [asdict(part) for part in entry.parts],
        "sha256": entry.sha256,
        "licence": entry.licence,
        "upstream": entry.upstream,
        "parameters": entry.parameters,
        "files": files,
        DIGESTS: {path.name: file_digest(path) for path in sorted(model.iterdir())},
    }
    (model / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")


def _publish(entry: Entry, model: Path, target: Path) -> None:
    """Rename `model` to `target`, unless another process has put a whole model there meanwhile."""
    for _ in range(3):  # a rename onto a directory that is not empty fails: someone was first
        try:
            model.rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
        if _is_whole(entry, target.parent.parent):
            return
        aside = Path(tempfile.mkdtemp(prefix=".damaged-", dir=target.parent))
        with suppress(FileNotFoundError):  # another process has cleared it away
            target.rename(aside / target.name)
        shutil.rmtree(aside, ignore_errors=True)
    raise ModelError(f"{entry.name}: {target} keeps changing; stop what writes there and try again.")


def _sweep(models: Path) -> None:
    """Remove what killed processes left behind: half a gigabyte each, or more."""
    ages = {".fetch-*": _STALE_SECONDS, ".damaged-*": _STALE_SECONDS, ".parts-*": _KEPT_SECONDS}
    for pattern, age in ages.items():
        for path in models.glob(pattern):
            with suppress(FileNotFoundError):  # another process sweeps too
                if path.stat().st_mtime < time.time() - age:
                    shutil.rmtree(path, ignore_errors=True)


@contextmanager
def _letters(entry: Entry, target: Path) -> Iterator[None]:
    """Turn what the disk says into something to act upon."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise ModelError(f"{entry.name}: no space left for {target}. {room_needed(entry)}") from error
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise ModelError(
                f"{entry.name}: may not write to {error.filename or target}. Set METAREWARD_CACHE to a "
                "directory of yours."
            ) from error
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENAMETOOLONG):
            raise ModelError(
                f"{entry.name}: the cache {target} cannot be made: {error.strerror}. Set METAREWARD_CACHE to "
                "a directory of yours."
            ) from error
        raise
    except Exception as error:
        # safetensors writes from Rust and wraps the system's error in a type of its own.
        if f"os error {errno.ENOSPC}" not in str(error).lower():
            raise
        raise ModelError(f"{entry.name}: no space left for {target}. {room_needed(entry)}") from error
