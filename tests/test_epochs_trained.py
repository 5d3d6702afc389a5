"""Several epochs of one training as models: each is what a training that stops there makes, killed or not."""

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

import in_process
from epoch_jobs import Gone, ignore, job_of, jobs_of
from in_process import weights
from metareward import disk
from metareward.errors import StepError
from metareward.train.checkpoints import MARKER, seal
from metareward.train.epochs import train_all
from metareward.train.job import RESULT, TrainJob, read_result
from tiny_llama import write_tiny_llama

torch = pytest.importorskip("torch")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread


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
