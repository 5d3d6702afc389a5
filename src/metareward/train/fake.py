"""A trainer that trains nothing: for tests of whole loops on the fake engine."""

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from metareward import disk
from metareward.errors import StepError
from metareward.train.dpo import accumulation
from metareward.train.job import RESULT, Listener, TrainJob, TrainResult, finished, ignore, write_result


@dataclass
class FakeTrainer:
    """Writes a result at once, with its key in place of weights. `jobs` lists what it had not done before.

    The losses depend on nothing but the number of pairs: ln 2 at first, and less with more pairs.
    """

    jobs: list[TrainJob] = field(default_factory=list)

    def __call__(self, job: TrainJob, listener: Listener = ignore) -> TrainResult:
        """Carry out a job as `launch` would, without a model."""
        accumulation(job.dpo, job.machine)
        done = finished(job, listener)
        if done is not None:
            return done
        self.jobs.append(job)
        pairs = sum(1 for _ in job.pairs)
        for epoch in (job.ending(each) for each in job.epochs if not each.output_dir.exists()):
            passed = dataclasses.replace(_result(epoch, pairs), part_of=job.key)
            keep(epoch, {"weights.txt": epoch.key.encode()}, passed)
        result = _result(job, pairs)
        return keep(job, {"weights.txt": job.key.encode()}, result, listener)


def keep(
    job: TrainJob, files: Mapping[str, bytes], result: TrainResult, listener: Listener = ignore
) -> TrainResult:
    """Give a job's directory its files and its result, all at once; the listener hears of the last step."""
    partial = job.output_dir.with_name(f".{job.output_dir.name}.partial")
    disk.make_directory(partial)
    for name, content in files.items():
        disk.write(partial / name, content)
        disk.sync(partial / name)
    result = dataclasses.replace(result, files=disk.digests(partial, but=RESULT))
    write_result(partial, result)
    disk.rename(partial, job.output_dir)
    disk.sync(job.output_dir.parent)
    event = {"event": "step", "step": result.steps, "steps": result.steps, "loss": result.loss_last}
    listener({**event, "epoch": job.dpo.epochs_to_train, "tokens": 0, "seconds": 0.0})
    return result


def _result(job: TrainJob, pairs: int) -> TrainResult:
    if not pairs:
        raise StepError(f"training {job.key}: no pairs were given, so there is nothing to train on")
    steps = job.dpo.epochs_to_train * math.ceil(pairs / job.dpo.batch_size)
    return TrainResult(
        key=job.key,
        output_dir=job.output_dir,
        loss_first=math.log(2),
        loss_last=math.log(2) / (1 + 0.01 * steps),
        steps=steps,
        pairs_used=pairs,
        dropped={},
        reencoded=0,
        tokens=0,
        seconds=0.0,
        versions={"trainer": "fake"},
    )
