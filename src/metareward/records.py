"""The records that flow through a run: frozen, typed, and named by their causes.

A record's id is known before its text exists (see `stages.base`), it names its parents, and what
could not be read is said so (`None`, `Outcome.UNREADABLE`), never taken for zero. A `text` is all that was
sampled, reasoning included; whatever reads an answer reads the record's `answer`, which comes after it.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeVar

from metareward.ids import added

R = TypeVar("R")


class Finish(StrEnum):
    """Why a model stopped writing."""

    STOP = "stop"
    LENGTH = "length"
    FAILED = "failed"


class Outcome(StrEnum):
    """Who won a battle or a comparison, by position on display."""

    FIRST = "first"
    SECOND = "second"
    TIE = "tie"
    UNREADABLE = "unreadable"


class Role(StrEnum):
    """Which of the model's roles a preference pair trains."""

    ACTOR = "actor"
    JUDGE = "judge"


@dataclass(frozen=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Prompt:
    """A conversation that waits for the assistant's next turn. `source` says where it came from."""

    id: str
    messages: tuple[Message, ...]
    source: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """One sampled answer. `token_ids` are the tokens as sampled, the end-of-turn token included.

    reasoning: so many characters at the beginning of `text` are reasoning, markers and the blank lines
        behind them included. reasoning_ended: false where the model did not end it; then there is no answer.
    """

    id: str
    prompt_id: str
    sample: int
    model: str
    text: str
    token_ids: tuple[int, ...] | None
    finish: Finish
    error: str | None = None
    reasoning: int = added(0)
    reasoning_ended: bool = added(True)

    @property
    def answer(self) -> str:
        """What was said: the text without the reasoning before it."""
        return self.text[self.reasoning :]


@dataclass(frozen=True, slots=True)
class Judgment:
    """One sampled judgment of one response.

    `messages` is the exact judge prompt. `score` is None exactly when `unread` says why. In a forced
    reading `score` is the expected value over the stage's scale and `text` ends in the verdict line nearest
    to it; `confidence` is the probability the model gave to all allowed verdicts together. `reasoning` is as
    a response's; where the model did not end it, a forced reading did.
    """

    id: str
    prompt_id: str
    response_id: str
    sample: int
    model: str
    messages: tuple[Message, ...]
    text: str
    token_ids: tuple[int, ...] | None
    finish: Finish
    score: float | None
    unread: str | None
    confidence: float | None = None
    reasoning: int = added(0)
    reasoning_ended: bool = added(True)

    @property
    def answer(self) -> str:
        """What was said: the text without the reasoning before it."""
        return self.text[self.reasoning :]


@dataclass(frozen=True, slots=True)
class Battle:
    """Two judgments of one response shown to the meta-judge, `first_id` on top.

    `p_first` is the probability that the first is better, in a forced reading only. `reasoning` is as a
    response's.
    """

    id: str
    prompt_id: str
    response_id: str
    first_id: str
    second_id: str
    model: str
    text: str
    finish: Finish
    outcome: Outcome
    p_first: float | None = None
    reasoning: int = added(0)
    reasoning_ended: bool = added(True)

    @property
    def answer(self) -> str:
        """What was said: the text without the reasoning before it."""
        return self.text[self.reasoning :]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two responses to one prompt shown to a judge, `first_id` on top.

    `messages` is the exact prompt. In a forced reading `p_first` is the probability that the first is
    better, and `text` ends in the verdict line that agrees with `outcome`. `reasoning` is as a judgment's.
    """

    id: str
    prompt_id: str
    first_id: str
    second_id: str
    sample: int
    model: str
    messages: tuple[Message, ...]
    text: str
    token_ids: tuple[int, ...] | None
    finish: Finish
    outcome: Outcome
    p_first: float | None = None
    reasoning: int = added(0)
    reasoning_ended: bool = added(True)

    @property
    def answer(self) -> str:
        """What was said: the text without the reasoning before it."""
        return self.text[self.reasoning :]


@dataclass(frozen=True, slots=True)
class Case:
    """One response of an attack on a judge; `id` is that response's.

    item: names the prompt with a good and a flawed response that it was made of; cases of one `cluster`
    share a conversation and are not independent. family, variant: what was done; "clean" is nothing, and
    "rerun" is nothing as well, asked once more. side: the response it was done to, "good" or "flawed", or
    "none" where the response says nothing.
    """

    id: str
    prompt_id: str
    item: str
    cluster: str
    family: str
    variant: str
    side: Literal["good", "flawed", "none"]


@dataclass(frozen=True, slots=True)
class PreferencePair:
    """`chosen` is the better one. Both answer exactly `messages`.

    For the actor, ids name responses and scores are mean judgments; for the judge, ids name judgments
    and scores are Elo (natural log units), or, of a pair that an attack left, minus the distance of each
    verdict from the right one.

    weight: what the pair's loss is multiplied with, 0 or more. certainty: the probability, in [0, 1], that
    chosen really is the better one (`train.weights` has the loss).

    chosen_reasoning, rejected_reasoning: so many characters at their beginning are reasoning. It is trained
        on with the answer, for it was sampled; length control and every statistic have the answers alone.
    """

    id: str
    role: Role
    prompt_id: str
    response_id: str | None
    messages: tuple[Message, ...]
    chosen_id: str
    rejected_id: str
    chosen: str
    rejected: str
    chosen_token_ids: tuple[int, ...] | None
    rejected_token_ids: tuple[int, ...] | None
    chosen_score: float
    rejected_score: float
    weight: float = 1.0
    certainty: float = 1.0
    chosen_reasoning: int = added(0)
    rejected_reasoning: int = added(0)

    @property
    def chosen_answer(self) -> str:
        """`chosen` without the reasoning before it."""
        return self.chosen[self.chosen_reasoning :]

    @property
    def rejected_answer(self) -> str:
        """`rejected` without the reasoning before it."""
        return self.rejected[self.rejected_reasoning :]


@dataclass(frozen=True, slots=True)
class Rating:
    """What people made of a response; within a prompt higher is better."""

    id: str
    prompt_id: str
    response_id: str
    quality: float


@dataclass(frozen=True, slots=True)
class Demonstration:
    """An answer to imitate: `text` after exactly `messages`. `token_ids` are as sampled, if they were.

    For the judge: `score` is the verdict that the text ends in, `quality` and `length` (characters) are of
    the judged response, `judgment_id` names the judgment it was taken from, if any. For the actor: the text
    is the response itself, `length` its characters, and there is no score and no quality. One demonstration
    may stand in a set several times; `copy` counts them from 0.
    """

    id: str
    role: Role
    prompt_id: str
    response_id: str
    judgment_id: str | None
    messages: tuple[Message, ...]
    text: str
    token_ids: tuple[int, ...] | None
    score: float | None
    quality: float | None
    length: int
    copy: int = 0


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a rule left out, and why. `reason` is one of few fixed phrases, so that it can be counted."""

    subject_id: str
    reason: str


Record = (
    Prompt
    | Response
    | Judgment
    | Battle
    | Comparison
    | Case
    | PreferencePair
    | Rating
    | Demonstration
    | Dropped
)
