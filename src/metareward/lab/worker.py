"""A process that carries out cells, one after another: what `lab.pool` starts.

It is a fresh interpreter, and unlike those of `multiprocessing` it never runs the user's program again.
"""

import pickle
import signal
import traceback
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from metareward.errors import MetarewardError, UserError
from metareward.events import Event, StepProgress


@dataclass(frozen=True)
class Failure:
    """Why a cell came to nothing. trace: where, for an error that is none of ours; own: a user's mistake."""

    said: str
    trace: str = ""
    own: bool = False


def failure(error: Exception) -> Failure:
    """What to tell of an error."""
    if isinstance(error, MetarewardError):
        return Failure(str(error), own=isinstance(error, UserError))
    return Failure(f"{type(error).__name__}: {error}", "".join(traceback.format_exception(error)))


class _Telling:
    """Passes on what a cell's run says, but for the progress within a step, while somebody listens."""

    def __init__(self, connection: Connection) -> None:
        self._connection, self.asked = connection, False

    def stop(self, *_: Any) -> None:
        """The parent's signal; told again at the next event, should this exception be lost."""
        self.asked = True
        raise KeyboardInterrupt

    def __call__(self, event: Event) -> None:
        if self.asked:
            raise KeyboardInterrupt
        if isinstance(event, StepProgress):
            return
        try:
            self._connection.send(event)
        except OSError:  # the parent is gone
            raise KeyboardInterrupt from None


def main(handle: int) -> None:
    """Work off what comes through the connection of this file descriptor, until its other end is closed."""
    connection = Connection(handle)
    telling = _Telling(connection)
    for number in (signal.SIGINT, signal.SIGHUP):  # a terminal's are for the parent
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, telling.stop)
    try:
        while True:
            connection.send(_carried_out(connection.recv_bytes(), telling))
    except (KeyboardInterrupt, EOFError, OSError):
        return


def _carried_out(task: bytes, telling: _Telling) -> dict[str, Any] | Failure:
    try:
        run, cell, root = pickle.loads(task)  # noqa: S301 - from the parent, through a pipe of its own
        return run(cell, root, telling)
    except Exception as error:  # noqa: BLE001 - told by the parent, when the other cells have ended
        return failure(error)
