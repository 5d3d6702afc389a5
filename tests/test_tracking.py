"""What trackers are told lies under the run, named by iteration, and has the loop's own numbers."""

import importlib
import importlib.util
import json
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import in_process
from dpo_jobs import make_job, run
from finetune_jobs import job_in, tune
from metareward import tracking
from metareward.train import tell
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import read_job, write_job
from metareward.train.tracking import Tracked, environment
from tiny_llama import pairs

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start

SUMMARY: dict[str, Any] = {
    "models": [
        {"model": "M0", "mean_score": 2.5, "referee_score": None, "held_out": True, "unreadable_rate": 0.25},
        {"model": "M1", "mean_score": 3.5, "bank": {"all": {"accuracy": 0.75}}, "mean_length": 40.0},
    ],
    "iterations": [{"iteration": 0, "loss_first": 0.6931, "actor_pairs": 7, "seconds": {"train": 1.5}}],
    "judge_gates": [{"iteration": 0, "passed": False, "signals": {"alike": {"value": 0.4}}}],
    "ladders": {"referee": [{"model": "M0", "elo": 0.0}, {"model": "M1", "elo": 31.5}], "newest": None},
}


def installed(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def test_a_training_is_named_by_its_run_and_its_iteration(tmp_path: Path):
    tracked = Tracked.training(tmp_path / "my run", "iteration 2", "0123456789abcdef")
    assert (tracked.project, tracked.name, tracked.id) == (
        "my run",
        "my run iteration-2 01234567",
        "01234567",
    )
    assert tracked.folder == tmp_path / "my run" / "tracking" / "iteration-2" / "01234567"
    assert Tracked.training(tmp_path, "../../up", "k").folder == tmp_path / "tracking" / "up" / "k"
    assert Tracked.read(json.loads(json.dumps(tracked.as_dict()))) == tracked


def test_a_job_takes_its_name_along(tmp_path: Path):
    tracked = Tracked.training(tmp_path, "iteration 1", "key")
    job = replace(make_job(tmp_path, tmp_path, tmp_path, pairs(1)), tracked=tracked)
    assert read_job(write_job(job)).tracking == tracked
    assert replace(job, tracked=None).tracking.folder.is_relative_to(tmp_path)


def test_what_the_user_has_set_goes_first_and_nothing_stays_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("WANDB_PROJECT", "mine")
    for name in ("TENSORBOARD_LOGGING_DIR", "TRACKIO_DIR"):
        monkeypatch.delenv(name, raising=False)
    tracked = Tracked.training(tmp_path, "iteration 0", "key")
    with environment(tracked, wanted=True):
        assert os.environ["WANDB_PROJECT"] == "mine"
        assert os.environ["TENSORBOARD_LOGGING_DIR"] == str(tracked.folder)
        assert os.environ["TRACKIO_DIR"] == str(tmp_path / "tracking" / "trackio")
    assert "TENSORBOARD_LOGGING_DIR" not in os.environ
    with environment(tracked, wanted=False):
        assert "TRACKIO_DIR" not in os.environ


def test_every_number_is_told_once_and_what_is_unknown_never():
    found = {name: (step, numbers) for name, step, numbers in tracking.rows(SUMMARY)}
    assert found["model 0"] == (
        0,
        {"model/mean_score": 2.5, "model/held_out": 1.0, "model/unreadable_rate": 0.25},
    )
    assert found["model 1"][1]["model/bank/all/accuracy"] == 0.75
    assert found["iteration 0"] == (
        0,
        {"iteration/iteration": 0.0, "iteration/loss_first": 0.6931, "iteration/actor_pairs": 7.0}
        | {"iteration/seconds/train": 1.5},
    )
    assert found["judge gate 0"][1]["judge_gate/signals/alike/value"] == 0.4
    assert found["ladder referee 1"] == (1, {"ladder/referee/elo": 31.5})
    assert tracking._numbers("a", {"b": float("nan"), "c": "text", "d": [1, None]}) == {"a/d/0": 1.0}


def test_a_session_tells_only_what_is_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    told: list[tuple[str, list[Any]]] = []

    def take(root: Path, tracker: str, new: list[Any]) -> str | None:
        told.append((tracker, [row["step"] for row in new]))
        return "no route to host" if tracker == "wandb" else None

    monkeypatch.setattr(tracking, "_tell", take)
    (tmp_path / "tracking").mkdir()
    trackers = ("tensorboard", "wandb")
    assert tracking.tell(tmp_path, trackers, {**SUMMARY, "models": SUMMARY["models"][:1]}) == [
        "wandb was not told the loop's numbers: no route to host"
    ]
    assert told == [("tensorboard", [0, 0, 0, 0, 1]), ("wandb", [0, 0, 0, 0, 1])]
    told.clear()
    tracking.tell(tmp_path, trackers, SUMMARY)
    assert told == [("tensorboard", [1]), ("wandb", [0, 0, 0, 0, 1, 1])]
    assert tracking.tell(tmp_path, (), SUMMARY) == []


def test_a_tracker_that_fails_is_said_and_harms_nothing(tmp_path: Path):
    """A real child process; the tracker is not one that there is."""
    assert "KeyError" in (tracking._tell(tmp_path, "nobody", [{"step": 0, "numbers": {}}]) or "")
    assert [path.name for path in (tmp_path / "tracking").iterdir()] == ["loop"]


def test_each_tracker_hears_the_numbers_in_its_own_words(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """Without the packages: what is called, and with what."""
    calls: list[Any] = []

    class Fake:
        def __getattr__(self, name: str) -> Any:
            def call(*args: Any, **kwargs: Any) -> "Fake":
                calls.append((name, args, kwargs))
                return self

            return call

    monkeypatch.setattr(tell, "import_module", lambda name: Fake())
    about = {"project": "run", "name": "run loop", "id": "loop-1", "folder": str(tmp_path)}
    rows = [{"step": 3, "numbers": {"model/mean_score": 2.5}}]
    tell.to_wandb(about, rows)
    assert calls[0] == (
        "init",
        (),
        {"project": "run", "name": "run loop", "id": "loop-1", "dir": str(tmp_path), "resume": "allow"},
    )
    assert ("log", ({"model/mean_score": 2.5, "model_number": 3},), {}) in calls
    assert calls[-1][0] == "finish"
    calls.clear()
    tell.to_trackio(about, rows)
    assert calls[0][2]["project"] == "run"
    assert calls[1] == ("log", ({"model/mean_score": 2.5},), {"step": 3})


def test_the_session_tells_after_a_training_and_at_the_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A whole loop on the fake engine; the fake tracker is told each model and each iteration once."""
    from metareward import config, session
    from metareward.events import ignore

    (tmp_path / "c.toml").write_text(
        'directory = "run"\n[prompts]\nper_iteration = 4\nheld_out = 2\n[generate]\nsamples = 3\n'
        "[judge]\nsamples = 3\n[dpo]\nbatch_size = 2\nepochs = 1\n[[iterations]]\n[[iterations]]\n"
        '[machine]\nengine = "fake"\n[machine.training]\nreport_to = ["tensorboard"]\n'
    )
    made = config.load(tmp_path / "c.toml", tmp_path / "run")
    told: list[list[str]] = []

    def take(root: Path, tracker: str, new: list[Any]) -> None:
        told.append(sorted({name.split("/")[0] for row in new for name in row["numbers"]}))

    monkeypatch.setattr(tracking, "_tell", take)
    session.execute(made, ignore)
    assert len(told) >= 2, "while it goes on, too"
    assert {"model", "iteration", "ladder"} <= {name for each in told for name in each}
    marks = json.loads((tmp_path / "run" / "tracking" / "told.json").read_text())["tensorboard"]
    assert {"model 0", "model 1", "model 2", "iteration 0", "iteration 1"} <= marks.keys()
    told.clear()
    session.execute(made, ignore)
    assert told == [], "a run that is done tells nothing twice"


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    module = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")
    found = module.EventAccumulator(str(folder)).Reload()
    return {tag: [(e.step, e.value) for e in found.Scalars(tag)] for tag in found.Tags()["scalars"]}


@pytest.mark.skipif(not installed("tensorboard"), reason="tensorboard is not installed here")
def test_a_real_event_file_has_the_loops_own_numbers(tmp_path: Path):
    (tmp_path / "tracking").mkdir()
    assert tracking.tell(tmp_path, ("tensorboard",), SUMMARY) == []
    (file,) = tmp_path.rglob("events.out.*")
    assert file.parent == tmp_path / "tracking" / "loop"
    found = scalars(file.parent)
    assert found["model/mean_score"] == [(0, 2.5), (1, 3.5)]
    assert found["model/bank/all/accuracy"] == [(1, 0.75)]
    assert found["iteration/loss_first"] == [(0, pytest.approx(0.6931))]
    assert found["judge_gate/passed"] == [(0, 0.0)]
    assert found["ladder/referee/elo"] == [(0, 0.0), (1, 31.5)]
    assert "model/referee_score" not in found, "what is unknown is told as nothing, not as 0"


@pytest.mark.skipif(not installed("tensorboard"), reason="tensorboard is not installed here")
@pytest.mark.parametrize("kind", ["DPO", "SFT"])
def test_event_files_lie_under_the_run_for_good(tmp_path: Path, start: Path, kind: str):
    from metareward.train.launch import _clean

    machine = TrainMachine(report_to=("tensorboard",))
    root = tmp_path / "run"
    tracked = Tracked.training(root, "iteration 0", "key")
    if kind == "DPO":
        dpo = DPO(batch_size=2, epochs=1, learning_rate=1e-4)
        job = replace(make_job(root, start, start, pairs(4), dpo=dpo), machine=machine, tracked=tracked)
        result = run(job)
    else:
        job = replace(job_in(root, start), machine=machine, tracked=tracked)
        result, _ = tune(job)
    _clean(job.work_dir)
    assert [path.parent.relative_to(root) for path in root.rglob("events.out.*")] == [
        Path("tracking", "iteration-0", "key")
    ]
    (tag,) = [tag for tag in scalars(tracked.folder) if tag == "train/loss"]
    steps = scalars(tracked.folder)[tag]
    assert [step for step, _ in steps] == list(range(1, result.steps + 1))
    assert steps[0][1] == pytest.approx(result.loss_first)
    assert tracking._tell(root, "tensorboard", [{"step": 1, "numbers": {"model/mean_score": 2.5}}]) is None
    assert scalars(root / "tracking" / "loop") == {"model/mean_score": [(1, 2.5)]}
