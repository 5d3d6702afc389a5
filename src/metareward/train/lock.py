"""One training at a time in a work directory, even when the one before has lost its launcher."""

import fcntl
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import IO

from metareward import disk
from metareward.errors import StepError, StoreError


def hold_lock(file: Path, wait_seconds: float) -> IO[str]:
    """The open file with its lock held until it is closed or the process ends.

    Raises StepError when another process holds it for longer than `wait_seconds`.
    """
    try:
        handle = file.open("a+")
    except OSError as error:
        raise StoreError(disk.refusal(file, error)) from error
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
            with suppress(OSError):  # a full disk: the lock holds all the same, only its owner is not named
                os.ftruncate(handle.fileno(), 0)
                os.write(handle.fileno(), str(os.getpid()).encode())
            return handle
