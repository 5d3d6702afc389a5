"""Self-Rewarding (arXiv 2401.10020): the loop without battles; the judge is used but never trained."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from metareward.evaluate.base import Evaluations
from metareward.history import Round
from metareward.ids import added
from metareward.models.base import Model
from metareward.recipes.degenerate import TRAINING, Degenerate, noticed
from metareward.recipes.eft import EFT, fine_tuned
from metareward.recipes.gate import Gate, attacked, check_no_judge
from metareward.recipes.pairing import actor_pairs
from metareward.recipes.possible import begin, check_possible
from metareward.recipes.selecting import Dev
from metareward.recipes.settings import BYS, By, Iteration, Watch, check_iterations
from metareward.recipes.training import train_next
from metareward.recipes.watching import Watcher
from metareward.records import Role
from metareward.runner import Runner
from metareward.settings import checked, one_of, require
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.pair import KeepDistinct
from metareward.train.dpo import DPO

# M1 -> M2 -> M3 of the paper, best against worst, without length control.
PAPER_ITERATIONS = (Iteration(roles=(Role.ACTOR,)), Iteration(roles=(Role.ACTOR,)))


@dataclass(frozen=True)
@checked("")
class SelfRewarding:
    """The settings of the recipe. With nothing set: 4 responses, 3 judgments averaged, T .7, top-p .9.

    The paper states no sampling settings for its judgments; ours are those of its responses.
    judge_by: who judges: the "current" model (the paper), or the "first", frozen: a baseline of every judge
        that is trained.
    evaluate: evaluations of every model, besides the look on held-out prompts. eft: see `recipes.eft`.
    answers: what is done where answers look degenerate; see `recipes.degenerate`.
    """

    generate: Generate = Generate(samples=4, temperature=0.7, top_p=0.9)
    judge: Judge = Judge(samples=3, temperature=0.7, top_p=0.9)
    dpo: DPO = DPO()
    iterations: tuple[Iteration, ...] = PAPER_ITERATIONS
    watch: Watch = Watch()
    evaluate: Evaluations = Evaluations()
    attack: Gate = Gate()
    judge_by: By = "current"
    eft: EFT = EFT()
    answers: Degenerate = added(Degenerate())

    def __post_init__(self) -> None:
        require(self.judge_by in BYS, "judge_by", one_of(BYS), self.judge_by)
        check_no_judge(self.attack, "self_rewarding")
        check_iterations(self.iterations, self.dpo)
        check_possible(self, "self_rewarding")


def by_a_model(run: Runner, recipe: SelfRewarding, by: Model, prompts: Any, responses: Any) -> Any:
    """The judgments of `responses` by the model `by`."""
    return run.ask(recipe.judge, prompts, responses, of=by)


def self_rewarding(
    run: Runner,
    model: Model,
    batches: Sequence[Any],
    recipe: SelfRewarding | None = None,
    held_out: Any | None = None,
    dev: Any | None = None,
    judged: Callable[..., Any] = by_a_model,
) -> Model:
    """Run the loop from `model`, one batch of prompts an iteration; returns the last model.

    judged: where judgments come from; takes what `by_a_model` does. Another source (a reward model, a rule)
    makes another recipe of the same loop.
    """
    recipe = recipe or SelfRewarding()
    begin(run, recipe, model, batches)
    model = fine_tuned(run, recipe.eft, recipe.judge, model, recipe.generate)
    first = model = replace(model, name="M0")
    watcher = Watcher.of(recipe, first, held_out)
    seen = Dev(recipe.watch, recipe.generate, recipe.judge, first, dev)
    watcher.look(run, model)
    for t, (settings, prompts) in enumerate(zip(recipe.iterations, batches, strict=True)):
        attacked(run, recipe.attack, recipe.judge, model)
        with run.within(f"iteration {t}"):
            answers = run.ask(recipe.generate, prompts, of=model)
            noticed(run, recipe.answers, recipe.judge, model, TRAINING, prompts, answers)
            responses = run.derive(KeepDistinct(), answers)
            by = first if recipe.judge_by == "first" else model
            judgments = judged(run, recipe, by, prompts, responses)
            pairs = actor_pairs(run, settings, prompts, responses, judgments)
            trained = train_next(run, recipe.dpo, settings, [pairs], first, model, seen)
        done = (prompts, answers, responses, judgments, None, (pairs,), trained.model, trained)
        run.history.rounds.append(Round(model, *done))
        model = replace(trained.model, name=f"M{t + 1}")
        watcher.look(run, model)
    watcher.look_back(run, model)
    return model
