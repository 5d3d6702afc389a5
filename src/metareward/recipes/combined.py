"""Temporal anchors, a watched meta-judge and pairs weighed by consistency, together. Not published.

Anchors keep chosen and rejected apart (arXiv 2508.06026), battles train the judge (arXiv 2407.19594) while
the judge gate lets them, and pairs count as far as the judge ranks as it did before (arXiv 2410.12735).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metareward.evaluate.base import Evaluations
from metareward.history import Round, Trained
from metareward.ids import added
from metareward.models.base import Model
from metareward.recipes.anchoring import temporal_pairs
from metareward.recipes.answering import answered, judged_again
from metareward.recipes.degenerate import Degenerate
from metareward.recipes.eft import EFT, fine_tuned
from metareward.recipes.gate import Gate, attacked
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.judging import check_trains_judge, judged, nothing_left
from metareward.recipes.possible import begin, check_possible
from metareward.recipes.selecting import Dev
from metareward.recipes.settings import By, Iteration, Watch, check_iterations
from metareward.recipes.training import train_next
from metareward.recipes.watching import Watcher
from metareward.runner import Runner
from metareward.settings import checked, positive, require
from metareward.stages.consistency import Per, check_per
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.settle import Settle
from metareward.stats.bradley_terry import DEFAULT_PRIOR
from metareward.templates import shipped
from metareward.train.dpo import DPO

# The judge is trained in every iteration: the gate, not a number, says when to stop.
ITERATIONS = (Iteration(rho="auto"), Iteration(rho="auto"), Iteration(rho="auto"))


@dataclass(frozen=True)
@checked("")
class Combined:
    """The settings of the recipe; the defaults are reasoned (docs/recipes.md), not measured at scale.

    Sampling is Meta-Rewarding's, training Temporal's, since each iteration trains twice.
    future_guided: as in `Temporal`. consistency: as in `Cream`. prior, meta_judge_by, settle: as in
        `MetaRewarding`; a pair of judgments is settled over both orders, so that position decides none, and
        scores are hidden from the meta-judge, so that it cannot go by them.
    evaluate: evaluations of every model, besides the look on held-out prompts. eft: see `recipes.eft`.
    answers: what is done where answers look degenerate; see `recipes.degenerate`.
    """

    generate: Generate = Generate()
    judge: Judge = Judge()
    meta_judge: MetaJudge = MetaJudge(show_scores=False, template=shipped("meta_judge_no_scores"))
    dpo: DPO = DPO(learning_rate=5e-7, epochs=1)
    iterations: tuple[Iteration, ...] = ITERATIONS
    future_guided: bool = True
    consistency: Per = "iteration"
    watch: Watch = Watch()
    evaluate: Evaluations = Evaluations()
    prior: float = DEFAULT_PRIOR
    attack: Gate = Gate()
    judge_gate: JudgeGate = JudgeGate(action="drop judge")
    meta_judge_by: By = "first"
    settle: Settle = Settle("together")
    eft: EFT = EFT()
    answers: Degenerate = added(Degenerate())

    def __post_init__(self) -> None:
        check_per("consistency", self.consistency)
        check_trains_judge(self)
        require(positive(self.prior), "prior", "a number above 0", self.prior)
        check_iterations(self.iterations, self.dpo)
        check_possible(self, "combined", anchored=True)


def combined(
    run: Runner,
    model: Model,
    batches: Sequence[Any],
    recipe: Combined | None = None,
    held_out: Any | None = None,
    dev: Any | None = None,
) -> Model:
    """Run the loop from `model`, one batch of prompts an iteration; returns the last model.

    An iteration of the judge's role alone has no past and no future: it is a warm-up of the judge.
    """
    recipe = recipe or Combined()
    begin(run, recipe, model, batches)
    model = fine_tuned(run, recipe.eft, recipe.judge, model, recipe.generate)
    previous, first = None, replace(model, name="M0")
    model = first
    watcher = Watcher.of(recipe, first, held_out, recipe.meta_judge)
    seen = Dev(recipe.watch, recipe.generate, recipe.judge, first, dev)
    watcher.look(run, model)
    for t, (settings, prompts) in enumerate(zip(recipe.iterations, batches, strict=True)):
        verdict = attacked(run, recipe.attack, recipe.judge, model)
        with run.within(f"iteration {t}"):
            present = answered(run, recipe, prompts, model, model, "present")
            pairs, beside = [], []
            if settings.trains_actor:
                again = judged_again(run, recipe, prompts, present, previous)
                actor, beside = temporal_pairs(
                    run, recipe, settings, prompts, present, first, again, recipe.consistency
                )
                pairs, beside = [actor], [*again, *beside]
            found = judged(run, recipe, settings, model, first, prompts, *present.rows, verdict, pairs)
            pairs += found.pairs
            if nothing_left(run, recipe.judge_gate, model, pairs, found):
                trained = Trained(model, model, model, ())
            else:
                trained = train_next(run, recipe.dpo, settings, pairs, first, model, seen)
        done = (*present.all, found.battles, tuple(pairs), trained.model, trained, tuple(beside))
        run.history.rounds.append(Round(model, prompts, *done, left_out=found.left_out))
        previous, model = model, replace(trained.model, name=f"M{t + 1}")
        watcher.look(run, model)
    watcher.look_back(run, model)
    return model
