"""Run directories that are in use, somebody else's, of other settings, or damaged."""

import fcntl
import json
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

from bad_input.case import RUN, TWO, Case

AGAIN = "metareward run c.toml"
KEPT = "Give this run another --directory, or add --change to go on here: what does not depend on these settings…"


@cache
def finished() -> Path:
    """A directory with a config, prompts, and the finished run of both in runs/c."""
    folder = Path(tempfile.mkdtemp(prefix="finished-"))
    (folder / "c.toml").write_text(RUN.replace("[prompts]", '[prompts]\nsource = "p.jsonl"'))
    (folder / "p.jsonl").write_text(TWO + "".join(json.dumps(f"Question {n}?") + "\n" for n in range(6)))
    command = [sys.executable, "-m", "metareward", "run", "c.toml"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
    return folder


def run(what: str, harm: Callable[[Path], object], says: str, command: str = AGAIN, **more: Any) -> Case:
    """The finished run, with one thing changed in its place."""

    def make(directory: Path) -> None:
        shutil.copytree(finished(), directory, dirs_exist_ok=True)
        harm(directory)

    return Case(what, command, says, make=make, **more)


def new(what: str, make: Callable[[Path], object], says: str, command: str, **more: Any) -> Case:
    """A run that has not begun."""
    return Case(what, command, says, files={"c.toml": RUN}, make=make, **more)


def nothing(directory: Path) -> None:
    """Everything is as it should be."""


def edit(name: str, old: str, to: str) -> Callable[[Path], object]:
    def harm(directory: Path) -> None:
        text = (directory / name).read_text()
        assert old in text
        (directory / name).write_text(text.replace(old, to))

    return harm


def write(name: str, content: str) -> Callable[[Path], object]:
    return lambda directory: (directory / name).write_text(content)


_HELD: list[Any] = []


def hold(directory: Path) -> None:
    """As another process does: a lock is held by who opened the file."""
    (directory / "runs/c").mkdir(parents=True)
    lock = (directory / "runs/c/lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    lock.write("4711\n")
    lock.flush()
    _HELD.append(lock)


def truncate(directory: Path) -> None:
    for part in directory.glob("runs/c/artifacts/*/rows-*.parquet"):
        part.write_bytes(part.read_bytes()[:50])


def read_only(directory: Path) -> None:
    (directory / "runs").mkdir()
    (directory / "runs").chmod(0o500)


BOUND = """
import ctypes, os, sys
PR_CAPBSET_DROP, CAP_DAC_OVERRIDE = 24, 1
if os.geteuid() == 0 and ctypes.CDLL(None).prctl(PR_CAPBSET_DROP, CAP_DAC_OVERRIDE, 0, 0, 0):
    sys.exit("root could not give up its right to write everywhere")
os.execv(sys.executable, [sys.executable, "-m", "metareward", *sys.argv[1:]])
"""


def bound_by_permissions(directory: Path) -> tuple[int, str]:
    """The command as typed by a user who may not write everywhere, even where the tests are root's."""
    command = [sys.executable, "-c", BOUND, *AGAIN.split()[1:]]
    done = subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


READ_ONLY = "runs/c: cannot be used as a run directory: Permission denied; give another --directory"
CASES = [
    new("in use by another process", hold, "runs/c is in use by another process (number 4711); wait for it, stop it, or "
        "give this run another --directory", AGAIN),
    new("a file", write("f", ""), "f: cannot be used as a run directory: File exists; give another --directory",
        f"{AGAIN} -d f"),
    new("a file, in a plan", write("f", ""), "f: is a file, not a run directory; give another --directory",
        "metareward plan c.toml -d f"),
    new("below a file", write("f", ""), "f/x: cannot be used as a run directory: Not a directory; give another…",
        f"{AGAIN} -d f/x"),
    new("a name of 300 letters", nothing, "…x: cannot be used as a run directory: File name too long; give another…",
        f"{AGAIN} -d {'x' * 300}"),
    new("a place that takes no files", nothing, "/proc/x: cannot be used as a run directory: No such file or directory; "
        "give another --directory", f"{AGAIN} -d /proc/x"),
    new("a directory one may not write to", read_only, READ_ONLY, AGAIN,
        act=bound_by_permissions),
    new("somebody else's `config.toml` in it", write("config.toml", "mine"), ".: holds config.toml, but no run of "
        "metareward, which would write over it; give another --directory", f"{AGAIN} -d ."),
    run("made with other settings", edit("c.toml", "rho = 0.3", "rho = 0.1"), "runs/c was made with other settings: "
        f"… -> … {KEPT}"),
    run("prompts changed since it was begun", edit("p.jsonl", "fjord", "fjord exactly"), "runs/c was begun with other "
        "prompts: p.jsonl is no longer what it was. Put it back, give this run another --directory, or add --change…"),
    run("prompts of fewer lines than it was begun with", write("p.jsonl", TWO), "…need 6 prompts, and there are 2…"),
    run("its `config.json` damaged", write("runs/c/config.json", "{"), "runs/c/config.json: damaged (…); remove it to go "
        "on: the rows are kept", code=1),
    run("its `config.json` a list", write("runs/c/config.json", "[]"), "runs/c/config.json: damaged (its content does not have its checksum);"
        " remove it to go on: the rows are kept", code=1),
    run("its `config.json` damaged, in an export", write("runs/c/config.json", "3"), "runs/c/config.json: damaged (it holds "
        "no settings); remove it and run the config again", "metareward export runs/c out", code=1),
    run("parts of it cut short, in a check", truncate, "…damaged … would be done again (…): rows-….parquet …Damaged files are "
        "set aside, never deleted, when the run is taken up again.", "metareward verify runs/c", code=1),
    run("parts of it cut short, in an export", truncate, "….parquet: damaged or missing; run the config again to mend it, then "
        "export", "metareward export runs/c out", code=1),
]  # fmt: skip
