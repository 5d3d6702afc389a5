"""Arena-Hard-Auto: battles against a baseline, from a judge's five-way verdicts on both orders.

Two scripts of the benchmark give two intervals. v0.1 (2024): the score is 100 times the win probability
against the baseline under a Bradley-Terry fit, its interval the 2.5 and 97.5 percentiles of refits to 100
resamples of all battles together. The newer one (2025): the score is the mean over 100 resamples of a
model's own battles, with the 5 and 95 percentiles, so it covers 90 %.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from metareward.errors import DataError
from metareward.settings import require
from metareward.stats.bradley_terry import strengths

Method = Literal["bradley-terry", "mean"]
METHODS: tuple[Method, ...] = ("bradley-terry", "mean")
WEIGHT = 3  # battles that a much better answer (>>) counts for
ROUNDS = 100
_PERCENTILES = {"bradley-terry": (2.5, 97.5), "mean": (5.0, 95.0)}
_PRIOR = 1e-8  # keeps a model that wins every battle finite, and moves no other score by 1e-6 points
_LABELS = {"A>>B": (1.0, WEIGHT), "A>B": (1.0, 1), "A=B": (0.5, 1), "B>A": (0.0, 1), "B>>A": (0.0, WEIGHT)}
_LABELS |= {"B=A": (0.5, 1), "A<B": (0.0, 1), "A<<B": (0.0, WEIGHT), "B<A": (1.0, 1), "B<<A": (1.0, WEIGHT)}


@dataclass(frozen=True, slots=True)
class Fought:
    """One battle: what `first` won of it (1, .5 or 0); a heavy one stands there several times."""

    first: str
    second: str
    won: float
    question: str = ""


@dataclass(frozen=True, slots=True)
class Games:
    """A model's two games on one question, the baseline shown first in game 1, second in game 2.

    Each is a verdict such as "A>>B", by display, or None where the judge gave none that can be read.
    """

    question: str
    model: str
    first: str | None
    second: str | None


def battles_of(
    games: Iterable[Games], baseline: str, method: Method = "bradley-terry", weight: int = WEIGHT
) -> tuple[list[Fought], int]:
    """Both games of each question as battles of the baseline against the model; how many games were unread.

    v0.1 leaves out the unread game alone, the newer script the question's other game, too. Raises DataError
    for a verdict that is not one of the benchmark's.
    """
    require(weight >= 1, "weight", "at least 1", weight)
    fought: list[Fought] = []
    unread = 0
    for game in games:
        verdicts = [_verdict(game.first), _verdict(game.second)]
        missing = sum(verdict is None for verdict in verdicts)
        unread += missing
        if missing and method == "mean":
            continue
        for verdict, baseline_is_a in zip(verdicts, (True, False), strict=True):
            if verdict is not None:
                won_by_a, heavy = verdict
                won = won_by_a if baseline_is_a else 1 - won_by_a
                battle = Fought(baseline, game.model, won, game.question)
                fought += [battle] * (weight if heavy > 1 else 1)
    return fought, unread


def is_verdict(label: str) -> bool:
    """Whether it is one of the benchmark's verdicts, by display."""
    return label.strip() in _LABELS


def _verdict(label: str | None) -> tuple[float, int] | None:
    if label is None:
        return None
    found = _LABELS.get(label.strip())
    if found is None:
        raise DataError(f"{label!r} is no verdict of Arena-Hard; there are: {', '.join(list(_LABELS)[:5])}")
    return found


def score(
    battles: Sequence[Fought],
    baseline: str,
    method: Method = "bradley-terry",
    rounds: int = ROUNDS,
    seed: int = 42,
) -> dict[str, dict[str, Any]]:
    """For each model but the baseline `score`, `lower` and `upper` (all 0..100), and its `battles`.

    They are None for a model that met neither the baseline nor, over others, anyone who did.

    seed: of numpy's legacy generator, which both scripts use (v0.1 seeds it with 42). Raises DataError where
    the baseline fought no battle, or a model cannot be compared with it.
    """
    require(method in METHODS, "method", f"one of {METHODS}", method)
    require(rounds >= 2, "rounds", "at least 2", rounds)
    names = sorted({name for battle in battles for name in (battle.first, battle.second)})
    if baseline not in names:
        known = ", ".join(names[:8]) or "none"
        raise DataError(f"no battle of {baseline!r}, which all are measured against; the models are: {known}")
    table = _Table(names, battles)
    generator = np.random.RandomState(seed)
    measure = _by_mean if method == "mean" else _by_bradley_terry
    found = measure(table, baseline, rounds, generator)
    met = table.met(baseline)
    low, high = _PERCENTILES[method]
    return {
        name: {
            "score": center if name in met else None,
            "lower": float(np.percentile(samples, low)) if name in met else None,
            "upper": float(np.percentile(samples, high)) if name in met else None,
            "battles": int(table.involves(name).sum()),
        }
        for name, (center, samples) in found.items()
    }


