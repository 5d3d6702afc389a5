"""Several epochs of one training as models: each is what a training that stops there makes, killed or not."""

import os
import signal
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metareward import disk
from metareward.errors import StepError
from metareward.train.checkpoints import MARKER, seal
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.epochs import ending_with, remove_weights, removed, require_weights, train_all
from metareward.train.fake import FakeTrainer
from metareward.train.job import RESULT, EpochOutput, TrainJob, read_job, read_result, write_job
from tiny_llama import pairs, write_tiny_llama

DPO_3 = DPO(batch_size=4, epochs=4, stop_after_epoch=3, learning_rate=1e-3)


class Gone(BaseException):
    """The process is gone."""


def job_of(folder: Path, epoch: int, start: str = "start", dpo: DPO = DPO_3, **machine: Any) -> TrainJob:
    return TrainJob(
        key=f"key{epoch}",
        dpo=ending_with(dpo, epoch),
        machine=TrainMachine(**machine),
        start=start,
        reference=start,
        pairs=pairs(8),
        output_dir=folder / "models" / f"key{epoch}",
        work_dir=folder / "training" / f"key{epoch}",
    )


def jobs_of(folder: Path, *epochs: int, **more: Any) -> dict[int, TrainJob]:
    return {epoch: job_of(folder, epoch, **more) for epoch in epochs}


def ignore(event: Mapping[str, Any]) -> None:
    """Hears nothing."""


# Which trainings are done, without a model


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


# Real steps of a tiny model


torch = pytest.importorskip("torch")


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    pytest.importorskip("trl")
    return str(write_tiny_llama(tmp_path_factory.mktemp("start")))


def here(job: TrainJob, listener: Any = ignore) -> Any:
    """A trainer in this process: what the worker does, without the price of starting it."""
    from metareward.train import worker
    from metareward.train.job import finished

    done = finished(job, listener)
    if done is None:
        job.work_dir.mkdir(parents=True, exist_ok=True)
        job.output_dir.parent.mkdir(parents=True, exist_ok=True)
        done = worker.train(job, worker.StopSignal(75), worker.Reporter(job.work_dir / "progress.jsonl"))
    return done


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def assert_same(one: Path, other: Path) -> None:
    ours, theirs = weights(one), weights(other)
    assert ours.keys() == theirs.keys()
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=0)
    for name in ("config.json", "generation_config.json", "tokenizer.json"):
        assert (one / name).read_bytes() == (other / name).read_bytes()


