"""What watches over a training from inside: progress, checkpoints, and stopping when asked or orphaned."""

import errno
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from accelerate.utils import reduce
from transformers import TrainerCallback

from metareward.errors import MetarewardError, StoreError
from metareward.train.checkpoints import facts_of, last_complete, seal
from metareward.train.finite import diverged, not_finite, require_finite
from metareward.train.job import TrainJob

_REFUSALS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EACCES, errno.EPERM, errno.EIO)
_SHOWN = 200


class Interrupted(Exception):
    """Training was asked to stop and may, between two batches."""


class StopSignal:
    """Set by SIGTERM, SIGINT or the end of the launcher.

    Before training has begun there is nothing to save, so the process ends at once.
    """

    def __init__(self, exit_status: int):
        self._exit_status = exit_status
        self._asked = threading.Event()
        self.training = False

    def listen(self, parent_pipe: bool) -> None:
        """Handle signals; with `parent_pipe`, standard input ends when the launcher does."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: self.ask())
        if parent_pipe:
            threading.Thread(target=self._await_end_of_parent, daemon=True).start()

    def ask(self) -> None:
        """Ask for a checkpoint and the end."""
        self._asked.set()
        if not self.training:
            os._exit(self._exit_status)

    @property
    def asked(self) -> bool:
        """Whether somebody has asked."""
        return self._asked.is_set()

    def _await_end_of_parent(self) -> None:
        with suppress(ConnectionError):  # an end that was killed with signs of life unread
            while os.read(0, 1):  # nothing is ever written, so this returns when the other end is gone
                continue
        self.ask()


class Reporter:
    """Appends what happens to a file, one JSON object a line. Without a file it says nothing.

    launched: standard input is the launcher's socket. Signs of life go there, and why a training failed,
    for the disk may be full.
    """

    def __init__(self, file: Path | None, launched: bool = False):
        self._file = file
        self._socket = socket.socket(fileno=os.dup(0)) if launched and file is not None else None

    def __call__(self, event: str, **facts: Any) -> None:
        """Append one event."""
        if self._file is not None:
            with self._file.open("a") as out:
                out.write(json.dumps({"event": event, **facts}) + "\n")

    def beat(self) -> None:
        """Say that something moves."""
        self._send(b"\n")

    def last_words(self, message: str) -> None:
        """Say why it ends."""
        words = {"event": "failed", "message": message}
        self._send(json.dumps(words).encode() + b"\n")
        with suppress(OSError):
            self("failed", message=message)

    def _send(self, line: bytes) -> None:
        if self._socket is not None:
            with suppress(OSError):  # nobody listens any more, or not fast enough
                self._socket.send(line, socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)


class Keeper(TrainerCallback):
    """Reports every step, asks for checkpoints, declares them complete, and ends the schedule early.

    passed: told of every epoch that is over, but not of the last, before there is a checkpoint after it. So
    whatever a checkpoint has passed was told.
    """

    def __init__(
        self,
        job: TrainJob,
        tokens_per_epoch: int,
        stop: StopSignal,
        report: Reporter,
        checkpoint: Path | None,
        passed: Callable[[int], object] = lambda epoch: None,
    ):
        facts = facts_of(checkpoint) if checkpoint else {"step": 0, "seconds": 0.0}
        self.saved_step: int = facts["step"]
        self.resumed_from: int | None = facts["step"] or None
        self._earlier_seconds: float = facts["seconds"]
        self._job, self._stop, self._report = job, stop, report
        self._tokens_per_epoch, self._passed = tokens_per_epoch, passed
        self._began = self._saved_at = time.monotonic()
        self.model: Any = None  # whose weights are looked at before a checkpoint; `train_under` sets it

    @property
    def seconds(self) -> float:
        """Of training, over all sessions."""
        return self._earlier_seconds + time.monotonic() - self._began

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Start the clock; from here on a stop is a checkpoint."""
        self._began = self._saved_at = time.monotonic()
        self._stop.training = True
        if self.saved_step:
            self._report("resumed", step=self.saved_step)

    def on_step_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End if asked: the weights are those of the last whole step."""
        self._end_if_asked()

    def on_substep_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """End if asked; gradients gathered so far are given up."""
        self._report.beat()
        self._end_if_asked()

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Ask for a checkpoint when it is time; at the end of an epoch it waits for what is done there."""
        if state.global_step % self._steps_per_epoch(state) == 0:
            return
        if _any_process(time.monotonic() - self._saved_at > 60 * self._job.machine.checkpoint_minutes):
            self.require_finite_weights(state)
            control.should_save = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """The last epoch needs no checkpoint: the result follows at once."""
        last = round(state.epoch) >= self._job.dpo.epochs_to_train
        if not last:
            self._passed(round(state.epoch))
        control.should_training_stop = last
        control.should_save = not last and state.global_step > self.saved_step
        if control.should_save:
            self.require_finite_weights(state)

    def require_finite_weights(self, state: Any) -> None:
        """Raise StepError rather than let a checkpoint be made of weights that are no numbers."""
        name = not_finite(self.model.named_parameters()) if self.model is not None else None
        if _any_process(name is not None):
            raise diverged(state.global_step, name or "of another process", self._job.dpo)

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Declare what was just saved complete."""
        self.seal(state)

    def seal(self, state: Any) -> None:
        """Declare the checkpoint of this step complete and remove the one before."""
        PartialState().wait_for_everyone()
        self.saved_step, self._saved_at = state.global_step, time.monotonic()
        if not state.is_world_process_zero:
            return
        folder = self._job.work_dir / "checkpoints"
        facts = {"step": state.global_step, "epoch": state.epoch, "seconds": self.seconds}
        seal(folder / f"checkpoint-{state.global_step}", facts)
        last_complete(folder)
        self._report("checkpoint", step=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        """Report an optimiser step. Raises StepError if its loss or its gradient is no number."""
        if not logs or "loss" not in logs:
            return
        numbers = {"loss": logs["loss"], "norm of the gradient": logs.get("grad_norm")}
        require_finite(state.global_step, numbers, self._job.dpo)
        self._report(
            "step",
            step=state.global_step,
            steps=self._steps_per_epoch(state) * self._job.dpo.epochs_to_train,
            epoch=state.epoch,
            loss=logs["loss"],
            accuracy=logs.get("rewards/accuracies"),
            margin=logs.get("rewards/margins"),
            learning_rate=logs.get("learning_rate"),
            tokens=round(self._tokens_per_epoch * state.epoch),
            seconds=self.seconds,
        )

    def _steps_per_epoch(self, state: Any) -> int:
        return -(-state.max_steps // self._job.dpo.epochs)

    def _end_if_asked(self) -> None:
        if _any_process(self._stop.asked):
            raise Interrupted


def train_under(keeper: Keeper, trainer: Any, checkpoint: Path | None) -> None:
    """Train, from a checkpoint if there is one, until it is over or the keeper is asked to stop.

    Raises Interrupted when it was, with a checkpoint of the last whole step.
    """
    trainer.add_callback(keeper)
    keeper.model = trainer.model
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Interrupted:
        if trainer.state.global_step > keeper.saved_step:
            keeper.require_finite_weights(trainer.state)
            trainer._save_checkpoint(trainer.model, trial=None)
            keeper.seal(trainer.state)
        raise


def disk_refusal(error: BaseException) -> str | None:
    """What the disk said, if an error is its doing. PyTorch and safetensors wrap it in types of their own.

    So does the store, whose sentence does not know what a training has kept; any other error of ours is none.
    """
    if isinstance(error, StoreError) and error.__cause__ is not None:
        error = error.__cause__
    if isinstance(error, MetarewardError):
        return None
    text = " ".join(str(error).split())
    if isinstance(error, OSError) and error.errno in _REFUSALS:
        return text[:_SHOWN]
    archive = "inline_container" in text and "Reader" not in text  # what PyTorch writes a file with
    if archive or "PytorchStreamWriter" in text or any(f"os error {number}" in text for number in _REFUSALS):
        return text[:_SHOWN]
    return None


def _any_process(mine: bool) -> bool:
    """Whether it holds on any process: all must do the same, or they wait for each other for ever."""
    state = PartialState()
    if state.num_processes == 1:
        return mine
    total = reduce(torch.tensor(float(mine), device=state.device), reduction="sum")
    return bool(total > 0)  # pyright: ignore[reportOperatorIssue] (a tensor in, a tensor out)
