"""A judge trained on its own battles, for every recipe that does: battles, gate, judge pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from metareward.models.base import Model
from metareward.recipes.gate import Gate, Verdict, hardening
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.settings import Iteration
from metareward.runner import Runner
from metareward.settings import one_of, require
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair_judge import JudgePairs

MetaJudgeBy = Literal["current", "first"]
_BY = ("current", "first")


class TrainsJudge(Protocol):
    """The settings that judge training needs of a recipe; with their defaults they are the paper's.

    meta_judge_by: "current" is the model being trained (the paper), "first" the run's first model.
    """

    @property
    def meta_judge(self) -> MetaJudge:
        """What holds the battles."""
        ...

    @property
    def meta_judge_by(self) -> MetaJudgeBy:
        """Which model holds them."""
        ...

    @property
    def prior(self) -> float:
        """Precision of the prior on Elo."""
        ...

    @property
    def attack(self) -> Gate:
        """Whether what an attack got becomes judge pairs."""
        ...

    @property
    def judge_gate(self) -> JudgeGate:
        """What is measured before judge pairs are used."""
        ...


@dataclass(frozen=True)
class Judged:
    """What judge training rests on: the battles, the artifacts of judge pairs, and whether any were left out.

    battles: None where none were held. drops_judge: a gate left the judge pairs of this iteration out.
    """

    battles: Any | None = None
    pairs: tuple[Any, ...] = ()
    drops_judge: bool = False


def check_meta_judge_by(by: str) -> None:
    """ConfigError unless it names who holds the battles."""
    require(by in _BY, "meta_judge_by", one_of(_BY), by)


def judged(
    run: Runner,
    recipe: TrainsJudge,
    iteration: Iteration,
    model: Model,
    first: Model,
    prompts: Any,
    responses: Any,
    judgments: Any,
    verdict: Verdict,
) -> Judged:
    """Hold the battles of an iteration, measure them, and make the judge pairs that the gates let through.

    Nothing is asked where the iteration does not train the judge, or where `verdict`, what came of the
    attacks on this model, leaves its pairs out. Pairs of what the attacks got come with the others.
    Raises StepError if the judge gate fails and its action is "stop".
    """
    if not iteration.trains_judge:
        return Judged()
    hard = tuple(hardening(run, recipe.attack, verdict))
    if verdict.drops_judge:
        return Judged(pairs=hard, drops_judge=True)
    by = first if recipe.meta_judge_by == "first" else model
    battles = run.ask(recipe.meta_judge, prompts, responses, judgments, of=by)
    rule = JudgePairs(recipe.prior, iteration.max_judgment_characters, recipe.meta_judge.seed)
    pairs = run.derive(rule, prompts, responses, judgments, battles)
    return Judged(battles, (*hard, pairs))


def nothing_left(run: Runner, gate: JudgeGate, model: Model, pairs: Sequence[Any], found: Judged) -> bool:
    """Whether a gate left an iteration without a pair, so that it trains nothing and the model stays.

    Says so; raises StepError instead if `gate.nothing_left` is "stop". Where no gate left anything out,
    training itself says that there is nothing to train on. On paper only what is certain counts.
    """
    left = run.conclude(lambda *rows: sum(map(len, rows)), *pairs) if found.drops_judge else None
    if left is None or left > 0:
        return False
    said = f"a gate left out the judge pairs and no other pair is left: {model.name} stays as it is"
    then = "; the run stops here, as [judge_gate] nothing_left says"
    run.warn(said + (then if gate.nothing_left == "stop" else ""), stop=gate.nothing_left == "stop")
    return True
