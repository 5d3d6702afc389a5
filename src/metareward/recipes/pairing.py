"""The actor's pairs of an iteration, with the length control that its settings ask for."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from metareward.history import Beside, History
from metareward.recipes.settings import Iteration
from metareward.runner import Runner
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.auto_rho import AutoRho, RhoChoice
from metareward.stages.consistency import Consistent, Per, consistency
from metareward.stages.pair import ActorPairs

Kind = type[ActorPairs] | type[AnchoredPairs]


def actor_pairs(
    run: Runner,
    settings: Iteration,
    *inputs: Any,
    kind: Kind = ActorPairs,
    previous: Sequence[Beside] = (),
    per: Per = "iteration",
) -> Any:
    """The pairs that `kind` makes of its inputs; a rho that is "auto" is found, noted and spoken of.

    previous: what the model before says of the same responses, if pairs are to be as certain as the two
    agree (see `stages.consistency`). per: over what.
    """
    rule = length_controlled(settings, kind)
    if previous:
        (before,) = previous
        pairs = run.derive(Consistent(rule, per), before.judgments, *inputs)
        note_consistency(run, before.judgments, *inputs[:3])
    else:
        pairs = run.derive(rule, *inputs)
    note_rho(run, rule, *inputs)
    return pairs


def length_controlled(settings: Iteration, kind: Kind) -> ActorPairs | AnchoredPairs | AutoRho:
    """The rule of an iteration."""
    limits = (settings.max_response_characters, settings.min_score_margin)
    if settings.rho == "auto":
        return AutoRho(kind(0.0, *limits), settings.rho_target, *settings.rho_bounds)
    return kind(settings.rho, *limits)


def note_rho(run: Runner, rule: ActorPairs | AnchoredPairs | AutoRho, *inputs: Any) -> None:
    """Write the iteration's rho into the history; say so where no rho reaches the target."""
    number = len(run.history.rounds)
    if not isinstance(rule, AutoRho):
        run.history.rhos[number] = RhoChoice(rule.rho)
        return
    found = run.conclude(rule.search, *inputs)
    if found is None:
        return
    run.history.rhos[number] = found
    if not found.reached and found.point.pairs:
        run.warn(_missed(rule, found))


def note_consistency(run: Runner, *inputs: Any) -> None:
    """Write into the history how far two judges agree; inputs as those of `consistency`."""
    found = run.conclude(consistency, *inputs)
    if found is not None:
        run.history.consistency[len(run.history.rounds)] = found


def of_iteration(number: int, pairs: Any | None, history: History) -> dict[str, Any]:
    """What the summary says of an iteration's actor pairs: rho, consistency, and mean chosen - rejected.

    `actor_score_margin` is in points of the judge, `actor_length_margin` in characters.
    """
    rows = [
        (p.chosen_score - p.rejected_score, len(p.chosen_answer) - len(p.rejected_answer))
        for p in pairs or ()
    ]
    score, length = np.mean(rows, axis=0).tolist() if rows else (None, None)
    rho, agreed = history.rhos.get(number), history.consistency.get(number)
    return {
        "rho": rho.as_dict() if rho else None,
        "consistency": agreed.as_dict() if agreed else None,
        "actor_score_margin": score,
        "actor_length_margin": length,
    }


def _missed(rule: AutoRho, found: RhoChoice) -> str:
    point, bounds = found.point, f"{rule.least:g} to {rule.most:g}"
    return (
        f"no rho from {bounds} brings the mean length difference (chosen - rejected) to at most "
        f"{rule.target:g} characters; {found.rho:g} comes nearest, with {point.length_difference:+.1f} over "
        f"{point.pairs} pairs, and is used"
    )
