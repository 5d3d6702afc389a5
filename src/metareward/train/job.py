"""What a training is given and what it gives back, as values and as the files two processes share."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from math import nan
from pathlib import Path
from typing import Any, Protocol

from metareward import disk
from metareward.errors import ConfigError, StoreError
from metareward.ids import fingerprint, identity
from metareward.reasoning import AUTO, Reasoning
from metareward.records import Demonstration, Message, PreferencePair, Role
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.sft import SFT
from metareward.train.tracking import Tracked

RESULT = "metareward.json"

Listener = Callable[[Mapping[str, Any]], None]
"""Hears what a training says. `event` is one of started, reference, resumed, step, published,
checkpoint, notice (with a `message`), done.

A step has `step`, `steps`, `epoch`, `loss`, `accuracy`, `margin` (of rewards, natural log units times
beta), `tokens` and `seconds` so far.
"""


def ignore(event: Mapping[str, Any]) -> None:
    """The listener that does not listen."""


@dataclass(frozen=True)
class EpochOutput:
    """Where the weights of an epoch go that is not the last: under the key of a training that ends there."""

    epoch: int
    key: str
    output_dir: Path


@dataclass(frozen=True)
class TrainJob:
    """One training: from `start`, held near `reference`, on `pairs`, into `output_dir`.

    key: of the training step; names the result. start, reference: model directories.
    dpo: or `SFT`; then `pairs` are demonstrations, and nothing is held near the reference.
    pairs: read once, and only when there is something to train.
    work_dir: checkpoints and logs; belongs to this job alone until the result is whole.
    epochs: earlier epochs whose weights are kept as models, too, in order. They change nothing else.
    tracked: what trackers call it; in its work directory if nothing is said.
    reasoning: how `start` was asked, so that it is trained on the prompts and tokens that it answered.
    """

    key: str
    dpo: DPO | SFT
    machine: TrainMachine
    start: str
    reference: str
    pairs: Iterable[Any]
    output_dir: Path
    work_dir: Path
    epochs: tuple[EpochOutput, ...] = ()
    tracked: Tracked | None = None
    reasoning: Reasoning = AUTO

    @property
    def tracking(self) -> Tracked:
        """Where trackers keep what it tells."""
        return self.tracked or Tracked.training(self.work_dir, "training", self.key)

    def ending(self, epoch: EpochOutput) -> "TrainJob":
        """The training that would end with an earlier epoch, on the same schedule."""
        dpo = replace(self.dpo, stop_after_epoch=epoch.epoch)
        return replace(self, key=epoch.key, dpo=dpo, output_dir=epoch.output_dir, epochs=())


@dataclass(frozen=True)
class TrainResult:
    """What a training came to.

    pairs_used + sum(dropped.values()) is the number of pairs given. reencoded: answers whose sampled
    tokens were not known and were made anew from the text. loss_first, loss_last: of the first and last
    optimiser step, a mean over its pairs. tokens: trained on, prompts counted for both answers.
    seconds: spent in optimiser steps, over all sessions. resumed_from: step of the checkpoint that the
    last session began with, None if it began from the start. files: SHA-256 of each file beside it.
    part_of: the key of the longer training that passed this epoch on its way; seconds and tokens are part of
    that one's. removed: the weights were there and were removed as the settings say.
    """

    key: str
    output_dir: Path
    loss_first: float
    loss_last: float
    steps: int
    pairs_used: int
    dropped: Mapping[str, int]
    reencoded: int
    tokens: int
    seconds: float
    versions: Mapping[str, str] = field(default_factory=dict)
    resumed_from: int | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    part_of: str | None = None
    removed: bool = False


class Trainer(Protocol):
    """Carries out a job, or finds its result."""

    def __call__(self, job: TrainJob, listener: Listener = ignore) -> TrainResult:
        """Raises StepError when training cannot be finished, ConfigError when a directory is another's."""
        ...


def finished(job: TrainJob, listener: Listener = ignore) -> TrainResult | None:
    """The job's result if its output is whole, every byte of it.

    A damaged output is set aside, and the listener told. One whose weights were removed is no result, and
    what is left of it goes. Raises ConfigError if the output directory holds something else.
    """
    file = job.output_dir / RESULT
    if file.exists():
        result, harm = inspect(file)
        if harm:
            place = disk.set_aside(job.output_dir)
            listener({"event": "damaged", "place": str(place), "files": list(harm)})
            return None
        assert result is not None
        if result.key == job.key and result.removed:
            shutil.rmtree(job.output_dir, ignore_errors=True)
            return None
        if result.key == job.key:
            return result
        raise ConfigError(
            f"{job.output_dir} holds the result of training {result.key}, not of {job.key}; "
            "choose another output directory or remove that one"
        )
    if job.output_dir.exists() and any(job.output_dir.iterdir()):
        raise ConfigError(
            f"{job.output_dir} exists but is not a finished training; remove it or choose another"
        )
    return None


def inspect(file: Path) -> tuple[TrainResult | None, tuple[str, ...]]:
    """The result in a file, if that can be read, and the names of the files of its model that are harmed."""
    try:
        result = read_result(file)
    except StoreError:
        return None, (file.name,)
    return result, tuple(disk.harmed(file.parent, result.files))


def write_result(folder: Path, result: TrainResult) -> None:
    """Store a result beside the weights it describes. The folder may still be moved."""
    plain = {name: value for name, value in asdict(result).items() if name != "output_dir"}
    disk.write_checked(folder / RESULT, plain)


