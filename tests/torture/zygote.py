"""A process that has imported everything and forks sessions of the command line, so that a kill costs little.

Each session is a real process in a session of its own that runs `metareward run` from its first line, and is
killed by real signals. Two things differ from the shell: imports are inherited, and the training child is
forked too instead of being started through accelerate. (The undisturbed run that all are held against is
started from the shell; so are the last sessions of some.) Speaks JSON lines: one command, one answer.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

_HIGHEST = 4096


def main() -> None:
    """Serve commands until standard input ends."""
    import metareward.cli.app
    import metareward.train.worker  # noqa: F401 (with torch, transformers, trl)

    _say({"ready": True})
    for line in sys.stdin:
        command = json.loads(line)
        if command["do"] == "start":
            _say({"pid": _fork(partial(_session, command), Path(command["log"]))})
        else:
            pid, status = os.waitpid(command["pid"], os.WNOHANG)
            _say({"status": os.waitstatus_to_exitcode(status) if pid else None})


def _say(answer: dict[str, Any]) -> None:
    print(json.dumps(answer), flush=True)


def _fork(work: Callable[[], object], log: Path, stdin: int | None = None) -> int:
    """A child in a session of its own that holds none of our files."""
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        os.setsid()
        os.dup2(stdin if stdin is not None else os.open(os.devnull, os.O_RDONLY), 0)
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.dup2(out, 1)
        os.dup2(out, 2)
        os.closerange(3, _HIGHEST)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        status = int(work() or 0)  # type: ignore[call-overload]
    except SystemExit as error:
        status = int(error.code or 0)
    except BaseException:  # noqa: BLE001 - printed; a fork must never come back from here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def _session(command: dict[str, Any]) -> None:
    """`metareward run`, noting each request that is handed to an engine."""
    from metareward import cli
    from metareward.engines import transformers as engines
    from metareward.train import launch

    os.chdir(command["cwd"])
    opening = engines.open_transformers
    noted = os.open(command["handed"], os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    engines.open_transformers = lambda **settings: _noting(opening(**settings), noted)  # type: ignore[assignment]
    launch.start = _start_forked  # type: ignore[assignment]
    sys.argv = ["metareward", *command["arguments"]]
    cli.main()


def _noting(open_engine: Any, noted: int) -> Any:
    from metareward.engines.base import name_of, named

    @contextmanager
    def opened(model: Any) -> Iterator[Any]:
        with open_engine(model) as engine:
            yield _Noting(engine, noted)

    return named(opened, name_of(open_engine))


class _Noting:
    def __init__(self, engine: Any, noted: int) -> None:
        self._engine, self._noted = engine, noted

    def complete(self, requests: Iterable[Any], /) -> Iterator[Any]:
        return self._engine.complete(self._note(requests))

    def _note(self, requests: Iterable[Any]) -> Iterator[Any]:
        for request in requests:
            os.write(self._noted, f"{request.id}\n".encode())
            yield request


class _Forked:
    """As much of a Popen as `launch` uses."""

    def __init__(self, pid: int) -> None:
        self.pid, self.returncode = pid, None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            self.returncode = os.waitstatus_to_exitcode(status) if pid else None
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        import subprocess

        until = time.monotonic() + (timeout or 1e9)
        while self.poll() is None:
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("worker", timeout or 0)
            time.sleep(0.02)
        assert self.returncode is not None
        return self.returncode


def _start_forked(job: Any, command: list[str], stdin: Any) -> _Forked:
    """The worker as a fork of this process: its `main`, with the job's file as its only argument."""
    from metareward.train import launch, worker

    def work() -> int:
        os.environ.update(launch.QUIET)
        sys.argv = ["worker", command[-1]]
        return worker.main()

    log = job.work_dir / "worker.log"
    log.write_bytes(b"")
    return _Forked(_fork(work, log, stdin.fileno()))


if __name__ == "__main__":
    main()
