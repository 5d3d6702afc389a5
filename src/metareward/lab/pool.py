"""Carries cells out in worker processes, or in this one; a cell that fails does not stop the others."""

import os
import pickle
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Generator, Sequence
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import wait
from pathlib import Path
from typing import IO, Any

from metareward import disk
from metareward.errors import StoreError
from metareward.events import Event, Listener
from metareward.lab.cell import Cell
from metareward.lab.worker import Failure, failure

RunCell = Callable[[Cell, Path, Listener], dict[str, Any]]
Hear = Callable[[Cell, Event | None], None]
"""Hears of a cell: None when it begins, and then what its run says."""
Outcome = tuple[Cell, dict[str, Any] | Failure]

LOG = "workers.log"
_PATIENCE = 20.0  # seconds that a worker has to put away what it was doing


def here(cells: Sequence[Cell], root: Path, run: RunCell, hear: Hear) -> Generator[Outcome, None, None]:
    """One after another in this process."""
    for cell in cells:
        hear(cell, None)
        yield cell, _attempt(cell, root, run, hear)


def _attempt(cell: Cell, root: Path, run: RunCell, hear: Hear) -> dict[str, Any] | Failure:
    try:
        return run(cell, root, lambda event: hear(cell, event))
    except BrokenPipeError:  # nobody reads what is said
        raise
    except Exception as error:  # noqa: BLE001 - told when the other cells have ended
        return failure(error)


def in_workers(
    cells: Sequence[Cell], root: Path, run: RunCell, jobs: int, hear: Hear
) -> Generator[Outcome, None, None]:
    """In so many processes side by side, in the order in which they end.

    Left early, by an interruption or otherwise, it stops the processes and waits for them; what they had done
    is kept. What they print lies in `root`.
    """
    waiting, workers = deque(cells), dict[Any, _Worker]()
    disk.make_directory(root)

    def give(worker: _Worker) -> None:
        cell = waiting.popleft()
        hear(cell, None)
        worker.give(cell, pickle.dumps((run, cell, root)))

    def start(log: IO[bytes]) -> None:
        worker = _Worker(log, alone=min(jobs, len(cells)) == 1)
        workers[worker.connection] = worker
        give(worker)

    try:
        with _log(root / LOG) as log:
            for _ in range(min(jobs, len(cells))):
                start(log)
            while workers:
                for ready in wait(list(workers)):
                    worker = workers[ready]
                    heard = worker.heard()
                    if not isinstance(heard, dict | Failure):
                        hear(worker.cell, heard)
                        continue
                    yield worker.cell, heard
                    if waiting and worker.lives:
                        give(worker)
                        continue
                    worker.end()
                    del workers[ready]
                    if waiting:
                        start(log)
    finally:
        _stop(list(workers.values()))


class _Worker:
    """One process and the way to it."""

    cell: Cell

    def __init__(self, log: IO[bytes], alone: bool) -> None:
        self.connection, theirs = Pipe()
        self.lives, self._log = True, log.name
        code = f"from metareward.lab.worker import main; main({theirs.fileno()})"
        path = os.pathsep.join(map(os.path.abspath, sys.path))
        threads = {} if alone else {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", code],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=[theirs.fileno()],
            env={**os.environ, "PYTHONPATH": path, **threads},
        )
        theirs.close()

    def give(self, cell: Cell, task: bytes) -> None:
        """The next cell, and what the process is to know of it."""
        self.cell = cell
        with suppress(OSError):  # it is dead: `heard` will say so
            self.connection.send_bytes(task)

    def heard(self) -> Event | dict[str, Any] | Failure:
        """The next thing that it says: an event, or what its cell came to."""
        try:
            return self.connection.recv()
        except (EOFError, OSError):
            self.lives = False
            self.end()
            return Failure(f"its process ended ({self._status()}); {self._log} has its last words")

    def stop(self) -> None:
        """Tell it to put away what it is doing."""
        self.connection.close()
        self._process.terminate()

    def end(self) -> None:
        """Wait until it has ended; kill it if it does not."""
        self.connection.close()
        try:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(_PATIENCE)
        finally:
            self._process.kill()
            self._process.wait()

    def _status(self) -> str:
        status = self._process.returncode
        killed = f"killed by signal {-status}; perhaps there was too little memory"
        return killed if status < 0 else f"status {status}"


def _stop(workers: Sequence[_Worker]) -> None:
    for worker in workers:
        worker.stop()
    for worker in workers:
        worker.end()


def _log(path: Path) -> IO[bytes]:
    try:
        return path.open("wb")
    except OSError as error:
        raise StoreError(disk.refusal(path, error)) from error
