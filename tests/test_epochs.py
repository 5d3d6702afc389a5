"""Which trainings are done for several epochs, and which weights stay: all without a model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import in_process
from epoch_jobs import DPO_3, Gone, ignore, job_of, jobs_of
from metareward import disk
from metareward.errors import StepError
from metareward.train.dpo import DPO
from metareward.train.epochs import ending_with, remove_weights, removed, require_weights, train_all
from metareward.train.fake import FakeTrainer
from metareward.train.job import RESULT, EpochOutput, TrainJob, read_job, write_job

pytestmark = in_process.IGNORED_WARNINGS


def done_by(trainer: FakeTrainer) -> list[tuple[str, list[str]]]:
    return [(job.key, [each.key for each in job.epochs]) for job in trainer.jobs]


def test_all_epochs_are_one_training_and_nothing_is_trained_twice(tmp_path: Path):
    trainer = FakeTrainer()
    results = train_all(trainer, jobs_of(tmp_path, 1, 2, 3), ignore)
    assert done_by(trainer) == [("key3", ["key1", "key2"])]
    assert [result.key for result in results.values()] == ["key1", "key2", "key3"]
    assert [result.steps for result in results.values()] == [2, 4, 6]
    assert [result.part_of for result in results.values()] == ["key3", "key3", None]
    again = FakeTrainer()
    assert train_all(again, jobs_of(tmp_path, 1, 2, 3), ignore) == results
    assert not again.jobs
    single = FakeTrainer()
    assert train_all(single, jobs_of(tmp_path, 2), ignore)[2] == results[2], "as if it were set to stop there"
    assert not single.jobs


def test_only_what_is_missing_is_trained_and_no_further_than_needed(tmp_path: Path):
    train_all(FakeTrainer(), jobs_of(tmp_path, 1, 2, 3), ignore)
    (tmp_path / "models" / "key1" / "weights.txt").write_text("harmed")
    heard: list[Any] = []
    trainer = FakeTrainer()
    train_all(trainer, jobs_of(tmp_path, 1, 2, 3), heard.append)
    assert done_by(trainer) == [("key1", [])]
    assert next(event["event"] for event in heard) == "damaged"
    (tmp_path / "models" / "key3" / "weights.txt").write_text("harmed")
    trainer = FakeTrainer()
    train_all(trainer, jobs_of(tmp_path, 1, 2, 3), ignore)
    assert done_by(trainer) == [("key3", [])]


def test_of_several_that_are_missing_before_the_end_the_last_passes_the_others(tmp_path: Path):
    train_all(FakeTrainer(), jobs_of(tmp_path, 3), ignore)
    trainer = FakeTrainer()
    results = train_all(trainer, jobs_of(tmp_path, 1, 2, 3), ignore)
    assert done_by(trainer) == [("key2", ["key1"])]
    assert [result.steps for result in results.values()] == [2, 4, 6]


def test_an_epoch_that_was_trained_to_before_is_passed(tmp_path: Path):
    train_all(FakeTrainer(), jobs_of(tmp_path, 2), ignore)
    trainer = FakeTrainer()
    results = train_all(trainer, jobs_of(tmp_path, 1, 2, 3), ignore)
    assert done_by(trainer) == [("key3", ["key1"])]
    assert [result.part_of for result in results.values()] == ["key3", None, None]


def test_a_trainer_that_keeps_no_epochs_is_told_so(tmp_path: Path):
    def only_the_end(job: TrainJob, listener: Any = ignore) -> Any:
        return FakeTrainer()(replace(job, epochs=()), listener)

    with pytest.raises(StepError, match="training key1: this trainer keeps no epochs"):
        train_all(only_the_end, jobs_of(tmp_path, 1, 2), ignore)


def test_removed_weights_stay_removed_until_they_are_needed(tmp_path: Path):
    results = train_all(FakeTrainer(), jobs_of(tmp_path, 1, 2, 3), ignore)
    folder = results[1].output_dir
    (folder / "templates").mkdir()
    (folder / "templates" / "more.jinja").touch()
    remove_weights(folder)
    assert [path.name for path in folder.iterdir()] == [RESULT]
    assert removed(folder)
    remove_weights(folder)
    with pytest.raises(StepError, match=r"keep_epochs = false.*remove this directory"):
        require_weights(folder)
    require_weights(results[2].output_dir)
    require_weights(tmp_path / "nowhere")
    trainer = FakeTrainer()
    again = train_all(trainer, jobs_of(tmp_path, 1, 2, 3), ignore)
    assert not trainer.jobs
    assert (again[1].steps, again[1].removed, again[1].files) == (2, True, {})
    alone = train_all(trainer, jobs_of(tmp_path, 1), ignore)
    assert alone[1].files, "a single one must have weights"
    assert done_by(trainer) == [("key1", [])]
    remove_weights(results[3].output_dir)
    trainer = FakeTrainer()
    assert train_all(trainer, jobs_of(tmp_path, 1, 2, 3), ignore)[3].removed
    assert not trainer.jobs


def test_removing_that_was_cut_short_is_finished_later(tmp_path: Path):
    folder = train_all(FakeTrainer(), jobs_of(tmp_path, 1, 2), ignore)[1].output_dir

    def gone(operation: str, path: Path, act: Callable[[], object]) -> object:
        if operation == "remove" and path.name == "weights.txt":
            raise Gone
        return act()

    with pytest.raises(Gone), disk.guarded(gone):
        remove_weights(folder)
    assert removed(folder), "never taken for a model that is whole"
    assert (folder / "weights.txt").exists()
    remove_weights(folder)
    assert [path.name for path in folder.iterdir()] == [RESULT]


def test_a_job_with_epochs_comes_back_from_its_file(tmp_path: Path):
    outputs = (
        EpochOutput(1, "a", (tmp_path / "a").absolute()),
        EpochOutput(2, "b", (tmp_path / "b").absolute()),
    )
    job = replace(job_of(tmp_path, 3), epochs=outputs)
    job.work_dir.mkdir(parents=True)
    assert read_job(write_job(job)).epochs == outputs
    write_job(replace(job, epochs=()))  # which epochs are kept on the way does not change what is trained
    assert job.ending(outputs[1]) == replace(
        job, key="b", dpo=replace(DPO_3, stop_after_epoch=2), output_dir=outputs[1].output_dir, epochs=()
    )


def test_the_last_epochs_settings_are_the_trainings_own():
    assert ending_with(DPO(), 10) == DPO()
    assert ending_with(DPO(), 6) == DPO(stop_after_epoch=6)
    assert ending_with(DPO_3, 3) == DPO_3
    assert ending_with(DPO_3, 2) == replace(DPO_3, stop_after_epoch=2)
