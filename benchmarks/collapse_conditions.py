"""The conditions of `judge_collapse`: recipes, meta-judges, and the assumptions that are varied."""

from dataclasses import dataclass, replace

from metareward import templates
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.meta_rewarding import PAPER_ITERATIONS, MetaRewarding
from metareward.recipes.settings import BOTH
from metareward.simulate import (
    FOLLOWING,
    PAPER_FIRST,
    PAPER_SECOND,
    UNBIASED,
    Abilities,
    World,
)
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.settle import Settle
from metareward.train.dpo import DPO

RATE = 1.0
"""Step of a simulated model's training; with it the paper's recipe takes the judge's mean score to 4.7."""
BIASES = {
    "unbiased": UNBIASED,
    "paper, iteration 1": PAPER_FIRST,
    "paper, iteration 2": PAPER_SECOND,
    "following": FOLLOWING,
}
LENIENT = Abilities(quality=-1.5, leniency=1.6)
"""A first model whose answers are worth 3.0 and whose judge gives them 4.1."""


@dataclass(frozen=True)
class Condition:
    """One row of a table: a recipe, a meta-judge, and what differs from the main assumptions."""

    name: str
    bias: str
    recipe: MetaRewarding
    world: World
    varied: str = "-"


def faithful() -> MetaRewarding:
    """The paper's recipe but for its sizes; every iteration trains the judge, so that a collapse can show."""
    iterations = tuple(replace(iteration, roles=BOTH) for iteration in PAPER_ITERATIONS)
    return MetaRewarding(
        Generate(samples=4),
        Judge(samples=5),
        MetaJudge(),
        DPO(learning_rate=RATE),
        iterations,
    )


PAPER = faithful()
GATE = JudgeGate(action="drop judge")
HIDDEN = replace(PAPER.meta_judge, show_scores=False)
TOGETHER = Settle(orders="together")
DEBIASED = replace(PAPER, meta_judge=replace(HIDDEN, between="same", reading="forced"), settle=TOGETHER)
RECIPES = {
    "faithful": PAPER,
    "gated, de-biased": replace(DEBIASED, judge_gate=GATE),
    "de-biased, no gate": DEBIASED,
    "gate": replace(PAPER, judge_gate=GATE),
    "gate, flips not limited": replace(PAPER, judge_gate=replace(GATE, max_flips=1.0)),
    "scores hidden": replace(PAPER, meta_judge=HIDDEN),
    "equal scores only": replace(PAPER, meta_judge=replace(PAPER.meta_judge, between="same")),
    "both orders as one": replace(
        PAPER, meta_judge=replace(PAPER.meta_judge, reading="forced"), settle=TOGETHER
    ),
    "examples/debiased.toml": replace(
        PAPER,
        meta_judge=replace(HIDDEN, reading="forced", template=templates.shipped("meta_judge_no_scores")),
        settle=replace(TOGETHER, false_decisions=0.1),
        meta_judge_by="first",
        judge_gate=GATE,
    ),
}
SECOND = "paper, iteration 2"
ALONE = {
    "examples/debiased.toml": ("unbiased", SECOND),
    "de-biased, no gate": (SECOND,),
    "gate": ("unbiased", SECOND),
    "gate, flips not limited": ("unbiased",),
    "scores hidden": (SECOND,),
    "equal scores only": (SECOND,),
    "both orders as one": (SECOND,),
}


def condition(name: str, bias: str) -> Condition:
    """A recipe with a meta-judge under the main assumptions."""
    return Condition(name, bias, RECIPES[name], World(BIASES[bias]))


def trained_faster(one: Condition, times: float) -> Condition:
    """The same with another step of training."""
    dpo = replace(one.recipe.dpo, learning_rate=RATE * times)
    return replace(one, recipe=replace(one.recipe, dpo=dpo), varied=f"training step x{times:g}")


def beginning(one: Condition, varied: str, first: Abilities) -> Condition:
    """The same with another first model."""
    return replace(one, world=replace(one.world, first=first), varied=varied)


MAIN = tuple(condition(name, bias) for name in ("faithful", "gated, de-biased") for bias in BIASES)
ABLATIONS = tuple(condition(name, bias) for name, biases in ALONE.items() for bias in biases)
SENSITIVITY = (
    trained_faster(condition("faithful", SECOND), 0.5),
    trained_faster(condition("gated, de-biased", "unbiased"), 0.5),
    trained_faster(condition("faithful", SECOND), 2),
    trained_faster(condition("gated, de-biased", SECOND), 2),
    trained_faster(condition("gated, de-biased", "unbiased"), 2),
    beginning(condition("faithful", SECOND), "lenient first judge", LENIENT),
)
