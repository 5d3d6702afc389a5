"""AlpacaEval 2 (arXiv 2404.04475): win rate over a baseline, as it is and at equal lengths."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metareward.errors import DataError
from metareward.evaluate.annotations import (
    ALLOWED_MISSING,
    Annotation,
    Annotations,
    Instruction,
    check_coverage,
)
from metareward.evaluate.length_control import Array, BaselineRows, Weights, fit, length_term

_Z95 = 1.959963984540054
_RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class LengthControl:
    """What the length-controlled win rate is computed from; without anything there is none.

    difficulty: [size of the set], by instruction number. baseline: the gamed baselines' rows. weights:
    published ones, instead of a fit. regularised: False fits without the baseline's rows, under another
    name (`length_controlled_noreg`): its numbers are not the leaderboard's.
    by_number: take each row's difficulty by its instruction's number. The published code takes them by the
        row's position, which differs where rows are missing; so does this unless told otherwise.
    """

    difficulty: Array | None = None
    baseline: BaselineRows | None = None
    weights: Weights | None = None
    regularised: bool = True
    by_number: bool = False

    @property
    def lacks(self) -> str | None:
        """Why there can be no length-controlled win rate; None if there can."""
        if self.difficulty is None:
            return "no difficulties of the instructions were given (--difficulty)"
        if self.weights is None and self.baseline is None and self.regularised:
            return (
                "neither the baseline's rows (--baseline-rows) nor published weights (--weights) were given; "
                "--method length_controlled_noreg does without, and is not the leaderboard's number"
            )
        return None

    @property
    def method(self) -> str:
        """The published name of the computation, and where its weights come from."""
        if self.weights is not None:
            return "length_controlled_v1, published weights"
        return "length_controlled_v1" if self.regularised else "length_controlled_noreg"


def score(
    annotations: Annotations,
    control: LengthControl | None = None,
    size: int | None = None,
    allow_missing: float = ALLOWED_MISSING,
    allow_unread: float = 0.0,
) -> dict[str, Any]:
    """All numbers of one model, as plain data; rates, errors and intervals (95 %) in percent.

    size: how many instructions the set has, if known. allow_missing, allow_unread: which share of the set
    may have no annotation, and of the annotations no readable preference. The first are left out; the
    second too, except that a length-controlled rate is predicted for them, as in the published code.
    `lc_reason` says why a length-controlled number is null. DataError, with counts, where more is missing.
    """
    control = control or LengthControl()
    rows = annotations.rows
    size = len(control.difficulty) if control.difficulty is not None else size
    missing = check_coverage([row.number for row in rows], size, allow_missing)
    unread = _check_readable(rows, allow_unread)
    read = [row for row in rows if not math.isnan(row.preference)]
    result = {"n": len(read), **win_rate([row.preference for row in read])}
    result |= _length_controlled(annotations, control)
    result |= {
        "avg_length": int(np.mean([row.len_model for row in rows])),  # the leaderboard cuts it off
        "avg_length_baseline": int(np.mean([row.len_baseline for row in rows])),
        "missing": missing,
        "unread": unread,
        "datasets": _by_dataset(read),
    }
    return result


def check_same_set(control: LengthControl, instructions: Sequence[Instruction]) -> None:
    """DataError, with the counts, if instructions and difficulties are given and of sets of other sizes."""
    sizes = len(instructions), 0 if control.difficulty is None else len(control.difficulty)
    if all(sizes) and sizes[0] != sizes[1]:
        raise DataError(
            f"there are {sizes[0]} instructions and {sizes[1]} difficulties; give both of the same, whole set"
        )


def win_rate(preferences: Sequence[float]) -> dict[str, Any]:
    """Mean preference in percent with its standard error (None for one row), and the battles counted.

    preferences: [N], N >= 1, in 0..1; 0.5 is a tie, worth half a win in the discrete rate.
    """
    values = np.asarray(preferences, dtype=np.float64)
    wins, losses = int((values > 0.5).sum()), int((values < 0.5).sum())
    ties = len(values) - wins - losses
    mean = 100 * float(values.mean())
    error = _standard_error(values)
    return {
        "win_rate": mean,
        "standard_error": error,
        "win_rate_interval": None if error is None else _interval(mean, error),
        "n_wins": wins,
        "n_wins_baseline": losses,
        "n_ties": ties,
        "discrete_win_rate": 100 * (wins + ties / 2) / len(values),
    }


def _length_controlled(annotations: Annotations, control: LengthControl) -> dict[str, Any]:
    """The mean of P at equal lengths, and the published standard error: its spread over instructions.

    That error leaves out that the weights are fitted; `lc_interval` is a bootstrap that fits them anew.
    """
    rows = annotations.rows
    names = ("win_rate", "standard_error", "interval", "method", "difficulty", "weights")
    nothing: dict[str, Any] = {f"lc_{name}": None for name in names}
    if control.lacks is not None or control.difficulty is None:
        return {**nothing, "lc_reason": control.lacks}
    if _is_baseline(annotations):
        known = {"lc_win_rate": 50.0, "lc_standard_error": 0.0, "lc_interval": [50.0, 50.0]}
        return {**nothing, **known, "lc_method": "the baseline itself", "lc_reason": None}
    difficulty = control.difficulty[_positions(rows, control)]
    interval, weights = None, control.weights
    if weights is None:
        weights, interval = _fitted(rows, difficulty, control)
    chances = weights.win_probabilities(difficulty)
    used = {"length": weights.length, "difficulty": weights.difficulty, "model": weights.model}
    return {
        "lc_win_rate": 100 * float(chances.mean()),
        "lc_standard_error": _standard_error(chances),
        "lc_interval": interval,
        "lc_method": control.method,
        "lc_difficulty": "by instruction" if control.by_number else "by row position",
        "lc_weights": used | {"C": weights.penalty},
        "lc_reason": None,
    }


def _fitted(
    rows: Sequence[Annotation], difficulty: Array, control: LengthControl
) -> tuple[Weights, list[float]]:
    """The weights, and the middle 95 % of the rate over resampled rows, with the penalty kept."""
    length = length_term(_column(rows, "len_baseline"), _column(rows, "len_model"))
    preference = _column(rows, "preference")
    baseline = control.baseline if control.regularised else None
    weights = fit(length, difficulty, preference, baseline, None)
    draw = np.random.default_rng(0)
    rates = []
    for _ in range(_RESAMPLES):
        drawn = draw.integers(len(rows), size=len(rows))
        if np.isnan(preference[drawn]).all():
            continue
        again = fit(length[drawn], difficulty[drawn], preference[drawn], baseline, weights.penalty)
        rates.append(100 * again.win_probabilities(difficulty[drawn]).mean())
    return weights, [float(bound) for bound in np.percentile(rates, (2.5, 97.5))]


def _positions(rows: Sequence[Annotation], control: LengthControl) -> list[int]:
    if not control.by_number:
        return list(range(len(rows)))
    numbers = [row.number for row in rows if row.number is not None]
    if len(numbers) < len(rows):
        raise DataError(
            f"{len(rows) - len(numbers)} of {len(rows)} annotations do not say which instruction of the set "
            "they are of, so their difficulty is not known; give the set (--instructions)"
        )
    return numbers


def _is_baseline(annotations: Annotations) -> bool:
    if annotations.model and annotations.model == annotations.baseline:
        return True
    return all(row.preference == 0.5 and row.len_model == row.len_baseline for row in annotations.rows)


def _check_readable(rows: Sequence[Annotation], allowed: float) -> int:
    unread = sum(math.isnan(row.preference) for row in rows)
    if unread == len(rows) or unread > allowed * len(rows):
        raise DataError(
            f"{unread} of {len(rows)} annotations have no readable preference (null or NaN), and at most "
            f"{int(allowed * len(rows))} may have none; annotate them again, or leave out up to a share of "
            "them, as the leaderboard did (--allow-unread)"
        )
    return unread


def _by_dataset(rows: Iterable[Annotation]) -> dict[str, dict[str, Any]]:
    groups: dict[str, list[float]] = {}
    for row in rows:
        if row.dataset:
            groups.setdefault(row.dataset, []).append(row.preference)
    kept = ("win_rate", "standard_error", "win_rate_interval")
    return {
        name: {"n": len(group), **{key: win_rate(group)[key] for key in kept}}
        for name, group in sorted(groups.items())
    }


def _standard_error(values: Array) -> float | None:
    """Of the mean, in percent, with ddof 1; None for a single value."""
    return 100 * float(values.std(ddof=1)) / math.sqrt(len(values)) if len(values) > 1 else None


def _interval(mean: float, error: float) -> list[float]:
    return [max(0.0, mean - _Z95 * error), min(100.0, mean + _Z95 * error)]


def _column(rows: Sequence[Annotation], name: str) -> Array:
    return np.array([getattr(row, name) for row in rows], dtype=np.float64)
