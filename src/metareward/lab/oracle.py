"""The recipe that knows the truth: the ceiling of every loop in the lab."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from metareward.ids import fingerprint
from metareward.lab.lessons import judgment_words
from metareward.lab.world import read_task, truth
from metareward.models.base import Model
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.records import Finish, Judgment, Prompt, Response
from metareward.runner import Runner
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles
from metareward.stages.judge import Judge


@dataclass(frozen=True)
class TrueJudgments:
    """One judgment a response, which is right."""

    name: ClassVar[str] = "true_judgments"
    record: ClassVar[type[Judgment]] = Judgment

    judge: Judge

    def apply(self, prompts: Iterable[Prompt], responses: Iterable[Response]) -> Iterator[Judgment]:
        """The truth of each response, written as a judge would write it."""
        for bundle in bundles(prompts, responses):
            task = read_task(bundle.prompt.messages[0].content)
            for response in bundle.responses:
                met = truth(task, response.answer)
                yield Judgment(
                    id=fingerprint("true", response.id),
                    prompt_id=bundle.prompt.id,
                    response_id=response.id,
                    sample=0,
                    model="truth",
                    messages=self.judge.ask(bundle.prompt, response),
                    text=" ".join(judgment_words(met)),
                    token_ids=None,
                    finish=Finish.STOP,
                    score=float(sum(met)),
                    unread=None,
                )

    def shape(self, *shapes: Shape) -> Shape:
        """One a response."""
        return shapes[1]


def by_the_truth(run: Runner, recipe: SelfRewarding, _: Model, prompts: Any, responses: Any) -> Any:
    """True judgments of `responses`, whoever the judge is."""
    return run.derive(TrueJudgments(recipe.judge), prompts, responses)


def oracle(
    run: Runner,
    model: Model,
    batches: Sequence[Any],
    recipe: SelfRewarding | None = None,
    held_out: Any | None = None,
    dev: Any | None = None,
) -> Model:
    """Self-Rewarding with a judge that is always right; returns the last model."""
    return self_rewarding(run, model, batches, recipe, held_out, dev, by_the_truth)
