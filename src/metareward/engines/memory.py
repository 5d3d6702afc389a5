"""The memory of a device: how much a batch may take, and what to do where it runs out."""

import gc
from collections.abc import Callable
from typing import Any

import torch

from metareward.engines.loading import settings_of


def affordable_tokens(model: Any, on_cpu: bool) -> int:
    """Cache slots that half of the free memory holds, for the cache is briefly there twice."""
    import psutil

    config = model.config.get_text_config(decoder=True)
    heads = max(settings_of(config, "num_attention_heads"), default=1)
    sizes = settings_of(config, "head_dim") or [config.hidden_size // heads]
    heads = max(settings_of(config, "num_key_value_heads"), default=heads)
    slot_bytes = 2 * config.num_hidden_layers * heads * max(sizes) * model.dtype.itemsize
    free = psutil.virtual_memory().available if on_cpu else torch.cuda.mem_get_info(model.device)[0]
    return max(1024, int(free / 2 / slot_bytes))


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that there is no more memory."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    text = str(error).lower()  # the CPU allocator has no class of its own
    return "can't allocate memory" in text or "not enough memory" in text


def bears(compare: Callable[[], bool]) -> bool:
    """What a comparison on a model finds; False where the architecture does not take what is tried on it.

    Architectures say so by errors of any class. A lack of memory says nothing about them and is passed on.
    """
    try:
        return compare()
    except Exception as error:
        if is_out_of_memory(error):
            raise
        return False


def release() -> None:
    """Give back what nothing refers to."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
