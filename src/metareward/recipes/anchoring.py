"""The two phases of Temporal Self-Rewarding (arXiv 2508.06026): the past is rejected, the future chosen."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

from metareward.history import Beside
from metareward.models.base import Model
from metareward.recipes.answering import Answers, answered
from metareward.recipes.pairing import actor_pairs
from metareward.recipes.settings import Iteration
from metareward.recipes.training import train_next
from metareward.runner import Runner
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.consistency import Per
from metareward.train.dpo import DPO


class Anchors(Answers, Protocol):
    """The settings that both phases need of a recipe.

    future_guided: without it the pairs of the first phase train the next model.
    """

    @property
    def dpo(self) -> DPO:
        """How both models are trained."""
        ...

    @property
    def future_guided(self) -> bool:
        """Whether there is a second phase."""
        ...


def temporal_pairs(
    run: Runner,
    recipe: Anchors,
    settings: Iteration,
    prompts: Any,
    present: Beside,
    first: Model,
    previous: Sequence[Beside] = (),
    per: Per = "iteration",
) -> tuple[Any, list[Beside]]:
    """The pairs that the next model is trained on, and what other models answered for them.

    previous, per: of a recipe that weighs its pairs by consistency (see `recipes.pairing.actor_pairs`).
    """
    model = present.model
    past, beside = present, []
    if model.fingerprint != first.fingerprint:
        past = answered(run, recipe, prompts, first, model, "past")
        beside = [past]
    inputs = (prompts, *present.rows, *past.rows)
    weighed = {"kind": AnchoredPairs, "previous": previous, "per": per}
    pairs = actor_pairs(run, settings, *inputs, **weighed)
    if not recipe.future_guided:
        return pairs, beside
    own = replace(settings, select="fixed")  # a look ahead, which needs no epoch of its own choice
    trained = train_next(run, recipe.dpo, own, [pairs], first, model)
    ahead = replace(trained.model, name=f"{model.name}, future")
    future = replace(answered(run, recipe, prompts, ahead, model, "future"), pairs=(pairs,))
    return actor_pairs(run, settings, *inputs, *future.rows, **weighed), [*beside, future]
