"""Several epochs of one training, each kept as a model: named, trained in one go, taken up again, removed."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from metareward import disk
from metareward.errors import NoPairsError, StepError, StoreError
from metareward.models.base import Model
from metareward.models.verify import require_unchanged
from metareward.store import Artifact
from metareward.train.dpo import DPO
from metareward.train.job import (
    RESULT,
    EpochOutput,
    Listener,
    Trainer,
    TrainJob,
    TrainResult,
    finished,
    read_result,
    write_result,
)
from metareward.train.sft import SFT

_RISEN = 2.0  # times its beginning, and 1 more: no single batch of pairs does that

T = TypeVar("T", bound=DPO | SFT)


def ending_with(training: T, epoch: int) -> T:
    """The training that stops after an epoch on the same schedule, by which that epoch's weights are named.

    So a training that is set to stop there later finds them, and the other way round.
    """
    return training if epoch == training.epochs_to_train else replace(training, stop_after_epoch=epoch)


def model_of(start: Model, output_dir: Path) -> Model:
    """The model that a training from `start` leaves in a directory, which is named by the training's key."""
    return Model(f"{start.name.split('/')[-1]}+", str(output_dir), output_dir.name, start.reasoning)


def note(result: TrainResult) -> str:
    """What a training came to, on one line."""
    parts = [f"loss {result.loss_first:.4f} -> {result.loss_last:.4f}"]
    parts += [f"{count} {reason}" for reason, count in result.dropped.items()]
    return ", ".join(parts)


def doubts(result: TrainResult) -> list[str]:
    """What speaks against a training whose numbers are all finite: nothing, or that its loss has risen."""
    first, last = result.loss_first, result.loss_last
    if last <= _RISEN * first + 1:
        return []
    return [
        f"the loss rose from {first:.4f} to {last:.4f} in training: it has probably diverged, and the model "
        "with it. Look at its answers before you go on, and lower learning_rate"
    ]


def train_all(trainer: Trainer, jobs: Mapping[int, TrainJob], listener: Listener) -> dict[int, TrainResult]:
    """Carry out the jobs, which are one training ending with each of several epochs, as one.

    What is there is not trained again, nor is anything after the last epoch that is missing. Epochs whose
    weights were removed are taken as they are; a single one always has weights afterwards.
    """
    *early, last = sorted(jobs)
    results = {epoch: _there(jobs[epoch], listener) for epoch in early}
    missing = [epoch for epoch in early if results[epoch] is None]
    if missing and (jobs[last].output_dir / RESULT).is_file():
        *passed, lost = missing
        results[lost] = trainer(_passing(jobs, lost, passed), listener)
        missing = []
    if early and removed(jobs[last].output_dir):
        results[last] = read_result(jobs[last].output_dir / RESULT)
    else:
        results[last] = trainer(_passing(jobs, last, missing), listener)
    return {epoch: result or _kept(jobs[epoch]) for epoch, result in results.items()}


def _kept(job: TrainJob) -> TrainResult:
    """What a training kept on its way. StepError if the trainer keeps nothing but its end."""
    if not (job.output_dir / RESULT).is_file():
        raise StepError(f"training {job.key}: this trainer keeps no epochs on its way; set select = 'fixed'")
    return read_result(job.output_dir / RESULT)


def _passing(jobs: Mapping[int, TrainJob], last: int, passed: list[int]) -> TrainJob:
    """The job of the last epoch, which keeps the weights of those it passes."""
    outputs = [EpochOutput(epoch, jobs[epoch].key, jobs[epoch].output_dir) for epoch in passed]
    return replace(jobs[last], epochs=tuple(outputs))


def _there(job: TrainJob, listener: Listener) -> TrainResult | None:
    if removed(job.output_dir):
        return read_result(job.output_dir / RESULT)
    return finished(job, listener)


def removed(folder: Path) -> bool:
    """Whether a model's weights were there and were removed; not if that cannot be told."""
    try:
        return (folder / RESULT).is_file() and read_result(folder / RESULT).removed
    except StoreError:
        return False


def remove_weights(folder: Path) -> None:
    """Remove a model's files, but not what its training came to. Half done, it is done the next time."""
    result = read_result(folder / RESULT)
    if not result.removed:
        write_result(folder, replace(result, files={}, removed=True))
    for path in sorted(folder.iterdir()):
        if path.is_dir():  # such as a tokenizer's further templates
            shutil.rmtree(path, ignore_errors=True)
        elif path.name != RESULT:
            disk.remove(path)


def require_weights(folder: Path) -> None:
    """StepError, with what to do, if a model that is to be asked has had its weights removed."""
    if removed(folder):
        raise StepError(
            f"{folder}: the weights of this epoch were removed (keep_epochs = false in [machine.training]), "
            "and now they are to be asked again; remove this directory, then run the same command "
            "again to train them anew"
        )


def require_usable(model: Model) -> None:
    """Raise StepError if a model's weights were removed, ModelError if its files were changed meanwhile."""
    require_weights(Path(model.path))
    require_unchanged(model)


def require_pairs(section: str, pairs: Sequence[Artifact[Any]]) -> None:
    """NoPairsError, with what the rules left out and what to change, if there is nothing to train on."""
    if sum(len(part) for part in pairs):
        return
    lines = [
        f"  {part.manifest.name}: "
        + (", ".join(f"{n} {why}" for why, n in part.manifest.dropped.items()) or "-")
        for part in pairs
    ]
    raise NoPairsError(
        f"{section}: no preference pair is left to train on.\n"
        + "\n".join(lines)
        + "\nWhat to change: more prompts or samples ([prompts], [generate]); a higher temperature when "
        "responses are alike; more judgments or reading = 'forced' ([judge]) when scores are equal or "
        "unreadable; nll_weight ([dpo]) when they have become unreadable from one iteration to the next; "
        "larger length limits ([[iterations]]) when pairs are over them."
    )
