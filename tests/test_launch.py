"""A training survives being killed anywhere, by anyone, and ends as if it had not been."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from in_process import weights
from launched_jobs import SETTINGS, Killer, assert_same_weights, make_job, throttled
from metareward.errors import StepError
from metareward.train.checkpoints import facts_of, last_complete
from metareward.train.dpo import TrainMachine
from metareward.train.job import finished
from metareward.train.launch import launch
from metareward.train.lock import hold_lock
from tiny_llama import pairs, write_tiny_llama

STEPS = 60  # long enough that a training is not over before the news of its second step arrives


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread sums are taken in one order, so equal runs are equal to the last bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("trl")
    return str(write_tiny_llama(tmp_path_factory.mktemp("start")))


@pytest.fixture(scope="module")
def undisturbed(start: str, tmp_path_factory: pytest.TempPathFactory):
    os.environ["OMP_NUM_THREADS"] = "1"
    job = make_job(tmp_path_factory.mktemp("undisturbed"), pairs(10), start)
    heard: list[Mapping[str, Any]] = []
    return launch(job, heard.append), heard, job


@pytest.mark.model
def test_an_undisturbed_training(undisturbed: Any, start: str):
    result, heard, job = undisturbed
    steps = [event for event in heard if event["event"] == "step"]
    assert [event["step"] for event in steps] == list(range(1, STEPS + 1))
    assert (result.loss_first, result.loss_last) == (steps[0]["loss"], steps[-1]["loss"])
    assert (result.steps, result.pairs_used, result.resumed_from) == (STEPS, 10, None)
    assert result.tokens == steps[-1]["tokens"]
    assert heard[-1]["event"] == "done"
    assert {"started", "reference", "checkpoint"} <= {event["event"] for event in heard}
    assert not (job.work_dir / "checkpoints").exists()
    assert finished(job) == result
    assert launch(replace(job, pairs=iter(()))) == result


@pytest.mark.model
def test_killed_in_the_middle_it_ends_the_same(undisturbed: Any, start: str, tmp_path: Path):
    job = throttled(make_job(tmp_path, pairs(10), start))
    with pytest.raises(StepError, match=r"(?s)run again.*SIGKILL"):
        launch(job, Killer(job, 5, lambda pid: os.kill(pid, signal.SIGKILL)))
    result = launch(job)
    assert result.resumed_from is not None
    assert 4 <= result.resumed_from < STEPS
    assert (result.loss_first, result.loss_last) == (undisturbed[0].loss_first, undisturbed[0].loss_last)
    assert_same_weights(result.output_dir, undisturbed[0].output_dir)


@pytest.mark.model
def test_told_to_stop_it_saves_and_ends_the_same(undisturbed: Any, start: str, tmp_path: Path):
    job = make_job(tmp_path, pairs(10), start)  # no checkpoint by the clock
    killer = Killer(job, 5, lambda pid: os.kill(pid, signal.SIGTERM))
    with pytest.raises(StepError, match="told to stop and saved"):
        launch(job, killer)
    heard: list[Mapping[str, Any]] = []
    result = launch(job, heard.append)
    assert result.resumed_from is not None
    assert result.resumed_from >= 5
    steps = [event["step"] for event in heard if event["event"] == "step"]
    assert steps == list(range(result.resumed_from + 1, STEPS + 1))  # nothing is trained twice
    assert_same_weights(result.output_dir, undisturbed[0].output_dir)


@pytest.mark.model
def test_an_interrupt_in_the_parent_saves_a_checkpoint(start: str, tmp_path: Path):
    job = make_job(tmp_path, pairs(10), start)

    def interrupt(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        launch(job, interrupt)
    hold_lock(job.work_dir / "worker.lock", 0).close()
    checkpoint = last_complete(job.work_dir / "checkpoints")
    assert checkpoint is not None
    assert facts_of(checkpoint)["step"] >= 2


PARENT = """
    import dataclasses, os, pathlib, signal, sys
    sys.path.insert(0, {tests!r})
    from launched_jobs import make_job
    from tiny_llama import pairs
    from metareward.train.launch import launch

    def die(event):
        if event["event"] == "step" and event["step"] == 2:
            os.kill(os.getpid(), signal.SIGKILL)

    launch(make_job(pathlib.Path({folder!r}), pairs(10), {start!r}), die)
"""


@pytest.mark.model
def test_when_the_parent_is_killed_the_worker_saves_and_ends(undisturbed: Any, start: str, tmp_path: Path):
    code = textwrap.dedent(PARENT).format(tests=str(Path(__file__).parent), folder=str(tmp_path), start=start)
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -signal.SIGKILL
    job = make_job(tmp_path, pairs(10), start)
    result = launch(job)  # waits for the orphan
    assert result.resumed_from is not None
    assert_same_weights(result.output_dir, undisturbed[0].output_dir)


@pytest.mark.model
def test_no_usable_pair_is_a_step_error_that_says_what_to_do(start: str, tmp_path: Path):
    job = make_job(tmp_path, pairs(3), start, dpo=replace(SETTINGS, max_length=5))
    with pytest.raises(StepError, match=r"none of 3 pairs.*raise dpo\.max_length"):
        launch(job)


@pytest.mark.model
def test_a_missing_model_is_named(tmp_path: Path):
    with pytest.raises(StepError, match="nowhere: the tokenizer cannot be read"):
        launch(make_job(tmp_path, pairs(3), str(tmp_path / "nowhere")))


@pytest.mark.model
def test_an_unforeseen_failure_is_told_with_the_end_of_the_log(start: str, tmp_path: Path):
    hollow = tmp_path / "hollow"
    shutil.copytree(start, hollow)
    (hollow / "model.safetensors").unlink()
    with pytest.raises(StepError, match=r"(?s)status 1.*worker\.log.*model\.safetensors"):
        launch(make_job(tmp_path, pairs(3), str(hollow)))


@pytest.mark.model
def test_silence_is_not_waited_for_for_ever(start: str, tmp_path: Path):
    machine = TrainMachine(timeout_minutes_without_progress=0.005)
    began = time.monotonic()
    with pytest.raises(StepError, match="said nothing"):
        launch(make_job(tmp_path, pairs(3), start, machine=machine))
    assert time.monotonic() - began < 60


@pytest.mark.model
def test_two_processes_give_the_model_of_one(undisturbed: Any, start: str, tmp_path: Path):
    """Eight pairs in steps of four: nothing to fill up."""
    import torch

    one = launch(make_job(tmp_path / "one", pairs(8), start))
    two = launch(make_job(tmp_path / "two", pairs(8), start, machine=TrainMachine(processes=2)))
    assert (two.steps, two.tokens) == (one.steps, one.tokens)
    assert two.loss_last == pytest.approx(one.loss_last, rel=1e-3)
    ours, theirs = weights(two.output_dir), weights(one.output_dir)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=5e-4)
    lines = (tmp_path / "two" / "work" / "progress.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "step" for line in lines) == one.steps
