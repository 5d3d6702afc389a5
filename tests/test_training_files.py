"""What a training keeps in files, without a model: pairs, jobs, results, sealed checkpoints, its lock."""

import os
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from launched_jobs import make_job
from metareward.errors import ConfigError, StepError
from metareward.records import Message, PreferencePair, Role
from metareward.train import job as jobs
from metareward.train.checkpoints import facts_of, last_complete, seal
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.fake import FakeTrainer
from metareward.train.job import read_job, read_pairs, write_job, write_pairs
from metareward.train.launch import launch
from metareward.train.lock import hold_lock
from tiny_llama import pair, pairs

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
