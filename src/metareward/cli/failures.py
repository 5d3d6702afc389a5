"""What stops a command, told in one message, and the exit status that goes with it.

0: done. 2: the user's mistake. 1: anything else that stops a run, be it the disk or a fault of ours.
130: told to stop. 75: an engine or a training hung and was given up; a supervisor may start it again.
Rows that were stored before are kept whatever happens.
"""

import errno
import io
import os
import sys
import traceback
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from rich.text import Text

from metareward.cli import render
from metareward.errors import MetarewardError, StallError, UserError
from metareward.secrets import scrub

INTERRUPTED = 130
TRY_AGAIN = 75  # EX_TEMPFAIL of sysexits.h: a supervisor may start the same command again
_STATUS: tuple[tuple[type[BaseException], int], ...] = (
    (UserError, 2),
    (StallError, TRY_AGAIN),
    (MetarewardError, 1),
)
_NAMED_BADLY = (errno.ENAMETOOLONG, errno.ELOOP)
_ADVICE = {
    errno.ENOSPC: "make room",
    errno.EDQUOT: "make room",
    errno.EROFS: "make the disk writable",
    errno.EACCES: "give yourself permission",
    errno.EPERM: "give yourself permission",
    errno.EIO: "look after the disk",
    errno.EMFILE: "allow more open files (ulimit -n)",
    errno.ENOTDIR: "move what is in the way",
    errno.EISDIR: "move what is in the way",
    errno.EEXIST: "move what is in the way",
}
_KEPT = "What was stored before is kept; {advice}, then give the same command again."
_STOPPED = "interrupted; everything answered so far is kept. The same command goes on from here."
_UNREAD = (
    "nobody reads the output any more, so this stopped; what was stored is kept. The same command goes on."
)
_TOLD = ("metareward", "torch", "transformers", "trl", "accelerate", "pyarrow", "numpy")


def guarded(command: Callable[[], object]) -> int:
    """Carry out a command of typer's; its exit status. Everything that stops it is told on standard error."""
    _open_streams()
    try:
        status = _exit_status(command)
        if status == INTERRUPTED:  # typer makes this of a KeyboardInterrupt, wherever it came, without a word
            render.complain(_STOPPED)
        sys.stdout.flush()  # a full disk behind standard output shows here, not after everything
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - the one place where all of them end
        return told(error)
    return status


def told(error: BaseException) -> int:
    """Tell what stopped a command; the exit status that says the same to a program."""
    for kind, status in _STATUS:
        if isinstance(error, kind):
            render.complain(str(error))
            return status
    if isinstance(error, KeyboardInterrupt):
        render.complain(_STOPPED)
        return INTERRUPTED
    if isinstance(error, BrokenPipeError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        render.complain(_UNREAD)
        return 1
    if isinstance(error, OSError) and error.errno in _NAMED_BADLY:
        render.complain(f"{_place(error)}: {error.strerror}; give another name")
        return 2
    if isinstance(error, OSError) and error.errno in _ADVICE:
        render.complain(f"{_place(error)}: {error.strerror}. {_KEPT.format(advice=_ADVICE[error.errno])}")
    elif isinstance(error, MemoryError):
        render.complain(f"out of memory. {_KEPT.format(advice='free memory or ask for less at once')}")
    else:
        _tell_fault(error)
    return 1


def _open_streams() -> None:
    """Streams that were closed take nothing; those that cannot show a character write its number."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, Path(os.devnull).open("w"))  # noqa: SIM115 - for as long as the process
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _exit_status(command: Callable[[], object]) -> int:
    """Typer ends every command by SystemExit, its own messages about the command line included."""
    try:
        command()
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    return 0


def _tell_fault(error: BaseException) -> None:
    render.err.print(Text(scrub("".join(traceback.format_exception(error)))), soft_wrap=True, end="")
    versions = ", ".join(f"{name} {found}" for name in _TOLD if (found := _version(name)))
    render.complain(
        f"the lines above are a fault of metareward, not a mistake of yours ({type(error).__name__}). What "
        "was stored before is kept, and the same command goes on from there. Please report them with the "
        f"config and these versions: Python {sys.version.split()[0]}, {versions}."
    )


def _place(error: OSError) -> str:
    name = error.filename
    name = os.fsdecode(name) if isinstance(name, bytes) else str(name or "standard output")
    return name if len(name) <= 200 else f"{name[:100]}...{name[-20:]}"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
