"""What can be run side by side: recipes and their settings for the lab, by name, from the same start."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from metareward.lab.coin import CoinFlips
from metareward.lab.lessons import JUDGE_TEMPLATE, meta_template
from metareward.lab.oracle import oracle
from metareward.lab.words import META
from metareward.models.base import Model
from metareward.recipes.combined import Combined, combined
from metareward.recipes.cream import Cream, cream
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.recipes.settings import Iteration, Watch
from metareward.recipes.temporal import Temporal, temporal
from metareward.records import Role
from metareward.settings import one_of, require
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.train.dpo import DPO

ACTOR, BOTH = (Role.ACTOR,), (Role.ACTOR, Role.JUDGE)


@dataclass(frozen=True)
class Budget:
    """What every condition has in common: prompts of an iteration, iterations, samples, training."""

    prompts: int = 128
    iterations: int = 6
    responses: int = 6
    judgments: int = 5
    meta_judge: str = "good"
    temperature: float = 0.8
    learning_rate: float = 2e-4
    epochs: int = 3

    def __post_init__(self) -> None:
        require(self.meta_judge in META, "meta_judge", one_of(META), self.meta_judge)
        for name in ("prompts", "iterations"):
            require(getattr(self, name) >= 1, name, "at least 1", getattr(self, name))

    def common(self, seed: int) -> dict[str, Any]:
        """The settings that every recipe has."""
        return {
            "generate": Generate(self.responses, self.temperature, 0.95, 16, seed),
            "judge": Judge(self.judgments, self.temperature, 0.95, 8, "free", JUDGE_TEMPLATE, seed),
            "dpo": DPO(
                beta=0.1,
                learning_rate=self.learning_rate,
                epochs=self.epochs,
                batch_size=32,
                max_length=128,
                seed=seed,
            ),
            "watch": Watch(1, 1, 0),
        }

    def battles(self, seed: int, kind: type[MetaJudge] = MetaJudge, **changes: Any) -> MetaJudge:
        """Its meta-judge."""
        template = meta_template(changes.pop("meta_judge", self.meta_judge))
        return kind(self.temperature, 0.95, 6, "free", template, seed, **changes)

    def rounds(
        self, roles: tuple[Role, ...] = BOTH, warm_up: int = 0, **settings: Any
    ) -> tuple[Iteration, ...]:
        """Its iterations, all alike but for `warm_up` ones, the first, that train the judge alone."""
        each = Iteration(roles=roles, **settings)
        before = Iteration(roles=(Role.JUDGE,))
        return (*(before,) * min(warm_up, self.iterations), *(each,) * max(0, self.iterations - warm_up))


@dataclass(frozen=True)
class Condition:
    """One thing to run: a recipe, which may be a user's own, and its settings by budget and seed."""

    about: str
    recipe: Callable[..., Model]
    settings: Callable[[Budget, int], Any]


def _common(budget: Budget, seed: int, nll_weight: float) -> dict[str, Any]:
    common = budget.common(seed)
    return {**common, "dpo": replace(common["dpo"], nll_weight=nll_weight)}


def _actor_only(
    kind: Callable[..., Any],
    rho: float | str = 0.0,
    longer: int = 1,
    nll_weight: float = 0.0,
    **changes: Any,
) -> Callable[[Budget, int], Any]:
    """Settings of a recipe that trains the actor alone, for `longer` times the epochs."""

    def settings(budget: Budget, seed: int) -> Any:
        epochs = longer * budget.epochs if longer > 1 else None
        rounds = budget.rounds(ACTOR, rho=rho, epochs=epochs)
        return kind(**_common(budget, seed, nll_weight), iterations=rounds, **changes)

    return settings


