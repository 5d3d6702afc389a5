"""Conversations of two turns: the second question is asked after the model's own first answer (MT-Bench)."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

from metareward import templates
from metareward.ids import fingerprint
from metareward.records import Dropped, Finish, Message, Prompt, Response
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles


@dataclass(frozen=True)
class FollowUp:
    """The second turn of each conversation: the prompt, its first response, and the next question.

    turns: the second question of each prompt, in the order of the prompts.
    """

    name: ClassVar[str] = "follow_up"
    record: ClassVar[type[Prompt]] = Prompt

    turns: tuple[str, ...]

    def apply(self, prompts: Iterable[Prompt], responses: Iterable[Response]) -> Iterator[Prompt | Dropped]:
        """One prompt for each that was answered, or why there is none."""
        for bundle, turn in zip(bundles(prompts, responses), self.turns, strict=True):
            answered = (r for r in bundle.responses if r.finish is not Finish.FAILED)
            response = next(answered, None)
            if response is None:
                yield Dropped(bundle.prompt.id, "no answer to the first turn")
            else:
                yield followed(bundle.prompt, response.answer, turn)

    def shape(self, *shapes: Shape) -> Shape:
        """At most one a prompt, as long as the prompt and its response."""
        prompts, responses = shapes
        return Shape(prompts.rows, prompts.tokens + responses.tokens)


def followed(prompt: Prompt, answer: str, turn: str) -> Prompt:
    """The conversation that goes on with an answer and the user's next turn."""
    messages = (*prompt.messages, Message("assistant", answer), Message("user", turn))
    return Prompt(fingerprint("prompt", messages), messages, prompt.source)


def asked_in(prompt: Prompt) -> tuple[str, ...]:
    """What the user said, turn by turn: equal for all models that were asked the same."""
    return tuple(message.content for message in prompt.messages if message.role == "user")


def reference_of(questions: Sequence[str], answers: Sequence[str]) -> Prompt:
    """A conversation that was answered as it should be, to be looked up by what the user asked in it."""
    turns = zip(questions, answers, strict=True)
    messages = tuple(m for q, a in turns for m in (Message("user", q), Message("assistant", a)))
    return Prompt(fingerprint("reference", messages), messages, "reference")


class References:
    """Reference conversations, found by the questions that they begin with."""

    def __init__(self, references: Iterable[Prompt]) -> None:
        self._known: dict[tuple[str, ...], str] = {}
        for reference in references:
            for turn, _ in enumerate(asked_in(reference), 1):
                shown = reference.messages[: 2 * turn]
                text = shown[1].content if turn == 1 else templates.transcript(shown)
                self._known[asked_in(Prompt("", shown))] = text

    def text_for(self, prompt: Prompt) -> str | None:
        """The reference answer to a first turn, or both questions with both answers to a second one."""
        return self._known.get(asked_in(prompt))
