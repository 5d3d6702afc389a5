"""One living process, and in it one thread, works in a run's directory."""

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from metareward.errors import ConfigError

_held: dict[tuple[str, int], tuple[int, int]] = {}  # (directory, process): (thread, how often)
_guard = threading.Lock()


@contextmanager
def claim(directory: Path) -> Iterator[None]:
    """Hold a run's directory while the context lasts. The same thread may claim it again inside.

    The system gives the claim back when the process ends, however it ends. Raises ConfigError when
    another process or thread holds it, or when the directory cannot be used.
    """
    with _open_lock(directory) as lock:
        place, thread = (str(directory.resolve()), os.getpid()), threading.get_ident()
        with _guard:
            owner, depth = _held.get(place, (thread, 0))
            if owner != thread:
                raise ConfigError(_in_use(directory, "another thread of this process"))
            if not depth:
                _lock(lock, directory)
            _held[place] = (thread, depth + 1)
        try:
            yield
        finally:
            with _guard:
                if depth:
                    _held[place] = (thread, depth)
                else:
                    del _held[place]


def _open_lock(directory: Path) -> IO[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return (directory / "lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"{directory}: cannot be used as a run directory: {error.strerror}; give another --directory"
        ) from error


def _lock(lock: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        owner = f"another process (number {lock.read().strip() or 'unknown'})"
        raise ConfigError(_in_use(directory, owner)) from None
    except OSError as error:
        raise ConfigError(
            f"{directory}: cannot be locked: {error.strerror}. Without locks two processes could spoil each "
            "other's work; give a --directory on a disk that has them"
        ) from error
    with suppress(OSError):  # a full disk: the claim holds all the same, only its owner is not named
        os.ftruncate(lock.fileno(), 0)
        os.write(lock.fileno(), f"{os.getpid()}\n".encode())


def _in_use(directory: Path, owner: str) -> str:
    return f"{directory} is in use by {owner}; wait for it, stop it, or give this run another --directory"
