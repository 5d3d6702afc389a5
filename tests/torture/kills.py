"""Real processes, a real model, real training, real signals: killed at random moments of every phase."""

import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import faults
from metareward.store import parts
from tiny_chat_model import write_tiny
from torture.table import Outcome

CONFIG = """
recipe = "meta_rewarding"
model = "../model"
directory = "run"
[prompts]
per_iteration = 4
held_out = 2
[generate]
samples = 4
max_tokens = 24
[judge]
samples = 2
max_tokens = 8
reading = "forced"
template = "judge_brief"
[meta_judge]
max_tokens = 8
reading = "forced"
template = "meta_judge_brief"
[dpo]
batch_size = 2
epochs = 4
learning_rate = 1e-4
[watch]
judgments = 2
[[iterations]]
rho = 0.3
[machine]
max_rows = 1
[machine.training]
checkpoint_minutes = 0.001
"""
PHASES = ("generate", "judge", "meta_judge", "before the first step", "training", "publish")
KINDS = ("SIGKILL the run", "SIGKILL all", "SIGKILL the training child", "SIGTERM", "SIGINT")
_PATIENCE = 200.0  # seconds for a phase to come, or a session to end
# A fork has none of its parent's threads, and waits for them for ever.
_ALONE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Zygote:
    """Forks sessions; see torture.zygote."""

    def __init__(self) -> None:
        self._ended: dict[int, int] = {}
        self._started: set[int] = set()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "torture.zygote"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ | _ALONE,
        )
        self._read()

    def start(self, cwd: Path, log: Path, handed: Path) -> int:
        arguments = ["run", "tiny.toml"]
        command = {"cwd": str(cwd), "log": str(log), "handed": str(handed), "arguments": arguments}
        pid: int = self._ask({"do": "start", **command})["pid"]
        self._started.add(pid)
        return pid

    def status(self, pid: int) -> int | None:
        """The exit status of a session, None while it lives; it may be asked for again and again."""
        if pid not in self._ended:
            status = self._ask({"do": "poll", "pid": pid})["status"]
            if status is None:
                return None
            self._ended[pid] = status
        return self._ended[pid]

    def close(self) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        for pid in self._started - self._ended.keys():
            _send(pid, signal.SIGKILL)
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()

    def _ask(self, command: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        return json.loads(self._process.stdout.readline())


@contextmanager
def zygote() -> Iterator[Zygote]:
    made = Zygote()
    try:
        yield made
    finally:
        made.close()


class Arena:
    """A tiny model, and the undisturbed run that all others must equal; that one comes from the shell."""

    def __init__(self, place: Path) -> None:
        self.place = place
        if not (place / "model").exists():
            write_tiny(place / "model", max_position_embeddings=4096)
        self.whole = place / "whole"
        if not (self.whole / "done").exists():
            shutil.rmtree(self.whole, ignore_errors=True)
            self.folder("whole")
            done = from_the_shell(self.whole)
            assert done.returncode == 0, done.stdout + done.stderr
            (self.whole / "done").touch()
        self.expected = content(self.whole / "run")

    def folder(self, name: str) -> Path:
        folder = self.place / name
        folder.mkdir(exist_ok=True)
        (folder / "tiny.toml").write_text(CONFIG)
        return folder


def from_the_shell(folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metareward", "run", "tiny.toml"]
    said: Any = {"capture_output": True, "text": True, "timeout": 600}
    return subprocess.run(command, cwd=folder, env=os.environ | _ALONE, check=False, **said)


def content(run: Path) -> dict[str, Any]:
    """Everything a run has come to: rows by artifact in canonical order, digests of weights, the summary."""
    import pyarrow.parquet as pq

    rows: dict[str, Any] = {}
    for folder in sorted((run / "artifacts").glob("*")):
        found = [row for part in parts.find(folder) for row in pq.read_table(part.path).to_pylist()]
        rows[folder.name] = sorted(found, key=lambda row: row["position"])
    weights = {
        str(path.relative_to(run)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(run.glob("models/*/*.safetensors"))
    }
    summary = json.loads((run / "summary.json").read_text())
    return {"rows": rows, "weights": weights, "summary": faults.untimed(summary)}


def phase_now(run: Path) -> str | None:
    """The phase a run is in, by what lies in its directory; None before the first and after the last."""
    if any(run.glob("models/.*.partial")):
        return "publish"
    for folder in run.glob("training/*"):
        if not (run / "models" / folder.name).exists():
            progress = folder / "progress.jsonl"
            begun = progress.exists() and '"step", ' in progress.read_text()
            return "training" if begun else "before the first step"
    for folder in sorted((run / "artifacts").glob("*"), key=lambda path: path.name):
        name = folder.name.rpartition("-")[0]
        if name in PHASES and not (folder / "manifest.json").exists():
            return name
    return None


class Victim:
    """One run that is killed again and again until it is done."""

    def __init__(self, arena: Arena, zygote: Zygote, name: str, chance: random.Random) -> None:
        self._arena, self._zygote, self._chance = arena, zygote, chance
        self._folder = arena.folder(name)
        self.run = self._folder / "run"
        self._handed = self._folder / "handed"
        self._number = 0
        self._read = 0  # of the handed requests, those of earlier sessions
        self._ever: set[str] = set()
        self.again = 0  # requests of the last session that an earlier one had been handed
        self.done = False

    def kill(self, phase: str, kind: str) -> Outcome | None:
        """Start a session, kill it in this phase, and say what was wrong; None if the phase did not come."""
        before = stored(self.run)
        pid = self._start()
        if not self._await(pid, lambda: phase_now(self.run) == phase):
            self._end(pid)
            self.done = True
            return None
        time.sleep(0.0 if phase == "publish" else self._chance.uniform(0, 1.5))
        struck_in = phase_now(self.run) or phase
        status = self._strike(pid, kind)
        wrong = self._told(kind, status)
        after, twice = stored(self.run), self._handed_now() & set(before)
        lost = sum((before - after).values())
        wrong += [f"{lost} stored rows have vanished"] if lost else []
        wrong += [f"{len(twice)} requests asked though stored"] if twice else []
        repeated = sum(count - 1 for count in after.values())
        point = f"{self._folder.name}/{self._number} {kind} in {struck_in}"
        return Outcome(kind, struck_in, point, self.again, lost, repeated, len(twice), "; ".join(wrong))

    def finish(self, from_shell: bool = False) -> list[str]:
        """Let it come to its end; returns in what it differs from the undisturbed run."""
        before = stored(self.run)
        if from_shell:
            done = from_the_shell(self._folder)
            status, said = done.returncode, done.stderr
        else:
            pid = self._start()
            self._await(pid, lambda: False)
            status, said = self._end(pid), self._log().read_text()
        if status != 0:
            return [f"the last session ended with {status}: {said[-500:]}"]
        found = content(self.run)
        wrong = [f"{name} differ" for name, value in self._arena.expected.items() if found[name] != value]
        if self._handed_now() & set(before):
            wrong.append("the last session asked for what was stored")
        strays = [str(path) for path in self.run.rglob(".*") if path.name.endswith((".tmp", ".partial"))]
        return wrong + ([f"left lying: {strays}"] if strays else [])

    def _start(self) -> int:
        self._number += 1
        return self._zygote.start(self._folder, self._log(), self._handed)

    def _log(self) -> Path:
        return self._folder / f"session-{self._number}.log"

    def _await(self, pid: int, there: Callable[[], bool]) -> bool:
        until = time.monotonic() + _PATIENCE
        while self._zygote.status(pid) is None if not there() else False:
            assert time.monotonic() < until, f"{self._folder}: nothing happens; see {self._log()}"
            time.sleep(0.002)
        return there()

    def _strike(self, pid: int, kind: str) -> int:
        if kind in ("SIGKILL the training child", "SIGKILL all"):
            for lock in self.run.glob("training/*/worker.lock"):
                owner = lock.read_text().strip()
                if owner and _is_ours(int(owner)):
                    _send(int(owner), signal.SIGKILL)
        if kind != "SIGKILL the training child":
            number = {"SIGTERM": signal.SIGTERM, "SIGINT": signal.SIGINT}.get(kind, signal.SIGKILL)
            _send(pid, number)
        return self._end(pid)

    def _end(self, pid: int) -> int:
        until = time.monotonic() + _PATIENCE
        while (status := self._zygote.status(pid)) is None:
            assert time.monotonic() < until, f"{self._folder}: does not end; see {self._log()}"
            time.sleep(0.005)
        return status

    def _told(self, kind: str, status: int) -> list[str]:
        """What is wrong with the exit status or the message, unless the session had just come to its end."""
        said = self._log().read_text()
        if kind in ("SIGTERM", "SIGINT") and status == 130:
            return [] if "everything answered so far is kept" in said else [f"no message: {said[-300:]}"]
        if kind == "SIGKILL the training child" and status == 1:
            wanted = "run again to continue from the last checkpoint"
            return [] if wanted in said and "Traceback" not in said.split("The end of")[0] else [said[-300:]]
        return [] if status in (0, -signal.SIGKILL) else [f"{kind}: exit status {status}: {said[-300:]}"]

    def _handed_now(self) -> set[str]:
        """What was handed to engines since the last call."""
        lines = self._handed.read_text().splitlines() if self._handed.exists() else []
        new, self._read = set(lines[self._read :]), len(lines)
        self.again = len(new & self._ever)
        self._ever |= new
        return new


def stored(run: Path) -> Counter[str]:
    """Ids of all rows in whole parts, with their artifact."""
    return Counter({id: count for (_, id), count in faults.stored_ids(run).items()})


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _is_ours(pid: int) -> bool:
    """A number in a file may by now be that of somebody else's process."""
    with suppress(OSError):
        return b"torture.zygote" in Path(f"/proc/{pid}/cmdline").read_bytes()
    return False


def scripts(count: int, chance: random.Random) -> Iterator[list[tuple[str, str]]]:
    """For one run after the other: in which phases it is killed and how, until there were enough."""
    plain = [kind for kind in KINDS if kind != "SIGKILL the training child"]
    while count > 0:
        script = []
        for phase in PHASES:
            in_training = phase in PHASES[3:]
            for _ in range(2 if phase in ("generate", "judge", "training") else 1):
                weights = [4, 2, 1, 1] if not in_training else [3, 2, 1, 1]
                kind = chance.choices(plain, weights)[0]
                if in_training and chance.random() < 0.34:
                    kind = "SIGKILL the training child"
                script.append((phase, kind))
        yield script[:count]
        count -= len(script)
