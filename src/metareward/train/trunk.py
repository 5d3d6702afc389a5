"""The part of a causal language model below its head."""

from typing import Any

from transformers import PreTrainedModel


def last_hidden_states(model: Any, **inputs: Any) -> Any:
    """What the head reads of each token (B, L, H), nothing cached.

    Some architectures (Llama 4) name another part of a larger model as their base and so are their own.
    """
    below = model.base_model
    if below is model:
        below = next(part for part in model.children() if isinstance(part, PreTrainedModel))
    return below(**inputs, use_cache=False).last_hidden_state
