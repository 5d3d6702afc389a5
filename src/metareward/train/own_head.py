"""The log-probabilities that a model's own logits have, where TRL's fused head computes others.

The fused head multiplies hidden states with the head's weights and knows some of what architectures do to
logits afterwards. What it does not know (a softcap under another name, a head of another form) it leaves out
without a word, in policy and reference alike, so the first loss would be ln 2 all the same.
"""

import types
from collections.abc import Sequence
from typing import Any

import torch

from metareward.engines.memory import bears
from metareward.train.answers import NO_LOSS

_TOLERANCE = 1e-3  # of the largest log-probability; a softcap left out moves it by more than a tenth
_TOKENS = 128


def right_head(models: Sequence[Any], ids: Sequence[int], output: type[Any]) -> None:
    """Teach models of one architecture to answer from their own logits, unless TRL's fused head does.

    ids: tokens on which the first model is compared. output: the class of the fused head's answers.
    """
    if not agrees(models[0], ids[:_TOKENS]):
        for model in models:
            _from_logits(model, output)


@torch.no_grad()
def agrees(model: Any, ids: Sequence[int]) -> bool:
    """Whether the fused head gives a sequence the log-probabilities of the model's own logits."""
    was_training = model.training
    model.eval()
    try:
        return _agrees(model, torch.tensor([list(ids)], device=model.device))
    finally:
        model.train(was_training)


def _agrees(model: Any, tokens_1T: torch.Tensor) -> bool:
    logits_1TV = model(input_ids=tokens_1T, use_cache=False).logits
    plain_1T = _fields(logits_1TV, tokens_1T)["log_probs"]

    def compare() -> bool:
        fused_1T = model(input_ids=tokens_1T, labels=tokens_1T, fused_lm_head=True).log_probs
        return bool((fused_1T - plain_1T).abs().max() <= _TOLERANCE * plain_1T.abs().max())

    return bears(compare)


def _from_logits(model: Any, output: type[Any]) -> None:
    whole = model.forward

    def forward(self: Any, *args: Any, fused_lm_head: bool = False, labels: Any = None, **kwargs: Any) -> Any:
        if not fused_lm_head:
            return whole(*args, **kwargs) if labels is None else whole(*args, labels=labels, **kwargs)
        items = kwargs.pop("num_items_in_batch", None)
        answer = whole(*args, **{**kwargs, "use_cache": False})
        fields = _fields(answer.logits, labels)
        count = fields["label_mask"].sum().clamp(min=1) if items is None else items
        loss = -fields["log_probs"].sum() / count
        return output(loss=loss, aux_loss=getattr(answer, "aux_loss", None), **fields)

    model.forward = types.MethodType(forward, model)


def _fields(logits_BTV: torch.Tensor, labels_BT: torch.Tensor) -> dict[str, torch.Tensor]:
    """What the fused head says of each label [B, T - 1], zero where the label is to be ignored."""
    labels_BS = labels_BT[:, 1:]
    mask_BS = labels_BS != NO_LOSS
    logits_NV = logits_BTV[:, :-1][mask_BS].float()
    spread_NV = logits_NV.log_softmax(-1)
    wanted_N = labels_BS[mask_BS]
    found = {
        "log_probs": spread_NV.gather(1, wanted_N[:, None])[:, 0],
        "entropy": -(spread_NV.exp() * spread_NV).sum(-1),
        "mean_logits": logits_NV.mean(-1).detach(),
        "is_top1": logits_NV.argmax(-1) == wanted_N,
    }
    placed = {
        name: value.new_zeros(mask_BS.shape).masked_scatter(mask_BS, value) for name, value in found.items()
    }
    return {**placed, "label_mask": mask_BS}
