"""Cells of the lab with planted numbers, in the form in which real ones are kept."""

from collections.abc import Sequence
from typing import Any

from metareward.lab.words import CRITERIA


def model(number: int, truth: float, judge: float = 0.6, **changes: Any) -> dict[str, Any]:
    """One model. changes: greedy, cold, own, score, merit, words, praised, meta (right) and so on."""
    return {
        "model": f"M{number}",
        "actor": {
            "sampled": _answers(truth, changes),
            "cold": _answers(changes.get("cold", truth + 0.1), changes),
            "greedy": _answers(changes.get("greedy", truth + 0.2), changes),
        },
        "judge": {"fixed": _judged(judge, changes), "own": _judged(changes.get("own", judge - 0.1), changes)},
        "meta_judge": {
            "right": changes.get("meta", 0.7),
            "higher_wins": changes.get("higher", 0.5),
            "first_wins": changes.get("first", 0.5),
            "decided": 0.9,
        },
    }


def cell(
    condition: str,
    base: int,
    seed: int,
    truths: Sequence[float],
    judges: Sequence[float] | None = None,
    gates: Sequence[dict[str, Any]] = (),
    ended: str | None = None,
    judge_pairs: Sequence[int] = (),
    **changes: Any,
) -> dict[str, Any]:
    """A loop whose models have these truths; `judge_pairs` an iteration, none where they are not given."""
    right = judges or [0.6] * len(truths)
    pairs = [*judge_pairs, *[0] * len(truths)]
    return {
        "key": "planted",
        "condition": condition,
        "base": base,
        "seed": seed,
        "warnings": [],
        "models": [model(n, *both, **changes) for n, both in enumerate(zip(truths, right, strict=True))],
        "iterations": [
            {"iteration": n, "judge_pairs": pairs[n], "actor_score_margin": 2.0, "actor_length_margin": None}
            for n in range(len(truths) - 1)
        ],
        "gates": list(gates),
        "ended": ended,
    }


def gate(iteration: int, /, left_out: Any = 0, **signals: Any) -> dict[str, Any]:
    """What the judge gate said: of each signal (value, state)."""
    held = {
        name: {"value": value, "lower": value, "upper": value, "n": 20, "limit": 0.5, "state": state}
        for name, (value, state) in signals.items()
    }
    passed = all(state != "failed" for _, state in signals.values())
    action = "drop judge" if left_out else "warn"
    told = {"iteration": iteration, "model": f"M{iteration}", "action": action, "passed": passed}
    return {**told, "left_out": left_out, "signals": held}


def _answers(truth: float, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "truth": {"value": truth, "lower": truth - 0.1, "upper": truth + 0.1, "n": 64},
        "criteria": dict.fromkeys(CRITERIA, truth / 5),
        "words": changes.get("words", 6.0),
        "praised": changes.get("praised", 0.2),
        "distinct": 1.0,
    }


def _judged(right: float, changes: dict[str, Any]) -> dict[str, Any]:
    return {
        "right": right,
        "criteria": dict.fromkeys(CRITERIA, right),
        "score": changes.get("score", 3.0),
        "merit": changes.get("merit", 2.5),
        "top_share": 0.1,
        "unreadable": 0.04,
        "ranks": 0.6,
    }
