"""Which number, known before the judge is trained, tells how the training will change it?

The paper's recipe on a simulated model (docs/simulation.md states the assumptions), six iterations that all
train the judge, under meta-judges that differ in how far they follow the score. For each iteration: what the
judge gate measured, and how the judge's mean score and accuracy on a fixed set then changed.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import fmean
from typing import Any

import numpy as np
from collapse_conditions import PAPER, Condition
from judge_collapse import loop

from metareward.recipes.judge_gate import Signal
from metareward.recipes.meta_rewarding import MetaRewarding
from metareward.simulate import PAPER_FIRST, PAPER_SECOND, UNBIASED, MetaJudging, Rehearsal, World

SEEDS, ITERATIONS = 4, 6
LIMIT = 1.0  # points: what docs/gates.md recommends for five judgments a response
SIGNALS = ("score_margin", "score_lean", "score_preference", "alike")
META = {
    "prefers the lower score": MetaJudging(score_bias=-0.5),
    "unbiased": UNBIASED,
    "bias 0.1": MetaJudging(score_bias=0.1),
    "paper, iteration 1": PAPER_FIRST,
    "bias 0.7": MetaJudging(score_bias=0.7),
    "bias 1.5": MetaJudging(score_bias=1.5),
    "paper, iteration 2": PAPER_SECOND,
}


@dataclass(frozen=True)
class Row:
    """One iteration: the gate's signals, and the judge's mean score and accuracy after less before."""

    meta: str
    iteration: int
    signals: dict[str, Signal]
    drift: float
    gain: float

    def value(self, name: str) -> float:
        """A signal's value, 0 where there were no rows for it."""
        return (self.signals[name].value or 0.0) if name in self.signals else 0.0

    @property
    def alarmed(self) -> bool:
        """Whether the whole interval of the score margin is beyond the recommended limit."""
        lower = self.signals["score_margin"].lower
        return lower is not None and lower > LIMIT


def recipe() -> MetaRewarding:
    """The paper's, with its last iteration twice more."""
    settings = PAPER.iterations
    return replace(PAPER, iterations=settings + settings[-1:] * (ITERATIONS - len(settings)))


def measure(seeds: int = SEEDS) -> dict[str, Any]:
    """Correlations over all iterations, and what the alarm of the score margin tells apart."""
    conditions = [Condition("faithful", name, recipe(), World(meta)) for name, meta in META.items()]
    rows = [row for one in conditions for seed in range(seeds) for row in _rows(one, loop(one, seed))]
    drifts = [row.drift for row in rows]
    return {
        "iterations": len(rows),
        "correlation with the drift of the mean score": {
            name: _correlation([row.value(name) for row in rows], drifts) for name in SIGNALS
        },
        "alarm": {told: _summary([row for row in rows if row.alarmed is told]) for told in (True, False)},
        "by meta-judge": {name: _by_iteration([r for r in rows if r.meta == name]) for name in META},
    }


def _rows(condition: Condition, found: Rehearsal) -> list[Row]:
    rows = []
    for number, (before, after) in enumerate(pairwise(found.models)):
        if before.gate is not None:
            drift, gain = (
                getattr(after.truth, name) - getattr(before.truth, name) for name in ("score", "accuracy")
            )
            signals = {signal.name: signal for signal in before.gate.signals}
            rows.append(Row(condition.bias, number, signals, drift, gain))
    return rows


def _correlation(one: Sequence[float], other: Sequence[float]) -> float:
    return round(float(np.corrcoef(one, other)[0, 1]), 2)


def _summary(rows: Sequence[Row]) -> dict[str, float]:
    worse = sum(row.gain < 0 for row in rows)
    means = {"drift": fmean(row.drift for row in rows), "accuracy": fmean(row.gain for row in rows)}
    return {"iterations": len(rows), "less accurate": worse, **{k: round(v, 3) for k, v in means.items()}}


def _by_iteration(rows: Sequence[Row]) -> dict[str, list[float]]:
    each = [[row for row in rows if row.iteration == number] for number in range(ITERATIONS)]
    each = [own for own in each if own]
    values = {name: [round(fmean(r.value(name) for r in own), 2) for own in each] for name in SIGNALS}
    changes = {
        name: [round(fmean(getattr(row, name) for row in own), 3) for own in each]
        for name in ("drift", "gain")
    }
    return {**values, **changes, "alarms": [sum(row.alarmed for row in own) for own in each]}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    print(json.dumps(measure(parser.parse_args().seeds), indent=1))
