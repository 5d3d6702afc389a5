"""Other models' part in an iteration, in numbers: what they answered, judged, and gave to the pairs."""

from collections import Counter
from pathlib import Path
from typing import Any

from metareward.history import Beside, Round
from metareward.train.job import RESULT, TrainResult, read_result


def of_round(round: Round, pairs: Any | None) -> list[dict[str, Any]]:
    """One entry for each other model; `pairs` are the iteration's actor pairs.

    chosen, rejected: how many of the pairs have a response of that model on that side. pairs, dropped: of
    the pairs that trained it, where it was trained for this iteration; `dropped` has its responses as well.
    """
    used = [(pair.chosen_id, pair.rejected_id) for pair in pairs or ()]
    return [_entry(other, used) for other in round.beside]


def steps(round: Round) -> dict[str, Any]:
    """The artifacts that other models answered or judged, by what was done and for whom."""
    done = {}
    for other in round.beside:
        if other.answers is not None:
            done[f"generate, {other.name}"] = other.answers
        done[f"judge, {other.name}"] = other.judgments
    return done


def trainings(round: Round) -> dict[str, TrainResult]:
    """What training of models for this iteration alone came to."""
    return {f"train, {other.name}": _result(other) for other in round.beside if other.pairs}


def _entry(other: Beside, used: list[tuple[str, str]]) -> dict[str, Any]:
    wrote = other.answers is not None
    ends = {end for pair in used for end in pair}
    ids = {response.id for response in other.responses if response.id in ends} if wrote else set()
    dropped = Counter(other.responses.manifest.dropped) if wrote else Counter()
    for rows in other.pairs:
        dropped.update(rows.manifest.dropped)
    if other.pairs:
        dropped.update(_result(other).dropped)
    return {
        "name": other.name,
        "model": other.model.fingerprint,
        "responses": len(other.answers) if other.answers is not None else 0,
        "judgments": len(other.judgments),
        "pairs": sum(len(rows) for rows in other.pairs),
        "dropped": dict(sorted(dropped.items())),
        "chosen": sum(chosen in ids for chosen, _ in used),
        "rejected": sum(rejected in ids for _, rejected in used),
    }


def _result(other: Beside) -> TrainResult:
    return read_result(Path(other.model.path) / RESULT)
