"""What TRL and transformers call the settings that all trainings have in common."""

from pathlib import Path
from typing import Any

import torch

from metareward.train.dpo import DPO, TrainMachine, accumulation
from metareward.train.sft import SFT
from metareward.train.tracking import Tracked


def arguments(
    training: DPO | SFT, machine: TrainMachine, folder: Path, tracked: Tracked | None = None
) -> dict[str, Any]:
    """The arguments of `transformers.TrainingArguments`, and `max_length`, which TRL calls so everywhere.

    folder: of the checkpoints. tracked: what trackers call the training. Raises ConfigError where
    `machine` cannot make up the batch.
    """
    at_once, accumulate = accumulation(training, machine)
    named = {"project": tracked.project, "run_name": tracked.name} if tracked else {}
    return {
        **named,
        "output_dir": str(folder),
        "learning_rate": training.learning_rate,
        "num_train_epochs": training.epochs,
        "per_device_train_batch_size": at_once,
        "gradient_accumulation_steps": accumulate,
        "lr_scheduler_type": _schedule(training),
        "warmup_steps": training.warmup_ratio,  # below 1 it is a share of the steps
        "max_grad_norm": training.max_grad_norm,
        "weight_decay": training.weight_decay,
        "router_aux_loss_coef": training.router_loss,  # unset, TRL would take the architecture's own
        "seed": training.seed,
        "max_length": None,  # what is too long was dropped before, and nothing is cut
        "gradient_checkpointing": machine.gradient_checkpointing,
        "bf16": _in_bfloat16(machine),
        "use_cpu": not torch.accelerator.is_available(),
        "logging_steps": 1,
        "logging_nan_inf_filter": False,
        "save_strategy": "no",
        "report_to": list(machine.report_to) or "none",
        "disable_tqdm": True,
    }


def _schedule(training: DPO | SFT) -> str:
    """The schedule's name; transformers has a constant one with a warm-up under a name of its own."""
    warms_up = training.scheduler == "constant" and training.warmup_ratio > 0
    return "constant_with_warmup" if warms_up else training.scheduler


def _in_bfloat16(machine: TrainMachine) -> bool:
    if machine.dtype == "auto":
        return torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return machine.dtype == "bfloat16"
