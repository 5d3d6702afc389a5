"""What the rows of a batch have been fed, kept so that each can be fed its next token: in one of three ways.

`Slotted` shares prefixes and pads, which takes attention and nothing else. `OwnCache` keeps whatever the
architecture itself keeps (keys, states of recurrent layers, both) and never pads: all rows are as long at any
time. `Recomputed` keeps tokens alone.
"""

import copy
import inspect
from collections.abc import Callable, Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache

from metareward.engines.batching import Ids, Job, Plan, Way
from metareward.engines.prefill import Network, prefill
from metareward.watchdog import beat


class State(Protocol):
    """The rows of a batch, row i of a plan's jobs first in place i.

    logits_BV: after what each row was fed last. rest: what is still to be fed of its prompt, last token
    first.
    """

    logits_BV: Tensor
    rest: list[list[int]]

    def feed(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """One token more for every row; positions count from 0 in each row."""
        ...

    def rewind(self, row: int, count: int) -> bool:
        """Forget the last `count` tokens of a row. False if that cannot be."""
        ...

    def select(self, holes: list[int], movers: list[int], source: list[int]) -> None:
        """Keep the rows `source`, in that order: rows `movers` in the places `holes`, and none behind."""
        ...


def begin(network: Network, plan: Plan, chunk: int) -> State:
    """The state of a batch whose prompts were fed. chunk: most tokens in one forward pass."""
    if plan.way is Way.SHARED:
        return Slotted(network, plan, chunk)
    kinds = {Way.OWN: OwnCache, Way.ALONE: Apart, Way.WHOLE: Recomputed}
    return kinds[plan.way](network, plan.jobs, chunk)


class Slotted:
    """Shared prefixes and padding that an explicit mask hides."""

    def __init__(self, network: Network, plan: Plan, chunk: int) -> None:
        self._network = network
        filled = prefill(network, plan, chunk)
        self._cache, self.logits_BV = filled.cache, filled.logits_BV
        self._slot = filled.real_BL.shape[1]
        allowed_BC = torch.zeros(
            (len(plan.jobs), self._cache.capacity), dtype=torch.bool, device=network.device
        )
        allowed_BC[:, : self._slot] = filled.real_BL
        self._mask_B11C = network.blocked(allowed_BC)[:, None, None]
        self.rest: list[list[int]] = [[] for _ in plan.jobs]

    def feed(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """See `State`."""
        token_B1 = self._network.ids(tokens)[:, None]
        position_B1 = self._network.ids(positions)[:, None]
        self._mask_B11C[:, :, :, self._slot] = 0
        self._cache.begin, self._slot = self._slot, self._slot + 1
        mask_B11L = self._mask_B11C[:, :, :, : self._slot]
        self.logits_BV = self._network.last_logits(token_B1, position_B1, mask_B11L, self._cache)

    def rewind(self, row: int, count: int) -> bool:
        """Hides them from attention; their positions are used again."""
        hidden = slice(self._slot - count, self._slot)
        self._mask_B11C[row, :, :, hidden] = torch.finfo(self._network.dtype).min
        return True

    def select(self, holes: list[int], movers: list[int], source: list[int]) -> None:
        """See `State`."""
        self._cache.shrink(self._network.ids(holes), self._network.ids(movers), len(source), self._slot)
        self._mask_B11C = self._mask_B11C[self._network.ids(source)]
        self.rest = [self.rest[row] for row in source]


class OwnCache:
    """The architecture's own cache, whatever it holds, and rows that are fed in step.

    Every row has been fed as many tokens as any other, so nothing is padded, and nothing can leak from
    padding into a state. The prompts' first tokens, as many as the shortest has, are computed at once (what
    is alike only once); the rest of the longer ones goes in token by token while others already answer.
    """

    def __init__(self, network: Network, jobs: Sequence[Job], chunk: int) -> None:
        self._network, self._call = network, _Call(network)
        shortest = min(len(job.prompt) for job in jobs)
        heads = list(dict.fromkeys(job.prompt[:shortest] for job in jobs))
        at_once = max(1, chunk // shortest)
        parts = [self._call(heads[i : i + at_once], None) for i in range(0, len(heads), at_once)]
        rows = network.ids([heads.index(job.prompt[:shortest]) for job in jobs])
        logits_RV = torch.cat([logits for logits, _ in parts])
        self._cache = taken(joined([cache for _, cache in parts]), rows, len(heads))
        self.logits_BV = logits_RV[rows]
        self.rest = [list(job.prompt[shortest:][::-1]) for job in jobs]

    def feed(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """See `State`. Positions are known to the cache."""
        self.logits_BV, self._cache = self._call([(token,) for token in tokens], self._cache)

    def copy(self) -> "OwnCache":
        """The same rows once more."""
        new = copy.copy(self)
        new._call, new._cache = copy.copy(self._call), copy.deepcopy(self._cache)
        new.rest = [list(rest) for rest in self.rest]
        return new

    def rewind(self, row: int, count: int) -> bool:
        """A state cannot forget."""
        return count == 0

    def select(self, holes: list[int], movers: list[int], source: list[int]) -> None:
        """See `State`."""
        rows = self._network.ids(source)
        self._cache = taken(self._cache, rows, len(self.rest))
        self.logits_BV, self.rest = self.logits_BV[rows], [self.rest[row] for row in source]


class Apart:
    """Each row with a cache of its own: for architectures whose cache is right for one row alone."""

    def __init__(self, network: Network, jobs: Sequence[Job], chunk: int) -> None:
        first = {job.prompt: job for job in reversed(jobs)}
        known = {prompt: OwnCache(network, [job], chunk) for prompt, job in first.items()}
        self._rows = [known[job.prompt].copy() for job in jobs]
        self.rest: list[list[int]] = [[] for _ in jobs]

    @property
    def logits_BV(self) -> Tensor:
        """See `State`."""
        return torch.cat([row.logits_BV for row in self._rows])

    def feed(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """See `State`."""
        for row, token, position in zip(self._rows, tokens, positions, strict=True):
            row.feed([token], [position])

    def rewind(self, row: int, count: int) -> bool:
        """A state cannot forget."""
        return count == 0

    def select(self, holes: list[int], movers: list[int], source: list[int]) -> None:
        """See `State`."""
        self._rows, self.rest = [self._rows[row] for row in source], [self.rest[row] for row in source]


class Recomputed:
    """No cache: each row is computed anew from its first token at every step. Slow, and always right."""

    def __init__(self, network: Network, jobs: Sequence[Job], chunk: int) -> None:
        self._network = network
        self._rows = [list(job.prompt) for job in jobs]
        self.rest: list[list[int]] = [[] for _ in jobs]
        known = {prompt: network.plain_logits(prompt)[-1] for prompt in {job.prompt for job in jobs}}
        self.logits_BV = torch.stack([known[job.prompt] for job in jobs])

    def feed(self, tokens: Sequence[int], positions: Sequence[int]) -> None:
        """See `State`."""
        for row, token in zip(self._rows, tokens, strict=True):
            row.append(token)
        self.logits_BV = torch.stack([self._network.plain_logits(row)[-1] for row in self._rows])

    def rewind(self, row: int, count: int) -> bool:
        """See `State`."""
        del self._rows[row][len(self._rows[row]) - count :]
        return True

    def select(self, holes: list[int], movers: list[int], source: list[int]) -> None:
        """See `State`."""
        self._rows, self.rest = [self._rows[row] for row in source], [self.rest[row] for row in source]
        self.logits_BV = self.logits_BV[self._network.ids(source)]


class _Call:
    """Forward passes in which a model hands out its cache and takes it again, under the name it gives it."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._takes = inspect.signature(network.model.forward).parameters
        self._name, self._fed = "", 0

    def __call__(self, rows: Sequence[Ids], cache: Any) -> tuple[Tensor, Any]:
        """Logits [R, V] after the last token of each row, all of them as long, and the cache."""
        beat()
        begin = 0 if cache is None else self._fed
        self._fed = begin + len(rows[0])
        keep: dict[str, Any] = {"logits_to_keep": 1} if "logits_to_keep" in self._takes else {}
        if "position_ids" in self._takes:
            keep["position_ids"] = self._network.ids([list(range(begin, self._fed))] * len(rows))
        tokens_RT = self._network.ids(rows)
        known = {} if cache is None else {self._name: cache}
        out = self._network.model(input_ids=tokens_RT, use_cache=True, **known, **keep)
        if cache is None and not self._find_name(out):
            known = {self._name: DynamicCache(config=self._network.model.config)}
            out = self._network.model(input_ids=tokens_RT, use_cache=True, **known, **keep)
        cache = out[self._name] if self._name in out else known[self._name]
        return out.logits[:, -1, : self._network.vocabulary], cache

    def _find_name(self, out: Any) -> bool:
        """Under which name the model takes its cache, and whether it is in its output as well."""
        self._name = next((name for name in out if name in self._takes and out[name] is not None), "")
        found = bool(self._name)
        if not found and "past_key_values" not in self._takes:
            raise ValueError("the model takes no cache")
        self._name = self._name or "past_key_values"
        return found


def taken(cache: Any, rows: Tensor, count: int) -> Any:
    """A cache of `count` rows with the given ones alone, in their order; it may be changed in place."""

    def pick(tensors: Sequence[Tensor]) -> Tensor:
        (tensor,) = tensors
        return tensor.index_select(0, rows.to(tensor.device)) if _has_rows(tensor, count) else tensor

    return _mapped([cache], pick)


def joined(caches: Sequence[Any]) -> Any:
    """The rows of several caches in one; the first may be changed in place."""
    if len(caches) == 1:
        return caches[0]
    return _mapped(caches, lambda tensors: torch.cat(list(tensors)) if tensors[0].ndim else tensors[0])


def _has_rows(tensor: Tensor, count: int) -> bool:
    return tensor.ndim > 0 and tensor.shape[0] == count


def _mapped(values: Sequence[Any], change: Callable[[Sequence[Tensor]], Tensor]) -> Any:
    """What caches are made of, place by place: tensors in lists, dicts and objects of transformers."""
    first = values[0]
    if isinstance(first, Tensor):
        return change(values)
    if isinstance(first, dict):
        for key in first:
            first[key] = _mapped([value[key] for value in values], change)
    elif isinstance(first, list):
        first[:] = [_mapped(each, change) for each in zip(*values, strict=True)]
    elif isinstance(first, tuple):
        return tuple(_mapped(each, change) for each in zip(*values, strict=True))
    elif type(first).__module__.startswith("transformers.") and not hasattr(first, "model_type"):
        for name in vars(first):
            setattr(first, name, _mapped([getattr(value, name) for value in values], change))
    return first
