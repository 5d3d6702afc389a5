"""A model that computes in training exactly what it computes otherwise: no dropout, no noise of any kind.

The reference's log-probabilities are those of a model at rest. Dropout that stays on in the policy alone is a
difference between the two that no pair asked for. It hides in modules, in numbers that modules hand to
functions, and in configs; noise of other kinds (jitter of a router, experts drawn at random) is found by what
it does.
"""

import types
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch

from metareward.errors import StepError
from metareward.train.trunk import last_hidden_states

TOLERANCE = 1e-4  # of the largest hidden state; the least dropout moves far more
_LOOKS = 3  # whole layers are left out by chance, so one look could miss it
_TOKENS = 256


@torch.no_grad()
def steady(model: Any, ids: Sequence[int]) -> None:
    """Turn off every dropout of a causal language model, and see that training computes what rest computes.

    ids: tokens to try it with. Where it still does not once every dropout is off, the parts that existed
    until now stay in evaluation mode for good (but for those that gradient checkpointing needs). Raises
    StepError if even that leaves a difference.
    """
    tokens = torch.tensor([list(ids[:_TOKENS])], device=model.device)
    was_training = model.training
    at_rest = _hidden(model.eval(), tokens)
    dropout_off(model)
    if not _same(model, tokens, at_rest):
        _keep_at_rest(model)
        if not _same(model, tokens, at_rest):
            raise StepError(
                f"{type(model).__name__} computes in training another thing than otherwise, even with every "
                "dropout off, so its loss would measure that as well. Training stops before anything was "
                "trained; take a model of another architecture, and please report this one"
            )
    model.train(was_training)


def dropout_off(model: Any) -> None:
    """Set every dropout to 0: of modules, of numbers that modules keep, of configs."""
    for part in model.modules():
        if isinstance(part, torch.nn.modules.dropout._DropoutNd):
            part.p = 0.0
        for holder in (part, *_configs(getattr(part, "config", None))):
            for name, value in list(vars(holder).items()):
                if "drop" in name.lower() and isinstance(value, float):
                    setattr(holder, name, 0.0)


def scaling_off(model: Any) -> None:
    """Have RWKV not divide its weights at rest, in place, which would be in what is saved."""
    if getattr(model.config, "rescale_every", 0):
        model.config.rescale_every = 0


def _configs(config: Any) -> Iterator[Any]:
    """A config and those inside it."""
    from transformers import PretrainedConfig

    if isinstance(config, PretrainedConfig):
        yield config
        for value in list(vars(config).values()):
            yield from _configs(value)


def _hidden(model: Any, tokens: torch.Tensor) -> torch.Tensor:
    return last_hidden_states(model, input_ids=tokens)


def _same(model: Any, tokens: torch.Tensor, at_rest: torch.Tensor) -> bool:
    model.train()
    allowed = TOLERANCE * at_rest.abs().max()
    return all(bool((_hidden(model, tokens) - at_rest).abs().max() <= allowed) for _ in range(_LOOKS))


def _keep_at_rest(model: Any) -> None:
    """Whoever sets the model to training mode leaves these parts as they are at rest."""
    plain: Callable[..., Any] = model.train
    parts = [
        part for part in model.modules() if part is not model and not hasattr(part, "gradient_checkpointing")
    ]

    def train(self: Any, mode: bool = True) -> Any:
        plain(mode)
        for part in parts:
            part.training = False
        return self

    model.train = types.MethodType(train, model)
