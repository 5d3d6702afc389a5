"""A key-value cache of rows and slots: allocated once, written in place, cheap to copy and to shrink.

The library's DynamicCache concatenates at every token; at 32 rows of 600 tokens that copy is nine
tenths of a decoding step on a CPU. Here a step writes one slot and attention reads a view.
"""

import torch
from torch import Tensor
from transformers.cache_utils import Cache, CacheLayerMixin


class _SlotLayer(CacheLayerMixin):
    """Keys and values of one layer, [rows, heads, capacity, head size]."""

    is_sliding = False

    def __init__(self, cache: "SlotCache") -> None:
        super().__init__()
        self._cache = cache

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        # Zeros, not garbage: a masked slot has weight 0, and 0 times NaN would still be NaN.
        self.keys = _buffer(key_states, self._cache.rows, self._cache.capacity)
        self.values = _buffer(value_states, self._cache.rows, self._cache.capacity)
        self.is_initialized = True

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: object, **kwargs: object
    ) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        assert self.keys is not None
        assert self.values is not None
        rows, begin = self._cache.window, self._cache.begin
        end = begin + key_states.shape[2]
        self.keys[rows, :, begin:end] = key_states
        self.values[rows, :, begin:end] = value_states
        return self.keys[rows, :, :end], self.values[rows, :, :end]

    def get_seq_length(self) -> int:
        return self._cache.begin

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self._cache.begin + query_length, 0

    def get_max_length(self) -> int:
        return -1


class SlotCache(Cache):
    """Rows of slots. The next forward pass writes at slot `begin` of the rows in `window`."""

    def __init__(self, layers: int, rows: int, capacity: int) -> None:
        self.rows, self.capacity = rows, capacity
        self.window, self.begin = slice(0, rows), 0
        self.layers: list[_SlotLayer]
        super().__init__(layers=[_SlotLayer(self) for _ in range(layers)])

    def expand(self, parents: Tensor, capacity: int, filled: int) -> "SlotCache":
        """A new cache whose row i is a copy of the first `filled` slots of row parents[i].

        This cache gives its layers up one by one, so that the two never lie in memory in full.
        """
        new = SlotCache(len(self.layers), len(parents), capacity)
        for old, layer in zip(self.layers, new.layers, strict=True):
            layer.is_initialized = old.is_initialized  # some models have layers that cache nothing
            for name in ("keys", "values") if old.is_initialized else ():
                held = getattr(old, name)
                buffer = _buffer(held, len(parents), capacity)
                buffer[:, :, :filled] = held[parents, :, :filled]
                setattr(layer, name, buffer)
                setattr(old, name, None)
        return new

    def shrink(self, holes: Tensor, movers: Tensor, rows: int, filled: int) -> None:
        """Move rows `movers` into rows `holes` and forget all rows from `rows` on."""
        for layer in self.layers:
            for buffer in (layer.keys, layer.values):
                if buffer is not None:
                    buffer[holes, :, :filled] = buffer[movers, :, :filled]
        self.rows, self.window = rows, slice(0, rows)


def _buffer(like: Tensor, rows: int, capacity: int) -> Tensor:
    return torch.zeros((rows, like.shape[1], capacity, like.shape[3]), dtype=like.dtype, device=like.device)
