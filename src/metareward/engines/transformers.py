"""Answering with a local model in this process: PyTorch on a CPU or one accelerator."""

import dataclasses
import itertools
import math
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from metareward.engines.base import Completion, OpenEngine, Request, failed, named
from metareward.engines.batching import Job, Limits, Plan, Way, plan_batches, plan_in_step
from metareward.engines.chat import (
    check_thinking,
    context_of,
    encode_chat,
    end_of_turn,
    known_markers,
    load_tokenizer,
    opened_by,
)
from metareward.engines.checks import fault_of
from metareward.engines.decoding import NOT_FINITE, Row, decode
from metareward.engines.forcing import ForcedTokens, tokenise
from metareward.engines.loading import load_network, place_of, settings_of, unfit
from metareward.engines.memory import affordable_tokens, is_out_of_memory, release
from metareward.engines.prefill import Network
from metareward.engines.probes import require_heading
from metareward.engines.stopping import Stopping
from metareward.engines.ways import Ways
from metareward.errors import ModelError
from metareward.models.base import Model
from metareward.reasoning import AUTO, Reasoning
from metareward.records import Message

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

_IS_WINDOW = re.compile(r"(^|_)window(_size)?$")
_WINDOW = 1024  # requests read ahead, to be grouped by prompt and length