class _Table:
    """Battles as arrays: which model fought which, and what the first won."""

    def __init__(self, names: Sequence[str], battles: Sequence[Fought]) -> None:
        place = {name: number for number, name in enumerate(names)}
        self.names = list(names)
        self.place = place
        self.first_N = np.array([place[battle.first] for battle in battles])
        self.second_N = np.array([place[battle.second] for battle in battles])
        self.won_N = np.array([battle.won for battle in battles], dtype=np.float64)

    def involves(self, name: str) -> NDArray[np.bool_]:
        return (self.first_N == self.place[name]) | (self.second_N == self.place[name])

    def met(self, name: str) -> set[str]:
        """Those that can be compared with a model: who fought it, who fought one of these, and so on."""
        count, ones = len(self.names), np.ones(len(self.first_N))
        graph = coo_array((ones, (self.first_N, self.second_N)), shape=(count, count))
        _, group_K = connected_components(graph, directed=False)
        return {other for other, place in self.place.items() if group_K[place] == group_K[self.place[name]]}

    def wins(self, rows_N: NDArray[np.int64] | slice) -> NDArray[np.float64]:
        """[K, K]: how much each model won of each other one in these battles."""
        wins = np.zeros((len(self.names), len(self.names)))
        first, second, won = self.first_N[rows_N], self.second_N[rows_N], self.won_N[rows_N]
        np.add.at(wins, (first, second), won)
        np.add.at(wins, (second, first), 1 - won)
        return wins


def _by_bradley_terry(
    table: _Table, baseline: str, rounds: int, generator: np.random.RandomState
) -> Mapping[str, tuple[float, list[float]]]:
    """Win probability against the baseline, fitted to all battles and to resamples of all battles."""
    count = len(table.won_N)
    centers = _win_rates(table.wins(slice(None)), table.place[baseline])
    resamples = [
        _win_rates(table.wins(generator.choice(count, size=count, replace=True)), table.place[baseline])
        for _ in range(rounds)
    ]
    return {
        name: (float(centers[number]), [float(rates[number]) for rates in resamples])
        for name, number in table.place.items()
        if name != baseline
    }


def _win_rates(wins: NDArray[np.float64], baseline: int) -> NDArray[np.float64]:
    """[K]: 100 times each model's probability to beat the baseline.

    Where all battles are against the baseline the fit is each model's share of wins, which needs no solver.
    """
    others = np.delete(np.arange(len(wins)), baseline)
    if not wins[np.ix_(others, others)].any():
        total = wins[:, baseline] + wins[baseline]
        with np.errstate(invalid="ignore"):
            rates = np.where(total > 0, wins[:, baseline] / total, 0.5)
        rates[baseline] = 0.5
        return 100 * rates
    eps = strengths(wins, _PRIOR)
    return 100 / (1 + np.exp(np.clip(eps[baseline] - eps, -700, 700)))


def _by_mean(
    table: _Table, baseline: str, rounds: int, generator: np.random.RandomState
) -> Mapping[str, tuple[float, list[float]]]:
    """The mean of what a model won of its battles against the baseline, over resamples of those."""
    found: dict[str, tuple[float, list[float]]] = {}
    base = table.place[baseline]
    for name, number in table.place.items():
        if name == baseline:
            continue
        straight = (table.first_N == number) & (table.second_N == base)
        reverse = (table.second_N == number) & (table.first_N == base)
        won = np.concatenate([table.won_N[straight], 1 - table.won_N[reverse]])
        if not len(won):
            raise DataError(f"{name!r} fought no battle against {baseline!r}; use --method bradley-terry")
        means = [
            float(100 * won[generator.choice(len(won), size=len(won), replace=True)].mean())
            for _ in range(rounds)
        ]
        found[name] = (float(np.mean(means)), means)
    return found
