"""One training at a time in a work directory, even when the one before has lost its launcher."""

import fcntl
import os
import time
from pathlib import Path
from typing import IO

from metareward.errors import StepError


def hold_lock(file: Path, wait_seconds: float) -> IO[str]:
    """The open file with its lock held until it is closed or the process ends.

    Raises StepError when another process holds it for longer than `wait_seconds`.
    """
    handle = file.open("a+")
    until = time.monotonic() + wait_seconds
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > until:
                handle.seek(0)
                owner = handle.read().strip() or "unknown"
                handle.close()
                raise StepError(
                    f"{file.parent}: another training (process {owner}) is still at work there after "
                    f"{wait_seconds:g} s; wait for it or end it, then run again"
                ) from None
            time.sleep(0.1)
        else:
            handle.truncate(0)
            handle.write(str(os.getpid()))
            handle.flush()
            return handle
