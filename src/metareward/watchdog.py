"""Notices when nothing moves: a worker that hangs is ended, not waited for until somebody looks.

An engine that is slow is not one that hangs: it calls `beat` whenever it has done a little. One that never
does is judged by its answers alone.
"""

import ctypes
import faulthandler
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from metareward.errors import StallError
from metareward.settings import require

MINUTES = 30.0
_POLL_SECONDS = 1.0
_GRACE_SECONDS = 20.0
_last = time.monotonic()


def beat() -> None:
    """A sign of life."""
    global _last
    _last = time.monotonic()


class _Stalled(StallError):
    """Raised in a thread from outside, where no message can be given."""


class Watchdog:
    """Watches the thread that waits for an engine.

    minutes: without a sign of life before it acts; 0 waits for ever. last_resort: given the message when
    the thread does not come back within 20 seconds more, to end the process; without one it is left alone.
    """

    def __init__(self, minutes: float = MINUTES, last_resort: Callable[[str], object] | None = None) -> None:
        require(minutes >= 0, "machine.stall_minutes", "0 (wait for ever) or more", minutes)
        self.minutes, self.last_resort = minutes, last_resort
        self.grace_seconds = min(_GRACE_SECONDS, 60 * minutes)

    @contextmanager
    def over(self, step: str, stacks: Path, rescue: Callable[[], object]) -> Iterator[None]:
        """Watch this thread while the context lasts.

        When nothing moves, the stacks of all threads go to the file `stacks`, `rescue` stores what there
        is, and StallError is raised here as soon as this thread runs Python again.
        """
        if not self.minutes:
            yield
            return
        message = (
            f"{step}: the engine has given no sign of life for {self.minutes:g} minutes and was given up; "
            f"what it had answered is stored. {stacks} says where every thread was. Run the same command "
            "again to go on; if it is only slow, raise stall_minutes in [machine] (0 waits for ever)."
        )
        watch = _Watch(self, message, stacks, rescue)
        watch.start()
        try:
            try:
                yield
            finally:
                watch.end()
        except _Stalled:
            watch.end()
            raise StallError(watch.message) from None


class _Watch(threading.Thread):
    """One thread that watches another."""

    def __init__(self, dog: Watchdog, message: str, stacks: Path, rescue: Callable[[], object]) -> None:
        super().__init__(daemon=True, name="watchdog")
        self._dog, self.message, self._stacks, self._rescue = dog, message, stacks, rescue
        self._seconds = 60 * dog.minutes
        self._poll = min(_POLL_SECONDS, self._seconds / 10)
        self._watched = threading.get_ident()
        self._ended = threading.Event()
        self._raising = threading.Lock()
        beat()

    def run(self) -> None:
        """Wait for the end of the work or for a silence, whichever comes first."""
        while not self._lasts_too_long():
            before = time.monotonic()
            if self._ended.wait(self._poll):
                return
            if time.monotonic() - before > self._poll + 0.5 * self._seconds:
                beat()  # the whole process was stopped for a while, not the engine alone
        self._dump()
        self._store()
        with self._raising:
            if not self._ended.is_set():
                ctypes.pythonapi.PyThreadState_SetAsyncExc(
                    ctypes.c_ulong(self._watched), ctypes.py_object(_Stalled)
                )
        if not self._ended.wait(self._dog.grace_seconds) and self._dog.last_resort:
            self._dog.last_resort(self.message)

    def end(self) -> None:
        """Stop watching. After this nothing is raised any more."""
        with self._raising:
            self._ended.set()
        self.join()
        if self._dog.last_resort:
            faulthandler.cancel_dump_traceback_later()

    def _lasts_too_long(self) -> bool:
        """Also keeps a watch over code that never lets go of the interpreter, where this cannot run."""
        if self._dog.last_resort and (stream := _own_stderr()):
            later = self._seconds + self._dog.grace_seconds
            faulthandler.dump_traceback_later(later, exit=True, file=stream)
        return time.monotonic() - _last > self._seconds

    def _dump(self) -> None:
        try:
            with self._stacks.open("w") as file:
                faulthandler.dump_traceback(file, all_threads=True)
        except OSError:  # a full disk: then at least to where the user looks
            if stream := _own_stderr():
                faulthandler.dump_traceback(stream, all_threads=True)

    def _store(self) -> None:
        """Rescue what there is, but do not wait for ever: the disk may be what hangs."""
        rescuer = threading.Thread(target=self._try_rescue, daemon=True)
        rescuer.start()
        rescuer.join(self._dog.grace_seconds)

    def _try_rescue(self) -> None:
        try:
            self._rescue()
        except Exception as error:  # noqa: BLE001 - said, and the engine is given up all the same
            self.message += f" But what it had answered last could not be stored: {error}"


def _own_stderr() -> Any:
    """The process's own standard error, whatever stands for it just now; None if it was closed."""
    try:
        return sys.__stderr__ if sys.__stderr__ is not None and sys.__stderr__.fileno() >= 0 else None
    except (OSError, ValueError):
        return None
