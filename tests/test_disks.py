"""Real disks that are full or read-only: one message, the right exit status, and the same command goes on."""

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

import faults
import loops
import planted
from launched_jobs import assert_same_weights, make_job, throttled
from metareward import config, disk, session
from metareward.errors import ConfigError, StepError, StoreError
from metareward.events import StepFinished
from metareward.run import Run
from metareward.train.fake import FakeTrainer
from metareward.train.launch import launch
from tiny_llama import pairs, write_tiny_llama

CONFIG = """
recipe = "meta_rewarding"
[prompts]
per_iteration = 5
held_out = 3
[dpo]
batch_size = 2
[[iterations]]
[machine]
engine = "fake"
"""


def mount(*arguments: str) -> None:
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@contextmanager
def mounted(place: Path, size: str):
    """A disk in memory of this size."""
    if os.name != "posix" or os.geteuid() != 0 or not Path("/proc/mounts").exists():
        pytest.skip("only root can mount a disk")
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(place))
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def small_disk(tmp_path):
    with mounted(tmp_path / "small", "1m") as place:
        yield place


def fill(place: Path) -> Path:
    """Take all the room there is."""
    ballast = place / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(bytes(4096))
    return ballast


def metareward(folder: Path, directory: Path) -> subprocess.CompletedProcess[str]:
    (folder / "disk.toml").write_text(CONFIG)
    command = [sys.executable, "-m", "metareward", "run", "disk.toml", "--directory", str(directory)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)


class At:
    """Does something when a step of this name is finished."""

    def __init__(self, step, deed):
        self.step, self.deed = step, deed

    def __call__(self, event):
        if isinstance(event, StepFinished) and event.step == self.step and self.deed:
            deed, self.deed = self.deed, None
            deed()


def whole(folder, listen=lambda event: None, engine=None):
    return loops.loop(folder, engine or loops.Asked(planted.World()), settings=faults.SETTINGS, listen=listen)


@pytest.mark.parametrize("step", ["generate", "keep_distinct", "judge", "actor_pairs", "meta_judge"])
def test_a_disk_that_fills_up_after_a_step(tmp_path, small_disk, step):
    with pytest.raises(StoreError, match=r"No space left on device.*is kept; make room.*same command again"):
        whole(small_disk / "run", At(step, lambda: fill(small_disk)))
    assert not list(small_disk.rglob(".*.tmp")), "half a file would keep the disk full"
    (small_disk / "ballast").unlink()
    stored, asked = {id for _, id in faults.stored_ids(small_disk / "run")}, loops.Asked(planted.World())
    run, _ = whole(small_disk / "run", engine=asked)
    assert loops.everything(run) == loops.everything(whole(tmp_path / "whole")[0])
    assert not stored & {request.id for request in asked.requests}
    assert not list(small_disk.rglob(".*.tmp"))


def test_a_disk_that_is_read_only_when_a_run_goes_on(tmp_path, small_disk):
    """While a run works on it the system refuses to make it so; that case is in test_faults."""

    def stop():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        whole(small_disk / "run", At("generate", stop))
    mount("-o", "remount,ro", str(small_disk))
    with pytest.raises(ConfigError, match="cannot be used as a run directory: Read-only file system"):
        whole(small_disk / "run")
    assert faults.stored_ids(small_disk / "run"), "it can still be read"
    mount("-o", "remount,rw", str(small_disk))
    run, _ = whole(small_disk / "run")
    assert loops.everything(run) == loops.everything(whole(tmp_path / "whole")[0])


def test_a_directory_that_may_not_be_written(tmp_path, small_disk):
    """A read-only second view of a run, as a colleague's mount would be."""
    whole(small_disk / "run")
    (tmp_path / "view").mkdir()
    mount("--bind", str(small_disk), str(tmp_path / "view"))
    try:
        mount("-o", "remount,bind,ro", str(tmp_path / "view"))
        with pytest.raises(ConfigError, match="Read-only file system; give another --directory"):
            with Run(tmp_path / "view/run", loops.Asked(planted.World()), FakeTrainer()):
                pass
        command = [sys.executable, "-m", "metareward", "verify", str(tmp_path / "view/run")]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    finally:
        subprocess.run(["umount", "-l", str(tmp_path / "view")], check=True)


def test_the_command_line_on_a_full_disk(tmp_path, small_disk):
    ballast = fill(small_disk)
    done = metareward(tmp_path, small_disk / "run")
    assert done.returncode in (1, 2)
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    ballast.unlink()
    done = metareward(tmp_path, small_disk / "run")
    assert done.returncode == 0, done.stderr


def test_what_stopped_a_run_is_told_and_not_what_could_not_be_written_afterwards(tmp_path):
    """From the judge's first rows on the disk takes nothing, the summary neither."""
    (tmp_path / "disk.toml").write_text(CONFIG)
    refused = []

    def full(operation, path, act):
        if refused or path.parent.name.startswith("judge-"):
            refused.append(path)
            raise OSError(28, "No space left on device")
        return act()

    with pytest.raises(StoreError, match="artifacts/judge-") as caught, disk.guarded(full):
        session.execute(config.load(tmp_path / "disk.toml", tmp_path / "run"), lambda event: None)
    assert {"summary.json", "current.json"} <= {path.name.split(".json")[0][1:] + ".json" for path in refused}
    assert "summary.json" not in str(caught.value)


@pytest.mark.model
def test_a_training_on_a_disk_that_fills_up(tmp_path):
    """At a checkpoint, at its result: said in a sentence, no half gigabytes left, and the end is the same."""
    pytest.importorskip("trl")
    os.environ["OMP_NUM_THREADS"] = "1"
    start = str(write_tiny_llama(tmp_path / "start"))
    plain = launch(make_job(tmp_path / "plain", pairs(10), start))
    with mounted(tmp_path / "work", "8m") as work, mounted(tmp_path / "models", "8m") as models:
        job = throttled(make_job(tmp_path, pairs(10), start, work_dir=work / "w", output_dir=models / "m"))

        def fill_at_third_step(event):
            if event["event"] == "step" and event["step"] == 3:
                fill(work)

        with pytest.raises(StepError, match=r"refused to be written.*make room.*last checkpoint"):
            launch(job, fill_at_third_step)
        (work / "ballast").unlink()
        fill(models)
        with pytest.raises(StepError, match=r"refused to be written.*make room"):
            launch(job)
        assert [path.name for path in models.iterdir()] == ["ballast"], "nothing half-written is left"
        (models / "ballast").unlink()
        result = launch(job)
        assert result.resumed_from is not None
        assert_same_weights(result.output_dir, plain.output_dir)
