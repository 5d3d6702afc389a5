"""From cells to numbers: what each condition came to, how conditions differ, and how sure that is. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from metareward.errors import DataError
from metareward.lab.alarms import predictions
from metareward.lab.reading import JUDGE, TRUTH, Read, course, end_of, last_models, measures, place
from metareward.stats.crossed import FEW, mean_of_table

Cell = Mapping[str, Any]
DIFFER = (TRUTH, "truth_cold", "truth_greedy", JUDGE, "judge_own", "meta_right", "words", "overrates")
REFERENCES = ("meta_rewarding", "self_rewarding")


def report(cells: Sequence[Cell], iterations: int, about: Mapping[str, str] | None = None) -> dict[str, Any]:
    """All that cells of one comparison say, as plain data.

    cells: as `compare` returns them, with the same number of `iterations`. about: what each condition is. A
    loop is judged by the mean of its last three models. Every estimate has a value, a 95 % interval (None
    where one cell is all there is) and the number of units that it rests on. Raises DataError without cells,
    for two of one place, and where models are missing though the loop did not end early.
    """
    _check(cells)
    names = list(dict.fromkeys(cell["condition"] for cell in cells))
    by_name = {name: [cell for cell in cells if cell["condition"] == name] for name in names}
    return {
        "iterations": iterations,
        "end": last_models(iterations),
        "bases": sorted({cell["base"] for cell in cells}),
        "seeds": sorted({cell["seed"] for cell in cells}),
        "intervals": intervals(cells),
        "reference": next((name for name in REFERENCES if name in names), names[0]),
        "conditions": {
            name: {"about": (about or {}).get(name, ""), **_condition(own, iterations)}
            for name, own in by_name.items()
        },
        "differences": list(_differences(by_name, iterations)),
        "predictions": predictions(cells),
        "ended": [_ended(cell, iterations) for cell in cells if cell["ended"]],
        "cells": list(cells),
    }


def intervals(cells: Sequence[Cell]) -> str:
    """One honest sentence on what the intervals are worth."""
    bases, seeds = ({cell[kind] for cell in cells} for kind in ("base", "seed"))
    if len(bases) == 1 and len(seeds) == 1:
        return "one base model and one seed: no difference is claimed"
    if len(bases) == 1:
        rough = _rough(len(seeds), "seeds")
        return (
            f"one base model and {len(seeds)} seeds: 95 % intervals by bootstrap over seeds, which say "
            f"nothing of other base models{rough}"
        )
    seeded = f"{len(seeds)} seeds" if len(seeds) > 1 else "one seed"
    rough = _rough(len(bases), "base models")
    return (
        f"{len(bases)} base models and {seeded}: 95 % intervals by bootstrap over base models and seeds, "
        f"each resampled as a whole{rough}"
    )


def _rough(number: int, what: str) -> str:
    few = f"; as there are only {number} {what}, at least as wide as Student's t over them, and rough"
    return few if number < FEW else ""


def differ(report: Mapping[str, Any], one: str, other: str, measure: str = TRUTH) -> dict[str, Any] | None:
    """`one` - `other` at the end, and in how many cells it is above 0; None where it was not measured."""
    for entry in report["differences"]:
        names, sign = (entry["one"], entry["other"]), 1
        if names == (other, one):
            names, sign = (one, other), -1
        if names == (one, other) and entry["measure"] == measure:
            return _signed(entry, sign)
    return None


def _signed(entry: Mapping[str, Any], sign: int) -> dict[str, Any]:
    ends = [entry["lower"], entry["upper"]][::sign]
    lower, upper = (None if end is None else sign * end for end in ends)
    sides = {"above": entry["above" if sign > 0 else "below"], "cells": entry["cells"]}
    return {"value": sign * entry["value"], "lower": lower, "upper": upper, "n": entry["n"], **sides}


def _check(cells: Sequence[Cell]) -> None:
    places = [place(cell) for cell in cells]
    if not places:
        raise DataError("there is no cell to report on")
    if twice := [name for name in places if places.count(name) > 1]:
        raise DataError(f"there are several cells of {twice[0]}; give each once")


def _condition(cells: Sequence[Cell], iterations: int) -> dict[str, Any]:
    return {
        "cells": len(cells),
        "measures": {name: _measure(cells, read, iterations) for name, read in measures().items()},
        "judge_pairs": [
            {"base": cell["base"], "seed": cell["seed"], "iterations": _with_judge_pairs(cell)}
            for cell in cells
        ],
        "alarms": _first_alarms(cells),
    }


def _measure(cells: Sequence[Cell], read: Read, iterations: int) -> dict[str, Any]:
    """Of one measure: at M0, at the end, the change between them, and every model of the loop."""
    courses = [course(cell, read, iterations) for cell in cells]
    starts, ends = [values[0] for values in courses], [end_of(values) for values in courses]
    by_model = [[value for value in row if value is not None] for row in zip(*courses, strict=True)]
    return {
        "start": estimate(cells, starts),
        "end": estimate(cells, ends),
        "change": estimate(cells, _less(ends, starts)),
        "mean": [sum(row) / len(row) if row else None for row in by_model],
        "lowest": [min(row, default=None) for row in by_model],
        "highest": [max(row, default=None) for row in by_model],
    }


def estimate(cells: Sequence[Cell], values: Sequence[float | None]) -> dict[str, Any] | None:
    """The mean over cells with its interval over base models and seeds; None where no cell has a value."""
    bases, seeds = (sorted({cell[kind] for cell in cells}) for kind in ("base", "seed"))
    table_BS = np.full((len(bases), len(seeds)), np.nan)
    for cell, value in zip(cells, values, strict=True):
        if value is not None:
            table_BS[bases.index(cell["base"]), seeds.index(cell["seed"])] = value
    if np.isnan(table_BS).all():
        return None
    found = mean_of_table(table_BS)
    ends = (None if math.isnan(end) else end for end in (found.lower, found.upper))
    return dict(zip(("value", "lower", "upper", "n"), (found.value, *ends, found.n), strict=True))


def _differences(by_name: Mapping[str, Sequence[Cell]], iterations: int) -> Iterator[dict[str, Any]]:
    """Of every two conditions, paired by base model and seed: those that both have."""
    names, reads = list(by_name), measures()
    for measure in DIFFER:
        ends = {
            name: {
                (cell["base"], cell["seed"]): end_of(course(cell, reads[measure], iterations))
                for cell in by_name[name]
            }
            for name in names
        }
        for place_of, one in enumerate(names):
            for other in names[:place_of]:
                both = [cell for cell in by_name[one] if (cell["base"], cell["seed"]) in ends[other]]
                places = [(cell["base"], cell["seed"]) for cell in both]
                apart = _less([ends[one][at] for at in places], [ends[other][at] for at in places])
                if (found := estimate(both, apart) if both else None) is not None:
                    yield {"one": one, "other": other, "measure": measure, **found, **_sides(apart)}


def _sides(apart: Sequence[float | None]) -> dict[str, int]:
    """In how many cells a difference is above 0, and below."""
    known = [value for value in apart if value is not None]
    return {
        "cells": len(known),
        "above": sum(value > 0 for value in known),
        "below": sum(value < 0 for value in known),
    }


def _less(these: Sequence[float | None], those: Sequence[float | None]) -> list[float | None]:
    return [
        None if this is None or that is None else this - that for this, that in zip(these, those, strict=True)
    ]


def _with_judge_pairs(cell: Cell) -> int:
    return sum(entry["judge_pairs"] > 0 for entry in cell["iterations"])


def _first_alarms(cells: Sequence[Cell]) -> dict[str, list[dict[str, Any]]]:
    """Each signal that failed: where, and in which iteration first."""
    found: dict[str, list[dict[str, Any]]] = {}
    for cell in cells:
        first: dict[str, int] = {}
        for gate in cell["gates"]:
            for name, signal in gate["signals"].items():
                if signal["state"] == "failed":
                    first.setdefault(name, gate["iteration"])
        for name, iteration in first.items():
            found.setdefault(name, []).append(
                {"base": cell["base"], "seed": cell["seed"], "iteration": iteration}
            )
    return found


def _ended(cell: Cell, iterations: int) -> dict[str, Any]:
    """A loop that ended early, and which model stands for those that never were."""
    last = len(cell["models"]) - 1
    where = {"condition": cell["condition"], "base": cell["base"], "seed": cell["seed"]}
    said = f"{place(cell)} ended in iteration {last} ({cell['ended']})"
    if last < iterations:
        missing = f"M{iterations}" if last + 1 == iterations else f"M{last + 1} to M{iterations}"
        said += f": its M{last} stands for {missing}"
    return {**where, "iteration": last, "why": cell["ended"], "said": said}
