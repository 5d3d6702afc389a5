"""A training survives being killed anywhere, by anyone, and ends as if it had not been."""

import json
import os
import shutil
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError, StepError
from metareward.records import Message, PreferencePair, Role
from metareward.train import job as jobs
from metareward.train.checkpoints import facts_of, last_complete, seal
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.fake import FakeTrainer
from metareward.train.job import TrainJob, finished, read_job, read_pairs, write_job, write_pairs
from metareward.train.launch import launch
from metareward.train.lock import hold_lock
from tiny_llama import pair, pairs, write_tiny_llama

STEPS = 60  # long enough that a training is not over before the news of its second step arrives
SETTINGS = DPO(batch_size=4, epochs=20, learning_rate=1e-3)


@pytest.fixture(autouse=True)
def one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """With one thread sums are taken in one order, so equal runs are equal to the last bit."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")


def make_job(folder: Path, given: Iterable[PreferencePair], start: str = "start", **changes: Any) -> TrainJob:
    job = TrainJob(
        key="key",
        dpo=SETTINGS,
        machine=TrainMachine(pairs_per_device=2, stop_seconds=60),
        start=start,
        reference=start,
        pairs=given,
        output_dir=folder / "models" / "next",
        work_dir=folder / "work",
    )
    return replace(job, **changes)


# Values and files, without a model


texts = st.text(max_size=8)
tokens = st.none() | st.lists(st.integers(0, 9)).map(tuple)


@st.composite
def any_pair(draw: st.DrawFn) -> PreferencePair:
    made = pair(draw(st.integers(0, 99)), draw(texts), draw(texts), role=draw(st.sampled_from(Role)))
    turns = tuple(Message("user", text) for text in draw(st.lists(texts, min_size=1, max_size=3)))
    ids = {"chosen_token_ids": draw(tokens), "rejected_token_ids": draw(tokens)}
    return replace(made, messages=turns, weight=draw(st.floats(0, 9)), certainty=draw(st.floats(0, 1)), **ids)


@given(st.lists(any_pair(), max_size=5))
def test_pairs_come_back_from_their_file(
    tmp_path_factory: pytest.TempPathFactory, given: list[PreferencePair]
):
    file = tmp_path_factory.mktemp("pairs") / "pairs.jsonl"
    digest = write_pairs(file, given)
    assert list(read_pairs(file)) == given
    assert write_pairs(file, iter(given)) == digest


def test_a_job_comes_back_from_its_file(tmp_path: Path):
    job = make_job(tmp_path, pairs(3), machine=TrainMachine(report_to=("wandb",)))
    job.work_dir.mkdir()
    back = read_job(write_job(job))
    assert list(back.pairs) == pairs(3)
    assert replace(back, pairs=job.pairs) == job


@pytest.mark.parametrize(
    "change",
    [{"key": "other"}, {"dpo": DPO(beta=0.2)}, {"start": "b"}, {"reference": "b"}, {"pairs": pairs(4)}],
)
def test_a_work_directory_belongs_to_one_job(tmp_path: Path, change: dict[str, Any]):
    job = make_job(tmp_path, pairs(3))
    job.work_dir.mkdir()
    write_job(job)
    write_job(replace(job, machine=TrainMachine(pairs_per_device=1)))  # how fast is free to change
    with pytest.raises(ConfigError, match="work"):
        write_job(replace(job, **change))


def test_fake_trainer_trains_once(tmp_path: Path):
    trainer, heard = FakeTrainer(), []
    job = make_job(tmp_path, pairs(6))
    result = trainer(job, heard.append)
    assert (result.pairs_used, result.steps) == (6, 40)
    assert result.loss_last < result.loss_first
    assert heard[-1]["event"] == "step"
    assert trainer(replace(job, pairs=iter(()))) == result
    assert launch(replace(job, pairs=iter(()))) == result
    assert trainer.jobs == [job]


def test_a_directory_with_something_else_is_left_alone(tmp_path: Path):
    job = make_job(tmp_path, pairs(3))
    FakeTrainer()(job)
    for trainer in (FakeTrainer(), launch):
        with pytest.raises(ConfigError, match="result of training key"):
            trainer(replace(job, key="other"))
    (job.output_dir / jobs.RESULT).unlink()
    (job.output_dir / "precious.txt").touch()
    with pytest.raises(ConfigError, match="not a finished training"):
        launch(job)
    assert (job.output_dir / "precious.txt").exists()


def test_a_batch_that_cannot_be_divided_is_refused_before_anything_starts(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"dpo\.batch_size"):
        launch(make_job(tmp_path, pairs(3), machine=TrainMachine(pairs_per_device=3)))
    assert not (tmp_path / "work").exists()


def test_only_sealed_checkpoints_count(tmp_path: Path):
    for step in (2, 10, 9, 11):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "weights").write_text("w")
    assert sorted(path.name for path in tmp_path.iterdir())[0] == "checkpoint-10"
    for step in (2, 9, 10):
        seal(tmp_path / f"checkpoint-{step}", {"step": step})
    best = last_complete(tmp_path)
    assert best is not None
    assert best == tmp_path / "checkpoint-10"
    assert facts_of(best) == {"step": 10}
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-10"]
    (best / "COMPLETE.json").unlink()
    assert last_complete(tmp_path) is None
    assert list(tmp_path.iterdir()) == []
    assert last_complete(tmp_path / "nowhere") is None


def test_a_lock_waits_and_then_names_its_owner(tmp_path: Path):
    first = hold_lock(tmp_path / "lock", 0)
    with pytest.raises(StepError, match=rf"process {os.getpid()}.*still at work"):
        hold_lock(tmp_path / "lock", 0.2)
    threading.Timer(0.3, first.close).start()
    hold_lock(tmp_path / "lock", 5).close()


# Child processes with a tiny model


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


def weights(path: Path):
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


def assert_same_weights(one: Path, other: Path) -> None:
    import torch

    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)


class Killer:
    """Does something to the worker when it has reported a step."""

    def __init__(self, job: TrainJob, at_step: int, deed: Any):
        self.job, self.at_step, self.deed, self.heard = job, at_step, deed, []

    def __call__(self, event: Mapping[str, Any]) -> None:
        self.heard.append(event)
        if event["event"] == "step" and event["step"] == self.at_step:
            self.deed(int((self.job.work_dir / "worker.lock").read_text()))


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


def throttled(job: TrainJob) -> TrainJob:
    """Checkpoints after every step, so that there is one wherever it is killed."""
    return replace(job, machine=replace(job.machine, checkpoint_minutes=1e-9))


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
    from test_launch import make_job
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
