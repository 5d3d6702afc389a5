"""Training in this process, for models so small that starting another one takes longer than training."""

import shutil
import warnings
from typing import Any

from metareward import disk
from metareward.engines.quiet import quiet
from metareward.errors import ConfigError, StepError
from metareward.train.dpo import DPO, accumulation
from metareward.train.job import Listener, TrainJob, TrainResult, finished, ignore
from metareward.train.keeper import Reporter, StopSignal
from metareward.train.worker import STOPPED, train


def train_inline(job: TrainJob, listener: Listener = ignore) -> TrainResult:
    """Carry out a job as `launch` would, but here; a `Trainer`.

    The training is the worker's own. Interrupted, it begins anew the next time. Raises ConfigError for
    demonstrations, several processes, or an output directory that is another's; StepError where nothing
    comes of it.
    """
    if not isinstance(job.dpo, DPO) or job.machine.processes != 1:
        raise ConfigError("training in this process takes preference pairs, and one process")
    accumulation(job.dpo, job.machine)
    done = finished(job, listener)
    if done is not None:
        return done
    shutil.rmtree(job.work_dir, ignore_errors=True)
    disk.make_directory(job.work_dir)
    try:
        with quiet(), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # of how the trainer calls its own libraries
            train(job, StopSignal(STOPPED), _Telling(listener))
    finally:
        shutil.rmtree(job.work_dir, ignore_errors=True)
    result = finished(job, listener)
    if result is None:
        raise StepError(f"training {job.key} left no whole result in {job.output_dir}; run again")
    return result


class _Telling(Reporter):
    """Tells a listener what happens, instead of a file."""

    def __init__(self, listener: Listener) -> None:
        super().__init__(None)
        self._listener = listener

    def __call__(self, event: str, **facts: Any) -> None:
        """Tell of one event."""
        self._listener({"event": event, **facts})