def _with_judge(
    kind: Callable[..., Any] = MetaRewarding,
    battles: dict[str, Any] | None = None,
    warm_up: int = 0,
    nll_weight: float = 0.0,
    **changes: Any,
) -> Callable[[Budget, int], Any]:
    """Settings of a recipe that trains its judge; `changes` are of the recipe, or of all its iterations."""
    own = {name: changes.pop(name) for name in tuple(changes) if name in _OF_RECIPE}

    def settings(budget: Budget, seed: int) -> Any:
        return kind(
            **_common(budget, seed, nll_weight),
            meta_judge=budget.battles(seed, **(battles or {})),
            iterations=budget.rounds(warm_up=warm_up, **changes),
            **own,
        )

    return settings


_OF_RECIPE = ("judge_gate", "meta_judge_by", "settle", "future_guided", "consistency")
GATED = JudgeGate(action="drop judge", max_score_margin=0.5)

# Only what says that scores decide battles; the other limits are at the values that nothing is beyond.
BY_SCORES = JudgeGate(
    action="equal scores",
    max_score_margin=0.5,
    max_flips=1.0,
    max_position_lean=0.5,
    max_mean_rise=5.0,
    min_bank_accuracy=0.0,
)
GUARDS: dict[str, Any] = {"meta_judge_by": "first", "rho": "auto", "judge_gate": BY_SCORES}

CONDITIONS: dict[str, Condition] = {
    "oracle": Condition("a judge that knows the truth", oracle, _actor_only(SelfRewarding)),
    "frozen_judge": Condition(
        "the first model judges all", self_rewarding, _actor_only(SelfRewarding, judge_by="first")
    ),
    "self_rewarding": Condition("the model judges itself", self_rewarding, _actor_only(SelfRewarding)),
    "self_rewarding_rho": Condition(
        "with length control, rho .35", self_rewarding, _actor_only(SelfRewarding, rho=0.35)
    ),
    "self_rewarding_steps": Condition(
        "twice the epochs: as many steps as with judge pairs",
        self_rewarding,
        _actor_only(SelfRewarding, longer=2),
    ),
    "self_rewarding_nll": Condition(
        "twice the epochs, likelihood of chosen",
        self_rewarding,
        _actor_only(SelfRewarding, longer=2, nll_weight=0.3),
    ),
    "meta_rewarding": Condition("and judges its judgments", meta_rewarding, _with_judge()),
    "meta_rewarding_rho": Condition("with length control, rho .35", meta_rewarding, _with_judge(rho=0.35)),
    "meta_rewarding_nll": Condition(
        "with the likelihood of chosen, weight .3", meta_rewarding, _with_judge(nll_weight=0.3)
    ),
    "frozen_meta": Condition(
        "meta-judge frozen at the first model", meta_rewarding, _with_judge(meta_judge_by="first")
    ),
    "judge_first": Condition("two iterations train the judge alone", meta_rewarding, _with_judge(warm_up=2)),
    "random_pairs": Condition(
        "judge pairs by chance (control)", meta_rewarding, _with_judge(battles={"kind": CoinFlips})
    ),
    "equal_scores": Condition(
        "battles between equal scores only", meta_rewarding, _with_judge(battles={"between": "same"})
    ),
    "judge_share": Condition("15 % judge pairs", meta_rewarding, _with_judge(max_judge_share=0.15)),
    "gated": Condition("the judge gate drops judge pairs", meta_rewarding, _with_judge(judge_gate=GATED)),
    "guarded": Condition(
        "frozen meta-judge, auto rho, gate, likelihood of chosen",
        meta_rewarding,
        _with_judge(nll_weight=0.3, **GUARDS),
    ),
    "guarded_dpo": Condition("the same without the likelihood", meta_rewarding, _with_judge(**GUARDS)),
    "temporal": Condition("anchored in the past and the future", temporal, _actor_only(Temporal)),
    "cream": Condition("pairs weighed by consistency", cream, _actor_only(Cream)),
    "combined": Condition(
        "anchors, gate, frozen meta-judge, consistency",
        combined,
        _with_judge(Combined, rho="auto", judge_gate=GATED, meta_judge_by="first"),
    ),
}

DEFAULT = "guarded"  # the project's own, beside the four that have been published or know the truth
