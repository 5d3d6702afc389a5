"""How an iteration's pairs become the next model: how many judge pairs stay, from where, held near what."""

from collections.abc import Sequence
from typing import Any

from metareward.history import Trained
from metareward.models.base import Model
from metareward.recipes.settings import Iteration
from metareward.runner import Runner
from metareward.stages.cap import CapJudgePairs
from metareward.train.dpo import DPO


def train_next(
    run: Runner, dpo: DPO, settings: Iteration, pairs: Sequence[Any], first: Model, previous: Model
) -> Trained:
    """Train on all pairs of an iteration, as its settings say.

    pairs: artifacts of preference pairs. first: the run's first model. previous: the model whose answers
    and judgments made the pairs.
    """
    start, reference = settings.begins(first, previous)
    given, capped = _capped(run, settings, dpo.seed, pairs)
    model = run.train(settings.training(dpo), given, start=start, reference=reference)
    return Trained(model, start, reference, tuple(given), capped)


def _capped(
    run: Runner, settings: Iteration, seed: int, pairs: Sequence[Any]
) -> tuple[list[Any], tuple[Any, ...]]:
    """The pairs to train on, and those of them that passed the cap on judge pairs.

    The first artifact is the actor's, the others are the judge's (hardening pairs are judge pairs too).
    """
    if settings.max_judge_share is None:
        return list(pairs), ()
    actor, *judge = pairs
    rule = CapJudgePairs(settings.max_judge_share, seed)
    capped = tuple(run.derive(rule, part, *pairs) for part in judge)
    return [actor, *capped], capped
