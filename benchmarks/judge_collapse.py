"""Does the judge collapse as in the paper, and do gates and a de-biased meta-judge keep it from that?

The real recipes run on a simulated model (`metareward.simulate`), four iterations that all train the judge,
five seeds a condition. docs/simulation.md states the assumptions and shows the tables this writes.
"""

import argparse
import json
import math
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from collapse_conditions import ABLATIONS, MAIN, SENSITIVITY, Condition
from scipy import stats

from metareward import disk
from metareward.recipes.meta_rewarding import meta_rewarding
from metareward.simulate import Rehearsal, Seen, rehearse

PROMPTS, SEEDS = 40, 5
TABLES = ("main", "ablations", "sensitivity")
ROOT = Path(__file__).parent.parent
PAGE, NUMBERS = ROOT / "docs" / "simulation.md", ROOT / "docs" / "simulation.json"
MARKS = "<!-- judge_collapse: begin -->\n", "<!-- judge_collapse: end -->\n"


@dataclass(frozen=True)
class Quantity:
    """A number of each model of a loop; `of` gives None where there is none."""

    name: str
    of: Callable[[Seen], float | None]
    digits: int = 2


QUANTITIES = (
    Quantity("judge accuracy", lambda seen: seen.truth.accuracy, 3),
    Quantity("judge mean score", lambda seen: seen.truth.score),
    Quantity("share of scores at 5", lambda seen: seen.truth.at_most),
    Quantity("P(higher-scored judgment wins)", lambda seen: seen.higher_wins),
    Quantity("P(first wins, same score)", lambda seen: seen.first_wins),
    Quantity("actor truth", lambda seen: seen.truth.quality),
    Quantity("padding of responses", lambda seen: seen.truth.padding),
)
CHANGES = ("judge accuracy", "judge mean score", "actor truth")


def measure(seeds: int = SEEDS, prompts: int = PROMPTS) -> dict[str, Any]:
    """Every condition of every table: means over seeds, with their 95 % intervals."""
    tables = zip(TABLES, (MAIN, ABLATIONS, SENSITIVITY), strict=True)
    return {
        "prompts": prompts,
        "seeds": seeds,
        **{name: [_measured(one, seeds, prompts) for one in some] for name, some in tables},
    }


def loop(condition: Condition, seed: int, prompts: int = PROMPTS) -> Rehearsal:
    """One loop of a condition. Nothing of it is kept, so nothing waits for the disk."""
    with tempfile.TemporaryDirectory() as place, disk.guarded(_unsynced):
        directory = Path(place)
        return rehearse(meta_rewarding, condition.recipe, condition.world, directory, prompts, seed)


def _unsynced(operation: str, path: Path, act: disk.Act) -> object:
    return None if operation == "sync" else act()


def _measured(condition: Condition, seeds: int, prompts: int) -> dict[str, Any]:
    loops = [_whole(loop(condition, seed, prompts), condition) for seed in range(seeds)]
    models = [
        {quantity.name: estimate(quantity.of(seen) for seen in row) for quantity in QUANTITIES}
        for row in zip(*(one.models for one in loops), strict=True)
    ]
    changes = {
        quantity.name: estimate(_change(quantity, one) for one in loops)
        for quantity in QUANTITIES
        if quantity.name in CHANGES
    }
    named = {"recipe": condition.name, "meta-judge": condition.bias, "varied": condition.varied}
    return {
        **named,
        "models": models,
        "change": changes,
        "judge_trainings": float(np.mean([sum(seen.trained_judge for seen in one.models) for one in loops])),
        "ended_early": sum(one.ended is not None for one in loops),
    }


def _whole(found: Rehearsal, condition: Condition) -> Rehearsal:
    """A loop that ran out of pairs keeps its last model from there on."""
    missing = 1 + len(condition.recipe.iterations) - len(found.models)
    return replace(found, models=found.models + (found.models[-1],) * missing)


