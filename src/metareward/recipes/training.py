"""How an iteration's pairs become the next model: how much judge pairs count, from where, held near what."""

from collections.abc import Sequence
from typing import Any

from metareward.errors import ConfigError
from metareward.evaluate.selection import Choice
from metareward.history import Trained
from metareward.models.base import Model
from metareward.recipes.selecting import Dev
from metareward.recipes.settings import Iteration
from metareward.runner import Runner
from metareward.stages.cap import CapJudgePairs, WeighJudgePairs
from metareward.train.dpo import DPO
from metareward.train.epochs import ending_with


def train_next(
    run: Runner,
    dpo: DPO,
    settings: Iteration,
    pairs: Sequence[Any],
    first: Model,
    previous: Model,
    dev: Dev | None = None,
) -> Trained:
    """Train on all pairs of an iteration, as its settings say.

    pairs: artifacts of preference pairs. first: the run's first model. previous: the model whose answers
    and judgments made the pairs. dev: how epochs are told apart; needed where the iteration selects one.
    """
    start, reference = settings.begins(first, previous)
    given, capped = _capped(run, settings, dpo.seed, pairs)
    training, choice = settings.training(dpo), None
    if settings.select == "dev":
        training, choice = _selected(run, training, given, (start, reference), settings, dev)
    model = run.train(training, given, start=start, reference=reference)
    return Trained(model, start, reference, tuple(given), capped, choice)


def _selected(
    run: Runner,
    training: DPO,
    given: Sequence[Any],
    models: tuple[Model, Model],
    settings: Iteration,
    dev: Dev | None,
) -> tuple[DPO, Choice | None]:
    """The training that ends with the epoch that does best on the dev prompts; on paper, the last one."""
    if dev is None:
        raise ConfigError("select = 'dev' needs prompts to select on; this recipe was given none")
    start, reference = models
    numbers = range(1, training.epochs_to_train + 1)
    trained = run.train_epochs(training, given, start, reference, numbers)
    choice = dev.select(run, start, dict(zip(numbers, trained, strict=True)), settings.roles)
    if choice is None:
        return training, None
    run.discard([model for number, model in zip(numbers, trained, strict=True) if number != choice.epoch])
    return ending_with(training, choice.epoch), choice


def _capped(
    run: Runner, settings: Iteration, seed: int, pairs: Sequence[Any]
) -> tuple[list[Any], tuple[Any, ...]]:
    """The pairs to train on, and those of them that the share of judge pairs was held for.

    The first artifact is the actor's, the others are the judge's (hardening pairs are judge pairs too).
    """
    if settings.max_judge_share is None:
        return list(pairs), ()
    actor, *judge = pairs
    sampled = settings.judge_share_by == "sampling"
    share = settings.max_judge_share
    rule = CapJudgePairs(share, seed) if sampled else WeighJudgePairs(share)
    capped = tuple(run.derive(rule, part, *pairs) for part in judge)
    return [actor, *capped], capped
