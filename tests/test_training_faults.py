"""Damage and silence around a training: found, said, and begun again from what can be trusted."""

import json
import os
import signal
import socket
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from launched_jobs import Killer, assert_same_weights, make_job, throttled
from metareward import disk
from metareward.errors import StepError, StoreError
from metareward.train import launch as launching
from metareward.train import reference
from metareward.train.checkpoints import facts_of, last_unharmed, seal
from metareward.train.fake import FakeTrainer
from metareward.train.job import RESULT, finished, read_job, write_job
from metareward.train.launch import launch
from tiny_llama import pairs, write_tiny_llama


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))


def test_a_harmed_checkpoint_is_set_aside_and_said(tmp_path):
    folder = tmp_path / "checkpoint-3"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner/weights").write_text("many")
    seal(folder, {"step": 3})
    told = []
    assert last_unharmed(tmp_path, told.append) == folder
    flip(folder / "inner/weights")
    assert last_unharmed(tmp_path, told.append) is None
    assert told == [tmp_path / "checkpoint-3.damaged-0"]
    assert (told[0] / "inner/weights").exists()
    assert last_unharmed(tmp_path, told.append) is None, "what was set aside is not found again"


@pytest.mark.parametrize("content", [b"", b"{", b'{"step": 3}'])
def test_a_harmed_marker_is_not_believed(tmp_path, content):
    folder = tmp_path / "checkpoint-3"
    folder.mkdir()
    seal(folder, {"step": 3})
    assert facts_of(folder) == {"step": 3}
    (folder / "COMPLETE.json").write_bytes(content)
    assert last_unharmed(tmp_path, lambda place: None) is None


def test_the_stored_reference_is_whole_or_computed_again(tmp_path):
    file = tmp_path / "reference.npz"
    assert not reference.usable(file, 2)
    reference.store(file, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
    assert reference.load(file, 2)["ref_rejected_logps"].tolist() == [3.0, 4.0]
    assert reference.usable(file, 2)
    for harm in (lambda: flip(file), lambda: file.write_bytes(b""), lambda: file.write_bytes(b"PK\x03\x04")):
        reference.store(file, np.array([1.0, 2.0]), np.array([3.0, 4.0]))
        harm()
        with pytest.raises(StoreError, match="damaged"):
            reference.load(file, 2)
        assert not reference.usable(file, 2)
        assert not file.exists()
    reference.store(file, np.array([1.0]), np.array([3.0]))
    assert not reference.usable(file, 2), "about other pairs"
    assert len(list(tmp_path.glob("*.damaged-*"))) == 4


def test_a_work_directory_that_cannot_say_whose_it_is_is_begun_anew(tmp_path):
    job = make_job(tmp_path, pairs(3))
    (job.work_dir / "checkpoints").mkdir(parents=True)
    file = write_job(job)
    file.write_text(file.read_text().replace("start", "state", 1))
    with pytest.raises(StoreError, match=r"job\.json: damaged"):
        read_job(file)
    write_job(job)
    names = {path.name for path in job.work_dir.iterdir()}
    assert {"job.json", "job.json.damaged-0", "checkpoints.damaged-0"} <= names
    assert "checkpoints" not in names


@pytest.mark.parametrize("name", [RESULT, "weights.txt"])
def test_a_harmed_result_is_set_aside_and_trained_again(tmp_path, name):
    job, trainer, heard = make_job(tmp_path, pairs(3)), FakeTrainer(), []
    result = trainer(job)
    assert finished(job) == result
    flip(job.output_dir / name)
    assert trainer(job, heard.append) == result
    assert len(trainer.jobs) == 2
    (event,) = [event for event in heard if event["event"] == "damaged"]
    assert event["place"] == str(job.output_dir) + ".damaged-0"
    assert event["files"] == [name]


def test_what_a_finished_training_needs_no_more_is_removed_even_if_it_was_killed_before(tmp_path):
    job = make_job(tmp_path, pairs(3))
    FakeTrainer()(job)
    (job.work_dir / "checkpoints/checkpoint-3").mkdir(parents=True)
    (job.work_dir / "pairs.jsonl").touch()
    launch(job)
    assert not (job.work_dir / "checkpoints").exists()
    assert not (job.work_dir / "pairs.jsonl").exists()


def test_last_words_come_through_the_socket_and_signs_of_life_do_not_pile_up():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        words = launching._Words(ours)
        assert not words.heard()
        theirs.send(b"\n" * 5000)
        assert words.heard()
        assert not words.heard()
        assert words.last is None
        theirs.send(b"\n" + json.dumps({"event": "failed", "message": "the disk is full"}).encode() + b"\n")
        theirs.close()
        assert words.last == {"event": "failed", "message": "the disk is full"}


def test_a_training_that_cannot_be_written_down_says_so(tmp_path):
    def full(operation, path, act):
        raise OSError(28, "No space left on device")

    job = make_job(tmp_path, pairs(3))
    with disk.guarded(full), pytest.raises(StoreError, match=r"No space left.*make room.*same command again"):
        launch(job)
    assert not job.output_dir.exists()


@pytest.mark.model
def test_damage_under_a_training_that_was_killed(tmp_path):
    """Its checkpoint and its stored reference are flipped: it begins again and ends the same."""
    pytest.importorskip("trl")
    os.environ["OMP_NUM_THREADS"] = "1"
    start = str(write_tiny_llama(tmp_path / "start"))
    plain = launch(make_job(tmp_path / "plain", pairs(10), start))
    job = throttled(make_job(tmp_path, pairs(10), start))
    killer = Killer(job, 5, lambda pid: os.kill(pid, signal.SIGKILL))
    with pytest.raises(StepError, match="kills a process like this when memory runs out"):
        launch(job, killer)
    (folder,) = [path for path in job.work_dir.glob("checkpoints/*") if (path / "COMPLETE.json").exists()]
    flip(folder / "model.safetensors")
    flip(job.work_dir / "reference.npz")
    heard = []
    result = launch(replace(job, pairs=pairs(10)), heard.append)
    assert result.resumed_from is None
    assert [event["place"] for event in heard if event["event"] == "damaged"] == [f"{folder}.damaged-0"]
    assert list(job.work_dir.glob("reference.npz.damaged-0"))
    assert_same_weights(result.output_dir, plain.output_dir)
