"""Starts a training in a child process, listens to it, and makes sure that neither outlives its purpose.

The child holds a socket of ours as its standard input. When we ask it to stop we close our end, and when we
are killed the system does; either way it saves a checkpoint and ends, between two batches. Through the
socket it also says that it lives, and why it failed, for the disk may be full.
"""

import json
import math
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.engines import clock
from metareward.errors import StallError, StepError
from metareward.secrets import scrub_file
from metareward.train.dpo import LESS_MEMORY, accumulation
from metareward.train.job import Listener, TrainJob, TrainResult, finished, ignore, write_job
from metareward.train.lock import hold_lock
from metareward.train.sft import SFT

LOCK_SECONDS = 180  # an orphaned worker ends after the batch in progress and one checkpoint
POLL_SECONDS = 0.1
LOG_LINES = 25
QUIET = {
    "HF_HUB_DISABLE_TELEMETRY": "1",  # TRL reports which trainer is used unless told not to
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TOKENIZERS_PARALLELISM": "false",
    "TQDM_DISABLE": "1",
    "PYTHONUNBUFFERED": "1",
    "METAREWARD_PARENT_PIPE": "1",
}


def launch(job: TrainJob, listener: Listener = ignore) -> TrainResult:
    """Carry out a job in a child process, or find its result; a `Trainer`.

    An interruption (any exception here, such as KeyboardInterrupt) asks the child for a checkpoint, waits
    `machine.stop_seconds` and goes on its way; the next launch continues from the last checkpoint.
    Raises StepError when training fails, stalls, or another one holds the work directory; ConfigError when
    a directory belongs to another job.
    """
    accumulation(job.dpo, job.machine)
    done = finished(job, listener)
    if done is not None:
        _clean(job.work_dir)  # killed just before it was cleaned, its checkpoints would lie there for ever
        return done
    disk.make_directory(job.work_dir)
    with hold_lock(job.work_dir / "launch.lock", wait_seconds=1):
        hold_lock(job.work_dir / "worker.lock", LOCK_SECONDS).close()
        disk.sweep(job.work_dir)
        done = finished(job, listener)  # an orphan may have finished while we waited
        if done is None:
            done = _train(job, listener)
        _clean(job.work_dir)
    return done


def _train(job: TrainJob, listener: Listener) -> TrainResult:
    file = write_job(job)
    progress = job.work_dir / "progress.jsonl"
    disk.remove(progress)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        child = start(job, _command(job, file), theirs)
        theirs.close()
        words = _Words(ours)
        try:
            last = _follow(child, progress, words, job, listener)
        finally:
            _end(child, ours, job.machine.stop_seconds)
            scrub_file(job.work_dir / "worker.log")
        last = words.last or last
    done = finished(job, listener)
    if done is None:
        raise StepError(_what_went_wrong(job, child.returncode, last))
    return done


def start(job: TrainJob, command: list[str], stdin: socket.socket) -> subprocess.Popen[bytes]:
    """Start a worker in a session of its own, so that all its processes can be ended together."""
    try:
        with (job.work_dir / "worker.log").open("wb") as log:
            return subprocess.Popen(
                command,
                stdin=stdin.fileno(),
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(job),
                start_new_session=True,
            )
    except OSError as error:
        raise StepError(
            f"training {job.key} cannot be started: {error}; mend that, then run again"
        ) from error


def _follow(
    child: subprocess.Popen[bytes], progress: Path, words: "_Words", job: TrainJob, listener: Listener
) -> Mapping[str, Any]:
    """Pass on what the child says until it ends; returns the last thing it said."""
    minutes = job.machine.timeout_minutes_without_progress or math.inf
    lines, last, heard = _Lines(progress), {"event": "nothing"}, time.monotonic()
    running = True
    while running:
        running = child.poll() is None
        for last in lines.new():
            heard = time.monotonic()
            listener(last)
        if words.heard():
            heard = time.monotonic()
        if time.monotonic() - heard > 60 * minutes:
            raise StallError(
                f"training {job.key} has said nothing for {minutes:g} minutes and was stopped; run the same "
                "command again to continue from the last checkpoint. If it is only slow, raise "
                "timeout_minutes_without_progress in [machine.training] (0 waits for ever); "
                f"{job.work_dir / 'worker.log'} may say more"
            )
        time.sleep(POLL_SECONDS if running else 0)
    return last