def _change(quantity: Quantity, found: Rehearsal) -> float | None:
    first, last = quantity.of(found.models[0]), quantity.of(found.models[-1])
    return None if first is None or last is None else last - first


def estimate(values: Iterable[float | None]) -> dict[str, float | None]:
    """Mean over seeds with the 95 % t interval; nothing where no seed has a value, no interval of one."""
    kept = [value for value in values if value is not None]
    if not kept:
        return {"value": None, "half": None, "n": 0}
    half = None
    if len(kept) > 1:
        half = float(stats.t.ppf(0.975, len(kept) - 1) * np.std(kept, ddof=1) / math.sqrt(len(kept)))
    return {"value": float(np.mean(kept)), "half": half, "n": len(kept)}


def verdict(change: dict[str, Any]) -> str:
    """What the interval of a change says."""
    value, half = change["value"], change["half"]
    if half is None or abs(value) <= half:
        return "no change shown"
    return "better" if value > 0 else "worse"


def markdown(result: dict[str, Any]) -> str:
    """All tables of a result."""
    parts = [
        f"{result['seeds']} seeds a row, {result['prompts']} prompts an iteration; mean ± half of the 95 % t "
        "interval over seeds. M0 is the same in every row, so its true quantities have no interval.\n"
    ]
    for quantity in QUANTITIES:
        parts.append(f"**{quantity.name[0].upper()}{quantity.name[1:]}**\n\n{_by_model(result, quantity)}")
    for name, title in (("ablations", "One measure at a time"), ("sensitivity", "Other assumptions")):
        parts.append(f"**{title}** (change from M0 to M4)\n\n{_changes(result[name])}")
    early = sum(row["ended_early"] for name in TABLES for row in result[name])
    return "\n".join([*parts, f"{early} of the loops ran out of pairs before the end.\n"])


def _by_model(result: dict[str, Any], quantity: Quantity) -> str:
    models = len(result["main"][0]["models"])
    rows = [
        (row["recipe"], row["meta-judge"], *(_said(m[quantity.name], quantity.digits) for m in row["models"]))
        for row in result["main"]
    ]
    return _table(("recipe", "meta-judge", *(f"M{number}" for number in range(models))), rows)


def _changes(rows: Sequence[dict[str, Any]]) -> str:
    head = ("recipe", "meta-judge", "varied", "judge trained", "judge accuracy", "", "mean score", "actor")
    cells = [
        (
            row["recipe"],
            row["meta-judge"],
            row["varied"],
            f"{row['judge_trainings']:.1f} of {len(row['models']) - 1}",
            _said(row["change"]["judge accuracy"], 3, signed=True),
            verdict(row["change"]["judge accuracy"]),
            _said(row["change"]["judge mean score"], 2, signed=True),
            _said(row["change"]["actor truth"], 2, signed=True),
        )
        for row in rows
    ]
    return _table(head, cells)


def _said(found: dict[str, Any], digits: int, signed: bool = False) -> str:
    if found["value"] is None:
        return "-"
    said = f"{found['value']:{'+' if signed else ''}.{digits}f}"
    return f"{said} ± {found['half']:.{digits}f}" if found["half"] else said


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def write(result: dict[str, Any]) -> None:
    """Put the tables into the page, and the numbers beside it."""
    NUMBERS.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    before, _, rest = PAGE.read_text(encoding="utf-8").partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    PAGE.write_text(f"{before}{MARKS[0]}{markdown(result)}{MARKS[1]}{after}", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of tables")
    parser.add_argument("--write", action="store_true", help="also renew docs/simulation.md and .json")
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--prompts", type=int, default=PROMPTS, help="of each iteration")
    wanted = parser.parse_args()
    result = measure(wanted.seeds, wanted.prompts)
    if wanted.write:
        write(result)
    print(json.dumps(result, indent=1) if wanted.json else markdown(result))


if __name__ == "__main__":
    main()
