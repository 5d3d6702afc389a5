"""What can come to nothing is refused before anything is asked, and what is likely to is said."""

from collections.abc import Sequence
from typing import Any

from metareward.errors import ConfigError
from metareward.recipes.cautions import cautions, number_of
from metareward.recipes.settings import Iteration
from metareward.runner import Runner
from metareward.settings import shown
from metareward.stages.base import check_model
from metareward.stages.cap import most
from metareward.templates import scale_of


def check_possible(recipe: Any, name: str, anchored: bool = False) -> None:
    """ConfigError where an iteration can make no pair of a role that it trains, whatever a model says.

    anchored: pairs are made of the first model's responses, too, which differ from the second iteration on.
    """
    judging = hasattr(recipe, "meta_judge")
    for number, iteration in enumerate(recipe.iterations):
        where = f"iterations[{number}]"
        if not judging and not iteration.trains_actor:
            raise ConfigError(f"{where}.roles must have 'actor' in it: {name} trains no judge")
        if iteration.trains_actor:
            _check_margin(recipe, where, iteration.min_score_margin)
        if iteration.trains_actor and not (anchored and number):
            _check_responses(recipe, where, judging)
        if judging and iteration.trains_judge:
            _check_judgments(recipe, where)


def _check_responses(recipe: Any, where: str, judging: bool) -> None:
    """Two different responses to a prompt must be possible."""
    own, other = recipe.generate, ", or train the judge alone (roles = ['judge'])" if judging else ""
    if own.samples < 2:
        raise ConfigError(
            f"generate.samples is 1, and a pair of {where} needs two different responses to a prompt: set it "
            f"to 2 or more{other}"
        )
    if own.temperature == 0:
        raise ConfigError(
            f"generate.temperature is 0, so the {own.samples} responses to a prompt are the same and {where} "
            f"can make no actor pair: set it above 0{other}"
        )


def _check_margin(recipe: Any, where: str, margin: float) -> None:
    """Two scores must be able to differ by the least margin of a pair."""
    scale = scale_of(recipe.judge.template)
    if margin > scale.high - scale.low:
        raise ConfigError(
            f"{where}.min_score_margin is {margin:g}, and scores from {scale.span} differ by at most "
            f"{scale.high - scale.low}: no actor pair could be made; lower it"
        )


def _check_judgments(recipe: Any, where: str) -> None:
    """Two different judgments of a response must be possible."""
    own = recipe.judge
    if own.temperature == 0:
        raise ConfigError(
            f"judge.temperature is 0, so the judgments of a response are the same and {where} can make no "
            "judge pair: set it above 0, or train the actor alone (roles = ['actor'])"
        )
    if own.samples < 2 and not recipe.attack.harden:
        raise ConfigError(
            f"judge.samples is 1, and a battle of {where} needs two judgments of a response: set it to 2 or "
            "more, or train the actor alone (roles = ['actor'])"
        )


def begin(run: Runner, recipe: Any, model: Any, batches: Sequence[Any]) -> None:
    """Check what a recipe was given, and say what its settings are likely to lead to.

    Raises ConfigError unless there is a model and one batch of prompts for each iteration, made by
    `Run.prompts`, and where the share of judge pairs leaves none of them.
    """
    check_model(model, "the model that a recipe begins with")
    _check_batches(recipe.iterations, batches)
    sizes = [run.size(batch) for batch in batches]
    _check_shares(recipe, sizes)
    for sentence in cautions(recipe, sizes):
        run.warn(sentence)


def _check_batches(iterations: Sequence[Iteration], batches: Sequence[Any]) -> None:
    if len(iterations) != len(batches) or not batches:
        raise ConfigError(
            f"the recipe has {number_of(len(iterations), 'iteration')} and was given "
            f"{number_of(len(batches), 'batch', 'batches')} of prompts: give one batch for each iteration, "
            "or set the recipe's iterations"
        )
    for number, batch in enumerate(batches):
        if not hasattr(batch, "key"):
            raise ConfigError(
                f"batch {number} of the prompts must be what run.prompts(...) makes, not {shown(batch)}"
            )


def _check_shares(recipe: Any, sizes: Sequence[int]) -> None:
    for number, (iteration, prompts) in enumerate(zip(recipe.iterations, sizes, strict=True)):
        share = iteration.max_judge_share
        held = iteration.judge_share_by == "sampling" and hasattr(recipe, "meta_judge")
        if share is not None and held and not most(share, prompts):
            raise ConfigError(
                f"iterations[{number}].max_judge_share is {share:g}, which beside at most {prompts} actor "
                "pairs leaves no judge pair: raise it, give more prompts, or set judge_share_by = 'weight'"
            )
