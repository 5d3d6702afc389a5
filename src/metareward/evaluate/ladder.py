"""The checkpoints' actors on one ladder, once under the frozen first judge and once under the newest one.

If both ladders rise the answers got better for either judge. If only the newest judge sees a rise, its
criterion has drifted: that is no progress that anyone else could notice.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metareward.records import Judgment
from metareward.stats.bootstrap import ratio_of_sums, resampled
from metareward.stats.bradley_terry import strengths
from metareward.stats.proportions import wilson

ELO = 400 / np.log(10)  # points of a natural log unit
TIE = 0.05  # scores that differ by no more are equal: a hundredth of the scale
FEWEST = 5  # prompts that both models have a score for; with fewer their difference cannot be told
_PRIOR = 0.1  # about a quarter of one game: keeps a model that wins every game within reach
_DRAWS = 400
_NO_WIDTH = 1e-6  # points


def scores_by_prompt(judgments: Iterable[Judgment]) -> dict[str, float]:
    """The mean readable score of each prompt's answers; a prompt without one is left out."""
    found: dict[str, list[float]] = {}
    for judgment in judgments:
        if judgment.score is not None:
            found.setdefault(judgment.prompt_id, []).append(judgment.score)
    return {prompt: float(np.mean(scores)) for prompt, scores in found.items()}


def ladder(
    names: Sequence[str], scores: Sequence[Mapping[str, float]], seed: int = 0
) -> list[dict[str, Any]]:
    """One entry a model: its Elo above the first model, with a 95 % interval over prompts.

    scores: for each model, score by prompt, all by the same judge. On each prompt each two models play one
    game, which the higher score wins; scores within `TIE` points are half a win each. Elo is Bradley-Terry
    times 400 / ln 10. Fields: `model`, `elo`, `lower`, `upper`, `games` (prompts that this model shares with
    the first), `win_rate` against the first with `win_rate_lower` and `win_rate_upper`.

    With fewer than `FEWEST` shared prompts Elo is None, as is a rate of no game. Where all games ended alike
    no resample differs, and the interval is Wilson's of the rate; an end that is then without bound is None.
    """
    prompts = sorted({prompt for each in scores for prompt in each})
    table_PK = np.array([[each.get(prompt, np.nan) for each in scores] for prompt in prompts])
    table_PK = table_PK.reshape(len(prompts), len(scores))
    wins_PKK = _games(table_PK)
    return [_entry(name, number, wins_PKK, seed) for number, name in enumerate(names)]


def _games(table_PK: NDArray[np.float64]) -> NDArray[np.float64]:
    """[P, K, K]: what model k won of its game against l on prompt p; 0 for both where one has no score."""
    one, other = table_PK[:, :, None], table_PK[:, None, :]
    near = np.abs(one - other) <= TIE + 1e-9
    won = np.where(near, 0.5, np.where(one > other, 1.0, 0.0))
    known = np.isfinite(one) & np.isfinite(other)
    own = np.eye(table_PK.shape[1], dtype=bool)[None]
    return np.where(known & ~own, won, 0.0)


def _entry(name: str, number: int, wins_PKK: NDArray[np.float64], seed: int) -> dict[str, Any]:
    against_P = wins_PKK[:, number, 0] + wins_PKK[:, 0, number]
    games = int(against_P.sum())
    entry: dict[str, Any] = {"model": name, "elo": 0.0, "lower": 0.0, "upper": 0.0, "games": games}
    if number == 0:
        return {**entry, "games": len(wins_PKK), "win_rate": None} | _no_rate()
    entry |= _rate(wins_PKK[:, number, 0], against_P, seed) if games else {"win_rate": None, **_no_rate()}
    if games < FEWEST:
        return {**entry, "elo": None, "lower": None, "upper": None}
    elo = resampled(lambda rows_DN: _above_first(wins_PKK, rows_DN, number), len(wins_PKK), seed, _DRAWS)
    lower, upper = elo.lower, elo.upper
    if upper - lower < _NO_WIDTH:
        lower, upper = _elo_of(entry["win_rate_lower"]), _elo_of(entry["win_rate_upper"])
    return {**entry, "elo": elo.value, "lower": lower, "upper": upper}


def _rate(won_P: NDArray[np.float64], against_P: NDArray[np.float64], seed: int) -> dict[str, Any]:
    """The share of games won; its interval is Wilson's where no resample differs."""
    found = ratio_of_sums(won_P, against_P, seed)
    lower, upper = found.lower, found.upper
    if upper == lower:
        lower, upper = wilson(float(won_P.sum()), float(against_P.sum()))
    return {"win_rate": found.value, "win_rate_lower": lower, "win_rate_upper": upper}


def _elo_of(rate: float) -> float | None:
    """The difference in Elo that such a rate of wins is; None at the ends, where it is without bound."""
    return float(ELO * np.log(rate / (1 - rate))) if 0 < rate < 1 else None


def _no_rate() -> dict[str, None]:
    return {"win_rate_lower": None, "win_rate_upper": None}


def _above_first(
    wins_PKK: NDArray[np.float64], rows_DN: NDArray[np.int64], number: int
) -> NDArray[np.float64]:
    found = (strengths(wins_PKK[rows].sum(0), _PRIOR) for rows in rows_DN)
    return np.array([ELO * (eps[number] - eps[0]) for eps in found])
