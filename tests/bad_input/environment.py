"""What is not wrong with the input but with the machine, and what is told to stop."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bad_input.case import RUN, Case

AGAIN = "then give the same command again."
GET = "metareward models get smollm2-135m-instruct"


def interrupt(directory: Path) -> tuple[int, str]:
    """Ctrl-C once rows are being written."""
    text = RUN.replace("per_iteration = 4", "per_iteration = 150").replace("samples = 2", "samples = 6")
    (directory / "c.toml").write_text(text)
    command = [sys.executable, "-m", "metareward", "run", "c.toml"]
    child = subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    while not list(directory.glob("runs/c/artifacts/*/question")) and child.poll() is None:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGINT)
    said, _ = child.communicate(timeout=60)
    return child.returncode, said


def without(*packages: str):
    """As if these were not installed."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        from metareward import machinery

        known = machinery.find_spec
        monkeypatch.setattr(machinery, "find_spec", lambda name: None if name in packages else known(name))

    return patch


def out_of(error: BaseException):
    """A plan in which this goes wrong."""

    def patch(monkeypatch: pytest.MonkeyPatch) -> None:
        from metareward import session

        def sketch(config: object) -> None:
            raise error

        monkeypatch.setattr(session, "sketch", sketch)

    return patch


def homeless(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("METAREWARD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)

    def home() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", home)


def cache(place: str):
    return lambda monkeypatch: monkeypatch.setenv("METAREWARD_CACHE", place)


TRACKED = "model = 'smollm2-135m-instruct'\n[machine.training]\nreport_to = ['trackio']\n"
PLAIN = {"c.toml": RUN}
FAULT = "the lines above are a fault of metareward, not a mistake of yours (ZeroDivisionError). What was stored before is "
CASES = [
    Case("packages that a real model needs are missing", "metareward run c.toml", "a run with a real model needs torch, trl, not "
         "installed here; pip install 'metareward[train]' brings what is needed, or set engine = \"fake\" in [machine]",
         files={"c.toml": "seed = 1"}, patch=without("torch", "trl")),
    Case("a tracker that is not installed", "metareward run c.toml", "machine.training.report_to: trackio is not installed here; "
         "pip install trackio, or leave it out", files={"c.toml": TRACKED}, patch=without("trackio")),
    Case("no home directory for the models", GET, "there is no home directory to keep models in: set METAREWARD_CACHE to a "
         "directory of yours", patch=homeless),
    Case("a file where models are to be kept", GET, "smollm2-135m-instruct: the cache c.toml/models/smollm2-135m-instruct cannot "
         "be made: Not a directory. Set METAREWARD_CACHE to a directory of yours.", files=PLAIN, patch=cache("c.toml")),
    Case("models are to be kept where nothing can be", GET, "…cannot be made: No such file or directory. Set METAREWARD_CACHE to a "
         "directory of yours.", patch=cache("/proc/none")),
    Case("the disk behind standard output is full", "metareward plan c.toml > /dev/full", "standard output: No space left on "
         f"device. What was stored before is kept; make room, {AGAIN}", 1, files=PLAIN, process=True),
    Case("files may not grow (`ulimit`)", "ulimit -f 4; metareward run c.toml", "runs/c/config.json: cannot write: File too large. "
         "What was stored before is kept; let files grow (ulimit -f), then run the same command again.",
         1, files=PLAIN, process=True),
    Case("nobody reads the output", "metareward run c.toml | true; exit ${PIPESTATUS[0]}", "nobody reads the output any more, so "
         "this stopped; what was stored is kept. The same command goes on.", 1, files=PLAIN, process=True),
    Case("out of memory", "metareward plan c.toml", "out of memory. What was stored before is kept; free memory or ask for less at "
         f"once, {AGAIN}", 1, files=PLAIN, patch=out_of(MemoryError())),
    Case("Ctrl-C", "metareward run c.toml", "interrupted; everything answered so far is kept. The same command goes on from here.",
         130, act=interrupt),
    Case("a fault of ours", "metareward plan c.toml", "…Traceback … ZeroDivisionError: a slip … " + FAULT + "kept, and the same "
         "command goes on from there. Please report them with the config and these versions: Python …, metareward …", 1,
         files=PLAIN, patch=out_of(ZeroDivisionError("a slip"))),
]  # fmt: skip
