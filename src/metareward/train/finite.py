"""Numbers that must be numbers: a training that has left them behind is never published."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from safetensors import safe_open

from metareward.errors import StepError

_TOKENS = 64

if TYPE_CHECKING:
    from metareward.train.dpo import DPO
    from metareward.train.sft import SFT


def not_finite(tensors: Iterable[tuple[str, Any]]) -> str | None:
    """The name of the first tensor that holds a NaN or a number with an infinite square; None if all is well.

    A layer squares its inputs to normalise them: from such a number on it computes zeros or NaNs. Of a tensor
    that is spread over processes the part of this process is looked at.
    """
    for name, tensor in tensors:
        mine = tensor.to_local() if hasattr(tensor, "to_local") else tensor
        if mine.is_floating_point() and not bool(torch.isfinite(mine.float().square()).all()):
            return name
    return None


def not_finite_in(folder: Path) -> str | None:
    """The same for the safetensors files of a directory."""
    for file in sorted(folder.glob("*.safetensors")):
        with safe_open(file, framework="pt") as stored:
            if name := not_finite((name, stored.get_tensor(name)) for name in stored.keys()):  # noqa: SIM118
                return name
    return None


def require_finite(step: int, numbers: Mapping[str, float | None], training: "DPO | SFT") -> None:
    """Raise StepError if a number of an optimiser step (its loss, its gradient's norm) is none."""
    for name, value in numbers.items():
        if value is not None and not torch.isfinite(torch.tensor(value)):
            raise StepError(
                f"at step {step} the {name} is {value:g}: training has diverged. {remedy(training)}"
            )


@torch.no_grad()
def require_alive(model: Any, ids: Sequence[int], step: int, training: "DPO | SFT") -> None:
    """Raise StepError if a causal language model no longer gives any token of `ids` a probability.

    Weights that are finite and huge do that: each is a number, and what they compute is none.
    """
    was_training = model.training
    tokens = torch.tensor([list(ids[:_TOKENS])], device=next(model.parameters()).device)
    logits = model.eval()(input_ids=tokens, use_cache=False).logits
    model.train(was_training)
    if not bool(torch.isfinite(logits).all()):
        raise StepError(
            f"after step {step} what the model computes is no number any more: training has diverged. "
            f"{remedy(training)}"
        )


def diverged(step: int, name: str, training: "DPO | SFT") -> StepError:
    """What to raise where a weight is no number after a step."""
    return StepError(
        f"after step {step} the weights are no numbers any more ({name} holds a NaN or one without end): "
        f"training has diverged. {remedy(training)}"
    )


def remedy(training: "DPO | SFT") -> str:
    """What to do about a training that has diverged."""
    section = type(training).__name__.lower()
    where = "[dpo]" if section == "dpo" else "[eft.sft]"
    return (
        f"Nothing of it is published, and all that was made before it is kept. Lower learning_rate in "
        f"{where} (now {training.learning_rate:g}) or max_grad_norm (now {training.max_grad_norm:g}), or "
        "warm up longer (warmup_ratio), then run the same command again; unchanged, it would diverge again"
    )
