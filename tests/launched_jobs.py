"""Trainings that tests launch, harm and compare."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from in_process import weights
from metareward.records import PreferencePair
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import TrainJob

SETTINGS = DPO(batch_size=4, epochs=20, learning_rate=1e-3)


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


def throttled(job: TrainJob) -> TrainJob:
    """Checkpoints after every step, so that there is one wherever it is killed."""
    return replace(job, machine=replace(job.machine, checkpoint_minutes=1e-9))
