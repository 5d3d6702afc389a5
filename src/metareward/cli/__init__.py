"""The command line: run, plan, show, models, export. It draws; the rooms before it do the work."""

import signal
import threading

_here = threading.current_thread() is threading.main_thread()
# A Ctrl-C while libraries load ends the process without a traceback.
_before = signal.signal(signal.SIGINT, signal.SIG_DFL) if _here else None
from metareward.cli.app import main  # noqa: E402

if _here:
    signal.signal(signal.SIGINT, _before)

__all__ = ["main"]
