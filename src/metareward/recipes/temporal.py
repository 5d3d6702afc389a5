"""Temporal Self-Rewarding (arXiv 2508.06026): past and future models keep chosen and rejected apart."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metareward.evaluate.base import Evaluations
from metareward.history import Round
from metareward.ids import added
from metareward.models.base import Model
from metareward.recipes.anchoring import temporal_pairs
from metareward.recipes.answering import answered
from metareward.recipes.degenerate import Degenerate
from metareward.recipes.eft import EFT, fine_tuned
from metareward.recipes.gate import Gate, attacked, check_no_judge
from metareward.recipes.possible import begin, check_possible
from metareward.recipes.selecting import Dev
from metareward.recipes.settings import Iteration, Watch, check_iterations
from metareward.recipes.training import train_next
from metareward.recipes.watching import Watcher
from metareward.records import Role
from metareward.runner import Runner
from metareward.settings import checked
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.train.dpo import DPO

# Each trains twice, so that two cost about what four of Self-Rewarding do.
PAPER_ITERATIONS = (Iteration(roles=(Role.ACTOR,)), Iteration(roles=(Role.ACTOR,)))


@dataclass(frozen=True)
@checked("")
class Temporal:
    """The settings of the recipe. With nothing set: 7 responses at T 1, DPO for one epoch at 5e-7.

    The paper's judgments are not described to the last setting; ours are those of `SelfRewarding`.
    future_guided: whether a temporary model is trained ahead and its better responses are chosen; without
        it only the rejected responses are anchored (an ablation of the paper).
    evaluate: evaluations of every model, besides the look on held-out prompts. eft: see `recipes.eft`.
    answers: what is done where answers look degenerate; see `recipes.degenerate`.
    """

    generate: Generate = Generate(samples=7, temperature=1.0, top_p=1.0)
    judge: Judge = Judge(samples=3, temperature=0.7, top_p=0.9)
    dpo: DPO = DPO(learning_rate=5e-7, epochs=1)
    iterations: tuple[Iteration, ...] = PAPER_ITERATIONS
    future_guided: bool = True
    watch: Watch = Watch()
    evaluate: Evaluations = Evaluations()
    attack: Gate = Gate()
    eft: EFT = EFT()
    answers: Degenerate = added(Degenerate())

    def __post_init__(self) -> None:
        check_no_judge(self.attack, "temporal")
        check_iterations(self.iterations, self.dpo)
        check_possible(self, "temporal", anchored=True)


def temporal(
    run: Runner,
    model: Model,
    batches: Sequence[Any],
    recipe: Temporal | None = None,
    held_out: Any | None = None,
    dev: Any | None = None,
) -> Model:
    """Run the loop from `model`, one batch of prompts an iteration; returns the last model.

    All responses of an iteration, whoever wrote them, are judged by that iteration's model.
    """
    recipe = recipe or Temporal()
    begin(run, recipe, model, batches)
    model = fine_tuned(run, recipe.eft, recipe.judge, model, recipe.generate)
    first = model = replace(model, name="M0")
    watcher = Watcher.of(recipe, first, held_out)
    seen = Dev(recipe.watch, recipe.generate, recipe.judge, first, dev)
    watcher.look(run, model)
    for t, (settings, prompts) in enumerate(zip(recipe.iterations, batches, strict=True)):
        attacked(run, recipe.attack, recipe.judge, model)
        with run.within(f"iteration {t}"):
            present = answered(run, recipe, prompts, model, model, "present")
            pairs, beside = temporal_pairs(run, recipe, settings, prompts, present, first)
            trained = train_next(run, recipe.dpo, settings, [pairs], first, model, seen)
        done = (prompts, *present.all, None, (pairs,), trained.model, trained, tuple(beside))
        run.history.rounds.append(Round(model, *done))
        model = replace(trained.model, name=f"M{t + 1}")
        watcher.look(run, model)
    watcher.look_back(run, model)
    return model
