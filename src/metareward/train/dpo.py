"""Settings of preference training: `DPO` is what it means, `TrainMachine` only how fast it goes."""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from metareward.ids import added
from metareward.settings import check_seed, checked, one_of, positive, require

if TYPE_CHECKING:
    from metareward.train.sft import SFT

SCHEDULERS = ("cosine", "linear", "constant")
LESS_MEMORY = (
    "Lower pairs_per_device or set gradient_checkpointing = true in [machine.training] (neither changes the "
    "result), or free memory, then run the same command again to continue from the last checkpoint."
)
DTYPES = ("auto", "float32", "bfloat16")
REPORTERS = ("trackio", "wandb", "tensorboard")


@dataclass(frozen=True)
@checked("dpo")
class DPO:
    """Direct preference optimisation with an explicit reference; the defaults are the paper's.

    The loss of a pair is -log sigmoid(beta * ((pi_c - ref_c) - (pi_r - ref_r))), each term a sum of the
    answer's token log-probabilities in natural log units (arXiv 2305.18290, equation 7).

    learning_rate: of AdamW, at its highest.
    batch_size: pairs per optimiser step, over all devices; the last step of an epoch takes what is left.
    epochs: length of the learning-rate schedule.
    stop_after_epoch: train so many epochs of that schedule and keep what is then there. The paper schedules
        up to 10 epochs and takes the checkpoint of epoch 6, 4, 2, 2: what would follow is never used.
    warmup_ratio: share of the schedule's steps spent warming up. The paper gives none, so it is 0.
    max_length: tokens of prompt and answer together; a longer pair is dropped and counted, never cut.
    nll_weight: weight of the chosen answer's mean negative log-likelihood, added to the loss of its pair.
    seed: order of the pairs.
    router_loss: weight of the loss that balances a mixture's experts, a mean over the pairs in memory at
        once, added to the loss. With it prompts are not shared. Other models have none.
    """

    learning_rate: float = 5e-6
    beta: float = 0.1
    batch_size: int = 32
    epochs: int = 10
    stop_after_epoch: int | None = None
    scheduler: str = "cosine"
    warmup_ratio: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 4096
    nll_weight: float = 0.0
    weight_decay: float = 0.0
    seed: int = 0
    router_loss: float = added(0.0)

    def __post_init__(self):
        for name in ("learning_rate", "beta", "max_grad_norm"):
            value = getattr(self, name)
            require(positive(value), f"dpo.{name}", "a number above 0", value)
        require(self.batch_size >= 1, "dpo.batch_size", "at least 1", self.batch_size)
        require(self.epochs >= 1, "dpo.epochs", "at least 1", self.epochs)
        stop = self.stop_after_epoch
        require(
            stop is None or 1 <= stop <= self.epochs,
            "dpo.stop_after_epoch",
            f"unset or 1 to {self.epochs} (dpo.epochs)",
            stop,
        )
        require(self.scheduler in SCHEDULERS, "dpo.scheduler", one_of(SCHEDULERS), self.scheduler)
        require(0 <= self.warmup_ratio < 1, "dpo.warmup_ratio", "at least 0 and below 1", self.warmup_ratio)
        require(self.max_length >= 2, "dpo.max_length", "at least 2 tokens", self.max_length)
        for name in ("nll_weight", "weight_decay", "router_loss"):
            value = getattr(self, name)
            require(0 <= value < math.inf, f"dpo.{name}", "a number, 0 or more", value)
        check_seed("dpo.seed", self.seed)

    @property
    def epochs_to_train(self) -> int:
        """How many epochs are trained; the schedule may be longer."""
        return self.stop_after_epoch or self.epochs


@dataclass(frozen=True)
@checked("machine.training")
class TrainMachine:
    """What changes only the speed of training, its memory and what may be lost, never its meaning.

    processes: one per device. With several, an epoch's last batches are filled up from its first pairs
        until every process has equally many (accelerate's rule), so use one where that matters.
    pairs_per_device: pairs in memory at once; the rest of a batch is accumulated.
    dtype: of the computation; `auto` is bfloat16 on a GPU that has it and float32 elsewhere. Weights and
        optimiser are float32 always.
    share_prompt: compute a pair's prompt once for both answers. Checked against the plain computation
        before training starts, and given up where the model does not allow it.
    report_to: trackers of the steps and of the loop's own numbers: "trackio", "wandb", "tensorboard". What
        they keep lies under the run, in `tracking/`.
    checkpoint_minutes: at most so much work is lost, besides the step in progress.
    accelerate_config: path of an accelerate config file (FSDP, several machines); None writes a plain one.
    timeout_minutes_without_progress: stop a training that has shown no sign of life for so long: none while
        it loads, checks, publishes, and then one for each batch. None or 0 waits for ever.
    stop_seconds: how long to wait for the last checkpoint when training is interrupted.
    keep_epochs: where the epoch is selected, keep the weights of those that were not taken, too. Without
        them a change of the selection trains again.
    """

    processes: int = 1
    pairs_per_device: int = 1
    dtype: str = "auto"
    gradient_checkpointing: bool = False
    share_prompt: bool = True
    report_to: tuple[str, ...] = ()
    checkpoint_minutes: float = 10
    accelerate_config: str | None = None
    timeout_minutes_without_progress: float | None = 60
    stop_seconds: float = 120
    keep_epochs: bool = True

    def __post_init__(self):
        for name in ("processes", "pairs_per_device"):
            value = getattr(self, name)
            require(value >= 1, f"machine.training.{name}", "at least 1", value)
        require(self.dtype in DTYPES, "machine.training.dtype", one_of(DTYPES), self.dtype)
        for name in ("checkpoint_minutes", "timeout_minutes_without_progress", "stop_seconds"):
            value = getattr(self, name)
            waits = name.startswith("timeout") and value == 0
            wanted = (
                "0 (wait for ever) or a number above" if name.startswith("timeout") else "a number above 0"
            )
            require(waits or positive(value), f"machine.training.{name}", wanted, value)
        for name in self.report_to:
            require(name in REPORTERS, "machine.training.report_to", f"a list of {one_of(REPORTERS)}", name)


def accumulation(dpo: "DPO | SFT", machine: TrainMachine) -> tuple[int, int]:
    """Pairs per device at once, and how many such batches make one optimiser step.

    Raises ConfigError when they do not make up `dpo.batch_size` exactly.
    """
    pairs = min(machine.pairs_per_device, dpo.batch_size)
    at_once = pairs * machine.processes
    require(
        dpo.batch_size % at_once == 0,
        f"{type(dpo).__name__.lower()}.batch_size",
        f"a multiple of machine.training.processes x pairs_per_device ({machine.processes} x {pairs})",
        dpo.batch_size,
    )
    return pairs, dpo.batch_size // at_once
