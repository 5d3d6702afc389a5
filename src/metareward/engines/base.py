"""The waist of the system: a request goes in, a completion comes out, and a failure is a value.

An engine answers requests in any order, each exactly once, and never raises for a single one. What
requests share (a prompt sampled many times, a common prefix) is found by the engine. A sample's draw
depends on its own seed and never on the batch it happened to be in.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Protocol

from metareward.models.base import Model
from metareward.reasoning import Reasoning, Split
from metareward.records import Finish, Message


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to draw tokens. `temperature` 0 is greedy; sampling ends before any `stop` string of the answer.

    In reasoning a stop string stops nothing.
    """

    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Forced:
    """After the sampled answer, append `prefix` and read the probability of each of `choices`.

    Never inside reasoning: what the model has not ended is ended first.
    """

    prefix: str
    choices: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model, asked once.

    step: names the asking stage, for logs and scripts. verdicts: verdict lines that could be read from the
    answer, one of which a script ends in.
    """

    id: str
    messages: tuple[Message, ...]
    sampling: Sampling
    seed: int
    forced: Forced | None = None
    step: str = ""
    verdicts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Completion:
    """The answer to one request.

    text: what was sampled, without the end-of-turn token and without any stop string.
    token_ids: the tokens of `text` as sampled; ends in the end-of-turn token if and only if that was
        sampled (`finish` is STOP without a stop string and nothing was forced). None if not known.
    choice_log_probs: natural log-probability of each allowed choice after `text + forced.prefix`, as
        the model gives it (they do not sum to one). None unless forced.
    endings: for each choice, the token ids of `forced.prefix + choice` and the end-of-turn token, to
        append to `token_ids`. None unless forced and known.
    error: why `finish` is FAILED.
    opened: whether the prompt left a block of reasoning open, in which `text` begins; None if not known.
    closing: what was put after `text`, before `forced.prefix`, to end reasoning that the model had not ended;
        `endings` have its tokens, too. A forced reading that could not end it has no `choice_log_probs`.
    """

    request_id: str
    text: str
    finish: Finish
    token_ids: tuple[int, ...] | None = None
    prompt_tokens: int = 0
    output_tokens: int = 0
    choice_log_probs: Mapping[str, float] | None = None
    endings: Mapping[str, tuple[int, ...]] | None = None
    error: str | None = None
    opened: bool | None = None
    closing: str = ""

    def split(self, reasoning: Reasoning) -> Split:
        """Where the answer begins, in `text + closing`."""
        found = reasoning.split(self.text, self.opened)
        return replace(found, begin=len(self.text) + len(self.closing)) if self.closing else found


def failed(request: Request, error: str) -> Completion:
    """The completion that says a request could not be answered."""
    return Completion(request.id, "", Finish.FAILED, error=error)


class Engine(Protocol):
    """Answers requests in any order, each exactly once, and never raises for a single one.

    One that may work for longer than `stall_minutes` on an answer calls `watchdog.beat` meanwhile.
    """

    def complete(self, requests: Iterable[Request], /) -> Iterator[Completion]:
        """Answer every request. Reads ahead only as far as it needs to."""
        ...


OpenEngine = Callable[[Model], AbstractContextManager[Engine]]
"""Loads a model and gives it back when the context ends, so that the accelerator is free again."""


def named(open_engine: OpenEngine, name: str) -> OpenEngine:
    """The same, with the name that reports give the engine."""
    open_engine.engine = name  # type: ignore[attr-defined]
    return open_engine


def name_of(open_engine: OpenEngine) -> str:
    """The name that reports give an engine."""
    return getattr(open_engine, "engine", "not named")
