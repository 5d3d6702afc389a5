"""A training whose numbers are none any more publishes nothing, says the step, and does not stay stuck."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import in_process
from dpo_jobs import make_job, run
from finetune_jobs import SETTINGS, job_in, tune
from launched_jobs import make_job as launched_job
from metareward.errors import ModelError, StepError
from metareward.train import epochs
from metareward.train.checkpoints import last_complete
from metareward.train.dpo import DPO
from metareward.train.fake import FakeTrainer
from tiny_llama import pairs, write_tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start
FAR = DPO(batch_size=1, epochs=2, learning_rate=1e20)
SAID = (
    r"step \d+ the (loss|norm of the gradient|weights)[^:]*: training has diverged\."
    r".*Lower learning_rate in {} \(now 1e\+20\)"
)


def poisoned(folder: Path, value: float = math.nan) -> Path:
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    weights["model.norm.weight"][3] = value
    save_file(weights, file, metadata={"format": "pt"})
    return folder


def test_it_publishes_nothing_and_another_learning_rate_goes_on(tmp_path: Path, start: Path):
    job = make_job(tmp_path / "far", start, start, pairs(3), dpo=FAR, checkpoint_minutes=1e-9)
    for _ in range(2):  # nor does it go on from what it left
        with pytest.raises(StepError, match=SAID.format(r"\[dpo\]")):
            run(job)
        assert not job.output_dir.exists()
        left = last_complete(job.work_dir / "checkpoints")
        assert left is None or finite(left)
    near = replace(job, dpo=replace(FAR, learning_rate=1e-4), work_dir=tmp_path / "near")
    near.work_dir.mkdir()
    assert math.isfinite(run(replace(near, output_dir=tmp_path / "near" / "model")).loss_last)


def finite(folder: Path) -> bool:
    from safetensors.torch import load_file

    return all(bool(value.isfinite().all()) for value in load_file(folder / "model.safetensors").values())


def test_fine_tuning_that_diverges_publishes_nothing(tmp_path: Path, start: Path):
    sft = replace(SETTINGS, batch_size=1, learning_rate=1e20)
    with pytest.raises(StepError, match=SAID.format(r"\[eft\.sft\]")):
        tune(job_in(tmp_path, start, sft))
    assert not (tmp_path / "model").exists()


def test_an_epoch_on_the_way_is_not_published_either(tmp_path: Path, start: Path):
    from metareward.train.job import EpochOutput

    job = make_job(tmp_path, start, start, pairs(3), dpo=replace(FAR, batch_size=3))
    job = replace(job, epochs=(EpochOutput(1, "early", tmp_path / "early"),))
    with pytest.raises(StepError, match="diverged"):
        run(job)
    assert not (tmp_path / "early").exists()


@pytest.mark.parametrize("value", [math.nan, math.inf, -1e30])
def test_a_start_that_holds_no_numbers_is_refused(tmp_path: Path, start: Path, value: float):
    bad = poisoned(write_tiny_llama(tmp_path / "bad"), value)
    for job in (
        make_job(tmp_path / "a", bad, start, pairs(2)),
        make_job(tmp_path / "b", start, bad, pairs(2)),
    ):
        with pytest.raises(ModelError, match=r"bad: model\.norm\.weight holds a NaN or a number without end"):
            run(job)
    with pytest.raises(ModelError, match="NaN"):
        tune(job_in(tmp_path / "c", bad))


def test_a_poisoned_checkpoint_is_not_taken_up(tmp_path: Path):
    """Such as an earlier version left: whole, sealed, and worth nothing."""
    from metareward.train.checkpoints import seal
    from metareward.train.worker import to_continue_from

    job = launched_job(tmp_path, pairs(2))
    folder = job.work_dir / "checkpoints" / "checkpoint-2"
    write_tiny_llama(folder)
    seal(folder, {"step": 2, "epoch": 0.5, "seconds": 1.0})
    told: list[Any] = []
    assert to_continue_from(job, lambda event, **facts: told.append(event)) == folder  # type: ignore[arg-type]
    (folder / "COMPLETE.json").unlink()
    seal(poisoned(folder), {"step": 2, "epoch": 0.5, "seconds": 1.0})
    assert to_continue_from(job, lambda event, **facts: told.append(event)) is None  # type: ignore[arg-type]
    assert told == ["restarted"]
    assert not folder.exists()


def test_a_loss_that_rose_is_said(tmp_path: Path):
    result = FakeTrainer()(launched_job(tmp_path, pairs(2)))
    assert epochs.doubts(result) == []
    assert epochs.doubts(replace(result, loss_first=0.6931, loss_last=2.3)) == []
    (said,) = epochs.doubts(replace(result, loss_first=0.6931, loss_last=12.5))
    assert "the loss rose from 0.6931 to 12.5000" in said


@pytest.mark.model
def test_launched_it_says_the_same_sentence(tmp_path: Path, start: Path):
    from metareward.train.launch import launch

    job = launched_job(tmp_path, pairs(3), str(start))
    with pytest.raises(
        StepError, match=r"training key: .*training has diverged\. Nothing of it is published"
    ):
        launch(replace(job, dpo=replace(FAR, batch_size=2)))
    last = json.loads((job.work_dir / "progress.jsonl").read_text().splitlines()[-1])
    assert last["event"] == "failed"
