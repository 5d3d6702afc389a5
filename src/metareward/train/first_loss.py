"""What the first loss of a DPO training must be: a check that costs nothing.

Where the start is the reference, z = 0 for every pair before the first step, so the loss of a pair is ln 2
whatever it says, times its weight, and whatever its certainty. Any other first loss is that of something
nobody asked for: dropout in the policy alone, a loss that a library adds, weights that were not loaded.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch

from metareward.errors import StepError


def expected(inputs: Mapping[str, Any], weights_B2: torch.Tensor | None, nll_weight: float) -> float:
    """The mean loss of a batch of B pairs at the reference, from the reference's own log-probabilities."""
    chosen_B = inputs["ref_chosen_logps"].float()
    weight_B = torch.ones_like(chosen_B) if weights_B2 is None else weights_B2[:, 0].to(chosen_B)
    tokens_B = inputs["completion_mask"].chunk(2)[0].sum(1)
    return float((weight_B * (math.log(2) - nll_weight * chosen_B / tokens_B)).mean())


def tolerance(inputs: Mapping[str, Any], beta: float, mixed: bool) -> float:
    """By how much rounding may move the first loss.

    A sum of log-probabilities computed twice, in batches of other shapes, differs by about 1e-5 of itself in
    float32; in bfloat16 by about .03 a token in either direction, so by the root of their number.
    """
    pairs = len(inputs["ref_chosen_logps"])
    if mixed:
        tokens = float(inputs["completion_mask"].sum()) / pairs
        return 0.02 + 0.03 * beta * math.sqrt(tokens)
    size = float(inputs["ref_chosen_logps"].abs().sum() + inputs["ref_rejected_logps"].abs().sum()) / pairs
    return 1e-4 + 0.5e-5 * beta * size


def check(found: float, wanted: float, allowed: float, reference_file: object) -> None:
    """Raise StepError if the first loss is not what it must be, within `allowed` or a thousandth."""
    if abs(found - wanted) <= max(allowed, 1e-3 * abs(wanted - math.log(2))):
        return
    raise StepError(
        f"the first loss is {found:.4f} and must be {wanted:.4f}, since the model is still its own reference "
        "(ln 2 for a pair of weight 1). So something else is trained on as well, and training stops before a "
        "weight has changed. Likely causes: dropout or noise that stays on in training; a loss that the "
        "architecture adds; weights that were read in part; or another machine.training.dtype than the "
        f"reference was computed with (then remove {reference_file} and run again)"
    )