def read_result(file: Path) -> TrainResult:
    """The result stored in `file`; its output directory is where the file lies now. Raises StoreError."""
    try:
        known = disk.read_checked(file)
        losses = {name: nan for name in ("loss_first", "loss_last") if known.get(name, 0) is None}
        return TrainResult(output_dir=file.parent, **{**known, **losses})
    except TypeError as error:
        raise StoreError(f"{file}: damaged ({error})") from error


def write_pairs(file: Path, pairs: Iterable[PreferencePair | Demonstration]) -> str:
    """Stream pairs to a file, one JSON object a line; returns the SHA-256 of what was written."""
    digest = hashlib.sha256()
    partial = file.with_name(file.name + ".partial")
    try:
        with partial.open("wb") as out:
            for pair in pairs:
                line = (json.dumps(_plain(pair)) + "\n").encode()
                digest.update(line)
                out.write(line)
    except OSError as error:
        raise StoreError(disk.refusal(file, error)) from error
    disk.sync(partial)
    disk.rename(partial, file)
    return digest.hexdigest()


def _plain(pair: PreferencePair | Demonstration) -> dict[str, Any]:
    """A pair as plain data, without later fields that say nothing: so the digest stays what it was."""
    plain = asdict(pair)
    return {name: plain[name] for name in identity(pair)}


def read_pairs(file: Path) -> Iterable[PreferencePair]:
    """The pairs `write_pairs` wrote, one at a time."""
    with file.open() as lines:
        for line in lines:
            row = json.loads(line)
            row["role"] = Role(row["role"])
            row["messages"] = tuple(Message(**message) for message in row["messages"])
            for name in ("chosen_token_ids", "rejected_token_ids"):
                row[name] = None if row[name] is None else tuple(row[name])
            yield PreferencePair(**row)


def read_demonstrations(file: Path) -> Iterable[Demonstration]:
    """The demonstrations `write_pairs` wrote, one at a time."""
    with file.open() as lines:
        for line in lines:
            row = json.loads(line)
            row["role"] = Role(row["role"])
            row["messages"] = tuple(Message(**message) for message in row["messages"])
            row["token_ids"] = None if row["token_ids"] is None else tuple(row["token_ids"])
            yield Demonstration(**row)


def write_job(job: TrainJob) -> Path:
    """Write the job and its pairs into its work directory, for the worker.

    Raises ConfigError when the directory holds the checkpoints of a different job.
    """
    file = job.work_dir / "job.json"
    identity = fingerprint(job.key, job.dpo, job.start, job.reference)
    before = _job_before(file)
    if before and before["identity"] != identity:
        raise ConfigError(f"{job.work_dir} belongs to another training; remove it or choose another")
    digest = write_pairs(job.work_dir / "pairs.jsonl", job.pairs)
    if before and before["pairs_digest"] != digest:
        raise ConfigError(f"{job.work_dir} was begun with other pairs; remove it to train on these")
    names = {"key": job.key, "start": job.start, "reference": job.reference}
    places = {"output_dir": str(job.output_dir.absolute()), "work_dir": str(job.work_dir.absolute())}
    own = {"identity": identity, "pairs_digest": digest}
    epochs = [{**asdict(each), "output_dir": str(each.output_dir.absolute())} for each in job.epochs]
    settings = {
        type(job.dpo).__name__.lower(): asdict(job.dpo),
        "machine": asdict(job.machine),
        "epochs": epochs,
        "tracked": job.tracked.as_dict() if job.tracked else None,
    }
    if job.reasoning != AUTO:
        settings["reasoning"] = asdict(job.reasoning)
    disk.write_checked(file, {**names, **places, **own, **settings})
    return file


def _job_before(file: Path) -> dict[str, Any] | None:
    """The job this work directory was begun for. Where that cannot be told any more, nothing in it can be
    trusted: all is set aside.
    """
    if not file.exists():
        return None
    try:
        return disk.read_checked(file)
    except StoreError:
        for path in (file, file.with_name("checkpoints"), file.with_name("reference.npz")):
            if path.exists():
                disk.set_aside(path)
        return None


def read_job(file: Path) -> TrainJob:
    """The job as the worker sees it; its pairs are read from the work directory."""
    row = disk.read_checked(file)
    machine = TrainMachine(**{**row["machine"], "report_to": tuple(row["machine"]["report_to"])})
    pairs = file.with_name("pairs.jsonl")
    return TrainJob(
        key=row["key"],
        dpo=_sft(row["sft"]) if "sft" in row else DPO(**row["dpo"]),
        machine=machine,
        start=row["start"],
        reference=row["reference"],
        pairs=read_demonstrations(pairs) if "sft" in row else read_pairs(pairs),
        output_dir=Path(row["output_dir"]),
        work_dir=Path(row["work_dir"]),
        epochs=tuple(
            EpochOutput(**{**each, "output_dir": Path(each["output_dir"])}) for each in row["epochs"]
        ),
        tracked=Tracked.read(row["tracked"]) if row["tracked"] else None,
        reasoning=_reasoning(row["reasoning"]) if "reasoning" in row else AUTO,
    )


def _reasoning(settings: Mapping[str, Any]) -> Reasoning:
    markers = settings["markers"]
    return Reasoning(markers if isinstance(markers, str) else tuple(markers), settings["thinking"])


def _sft(settings: Mapping[str, Any]) -> SFT:
    return SFT(**{**settings, "lora_targets": tuple(settings["lora_targets"])})