class TransformersEngine:
    """Answers in batches, each shared prefix computed once, by a decoding loop of its own.

    A draw depends on its request alone, up to the last bits of the logits, which batching changes. A
    request longer than the context fails as a value. A batch that does not fit in memory is halved
    until it does; a single request that does not fit fails as a value. Prefixes are not shared where that is
    not the model's own result, as `Ways` finds out: with recurrent layers, ALiBi, or requests that are longer
    than a sliding window. Those are answered with the cache of the architecture, and slower.

    reasoning: how the model's reasoning is told from its answers. A forced reading ends what the model has
    not ended by its own marker first; where that is not known there is no reading.
    """

    def __init__(
        self,
        model: Any,
        tokenizer: "PreTrainedTokenizerBase",
        limits: Limits,
        window: int = _WINDOW,
        reasoning: Reasoning = AUTO,
    ) -> None:
        _check_fit(model, tokenizer)
        check_thinking(tokenizer, reasoning)
        self._tokenizer, self._limits, self._window = tokenizer, limits, window
        self._network = Network(model, len(tokenizer))
        self._reasoning, self._stopping = reasoning, Stopping(tokenizer, reasoning)
        self._markers = known_markers(tokenizer, reasoning)
        self._ends = end_of_turn(tokenizer, getattr(model, "generation_config", None))
        self._context = context_of(model.config.to_dict())
        self._ways = Ways(self._network, tokenizer, _window(model.config), self._context)
        self._last: tuple[tuple[Message, ...], tuple[int, ...]] | None = None
        self._readings: dict[object, tuple[ForcedTokens, ForcedTokens | None]] = {}

    @property
    def tokenizer(self) -> "PreTrainedTokenizerBase":
        """The tokenizer whose ids the completions carry."""
        return self._tokenizer

    @property
    def model(self) -> Any:
        """The loaded network; None once the engine is closed."""
        return self._network.model

    def complete(self, requests: Iterable[Request], /) -> Iterator[Completion]:
        """Answer each request once. Reads a window of requests ahead, never more."""
        source = iter(requests)
        while window := list(itertools.islice(source, self._window)):
            prepared = [self._prepare(request) for request in window]
            yield from (item for item in prepared if isinstance(item, Completion))
            for batch in self._batches([item for item in prepared if isinstance(item, Job)]):
                yield from self._answer(batch)

    def close(self) -> None:
        """Give the memory back, even if someone still holds the engine. It cannot answer any more."""
        self._network.model = None
        release()

    def way(self, tokens: int = 0) -> Way:
        """How requests of so many tokens, prompt and answer together, are answered."""
        return self._ways.of(tokens)

    def _batches(self, jobs: list[Job]) -> Iterator[Plan]:
        by_way: dict[Way, list[Job]] = {}
        for job in jobs:
            by_way.setdefault(self.way(len(job.prompt) + job.new_tokens), []).append(job)
        for way, those in by_way.items():
            if way is Way.SHARED:
                yield from plan_batches(those, self._limits)
            else:
                yield from plan_in_step(those, self._limits, way)

    def _prepare(self, request: Request) -> Job | Completion:
        if fault := fault_of(request):
            return failed(request, fault)
        try:
            prompt = self._encode(request.messages)
            opened = opened_by(self._tokenizer, request.messages, self._reasoning) is not None
        except ModelError as error:
            return failed(request, str(error))
        forced, ending = self._reading(request)
        job = Job(request, prompt, forced, opened, ending)
        if self._context is not None and len(prompt) + job.new_tokens > self._context:
            return failed(
                request,
                f"the prompt has {len(prompt)} tokens and may be continued by {job.new_tokens}, more than "
                f"the {self._context} this model can attend to; shorten the prompt or lower max_tokens",
            )
        return job

    def _encode(self, messages: tuple[Message, ...]) -> tuple[int, ...]:
        """The prompt's tokens; samples of one prompt mostly follow one another, so the last is kept."""
        if self._last is None or self._last[0] != messages:
            self._last = (messages, tuple(encode_chat(self._tokenizer, messages, self._reasoning)))
        return self._last[1]

    def _reading(self, request: Request) -> tuple[ForcedTokens | None, ForcedTokens | None]:
        """What is forced after an answer, and after reasoning that is to be ended first."""
        forced, end = request.forced, self._ends[0]
        if forced is None:
            return None, None
        if forced not in self._readings:
            plain = tokenise(self._tokenizer, forced, end)
            markers = self._markers
            ending = tokenise(self._tokenizer, forced, end, markers) if markers else None
            self._readings[forced] = plain, ending
        return self._readings[forced]

    def _answer(self, batch: Plan) -> Iterator[Completion]:
        """Answer a batch row by row; where memory runs out, what is left of it in halves."""
        left = {id(job): job for job in batch.jobs}
        for row in self._rows(batch):
            del left[id(row.job)]
            yield self._completion(row)
        jobs = list(left.values())
        if len(batch.jobs) == 1 and jobs:
            total = len(jobs[0].prompt) + jobs[0].new_tokens
            error = f"out of memory on {self._network.device} with one row of {total} tokens"
            yield failed(jobs[0].request, error)
        elif jobs:
            half = max(1, len(batch.jobs) // 2)
            for part in (jobs[:half], jobs[half:]):
                if part:
                    yield from self._answer(batch.of(part))

    def _rows(self, batch: Plan) -> Iterator[Row]:
        """The rows of a batch as they finish; fewer than all if memory ran out on the way."""
        try:
            for row in decode(
                self._network, self._stopping, frozenset(self._ends), batch, self._limits.chunk
            ):
                self._read_long_choices(row)
                yield row
            return
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        # Later windows begin smaller.
        tokens = max(1, sum(len(job.prompt) + job.new_tokens for job in batch.jobs) // 2)
        self._limits = dataclasses.replace(self._limits, tokens=min(self._limits.tokens, tokens))
        # Only here, behind the handler, are the tensors in the error's frames free.
        release()

    def _read_long_choices(self, row: Row) -> None:
        """Score choices that the loop could not, each by a pass of its own: rare, so plain.

        Those of more than one token, and those behind a cut that the model's cache cannot take back.
        """
        reading = row.reading
        if reading is None or row.fault or row.choice_log_probs is not None:
            return
        context = [*row.job.prompt, *row.sampled[: row.kept], *reading.common]
        row.choice_log_probs = reading.exclusive(
            {
                choice: self._network.log_prob(context, remainder)
                for choice, remainder in reading.remainders.items()
            }
        )

    def _completion(self, row: Row) -> Completion:
        reading = row.reading
        if row.fault or not all(map(math.isfinite, (row.choice_log_probs or {}).values())):
            return failed(row.job.request, row.fault or NOT_FINITE)
        with_end = row.turn_ended and row.job.forced is None
        return Completion(
            request_id=row.job.request.id,
            text=row.text,
            finish=row.finish,
            token_ids=tuple(row.sampled if with_end else row.sampled[: row.kept]),
            prompt_tokens=len(row.job.prompt),
            output_tokens=len(row.sampled),
            choice_log_probs=row.choice_log_probs,
            endings=reading.endings if reading else None,
            opened=row.job.opened,
            closing=reading.closing if reading else "",
        )


def open_transformers(
    device: str = "auto",
    dtype: str = "auto",
    batch_tokens: int | None = None,
    max_rows: int | None = None,
    window: int = _WINDOW,
) -> OpenEngine:
    """An engine for models that lie in a local directory (or on the hub, if it can be reached).

    device: "auto" is CUDA if there is one, else the CPU. dtype: "auto" is float32 on a CPU, where
    bfloat16 is slow, else bfloat16. batch_tokens: cache slots of one batch, rows times (prompt and
    answer); None takes what about half of the free memory holds. max_rows: answers written at once;
    None is 64 on a CPU, else 512. None of these changes what is answered. Raises ModelError, and
    ConfigError for a device that is not there.
    """

    @contextmanager
    def open_engine(model: Model) -> Iterator[TransformersEngine]:
        place = place_of(device)
        tokenizer = load_tokenizer(model.path)
        network = load_network(model.path, place, dtype)
        on_cpu = place.startswith("cpu")
        limits = Limits(
            rows=max_rows or (64 if on_cpu else 512),
            tokens=batch_tokens or affordable_tokens(network, on_cpu),
            chunk=1024 if on_cpu else 16384,
        )
        engine = TransformersEngine(network, tokenizer, limits, window, model.reasoning)
        del network
        try:
            yield engine
        finally:
            engine.close()

    return named(open_engine, "transformers")


def _check_fit(model: Any, tokenizer: "PreTrainedTokenizerBase") -> None:
    """Say early what would otherwise come out as nonsense."""
    path = tokenizer.name_or_path
    if reason := unfit(model.config):
        raise ModelError(f"{path}: {reason}")
    rows = model.get_input_embeddings().weight.shape[0]
    if len(tokenizer) > rows:
        raise ModelError(
            f"{path}: the tokenizer knows {len(tokenizer)} tokens, the model only {rows}; they do not belong "
            "together. Take both from the same model."
        )
    require_heading(tokenizer)
    ids = encode_chat(tokenizer, [Message("user", "a")])
    if tokenizer.bos_token_id is not None and ids[:2] == [tokenizer.bos_token_id] * 2:
        raise ModelError(
            f"{path}: the chat template writes the beginning-of-sequence token twice; mend chat_template."
        )


def _window(config: Any) -> int | None:
    """How many tokens every layer attends to, where one attends to fewer than all."""
    text = config.get_text_config(decoder=True)
    types = getattr(text, "layer_types", None)
    full = types is not None and "sliding_attention" not in types
    names = {"sliding_window", *(name for name in text.to_dict() if _IS_WINDOW.search(name))}
    if full:
        names.discard("sliding_window")
    known = [value for name in names for value in settings_of(text, name)]
    return min((n for n in known if isinstance(n, int) and n > 0 and n is not True), default=None)
