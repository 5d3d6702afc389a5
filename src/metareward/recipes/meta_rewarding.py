"""Meta-Rewarding (arXiv 2407.19594): act, judge, meta-judge, train by DPO on both kinds of pairs, repeat."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from metareward.evaluate.base import Evaluations
from metareward.history import Round, Trained
from metareward.ids import added
from metareward.models.base import Model
from metareward.recipes.degenerate import TRAINING, Degenerate, noticed
from metareward.recipes.eft import EFT, fine_tuned
from metareward.recipes.gate import Gate, attacked
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.judging import check_trains_judge, judged, nothing_left
from metareward.recipes.pairing import actor_pairs
from metareward.recipes.possible import begin, check_possible
from metareward.recipes.selecting import Dev
from metareward.recipes.settings import By, Iteration, Watch, check_iterations
from metareward.recipes.training import train_next
from metareward.recipes.watching import Watcher
from metareward.records import Role
from metareward.runner import Runner
from metareward.settings import checked, positive, require
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair import KeepDistinct
from metareward.stages.settle import Settle
from metareward.stats.bradley_terry import DEFAULT_PRIOR
from metareward.train.dpo import DPO

# Judge training stops after iteration 2: by then the paper's meta-judge had become biased.
PAPER_ITERATIONS = (
    Iteration(rho=0.0, max_response_characters=2500, max_judgment_characters=1100, stop_after_epoch=6),
    Iteration(rho=0.32, max_judgment_characters=1000, stop_after_epoch=4),
    Iteration(roles=(Role.ACTOR,), rho=0.32, stop_after_epoch=2),
    Iteration(roles=(Role.ACTOR,), rho=0.4, stop_after_epoch=2),
)


@dataclass(frozen=True)
@checked("")
class MetaRewarding:
    """The settings of the recipe. With nothing set they are the paper's.

    evaluate: evaluations of every model, besides the look on held-out prompts. eft: see `recipes.eft`.
    answers: what is done where answers look degenerate; see `recipes.degenerate`.
    prior: precision of the Gaussian prior on Elo (the paper states none; see `stats.bradley_terry`).
    attack, judge_gate, settle: see `recipes.gate`, `recipes.judge_gate` and `stages.settle`.
    meta_judge_by: who holds the battles: the "current" model (the paper), or the "first", frozen.
    """

    generate: Generate = Generate()
    judge: Judge = Judge()
    meta_judge: MetaJudge = MetaJudge()
    dpo: DPO = DPO()
    iterations: tuple[Iteration, ...] = PAPER_ITERATIONS
    watch: Watch = Watch()
    evaluate: Evaluations = Evaluations()
    prior: float = DEFAULT_PRIOR
    attack: Gate = Gate()
    judge_gate: JudgeGate = JudgeGate()
    meta_judge_by: By = "current"
    settle: Settle = Settle()
    eft: EFT = EFT()
    answers: Degenerate = added(Degenerate())

    def __post_init__(self) -> None:
        check_trains_judge(self)
        require(positive(self.prior), "prior", "a number above 0", self.prior)
        check_iterations(self.iterations, self.dpo)
        check_possible(self, "meta_rewarding")


def meta_rewarding(
    run: Runner,
    model: Model,
    batches: Sequence[Any],
    recipe: MetaRewarding | None = None,
    held_out: Any | None = None,
    dev: Any | None = None,
) -> Model:
    """Run the loop from `model`, one batch of prompts an iteration; returns the last model.

    Pairs of one iteration train from that iteration's model, which is also the reference model, unless the
    iteration says otherwise (`start`, `reference`).
    """
    recipe = recipe or MetaRewarding()
    begin(run, recipe, model, batches)
    model = fine_tuned(run, recipe.eft, recipe.judge, model, recipe.generate)
    first = model = replace(model, name="M0")
    watcher = Watcher.of(recipe, first, held_out, recipe.meta_judge)
    seen = Dev(recipe.watch, recipe.generate, recipe.judge, first, dev)
    watcher.look(run, model)
    for t, (settings, prompts) in enumerate(zip(recipe.iterations, batches, strict=True)):
        verdict = attacked(run, recipe.attack, recipe.judge, model)
        with run.within(f"iteration {t}"):
            answers = run.ask(recipe.generate, prompts, of=model)
            noticed(run, recipe.answers, recipe.judge, model, TRAINING, prompts, answers)
            responses = run.derive(KeepDistinct(), answers)
            judgments = run.ask(recipe.judge, prompts, responses, of=model)
            pairs = []
            if settings.trains_actor:
                pairs.append(actor_pairs(run, settings, prompts, responses, judgments))
            rows = (prompts, responses, judgments)
            found = judged(run, recipe, settings, model, first, *rows, verdict, pairs)
            pairs += found.pairs
            if nothing_left(run, recipe.judge_gate, model, pairs, found):
                trained = Trained(model, model, model, ())
            else:
                trained = train_next(run, recipe.dpo, settings, pairs, first, model, seen)
        done = (prompts, answers, responses, judgments, found.battles, tuple(pairs), trained.model, trained)
        run.history.rounds.append(Round(model, *done, left_out=found.left_out))
        model = replace(trained.model, name=f"M{t + 1}")
        watcher.look(run, model)
    watcher.look_back(run, model)
    return model
