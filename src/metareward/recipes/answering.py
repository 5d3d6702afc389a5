"""One model answers an iteration's prompts, and one, the same or another, judges the answers."""

from typing import Any, Protocol

from metareward.history import Beside
from metareward.models.base import Model
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


def answered(run: Runner, recipe: Answers, prompts: Any, by: Model, judge: Model, name: str) -> Beside:
    """Answers of `by`, without failures, blanks and repeats, and what `judge` says of them."""
    answers = run.ask(recipe.generate, prompts, of=by)
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
