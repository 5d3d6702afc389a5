"""From prompts to a filled cache: every shared prefix is computed once, padding is masked, never seen."""

import inspect
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from metareward.engines.batching import Ids, Level, Plan
from metareward.engines.slots import SlotCache
from metareward.watchdog import beat


class Network:
    """A causal language model as a function of token ids, positions and an explicit mask.

    vocabulary: how many token ids the tokenizer knows; logits beyond are cut off.
    """

    def __init__(self, model: Any, vocabulary: int) -> None:
        self.model, self.vocabulary = model, vocabulary
        self.device, self.dtype = model.device, model.dtype
        self.layers = int(getattr(model.config.get_text_config(decoder=True), "num_hidden_layers", 0))
        self._last_only = "logits_to_keep" in inspect.signature(model.forward).parameters

    def ids(self, values: Sequence[Any]) -> Tensor:
        """Whole numbers on the model's device."""
        return torch.tensor(values, dtype=torch.long, device=self.device)

    def numbers(self, values: Any) -> Tensor:
        """Numbers in double precision on the model's device."""
        return torch.tensor(values, dtype=torch.float64, device=self.device)

    def last_logits(
        self, token_RT: Tensor, position_RT: Tensor, mask: Tensor | None, cache: SlotCache
    ) -> Tensor:
        """Logits [R, V] after the last token of each row. No mask means plain causal attention."""
        beat()
        keep = {"logits_to_keep": 1} if self._last_only else {}
        out = self.model(
            input_ids=token_RT,
            position_ids=position_RT,
            attention_mask=mask,
            past_key_values=cache,
            use_cache=True,
            **keep,
        )
        return out.logits[:, -1, : self.vocabulary]

    @torch.inference_mode()
    def log_prob(self, context: Sequence[int], continuation: Sequence[int]) -> float:
        """Log-probability of `continuation` after `context`, computed plainly, without a cache."""
        if not continuation:
            return 0.0
        logits_NV = self.plain_logits([*context, *continuation], len(continuation) + 1)[:-1]
        wanted_N1 = self.ids(continuation)[:, None]
        return float(logits_NV.float().log_softmax(-1).gather(1, wanted_N1).double().sum())

    @torch.inference_mode()
    def plain_logits(self, tokens: Sequence[int], last: int | None = None) -> Tensor:
        """Logits [T, V] after each token of one sequence, or its `last` ones: no cache, mask or padding."""
        beat()
        keep = {"logits_to_keep": last} if last and self._last_only else {}
        logits_TV = self.model(input_ids=self.ids([list(tokens)]), use_cache=False, **keep).logits[0]
        return logits_TV[-last if last else 0 :, : self.vocabulary]

    def blocked(self, allowed: Tensor) -> Tensor:
        """An additive mask: 0 where attention is allowed, else the lowest finite number.

        Finite, because a row of padding may attend to nothing, and the softmax of minus infinities is NaN.
        """
        zero = torch.zeros((), dtype=self.dtype, device=self.device)
        return torch.where(allowed, zero, torch.finfo(self.dtype).min)


@dataclass
class Prefilled:
    """One row for each job: logits [B, V] after its prompt, and which slots [B, slots] hold its tokens."""

    cache: SlotCache
    logits_BV: Tensor
    real_BL: Tensor


@torch.inference_mode()
def prefill(network: Network, plan: Plan, chunk: int) -> Prefilled:
    """Compute the prompts of a batch level by level, with room for all that its jobs may write.

    Each level is padded on the left; a row's tokens lie in order, with holes between the levels. The
    explicit mask and positions make the logits those of the unpadded prompt. chunk: most tokens in one
    forward pass.
    """
    room = max(job.new_tokens for job in plan.jobs) + 1
    slots = sum(_width(level) for level in plan.levels)
    in_place = plan.rows == tuple(range(len(plan.levels[-1].suffixes)))
    state: Prefilled | None = None
    lengths: list[int] = []
    for level in plan.levels:
        filled = 0 if state is None else state.real_BL.shape[1]
        capacity = _rounded(slots + room) if level is plan.levels[-1] and in_place else filled + _width(level)
        state, before = _descend(network, state, level, capacity), lengths
        starts = [before[parent] if before else 0 for parent in level.parents]
        lengths = [start + len(suffix) for start, suffix in zip(starts, level.suffixes, strict=True)]
        state.logits_BV = _run_level(network, state, level, starts, chunk)
    assert state is not None
    if in_place:
        return state
    rows = network.ids(plan.rows)
    cache = state.cache.expand(rows, _rounded(slots + room), slots)
    return Prefilled(cache, state.logits_BV[rows], state.real_BL[rows])


def _descend(network: Network, above: Prefilled | None, level: Level, capacity: int) -> Prefilled:
    """The rows of a level, each with a copy of its parent's slots; `real` already counts the new tokens."""
    width, rows = _width(level), len(level.suffixes)
    lengths_R1 = network.ids([len(suffix) for suffix in level.suffixes])[:, None]
    new_RW = torch.arange(width, device=network.device)[None] >= width - lengths_R1
    if above is None:
        return Prefilled(SlotCache(network.layers, rows, capacity), torch.empty(0), new_RW)
    parents = network.ids(level.parents)
    filled = above.real_BL.shape[1]
    real_RL = torch.cat([above.real_BL[parents], new_RW], dim=1)
    return Prefilled(above.cache.expand(parents, capacity, filled), above.logits_BV, real_RL)


def _run_level(network: Network, state: Prefilled, level: Level, starts: Sequence[int], chunk: int) -> Tensor:
    """Logits [R, V] after the last token of each row; rows come by rising length, so little is padding."""
    parts = []
    for rows in _chunks(level.suffixes, chunk):
        parts.append(_run_rows(network, state, level.suffixes[rows], starts[rows], rows))
    state.cache.window = slice(0, state.cache.rows)
    return torch.cat(parts)


def _run_rows(
    network: Network, state: Prefilled, suffixes: Sequence[Ids], starts: Sequence[int], rows: slice
) -> Tensor:
    width, slots = max(map(len, suffixes)), state.real_BL.shape[1]
    if width == 0:  # families of one prompt add nothing on their level
        return torch.zeros((len(suffixes), network.vocabulary), dtype=network.dtype, device=network.device)
    token_RT = network.ids([(0,) * (width - len(s)) + s for s in suffixes])
    first_R = network.ids([start + len(s) - width for s, start in zip(suffixes, starts, strict=True)])
    position_RT = (first_R[:, None] + torch.arange(width, device=network.device)).clamp_(min=0)
    state.cache.window, state.cache.begin = rows, slots - width
    if width == slots and all(len(suffix) == width for suffix in suffixes):
        return network.last_logits(token_RT, position_RT, None, state.cache)
    slot_L = torch.arange(slots, device=network.device)
    causal_TL = slot_L[None] <= slot_L[slots - width :, None]
    mask_R1TL = network.blocked(state.real_BL[rows, None, None] & causal_TL)
    return network.last_logits(token_RT, position_RT, mask_R1TL, state.cache)


def _chunks(suffixes: Sequence[Ids], chunk: int) -> Iterator[slice]:
    begin = 0
    for end in range(1, len(suffixes) + 1):
        if end == len(suffixes) or (end + 1 - begin) * len(suffixes[end]) > chunk:
            yield slice(begin, end)
            begin = end


def _width(level: Level) -> int:
    return max(map(len, level.suffixes))


def _rounded(slots: int) -> int:
    return -(-slots // 8) * 8  # attention kernels like rows of the mask to be aligned
