"""Whether what is known before an iteration trains tells that its training will do harm. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metareward.lab.reading import TRUTH, Read, measures
from metareward.recipes.judge_gate import EQUAL_SCORES
from metareward.stats.bootstrap import resampled

ANY = "any"
_PAIRS = ("actor_score_margin", "actor_length_margin")  # of an iteration's pairs, known before they train
FEWEST = 5  # iterations for a correlation, and loops for its interval


@dataclass(frozen=True)
class Point:
    """One signal of one iteration of one loop, and by how much the truth then changed."""

    loop: int
    value: float
    change: float
    state: str


def predictions(cells: Sequence[Mapping[str, Any]], of: str = TRUTH) -> dict[str, Any]:
    """Each of `signals` before an iteration against the change of truth (sampled) from its model to the next.

    of: the measure whose change it is, if another; `score_fixed` shows a judge that drifts.

    correlation: Pearson's over all iterations of all loops, None below five iterations or where one side is
    constant; its 95 % interval resamples loops, and takes five of them. For a signal that is held to a limit:
    hits and false_alarms, how often it fired and truth then fell or did not; misses and quiet, the same where
    it did not fire; cannot_tell: too few rows to say. `any` is the gate as a whole. Iterations whose judge
    pairs a gate left out or had made anew (so many: `averted`) count nowhere: what they would have done is
    not known.
    """
    found: dict[str, list[Point]] = {}
    for loop, cell in enumerate(cells):
        for name, point in _points(loop, cell, measures()[of]):
            found.setdefault(name, []).append(point)
    averted = sum(_acted(gate) for cell in cells for gate in cell["gates"])
    return {"signals": {name: _told(points) for name, points in found.items()}, "averted": averted}


def _acted(gate: Mapping[str, Any]) -> bool:
    return gate["left_out"] > 0 or gate["action"] == EQUAL_SCORES


def _points(loop: int, cell: Mapping[str, Any], read: Read) -> Iterator[tuple[str, Point]]:
    truths = [read(model) for model in cell["models"]]
    changes = {
        number: after - before
        for number, (before, after) in enumerate(pairwise(truths))
        if before is not None and after is not None
    }
    for entry in cell["iterations"]:
        for name in _PAIRS:
            if entry["iteration"] in changes and entry.get(name) is not None:
                yield name, Point(loop, entry[name], changes[entry["iteration"]], "measured")
    for gate in cell["gates"]:
        if gate["iteration"] not in changes or _acted(gate):
            continue
        change = changes[gate["iteration"]]
        for name, signal in gate["signals"].items():
            if signal["value"] is not None:
                yield name, Point(loop, signal["value"], change, signal["state"])
        verdict = gate.get("verdict") or ("passed" if gate["passed"] else "failed")
        yield ANY, Point(loop, float(verdict == "failed"), change, verdict)


def _told(points: Sequence[Point]) -> dict[str, Any]:
    held = [point for point in points if point.state in ("passed", "failed")]
    counted = {
        "hits": sum(point.state == "failed" and point.change < 0 for point in held),
        "false_alarms": sum(point.state == "failed" and point.change >= 0 for point in held),
        "misses": sum(point.state == "passed" and point.change < 0 for point in held),
        "quiet": sum(point.state == "passed" and point.change >= 0 for point in held),
        "cannot_tell": sum(point.state == "cannot tell" for point in points),
    }
    limited = any(point.state != "measured" for point in points)
    loops = len({point.loop for point in points})
    return {
        "correlation": _correlation(points, loops),
        "iterations": len(points),
        "loops": loops,
        **(counted if limited else dict.fromkeys(counted)),
    }


def _correlation(points: Sequence[Point], loops: int) -> dict[str, Any] | None:
    if len(points) < FEWEST:
        return None
    sums_LM = np.zeros((loops, 6))
    place = {loop: number for number, loop in enumerate(dict.fromkeys(point.loop for point in points))}
    centre = np.mean([(point.value, point.change) for point in points], axis=0)
    for point in points:
        x, y = point.value - centre[0], point.change - centre[1]
        sums_LM[place[point.loop]] += (1, x, y, x * x, y * y, x * y)
    found = resampled(lambda rows_DL: _pearson(sums_LM[rows_DL].sum(1)), loops)
    ends = {} if loops >= FEWEST else {"lower": None, "upper": None}
    return {**found.as_dict(), **ends} if isfinite(found.value) else None


def _pearson(moments_DM: NDArray[np.float64]) -> NDArray[np.float64]:
    """Pearson's correlation of each resample; NaN where one side is constant."""
    n, x, y, xx, yy, xy = moments_DM.T
    spread_x, spread_y = xx - x * x / n, yy - y * y / n
    with np.errstate(divide="ignore", invalid="ignore"):
        found = (xy - x * y / n) / np.sqrt(spread_x * spread_y)
    least = 1e-12 * (1 + xx + yy)
    return np.where((spread_x > least) & (spread_y > least), found, np.nan)