class _Words:
    """What the child sends through its socket: empty lines as signs of life, and why it failed."""

    def __init__(self, ours: socket.socket):
        self._ours, self._text = ours, b""
        ours.setblocking(False)

    def heard(self) -> bool:
        """Whether anything came since the last call."""
        came = False
        with suppress(BlockingIOError, ConnectionError):
            while block := self._ours.recv(4096):
                came, self._text = True, self._text + block.strip(b"\n")
        return came

    @property
    def last(self) -> Mapping[str, Any] | None:
        """Why the child failed, if it said so."""
        self.heard()
        try:
            return json.loads(self._text) if self._text else None
        except ValueError:  # cut short: then what the log says is told
            return None


class _Lines:
    """The whole lines that were appended to a file since the last look."""

    def __init__(self, file: Path):
        self._file, self._read = file, 0

    def new(self) -> Iterator[dict[str, Any]]:
        if not self._file.exists():
            return
        with self._file.open("rb") as file:
            file.seek(self._read)
            text = file.read()
        whole = text[: text.rfind(b"\n") + 1]
        self._read += len(whole)
        for line in whole.splitlines():
            yield json.loads(line)


def _end(child: subprocess.Popen[bytes], ours: socket.socket, stop_seconds: float) -> None:
    """Ask the child to stop, wait, and kill what is left of its session."""
    with suppress(OSError):  # it has gone
        ours.shutdown(socket.SHUT_WR)
    try:
        child.wait(stop_seconds)
    except subprocess.TimeoutExpired:
        os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _command(job: TrainJob, file: Path) -> list[str]:
    """Accelerate starts the worker, by the user's config file or a plain one of ours, so that no default
    of the machine slips in. Several processes without GPUs are torch's: accelerate asks for MPI there.
    """
    processes = job.machine.processes
    config = job.machine.accelerate_config or _plain_config(job)
    start = ["accelerate.commands.launch", "--config_file", str(config), "--num_processes", str(processes)]
    if job.machine.accelerate_config is None and processes > 1 and _gpus() < processes:
        start = ["torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    worker = "finetune" if isinstance(job.dpo, SFT) else "worker"
    return [sys.executable, "-m", *start, "-m", f"metareward.train.{worker}", str(file)]


def _plain_config(job: TrainJob) -> Path:
    """An accelerate config that says nothing but how many processes; the worker sets the precision."""
    several = job.machine.processes > 1
    settings = {
        "compute_environment": "LOCAL_MACHINE",
        "distributed_type": "MULTI_GPU" if several else "NO",
        "num_machines": 1,
        "machine_rank": 0,
        "num_processes": job.machine.processes,
        "mixed_precision": "no",
        "use_cpu": _gpus() == 0,
    }
    path = job.work_dir / "accelerate.json"
    disk.write_json(path, settings)
    return path


def _gpus() -> int:
    import torch

    return torch.cuda.device_count()


def _environment(job: TrainJob) -> dict[str, str]:
    """The child's environment. One process sees one GPU, else it would split batches over all of them."""
    environment = {"OMP_WAIT_POLICY": "PASSIVE", **os.environ, **QUIET, **clock.for_child()}
    if job.machine.processes == 1 and job.machine.accelerate_config is None:
        visible = environment.get("CUDA_VISIBLE_DEVICES", "0")
        environment["CUDA_VISIBLE_DEVICES"] = visible.split(",")[0]
    return environment


def _what_went_wrong(job: TrainJob, status: int | None, last: Mapping[str, Any]) -> str:
    if last.get("event") == "failed":
        return f"training {job.key}: {last['message']}"
    if last.get("event") == "stopped":
        return f"training {job.key} was told to stop and saved a checkpoint; run again to continue"
    log = job.work_dir / "worker.log"
    end = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:])
    killed = "SIGKILL" in end or status == -signal.SIGKILL
    hint = f" The system kills a process like this when memory runs out. {LESS_MEMORY}" if killed else ""
    return (
        f"training {job.key} ended with status {status} (last event: {last.get('event')}); run again to "
        f"continue from the last checkpoint.{hint} The end of {log}:\n{end}"
    )


def _clean(work_dir: Path) -> None:
    """Remove what only an unfinished training needs; the log and the job stay."""
    shutil.rmtree(work_dir / "checkpoints", ignore_errors=True)
    for name in ("pairs.jsonl", "reference.npz"):
        (work_dir / name).unlink(missing_ok=True)
