"""MT-Bench: mean ratings from 1 to 10, or wins against another model, over two turns (arXiv 2306.05685).

Single grading: the score is the mean of all judgments of both turns that could be read, as the benchmark's
own script takes it; so is each turn's and each category's. Pairwise: each question and turn is played twice,
with the order swapped; a model wins where both games say so, and whatever else they say is a tie.
Intervals are of 95 %, by bootstrap over questions.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from metareward.errors import DataError
from metareward.stats.bootstrap import mean_of_clusters

TURNS = (1, 2)
CATEGORIES = ("writing", "roleplay", "reasoning", "math", "coding", "extraction", "stem", "humanities")
LOWEST, HIGHEST = 1, 10


@dataclass(frozen=True, slots=True)
class Rated:
    """One judgment of one turn; score is None where it could not be read."""

    question: str
    turn: int
    score: float | None
    category: str = ""


@dataclass(frozen=True, slots=True)
class Match:
    """Both games of a question and turn: what the model won (1, .5 or 0) in each; None: unread.

    games: the model was shown first in the first of them.
    """

    question: str
    turn: int
    games: tuple[float | None, float | None]
    category: str = ""

    @property
    def won(self) -> float | None:
        """1 or 0 where both games agree, else a tie, .5; None if either is unread."""
        first, second = self.games
        if first is None or second is None:
            return None
        return first if first == second else 0.5


_T = TypeVar("_T", Rated, Match)


def score_ratings(rated: Iterable[Rated], seed: int = 0) -> dict[str, Any]:
    """`score`, `turn_1` and `turn_2`, and each category, as {value, lower, upper, n}; and the counts.

    n counts questions. An unread judgment (-1 in the benchmark's files) is left out and counted. A turn
    without a readable judgment is None. Raises DataError, with counts, if no judgment could be read.
    """
    rated = list(rated)
    unread = sum(one.score is None for one in rated)
    if unread == len(rated):
        raise DataError(f"none of {len(rated)} judgments has a rating that can be read; there is no score")

    def score(one: Rated) -> float | None:
        return one.score

    return {
        "n": len({one.question for one in rated}),
        "judgments": len(rated),
        "unread": unread,
        "score": _mean(rated, score, seed),
        **_by_turn(rated, score, seed),
        "categories": _by_category(rated, score, seed),
    }


def score_matches(matches: Iterable[Match], seed: int = 0) -> dict[str, Any]:
    """`win_rate`, `loss_rate`, `tie_rate` and `adjusted_win_rate` (a tie is half a win), in 0 .. 1.

    Each as {value, lower, upper, n}, and the adjusted rate by turn and category. As in the benchmark, a
    match of which either game is unread is left out; it is counted in `unread`. inconsistent: matches whose
    games disagree, ties by rule. Raises DataError, with counts, if no match is left.
    """
    matches = list(matches)
    unread = sum(match.won is None for match in matches)
    if unread == len(matches):
        raise DataError(
            f"none of {len(matches)} matches has two verdicts that can be read; there is no score"
        )

    def share(outcome: float) -> Callable[[Match], float | None]:
        return lambda match: None if match.won is None else float(match.won == outcome)

    def won(match: Match) -> float | None:
        return match.won

    return {
        "n": len({match.question for match in matches}),
        "matches": len(matches),
        "unread": unread,
        "inconsistent": sum(m.won is not None and m.games[0] != m.games[1] for m in matches),
        "win_rate": _mean(matches, share(1.0), seed),
        "loss_rate": _mean(matches, share(0.0), seed),
        "tie_rate": _mean(matches, share(0.5), seed),
        "adjusted_win_rate": _mean(matches, won, seed),
        **_by_turn(matches, won, seed),
        "categories": _by_category(matches, won, seed),
    }


def _by_turn(rows: Sequence[_T], value: Callable[[_T], float | None], seed: int) -> dict[str, Any]:
    return {f"turn_{turn}": _mean([row for row in rows if row.turn == turn], value, seed) for turn in TURNS}


def _by_category(rows: Sequence[_T], value: Callable[[_T], float | None], seed: int) -> dict[str, Any]:
    """The benchmark's categories in its order, then others; nothing if none is known."""
    found = {row.category for row in rows} - {""}
    names = [*(name for name in CATEGORIES if name in found), *sorted(found - set(CATEGORIES))]
    return {name: _mean([row for row in rows if row.category == name], value, seed) for name in names}


def _mean(
    rows: Iterable[_T], value: Callable[[_T], float | None], seed: int
) -> dict[str, float | None] | None:
    """The mean over all rows that have a value, resampling questions; None if none has.

    One question alone says nothing of its spread: its interval is None, not a point.
    """
    clusters: dict[str, list[float]] = {}
    for row in rows:
        if (number := value(row)) is not None:
            clusters.setdefault(row.question, []).append(number)
    if not clusters:
        return None
    estimate = mean_of_clusters(list(clusters.values()), seed).as_dict()
    return {**estimate, "lower": None, "upper": None} if len(clusters) == 1 else {**estimate}
