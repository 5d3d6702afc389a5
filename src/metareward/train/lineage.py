"""Where trained models come from: for each training what it began with and which pairs it was given."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.errors import StoreError
from metareward.models.base import Model
from metareward.stages.base import step_key
from metareward.store import Artifact
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import RESULT, TrainJob, TrainResult, read_result
from metareward.train.sft import SFT
from metareward.train.tracking import Tracked

_STEP = "step.json"
_ITERATION = re.compile(r"iteration (\d{1,9})\b")


@dataclass(frozen=True)
class Training:
    """A training of a run, finished if it has a `result`.

    key: of the step, and the fingerprint of the model it makes. pairs: keys of the artifacts of pairs.
    start, reference: {"name", "fingerprint"} of the models it began with and was held near.
    """

    key: str
    section: str
    step: dict[str, Any]
    pairs: list[str]
    start: dict[str, str]
    reference: dict[str, str]
    result: TrainResult | None = None


def note_training(
    root: Path, key: str, section: str, dpo: DPO | SFT, pairs: Sequence[str], start: Model, reference: Model
) -> None:
    """Write down what a training depends on, before it begins."""
    file = root / "training" / key / _STEP
    if file.is_file():
        try:
            disk.read_checked(file)
        except StoreError:
            disk.set_aside(file)
        else:
            return
    disk.make_directory(file.parent)
    began = {"start": _named(start), "reference": _named(reference)}
    about = {"key": key, "section": section, "step": asdict(dpo), "pairs": list(pairs)}
    disk.write_checked(file, {**about, **began})


def begun(
    root: Path,
    section: str,
    training: DPO | SFT,
    machine: TrainMachine,
    parts: Sequence[Artifact[Any]],
    start: Model,
    reference: Model,
) -> TrainJob:
    """The job of a training in a run's directory, named by all it depends on, and written down."""
    keys = [part.key for part in parts]
    key = step_key(training, start.fingerprint, reference.fingerprint, *keys)
    note_training(root, key, section, training, keys, start, reference)
    return TrainJob(
        key,
        training,
        machine,
        start=start.path,
        reference=reference.path,
        pairs=chain.from_iterable(parts),
        output_dir=root / "models" / key,
        work_dir=root / "training" / key,
        tracked=Tracked.training(root, section, key),
        reasoning=start.reasoning,
    )


def trainings(root: Path) -> dict[str, Training]:
    """Every training that was begun in a run, by its key. Raises StoreError if a record is damaged."""
    found = {}
    for file in sorted((root / "training").glob(f"*/{_STEP}")):
        try:
            training = Training(**disk.read_checked(file), result=result_of(root, file.parent.name))
        except (StoreError, TypeError) as error:
            raise StoreError(f"{file}: damaged, the next run writes it anew ({error})") from None
        found[training.key] = training
    return found


def model_names(known: Iterable[Training]) -> dict[str, str]:
    """What to call models, by fingerprint: as the recipe did where one was trained further, else the next."""
    known = list(known)
    trained = {training.key: _named_after(training) for training in known}
    return trained | {training.start["fingerprint"]: training.start["name"] for training in known}


def result_of(root: Path, key: str) -> TrainResult | None:
    """What a training came to, if it was finished."""
    file = root / "models" / key / RESULT
    if not file.is_file():
        return None
    try:
        return read_result(file)
    except (OSError, ValueError, TypeError) as error:
        raise StoreError(f"{file}: damaged ({error}); `metareward verify` says what is lost") from None


def _named_after(training: Training) -> str:
    """Of an iteration its number decides: it may have begun from an earlier model than the last."""
    iteration = _ITERATION.match(training.section)
    return f"M{int(iteration[1]) + 1}" if iteration else _next(training.start["name"])


def _next(name: str) -> str:
    """M3 follows M2, as the recipes have it; of other names nothing is known."""
    return f"M{int(name[1:]) + 1}" if name[:1] == "M" and name[1:].isdigit() else f"{name}+"


def _named(model: Model) -> dict[str, str]:
    return {"name": model.name, "fingerprint": model.fingerprint}