@pytest.fixture(scope="module")
def apart(start: str, tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Three trainings that each stop at their epoch and keep nothing on the way."""
    folder = tmp_path_factory.mktemp("apart")
    return {epoch: here(job_of(folder, epoch, start)).output_dir for epoch in (1, 2, 3)}


def assert_all_same(folder: Path, apart: Mapping[int, Path]) -> None:
    for epoch, expected in apart.items():
        assert_same(folder / "models" / f"key{epoch}", expected)
    ours = [read_result(folder / "models" / f"key{epoch}" / RESULT) for epoch in apart]
    theirs = [read_result(path / RESULT) for path in apart.values()]
    for mine, its in zip(ours, theirs, strict=True):
        assert (mine.steps, mine.loss_first, mine.tokens) == (its.steps, its.loss_first, its.tokens)
        assert mine.loss_last == its.loss_last


pytestmark = [
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


def test_each_epoch_is_what_a_training_that_stops_there_makes(
    start: str, apart: dict[int, Path], tmp_path: Path
):
    results = train_all(here, jobs_of(tmp_path, 1, 2, 3, start=start), ignore)
    assert_all_same(tmp_path, apart)
    assert [result.part_of for result in results.values()] == ["key3", "key3", None]
    first, last = (weights(apart[epoch]) for epoch in (1, 3))
    assert any(not torch.equal(first[name], last[name]) for name in first), "epochs differ"


POINTS: dict[str, tuple[str, Callable[[Path], bool]]] = {
    "before the first epoch has its name": ("rename", lambda path: path.name == ".key1.partial"),
    "before the second epoch's result is written": ("write", lambda path: ".key2.partial" in str(path)),
    "before the checkpoint after the first epoch counts": ("rename", lambda path: MARKER in path.name),
    "before the last has its name": ("rename", lambda path: path.name == ".key3.partial"),
}


@pytest.mark.parametrize("point", sorted(POINTS))
def test_gone_while_an_epoch_is_published_it_ends_the_same(
    start: str, apart: dict[int, Path], tmp_path: Path, point: str
):
    wanted, at = POINTS[point]
    died: list[Path] = []

    def guard(operation: str, path: Path, act: Callable[[], object]) -> object:
        if operation == wanted and at(path) and not died:
            died.append(path)
            raise Gone
        return act()

    with pytest.raises(Gone), disk.guarded(guard):
        train_all(here, jobs_of(tmp_path, 1, 2, 3, start=start), ignore)
    assert died
    train_all(here, jobs_of(tmp_path, 1, 2, 3, start=start), ignore)
    assert_all_same(tmp_path, apart)


@pytest.mark.parametrize("early", [1, 2], ids=["before it", "just where it was made"])
def test_a_checkpoint_behind_an_epoch_that_is_now_wanted_is_not_continued_from(
    start: str, apart: dict[int, Path], tmp_path: Path, early: int
):
    """A training that kept no epochs is stopped after two of them; then an earlier one is wanted, too."""

    def guard(operation: str, path: Path, act: Callable[[], object]) -> object:
        if operation == "rename" and path.name == ".key3.partial":
            raise Gone
        return act()

    with pytest.raises(Gone), disk.guarded(guard):
        train_all(here, jobs_of(tmp_path, 3, start=start), ignore)
    assert list((tmp_path / "training" / "key3" / "checkpoints").glob(f"checkpoint-4/{MARKER}"))
    results = train_all(here, jobs_of(tmp_path, early, 3, start=start), ignore)
    assert results[3].resumed_from is None
    assert_all_same(tmp_path, {epoch: apart[epoch] for epoch in (early, 3)})


def test_the_last_step_of_an_early_stop_is_not_followed_by_another_epoch(
    start: str, apart: dict[int, Path], tmp_path: Path
):
    """Checkpoints after every step, a longer schedule, gone before the result is there."""

    def guard(operation: str, path: Path, act: Callable[[], object]) -> object:
        if operation == "rename" and path.name == ".key3.partial" and not died:
            died.append(path)
            raise Gone
        return act()

    died: list[Path] = []
    jobs = jobs_of(tmp_path, 3, start=start, checkpoint_minutes=1e-9)
    with pytest.raises(Gone), disk.guarded(guard):
        train_all(here, jobs, ignore)
    result = train_all(here, jobs_of(tmp_path, 3, start=start, checkpoint_minutes=1e-9), ignore)[3]
    assert result.resumed_from is not None
    assert result.steps == 6
    assert_same(result.output_dir, apart[3])


def test_seconds_are_those_of_all_sessions(tmp_path: Path):
    from metareward.train.keeper import Keeper, Reporter, StopSignal

    checkpoint = tmp_path / "checkpoint-5"
    checkpoint.mkdir()
    seal(checkpoint, {"step": 5, "epoch": 1.0, "seconds": 1000.0})
    again, fresh = (
        Keeper(job_of(tmp_path, 3), 10, StopSignal(75), Reporter(None), place) for place in (checkpoint, None)
    )
    assert (again.saved_step, again.resumed_from) == (5, 5)
    assert (fresh.saved_step, fresh.resumed_from) == (0, None)
    assert 1000 <= again.seconds < 1500
    assert 0 <= fresh.seconds < 500


@pytest.mark.model
def test_killed_right_after_an_epoch_it_ends_the_same(
    start: str, apart: dict[int, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    from metareward.train.launch import launch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")

    def kill(event: Mapping[str, Any]) -> None:
        if event["event"] == "published" and event["epoch"] == 1:
            work = tmp_path / "training" / "key3"
            os.kill(int((work / "worker.lock").read_text()), signal.SIGKILL)

    with pytest.raises(StepError, match="run again"):
        train_all(launch, jobs_of(tmp_path, 1, 2, 3, start=start), kill)
    assert (tmp_path / "models" / "key1" / RESULT).is_file()
    train_all(launch, jobs_of(tmp_path, 1, 2, 3, start=start), ignore)
    assert_all_same(tmp_path, apart)
