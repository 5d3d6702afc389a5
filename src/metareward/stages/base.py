"""What a stage and a rule are: pure ends around a model, and pure functions of records.

A stage works out questions and reads answers; a rule derives records from records. Both are frozen
dataclasses whose fields are their identity. Neither touches a model, a disk or a clock.
"""

import dataclasses
import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from metareward.engines.base import Completion, Request
from metareward.errors import ConfigError
from metareward.ids import fingerprint, identity
from metareward.models.base import Model
from metareward.records import Record
from metareward.settings import checked, positive, require, shown


@dataclass(frozen=True, slots=True)
class Question:
    """One request and the records it is about: (prompt, response, first judgment, second judgment)."""

    request: Request
    subject: tuple[str, ...]
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Shape:
    """What is known of an artifact before it exists: at most so many rows, about so many tokens each."""

    rows: int
    tokens: float = 0.0


@dataclass(frozen=True, slots=True)
@checked("plan")
class Guess:
    """Tokens a model is expected to write, where nothing was measured yet.

    The defaults are the arithmetic of one paper iteration with an 8B model: 15.8 M tokens for 35,000
    responses, 61.6 M for 385,000 judgments, 137.5 M for 550,000 battles.
    """

    prompt_tokens: float = 100
    response_tokens: float = 452
    judgment_tokens: float = 160
    battle_tokens: float = 250

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            require(positive(value), f"plan.{field.name}", "a number above 0", value)


@dataclass(frozen=True, slots=True)
class Work:
    """What a stage will ask: calls, and tokens for each call."""

    calls: int
    prompt_tokens: float
    output_tokens: float


class Stage(Protocol):
    """Questions to a model, and how to read its answers."""

    name: ClassVar[str]
    record: ClassVar[type[Any]]

    @property
    def questions(self) -> Callable[..., Iterator[Question]]:
        """(of, *inputs) -> the questions, in canonical order."""
        ...

    def read(self, question: Question, completion: Completion, of: Model) -> Record:
        """The record that an answer makes."""
        ...

    def work(self, guess: Guess, *shapes: Shape) -> Work:
        """How many questions there will be at most, and how long they are, given the inputs' shapes."""
        ...


class Rule(Protocol):
    """Records from records; what is left out comes as `Dropped`, so that the counts add up."""

    name: ClassVar[str]
    record: ClassVar[type[Any]]

    @property
    def apply(self) -> Callable[..., Iterator[Any]]:
        """(*inputs) -> records and `Dropped`, in canonical order."""
        ...

    def shape(self, *shapes: Shape) -> Shape:
        """At most how many rows there will be, given the inputs' shapes."""
        ...


def counted(default: int) -> Any:
    """A field that says how many samples to draw: it changes which rows exist, not what is in one."""
    return dataclasses.field(default=default, metadata={"counted": True})


def question_key(stage: Any, of: Model) -> str:
    """Names what one row depends on besides its subject: the stage without its counts, and the model.

    So a run with more samples or more prompts finds the rows that were already paid for.
    """
    counts = {field.name for field in dataclasses.fields(stage) if field.metadata.get("counted")}
    fields = {name: value for name, value in identity(stage).items() if name not in counts}
    return fingerprint("question", type(stage).__name__, fields, of.fingerprint)


def step_key(step: Any, *depends: str) -> str:
    """Names an artifact by everything its rows depend on: the step and the keys of its inputs."""
    return fingerprint("step", step, depends)


def asked_key(stage: Stage, of: Model, inputs: Sequence[Any]) -> str:
    """Names what comes of asking a model; ConfigError for what is no stage, no model or no input of it."""
    check_inputs(stage, "questions", inputs, 1)
    check_model(of, f"{stage.name}: of")
    return step_key(stage, of.fingerprint, *(rows.key for rows in inputs))


def derived_key(rule: Rule, inputs: Sequence[Any]) -> str:
    """Names what a rule makes of inputs; ConfigError for what is no rule or no input of it."""
    check_inputs(rule, "apply", inputs, 0)
    return step_key(rule, *(rows.key for rows in inputs))


def check_model(model: Any, what: str) -> None:
    """ConfigError unless it is a model."""
    if not isinstance(model, Model):
        raise ConfigError(f"{what} must be a Model, such as metareward.resolve makes, not {shown(model)}")


def check_inputs(step: Any, method: str, inputs: Sequence[Any], before: int) -> None:
    """ConfigError unless a step is one, with as many inputs as its method takes behind the first `before`."""
    if isinstance(step, type) or not hasattr(step, method):
        name = step.__name__ if isinstance(step, type) else shown(step)
        raise ConfigError(f"a step must be one that can be carried out, such as Generate(), not {name}")
    for number, rows in enumerate(inputs, 1):
        if not hasattr(rows, "key"):
            raise ConfigError(
                f"{step.name}: input {number} must be what run.prompts, run.given, run.ask or run.derive "
                f"gives, not {shown(rows)}"
            )
    taken = list(inspect.signature(getattr(step, method)).parameters.values())[before:]
    named = [each for each in taken if each.kind is each.POSITIONAL_OR_KEYWORD]
    needed = [each.name for each in named if each.default is each.empty]
    most = len(named) if len(named) == len(taken) else len(inputs)
    if not len(needed) <= len(inputs) <= most and taken:
        raise ConfigError(
            f"{step.name} takes {', '.join(each.name for each in taken)}, in this order, and was given "
            f"{len(inputs)} of them"
        )


def text_tokens(text: str) -> float:
    """A rough count of tokens, for planning only: four characters each."""
    return len(text) / 4
