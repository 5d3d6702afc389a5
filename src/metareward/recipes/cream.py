"""CREAM (arXiv 2410.12735): pairs are believed as far as the judge ranks as it did an iteration ago."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metareward.evaluate.base import Evaluations
from metareward.history import Round
from metareward.ids import added
from metareward.models.base import Model
from metareward.recipes.answering import answered, judged_again
from metareward.recipes.degenerate import Degenerate
from metareward.recipes.eft import EFT, fine_tuned
from metareward.recipes.gate import Gate, attacked, check_no_judge
from metareward.recipes.pairing import actor_pairs
from metareward.recipes.possible import begin, check_possible
from metareward.recipes.selecting import Dev
from metareward.recipes.settings import Iteration, Watch, check_iterations
from metareward.recipes.training import train_next
from metareward.recipes.watching import Watcher
from metareward.records import Role
from metareward.runner import Runner
from metareward.settings import checked
from metareward.stages.consistency import Per, check_per
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.train.dpo import DPO

PAPER_ITERATIONS = (Iteration(roles=(Role.ACTOR,)), Iteration(roles=(Role.ACTOR,)))


@dataclass(frozen=True)
@checked("")
class Cream:
    """The settings of the recipe. With nothing set: 5 responses at T .8, DPO for one epoch at 1e-6.

    Sampling and training are those of the released code. It ranks by likelihood ratios; here the judge
    ranks, with the settings of `SelfRewarding`.
    consistency: "iteration" gives all pairs the mean consistency, "prompt" each that of its prompt.
    evaluate: evaluations of every model, besides the look on held-out prompts. eft: see `recipes.eft`.
    answers: what is done where answers look degenerate; see `recipes.degenerate`.
    """

    generate: Generate = Generate(samples=5, temperature=0.8, top_p=0.95, max_tokens=768)
    judge: Judge = Judge(samples=3, temperature=0.7, top_p=0.9)
    dpo: DPO = DPO(learning_rate=1e-6, epochs=1, warmup_ratio=0.1, weight_decay=0.01)
    iterations: tuple[Iteration, ...] = PAPER_ITERATIONS
    consistency: Per = "iteration"
    watch: Watch = Watch()
    evaluate: Evaluations = Evaluations()
    attack: Gate = Gate()
    eft: EFT = EFT()
    answers: Degenerate = added(Degenerate())

    def __post_init__(self) -> None:
        check_per("consistency", self.consistency)
        check_no_judge(self.attack, "cream")
        check_iterations(self.iterations, self.dpo)
        check_possible(self, "cream")


def cream(
    run: Runner,
    model: Model,
    batches: Sequence[Any],
    recipe: Cream | None = None,
    held_out: Any | None = None,
    dev: Any | None = None,
) -> Model:
    """Run the loop from `model`, one batch of prompts an iteration; returns the last model.

    The first iteration has no model before it, so its pairs are certain: plain Self-Rewarding.
    """
    recipe = recipe or Cream()
    begin(run, recipe, model, batches)
    model = fine_tuned(run, recipe.eft, recipe.judge, model, recipe.generate)
    previous, first = None, replace(model, name="M0")
    model = first
    watcher = Watcher.of(recipe, first, held_out)
    seen = Dev(recipe.watch, recipe.generate, recipe.judge, first, dev)
    watcher.look(run, model)
    for t, (settings, prompts) in enumerate(zip(recipe.iterations, batches, strict=True)):
        attacked(run, recipe.attack, recipe.judge, model)
        with run.within(f"iteration {t}"):
            present = answered(run, recipe, prompts, model, model, "present")
            again = judged_again(run, recipe, prompts, present, previous)
            weighed = {"previous": again, "per": recipe.consistency}
            pairs = actor_pairs(run, settings, prompts, *present.rows, **weighed)
            trained = train_next(run, recipe.dpo, settings, [pairs], first, model, seen)
        done = (prompts, *present.all, None, (pairs,), trained.model, trained, tuple(again))
        run.history.rounds.append(Round(model, *done))
        previous, model = model, replace(trained.model, name=f"M{t + 1}")
        watcher.look(run, model)
    watcher.look_back(run, model)
    return model
