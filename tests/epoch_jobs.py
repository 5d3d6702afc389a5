"""Jobs whose epochs become models of their own."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from metareward.train.dpo import DPO, TrainMachine
from metareward.train.epochs import ending_with
from metareward.train.job import TrainJob
from tiny_llama import pairs

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
