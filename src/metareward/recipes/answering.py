"""One model answers an iteration's prompts, and one, the same or another, judges the answers."""

from typing import Any, Literal, Protocol

from metareward.history import Beside
from metareward.models.base import Model
from metareward.recipes.degenerate import TRAINING, Degenerate, noticed
from metareward.runner import Runner
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.pair import KeepDistinct


class Answers(Protocol):
    """The settings that answering needs of a recipe."""

    @property
    def generate(self) -> Generate:
        """How answers are sampled."""
        ...

    @property
    def judge(self) -> Judge:
        """How they are judged."""
        ...

    @property
    def answers(self) -> Degenerate:
        """What is done where they look degenerate."""
        ...


def answered(
    run: Runner,
    recipe: Answers,
    prompts: Any,
    by: Model,
    judge: Model,
    name: Literal["present", "past", "future"],
) -> Beside:
    """Answers of `by`, without failures, blanks and repeats, and what `judge` says of them."""
    answers = run.ask(recipe.generate, prompts, of=by)
    noticed(run, recipe.answers, recipe.judge, by, TRAINING if name == "present" else name, prompts, answers)
    responses = run.derive(KeepDistinct(), answers)
    judgments = run.ask(recipe.judge, prompts, responses, of=judge)
    return Beside(name, by, answers, responses, judgments)


def judged_again(
    run: Runner, recipe: Answers, prompts: Any, present: Beside, by: Model | None
) -> list[Beside]:
    """What the previous model says of the present answers; nothing where there is none before."""
    if by is None:
        return []
    judgments = run.ask(recipe.judge, prompts, present.responses, of=by)
    return [Beside("previous", by, None, present.responses, judgments)]
