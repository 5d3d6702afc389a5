"""A judge trained on its own battles, for every recipe that does: battles, gate, judge pairs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from metareward.history import STOPS_JUDGE, Gated
from metareward.models.base import Model
from metareward.recipes.gate import Gate, Verdict, hardening
from metareward.recipes.judge_gate import EQUAL_SCORES, GateReport, JudgeGate
from metareward.recipes.judge_gate_action import decided, said
from metareward.recipes.measuring import Fought, measured
from metareward.recipes.settings import BYS, By, Iteration
from metareward.runner import Runner
from metareward.settings import one_of, require
from metareward.stages.equal_scores import EqualScores
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair_judge import JudgePairs
from metareward.stages.settle import Settle


class TrainsJudge(Protocol):
    """The settings that judge training needs of a recipe; with their defaults they are the paper's.

    meta_judge_by: "current" is the model being trained (the paper), "first" the run's first model.
    """

    @property
    def judge(self) -> Judge:
        """Whose judgments they are, for a bank of the gate's own."""
        ...

    @property
    def meta_judge(self) -> MetaJudge:
        """What holds the battles."""
        ...

    @property
    def meta_judge_by(self) -> By:
        """Which model holds them."""
        ...

    @property
    def settle(self) -> Settle:
        """How the two battles of a pair count."""
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
    """What judge training rests on.

    battles: as they were held; None where none were. pairs: the artifacts of judge pairs to train on.
    left_out: those that the judge gate left out. report: what it measured; None without battles, and on
    paper. drops_judge: whether a gate or the attacks left judge pairs of this iteration out or had them made
    anew, or the judge gate has ended judge training before it.
    """

    battles: Any | None = None
    pairs: tuple[Any, ...] = ()
    left_out: tuple[Any, ...] = ()
    report: GateReport | None = None
    drops_judge: bool = False


def check_trains_judge(recipe: TrainsJudge) -> None:
    """ConfigError where settings of judge training do not go together."""
    by = recipe.meta_judge_by
    require(by in BYS, "meta_judge_by", one_of(BYS), by)
    forced = recipe.meta_judge.reading == "forced"
    wanted = "'forced' for a margin in [settle]: a free reading has no probabilities"
    require(forced or not recipe.settle.needs_probabilities, "meta_judge.reading", wanted, "free")


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
    others: Sequence[Any] = (),
) -> Judged:
    """Hold the battles of an iteration, measure them, and make the judge pairs that the gates let through.

    Nothing is asked where the iteration does not train the judge, where the judge gate has ended judge
    training in an iteration before, or where `verdict`, what came of the attacks on this model, leaves its
    pairs out. Pairs of what the attacks got come with the others.
    others: the pairs that will train beside these, for the share of judge pairs. Raises StepError if the
    judge gate fails and its action is "stop".
    """
    if not iteration.trains_judge:
        return Judged()
    if run.history.judge_stopped is not None:
        return Judged(drops_judge=True)
    hard = tuple(hardening(run, recipe.attack, verdict))
    if verdict.drops_judge:
        return Judged(pairs=hard, drops_judge=True)
    by = first if recipe.meta_judge_by == "first" else model
    battles = run.ask(recipe.meta_judge, prompts, responses, judgments, of=by)
    counted = run.derive(recipe.settle, battles) if recipe.settle.together else battles
    limits = (iteration.max_judgment_characters, recipe.meta_judge.seed, iteration.min_elo_margin)
    rule = JudgePairs(recipe.prior, *limits)
    pairs = run.derive(rule, prompts, responses, judgments, counted)
    fought = Fought(prompts, responses, judgments, battles, counted, pairs, (*others, *hard))
    report = measured(run, recipe, model, fought)
    if report is None:
        return Judged(battles, (*hard, pairs))
    action = decided(recipe.judge_gate, report)
    if action == EQUAL_SCORES:
        fair = run.derive(EqualScores(), prompts, responses, judgments, counted)
        pairs = run.derive(rule, prompts, responses, judgments, fair)
    kept, left_out = _let_through(action, hard, pairs)
    run.history.judge_gates.append(Gated(len(run.history.rounds), model, action, report, left_out))
    if report.failed:
        run.warn(said(report, action), stop=action == "stop")
    return Judged(battles, kept, left_out, report, bool(left_out) or action == EQUAL_SCORES)


def _let_through(action: str, hard: tuple[Any, ...], pairs: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The artifacts of judge pairs that train, and those left out; `hard` are of the attacks."""
    if action == STOPS_JUDGE:
        return (), (*hard, pairs)
    return (hard, (pairs,)) if action == "drop judge" else ((*hard, pairs), ())


def nothing_left(run: Runner, gate: JudgeGate, model: Model, pairs: Sequence[Any], found: Judged) -> bool:
    """Whether a gate left an iteration without a pair, so that it trains nothing and the model stays.

    Says so; raises StepError instead if `gate.nothing_left` is "stop". Where no gate left anything out,
    training itself says that there is nothing to train on. On paper only what is certain counts.
    """
    left = run.conclude(lambda *rows: sum(map(len, rows)), *pairs) if found.drops_judge else None
    if left is None or left > 0:
        return False
    ended = found.battles is None and run.history.judge_stopped is not None
    why = "no judge is trained any more" if ended else "a gate left out the judge pairs"
    said = f"{why} and no other pair is left: {model.name} stays as it is"
    then = "; the run stops here, as [judge_gate] nothing_left says"
    run.warn(said + (then if gate.nothing_left == "stop" else ""), stop=gate.nothing_left == "stop")
    return True
