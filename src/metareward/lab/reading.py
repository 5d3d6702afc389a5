"""The numbers of a cell, each by its name, model by model."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from metareward.errors import DataError
from metareward.lab.words import CRITERIA

Read = Callable[[Mapping[str, Any]], float | None]
KINDS = ("sampled", "cold", "greedy")
ON = ("fixed", "own")
TRUTH, JUDGE = "truth", "judge_fixed"
LAST = 3  # models whose mean is what a loop came to


def measures() -> dict[str, Read]:
    """What is measured of every model, in the order of tables.

    truth: of sampled answers, 0 to 5; truth_cold, truth_greedy: the cheap baselines. judge_fixed, judge_own:
    share of right verdicts on answers that are the same for all models, and on its own; `ranks_` of two such
    answers the better has the higher score. meta_right: share of battles won by the judgment with more right
    verdicts; meta_higher: by the higher score; meta_first: by the one shown first. words, praised: of sampled
    answers. score_fixed: mean score of the fixed answers; overrates: of its own, less what they are worth;
    top_share: how many of its judgments of its own give full marks. The rest is by criterion:
    shares of answers that meet it, and of right verdicts on it.
    """
    found: dict[str, Read] = {
        "truth": _at("actor", "sampled", "truth", "value"),
        "truth_cold": _at("actor", "cold", "truth", "value"),
        "truth_greedy": _at("actor", "greedy", "truth", "value"),
        "judge_fixed": _at("judge", "fixed", "right"),
        "judge_own": _at("judge", "own", "right"),
        "ranks_fixed": _at("judge", "fixed", "ranks"),
        "ranks_own": _at("judge", "own", "ranks"),
        "top_share": _at("judge", "own", "top_share"),
        "unreadable": _at("judge", "own", "unreadable"),
        "score_fixed": _at("judge", "fixed", "score"),
        "overrates": _overrates,
        "meta_right": _at("meta_judge", "right"),
        "meta_higher": _at("meta_judge", "higher_wins"),
        "meta_first": _at("meta_judge", "first_wins"),
        "words": _at("actor", "sampled", "words"),
        "praised": _at("actor", "sampled", "praised"),
        "distinct": _at("actor", "sampled", "distinct"),
    }
    for name in CRITERIA:
        found |= {f"meets_{kind}_{name}": _at("actor", kind, "criteria", name) for kind in KINDS}
        found |= {f"judge_{on}_{name}": _at("judge", on, "criteria", name) for on in ON}
    return found


def course(cell: Mapping[str, Any], read: Read, iterations: int) -> list[float | None]:
    """The number of each model, M0 to M`iterations`.

    The last model of a loop that ended early stands for those that never were. Raises DataError where models
    are missing and the loop did not end early.
    """
    models: Sequence[Mapping[str, Any]] = cell["models"][: iterations + 1]
    missing = iterations + 1 - len(models)
    if not models or (missing and not cell["ended"]):
        raise DataError(
            f"{place(cell)}: there are {len(models)} models, and {iterations + 1} of a loop of {iterations} "
            "iterations; compare cells of one budget"
        )
    found = [read(model) for model in models]
    return found + found[-1:] * missing


def end_of(values: Sequence[float | None]) -> float | None:
    """The mean of the last three models, M0 not among them; None if one of them has no number."""
    last = values[1:][-LAST:]
    known = [value for value in last if value is not None]
    return sum(known) / len(known) if len(known) == len(last) and known else None


def last_models(iterations: int) -> list[str]:
    """Their names."""
    return [f"M{number}" for number in range(1, iterations + 1)][-LAST:]


def place(cell: Mapping[str, Any]) -> str:
    """What to call a cell."""
    return f"{cell['condition']}, base {cell['base']}, seed {cell['seed']}"


def _at(*path: str) -> Read:
    def read(model: Mapping[str, Any]) -> float | None:
        found: Any = model
        for name in path:
            found = found.get(name) if isinstance(found, Mapping) else None
        return None if found is None else float(found)

    return read


def _overrates(model: Mapping[str, Any]) -> float | None:
    score, merit = _at("judge", "own", "score")(model), _at("judge", "own", "merit")(model)
    return None if score is None or merit is None else score - merit
