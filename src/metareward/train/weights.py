"""What a pair's weight and certainty do to its loss.

    loss = weight * (certainty * L(z) + (1 - certainty) * L(-z)),   L(z) = -log sigmoid(z),
    z = beta * ((pi_c - ref_c) - (pi_r - ref_r))

L(z) is the loss of DPO, and L(-z) that of the same pair with its sides exchanged: conservative DPO with a
probability for each pair (CREAM, arXiv 2410.12735). An NLL term is of the chosen answer,
whatever the certainty, and is multiplied with the weight as well.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.functional import softplus

WEIGHTS = "pair_weights"
"""Name of the column and of the batch's tensor [B, 2]: weight and certainty of each pair."""


@dataclass
class WeighingCollator:
    """Another collator's batches, and with them the weights of their pairs."""

    plain: Any

    def __call__(self, examples: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        """A batch of B pairs with its weights [B, 2]."""
        weights_B2 = torch.tensor([example[WEIGHTS] for example in examples], dtype=torch.float32)
        return {**self.plain(examples), WEIGHTS: weights_B2}


class Heard:
    """A model that is called as before, and remembers the log-probabilities [2B, T] it gave last."""

    def __init__(self, model: Any):
        self._model = model
        self.log_probs: Any = None

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """What the model answers."""
        output = self._model(*args, **kwargs)
        self.log_probs = output.log_probs
        return output


def loss_of(z_B: torch.Tensor, weights_B2: torch.Tensor) -> torch.Tensor:
    """The DPO loss of each pair [B], given its margin of implicit rewards and its weight and certainty."""
    weight_B, certainty_B = weights_B2.unbind(1)
    return weight_B * (certainty_B * softplus(-z_B) + (1 - certainty_B) * softplus(z_B))


def change_of_loss(
    log_probs_2BT: torch.Tensor,
    inputs: Mapping[str, torch.Tensor],
    weights_B2: torch.Tensor | None,
    beta: float,
    nll_weight: float,
) -> torch.Tensor:
    """What has to be added to TRL's mean loss of a batch of B pairs so that it is the mean of weighted ones.

    log_probs: of the answers' tokens, zero elsewhere; chosen answers first. inputs: TRL's batch, with the
    reference's log-probabilities. weights: None weighs all pairs alike. The NLL is each pair's mean over its
    chosen tokens, while TRL takes one mean over all chosen tokens of a batch, so that a long answer counts
    more and the size of a batch matters. Terms that TRL adds of its own (a router's) keep their size.
    """
    chosen_BT, rejected_BT = log_probs_2BT.chunk(2)
    chosen_B, rejected_B = chosen_BT.sum(1), rejected_BT.sum(1)
    if weights_B2 is None:
        weights_B2 = torch.ones(len(chosen_B), 2, device=chosen_B.device)
    z_B = beta * ((chosen_B - inputs["ref_chosen_logps"]) - (rejected_B - inputs["ref_rejected_logps"]))
    change = (loss_of(z_B, weights_B2) - softplus(-z_B)).mean()
    if nll_weight:
        tokens_B = inputs["completion_mask"].chunk(2)[0].sum(1)
        wanted = (weights_B2[:, 0] * -chosen_B / tokens_B).mean()
        change = change + nll_weight * (wanted + chosen_B.sum() / tokens_B.sum())
    return change
