"""Settings of supervised fine-tuning: `SFT` is what it means; `TrainMachine` (see `train.dpo`) how fast."""

import math
from dataclasses import dataclass

from metareward.ids import added
from metareward.settings import check_seed, checked, one_of, positive, require
from metareward.train.dpo import SCHEDULERS

ALL_LINEAR = "all-linear"


@dataclass(frozen=True)
@checked("sft")
class SFT:
    """Fine-tuning on demonstrations; the defaults are the paper's where it says something.

    The loss of an optimiser step is the mean negative log-likelihood (natural log) of the tokens of its
    answers, the end of the turn included; tokens of prompts have none.

    learning_rate: of AdamW, at its highest. Meta-Rewarding states none for this step; 5.5e-6 is what
        Self-Rewarding fine-tunes with (arXiv 2401.10020, section 3.1). With LoRA take 1e-4 to 5e-4.
    batch_size: demonstrations per optimiser step; the last step of an epoch takes what is left.
    epochs, stop_after_epoch: length of the schedule, and the epoch whose weights are taken: 10 and 5 in
        the paper (arXiv 2407.19594, section 3.1).
    max_length: tokens of prompt and answer together; a longer one is dropped and counted, never cut.
    lora_rank: 0 trains every weight; else adapters of this rank are trained and merged at the end, so that
        the result is a plain model (its adapter lies beside it, in `adapter/`).
    lora_alpha: the adapter's product is multiplied by lora_alpha / lora_rank.
    lora_layers: adapters in so many layers, the last ones, and 0 in all of them. What lies below needs no
        backward pass, which without a GPU saves half of the time.
    lora_targets: ends of the names of the layers that get one, or "all-linear".
    seed: order of the demonstrations, and the adapters' first weights.
    router_loss: weight of the loss that balances a mixture's experts, a mean over the demonstrations in
        memory at once, added to the loss. With it nothing is packed. Other models have none.
    """

    learning_rate: float = 5.5e-6
    batch_size: int = 32
    epochs: int = 10
    stop_after_epoch: int | None = 5
    scheduler: str = "cosine"
    warmup_ratio: float = 0.0
    max_grad_norm: float = 1.0
    max_length: int = 4096
    weight_decay: float = 0.0
    lora_rank: int = 0
    lora_alpha: float = 32.0
    lora_dropout: float = 0.0
    lora_layers: int = 0
    lora_targets: tuple[str, ...] = (ALL_LINEAR,)
    seed: int = 0
    router_loss: float = added(0.0)

    def __post_init__(self):
        for name in ("learning_rate", "max_grad_norm", "lora_alpha"):
            value = getattr(self, name)
            require(positive(value), f"sft.{name}", "a number above 0", value)
        for name in ("batch_size", "epochs"):
            require(getattr(self, name) >= 1, f"sft.{name}", "at least 1", getattr(self, name))
        stop = self.stop_after_epoch
        sane = stop is None or 1 <= stop <= self.epochs
        require(sane, "sft.stop_after_epoch", f"unset or 1 to {self.epochs} (sft.epochs)", stop)
        require(self.scheduler in SCHEDULERS, "sft.scheduler", one_of(SCHEDULERS), self.scheduler)
        for name in ("warmup_ratio", "lora_dropout"):
            value = getattr(self, name)
            require(0 <= value < 1, f"sft.{name}", "at least 0 and below 1", value)
        require(self.max_length >= 2, "sft.max_length", "at least 2 tokens", self.max_length)
        decay, rank = self.weight_decay, self.lora_rank
        require(0 <= decay < math.inf, "sft.weight_decay", "a number, 0 or more", decay)
        router = self.router_loss
        require(0 <= router < math.inf, "sft.router_loss", "a number, 0 or more", router)
        require(0 <= rank <= 1024, "sft.lora_rank", "0 (every weight) to 1024", rank)
        require(self.lora_layers >= 0, "sft.lora_layers", "0 (all) or more", self.lora_layers)
        require(bool(self.lora_targets), "sft.lora_targets", "at least one name", self.lora_targets)
        check_seed("sft.seed", self.seed)

    @property
    def epochs_to_train(self) -> int:
        """How many epochs are trained; the schedule may be longer."""
        return self.stop_after_epoch or self.epochs
