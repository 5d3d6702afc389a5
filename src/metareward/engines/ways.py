"""In which way a model can be answered with: tried on the model itself against plain forward passes.

What transformers has of architectures changes by the week, so none is known here by its name. A way is taken
if it gives the logits that the model gives a whole sequence, alone and without a cache.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from metareward.engines.base import Request, Sampling
from metareward.engines.batching import Ids, Job, Plan, Way, plan
from metareward.engines.chat import encode_text
from metareward.engines.loading import other_layers
from metareward.engines.memory import bears, is_out_of_memory
from metareward.engines.prefill import Network
from metareward.engines.states import begin
from metareward.errors import ModelError

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_TEXT = "Rain falls on 7 hills; the river, slow and brown, carries leaves past a mill where nobody works. "
_TOKENS = 44  # of the longest prompt that is tried
_STEPS = 3
# Differences allowed, as shares of the largest logit: the median and the largest in float32, where rounding
# is some 1e-6, and the median in shorter formats.
_USUAL, _MOST, _ROUNDED = 5e-5, 3e-4, 0.1


class Ways:
    """The ways of one model: one for what fits into its sliding window, one for what does not.

    window: tokens that every layer attends to, context: that the model can attend to; None if any number.
    Raises ModelError if the model is none that writes token by token. Where its logits are no numbers nothing
    can be tried, and what the config declares decides.
    """

    def __init__(
        self, network: Network, tokenizer: "PreTrainedTokenizerBase", window: int | None, context: int | None
    ) -> None:
        self._network, self._window = network, window
        room = max(4, min([_TOKENS, *(most - _STEPS - 1 for most in (window, context) if most)]))
        self._text = (encode_text(tokenizer, _TEXT * 8) * room)[: 2 * room]
        self._prompts = _prompts(self._text, room)
        self._wanted = self._plainly(tokenizer.name_or_path)
        self.usual = self._first([] if other_layers(network.model.config) else [Way.SHARED])
        self._beyond: Way | None = None if self.usual is Way.SHARED else self.usual

    def of(self, tokens: int) -> Way:
        """For a prompt and what may follow it, together so many tokens."""
        if self._window is None or tokens <= self._window:
            return self.usual
        if self._beyond is None:
            self._beyond = self._first([])
        return self._beyond

    def _first(self, candidates: Sequence[Way]) -> Way:
        tried = (*candidates, Way.OWN, Way.ALONE)
        if not all(bool(torch.isfinite(logits).all()) for logits in self._wanted):
            return tried[0]
        return next((way for way in tried if self._agrees(way)), Way.WHOLE)

    @torch.inference_mode()
    def _plainly(self, path: str) -> list[Tensor]:
        """Logits [1 + steps, V] of each row from one pass over all of it. ModelError if there are none."""
        rows = [(*prompt, *self._text[:_STEPS]) for prompt in self._prompts]
        try:
            logits = [self._network.plain_logits(row)[-_STEPS - 1 :] for row in rows]
            first = self._network.plain_logits(rows[0][:-1])[-_STEPS:]
        except Exception as error:
            if is_out_of_memory(error):
                raise
            said = str(error).strip().partition("\n")[0]
            raise ModelError(
                f"{path}: {type(self._network.model).__name__} does not compute the next token from tokens "
                f"alone ({type(error).__name__}: {said}); take a causal language model of text."
            ) from error
        is_number = bool(torch.isfinite(first).all() and torch.isfinite(logits[0]).all())
        if is_number and not self._alike([first], [logits[0][:-1]]):
            raise ModelError(
                f"{path}: {type(self._network.model).__name__} reads what comes after a token, too, so it "
                "cannot write token by token; take a causal language model (or a config with is_decoder set)."
            )
        return logits

    @torch.inference_mode()
    def _agrees(self, way: Way) -> bool:
        """Whether prompts of different lengths, one of them twice, and tokens after them come out right."""
        jobs = [_job(prompt) for prompt in (*self._prompts, self._prompts[0])]
        batch = plan(jobs) if way is Way.SHARED else Plan((), tuple(jobs), (), way)
        wanted = dict(zip(self._prompts, self._wanted, strict=True))
        return bears(lambda: self._alike(*self._stepped(batch, wanted)))

    def _stepped(self, batch: Plan, wanted: dict[Ids, Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        """What a batch gives, row by row and step by step, and what it should give. Rows leave on the way."""
        state = begin(self._network, batch, 2 * _TOKENS)
        rows, fed = [job.prompt for job in batch.jobs], [0] * len(batch.jobs)
        found: list[Tensor] = []
        right: list[Tensor] = []
        while rows:
            tokens = []
            for row, prompt in enumerate(rows):
                if not state.rest[row] and fed[row] <= _STEPS:
                    found.append(state.logits_BV[row])
                    right.append(wanted[prompt][fed[row]])
                tokens.append(state.rest[row].pop() if state.rest[row] else self._next(fed, row))
            if all(count > _STEPS for count in fed):
                break
            state.feed(tokens, [len(prompt) + count - 1 for prompt, count in zip(rows, fed, strict=True)])
            if len(rows) == len(batch.jobs) and max(fed) > 1:
                state.select([], [], list(range(len(rows) - 1)))
                rows, fed = rows[:-1], fed[:-1]
        return found, right

    def _next(self, fed: list[int], row: int) -> int:
        fed[row] += 1
        return self._text[min(fed[row], _STEPS) - 1]

    def _alike(self, found: Sequence[Tensor], right: Sequence[Tensor]) -> bool:
        """Whether logits agree as closely as their number format lets them."""
        pairs = zip(found, right, strict=True)
        errors = torch.stack([_difference(a.float(), b.float()) for a, b in pairs])
        if not bool(torch.isfinite(errors).all()):
            return False
        exact = self._network.dtype in (torch.float32, torch.float64)
        if not exact:
            return bool(errors.median() <= _ROUNDED)
        return bool(errors.median() <= _USUAL) and bool(errors.max() <= _MOST)


def _prompts(text: Sequence[int], room: int) -> list[Ids]:
    """Three prompts of different lengths, of which two begin alike."""
    return [tuple(text[:room]), (*text[: room * 3 // 4], text[-1]), tuple(text[room : room + room // 2])]


def _difference(found: Tensor, right: Tensor) -> Tensor:
    return (found - right).abs().max() / right.abs().max().clamp(min=1e-30)


def _job(prompt: Ids) -> Job:
    return Job(Request("", (), Sampling(max_tokens=_STEPS + 1), 0), prompt)
