"""Where everything of an iteration went: what came in, what stayed, what was left out and why.

Each account adds up: `given` is `kept` and all of `left_out` together.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from metareward.history import Round
from metareward.recipes.judge_gate import LEFT_OUT
from metareward.records import Battle, Finish, Judgment, Outcome


def of_round(round: Round, trained: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The accounts of an iteration, in the order of its steps; `trained` is what its training came to.

    Responses are kept or left out; of judgments and battles those are kept that have a verdict; of prompts
    those that gave a pair. The share of judge pairs and the training take pairs in.
    """
    found = [_rule(round.responses, len(round.answers)), judgments(round.judgments)]
    for other in round.beside:
        if other.answers is not None:
            found.append(_rule(other.responses, len(other.answers), other.name))
        found.append({**judgments(other.judgments), "model": other.name})
        found += [_rule(rows, len(round.prompts), other.name) for rows in other.pairs]
    if round.battles is not None:
        found.append(battles(round.battles))
    found += [_rule(rows, _subjects(rows, round)) for rows in round.pairs]
    found += [_left_out(rows, _subjects(rows, round)) for rows in round.left_out]
    capped = round.training.capped if round.training else ()
    found += [_rule(rows, len(rows) + sum(rows.manifest.dropped.values())) for rows in capped]
    return [*found, _training(round, trained)]


def judgments(rows: Iterable[Judgment]) -> dict[str, Any]:
    """Judgments with a readable score, and the others by why they have none."""
    fates = Counter("read" if row.score is not None else row.unread or "unknown" for row in rows)
    read = fates.pop("read", 0)
    return _account("judge", read + fates.total(), read, fates)


def battles(rows: Iterable[Battle]) -> dict[str, Any]:
    """Decided battles, and the others: tied, unreadable, or failed in the engine."""
    fates = Counter(map(_fate, rows))
    decided = fates.pop("decided", 0)
    return _account("meta_judge", decided + fates.total(), decided, fates)


def _fate(battle: Battle) -> str:
    if battle.finish is Finish.FAILED:
        return "engine failure"
    return {Outcome.TIE: "tie", Outcome.UNREADABLE: "unreadable"}.get(battle.outcome, "decided")


def _subjects(rows: Any, round: Round) -> int:
    """How many subjects a rule of pairs had: the prompts, or, of what attacks left, what it says itself."""
    if rows.manifest.name in ("actor_pairs", "judge_pairs"):
        return len(round.prompts)
    return len(rows) + sum(rows.manifest.dropped.values())


def _rule(rows: Any, given: int, model: str = "") -> dict[str, Any]:
    account = _account(rows.manifest.name, given, len(rows), rows.manifest.dropped)
    return {**account, "model": model} if model else account


def _left_out(rows: Any, given: int) -> dict[str, Any]:
    """Judge pairs that were made, and that the judge gate kept from the training."""
    return _account(rows.manifest.name, given, 0, {**rows.manifest.dropped, LEFT_OUT: len(rows)})


def _training(round: Round, trained: Mapping[str, Any]) -> dict[str, Any]:
    pairs = () if round.skipped else round.training.pairs if round.training else round.pairs
    return _account("train", sum(map(len, pairs)), trained["pairs_used"], trained["dropped"])


def _account(step: str, given: int, kept: int, left_out: Mapping[str, int]) -> dict[str, Any]:
    return {"step": step, "given": given, "kept": kept, "left_out": dict(sorted(left_out.items()))}
