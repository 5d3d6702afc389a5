"""How well a judge tells the better of two responses, beside what chance and length alone would give."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from metareward.errors import DataError
from metareward.stats.agreement import cohen_kappa
from metareward.stats.bootstrap import mean_of_clusters

_BINS = 10


@dataclass(frozen=True, slots=True)
class Judged:
    """A judge's verdicts on one pair, one for each order in which it was asked.

    better: 1 if the first response is known to be better, 0 if the second, .5 if they are equal.
    straight: the verdict with the first on top, as what the first won of it (1, .5, 0); swapped: with the
    second on top, told of the same first. None: not asked, or unread. p_first: P(the first is better), the
    mean over the orders, where a forced reading gives it. unread: verdicts that could not be read.
    lengths: characters of both. cluster: what pairs of one prompt share.
    """

    better: float
    straight: float | None
    swapped: float | None
    category: str = ""
    lengths: tuple[int, int] | None = None
    cluster: str = ""
    p_first: float | None = None
    unread: int = 0

    @property
    def verdicts(self) -> list[float]:
        """The verdicts that could be read."""
        return [verdict for verdict in (self.straight, self.swapped) if verdict is not None]

    @property
    def together(self) -> float | None:
        """The verdict of both orders together: who won more of them. None if none could be read."""
        return 0.5 + 0.5 * float(np.sign(np.mean(self.verdicts) - 0.5)) if self.verdicts else None


def score(judged: Sequence[Judged], seed: int = 0) -> dict[str, Any]:
    """Accuracies with 95 % intervals (bootstrap over prompts), consistency, baselines and categories.

    A tie of the judge is half right. Pairs that are known to be equal count in `agreement` alone. An
    unread verdict is neither right nor wrong: it is left out and counted. Raises DataError, with counts,
    if no verdict on a decided pair could be read.
    """
    judged = list(judged)
    decided = [one for one in judged if one.better != 0.5]
    if not any(one.verdicts for one in decided):
        unread = sum(one.unread for one in judged)
        raise DataError(
            f"none of {len(judged)} pairs has a readable verdict and a better side ({unread} verdicts could "
            f"not be read, {len(judged) - len(decided)} pairs are equal); there is no accuracy to report"
        )
    return {
        "n": len(judged),
        "equal_pairs": len(judged) - len(decided),
        "unread_verdicts": sum(one.unread for one in judged),
        **_accuracies(decided, seed),
        **_orders(judged, decided, seed),
        "kappa": _kappa(judged),
        "calibration": calibration(decided),
        **_lengths(decided, seed),
        "categories": _categories(decided, seed),
    }


def _accuracies(decided: Sequence[Judged], seed: int) -> dict[str, Any]:
    def credits(one: Judged) -> list[float]:
        return [_credit(verdict, one.better) for verdict in one.verdicts]

    def without_ties(one: Judged) -> list[float]:
        return [_credit(verdict, one.better) for verdict in one.verdicts if verdict != 0.5]

    def together(one: Judged) -> list[float]:
        return [] if one.together is None else [_credit(one.together, one.better)]

    return {
        "accuracy": _estimate(decided, credits, seed),
        "accuracy_without_ties": _estimate(decided, without_ties, seed),
        "accuracy_both_orders_together": _estimate(decided, together, seed),
    }


def _orders(judged: Sequence[Judged], decided: Sequence[Judged], seed: int) -> dict[str, Any]:
    """What depends on the order: each alone, right in both, the same in both, the first shown."""

    def both(one: Judged) -> list[float]:
        return [float(one.straight == one.swapped == one.better)] if len(one.verdicts) == 2 else []

    def same(one: Judged) -> list[float]:
        return [float(one.straight == one.swapped)] if len(one.verdicts) == 2 else []

    def first_shown(one: Judged) -> list[float]:
        told = [one.straight] if one.straight not in (None, 0.5) else []
        told += [1 - one.swapped] if one.swapped not in (None, 0.5) else []  # type: ignore[operator]
        return [float(value) for value in told if value is not None]

    def agrees(one: Judged) -> list[float]:
        return [float(verdict == one.better) for verdict in one.verdicts]

    def order(name: str) -> Callable[[Judged], list[float]]:
        return lambda one: [] if getattr(one, name) is None else [_credit(getattr(one, name), one.better)]

    return {
        "accuracy_first_order": _estimate(decided, order("straight"), seed),
        "accuracy_second_order": _estimate(decided, order("swapped"), seed),
        "right_in_both_orders": _estimate(decided, both, seed),
        "position_consistency": _estimate(judged, same, seed),
        "first_shown_wins": _estimate(judged, first_shown, seed),
        "agreement": _estimate(judged, agrees, seed),
        "tie_rate": _estimate(judged, lambda one: [float(v == 0.5) for v in one.verdicts], seed),
    }


def _lengths(decided: Sequence[Judged], seed: int) -> dict[str, Any]:
    """What 'the longer wins' would score, and the judge on pairs where that rule is right and wrong."""
    known = [one for one in decided if one.lengths is not None]

    def rule(one: Judged) -> list[float]:
        return [_credit(_longer(one), one.better)]

    def credits(one: Judged) -> list[float]:
        return [_credit(verdict, one.better) for verdict in one.verdicts]

    longer = [one for one in known if _longer(one) == one.better]
    shorter = [one for one in known if _longer(one) == 1 - one.better and _longer(one) != 0.5]
    return {
        "length_baseline": _estimate(known, rule, seed),
        "accuracy_longer_is_better": _estimate(longer, credits, seed),
        "accuracy_shorter_is_better": _estimate(shorter, credits, seed),
    }


def _categories(decided: Sequence[Judged], seed: int) -> dict[str, Any]:
    groups: dict[str, list[Judged]] = {}
    for one in decided:
        groups.setdefault(one.category, []).append(one)
    if set(groups) == {""}:
        return {}

    def credits(one: Judged) -> list[float]:
        return [_credit(verdict, one.better) for verdict in one.verdicts]

    return {name: _estimate(groups[name], credits, seed) for name in sorted(groups)}


def calibration(decided: Iterable[Judged]) -> dict[str, Any] | None:
    """How far P(first) can be believed: Brier score, expected calibration error over ten bins, the bins.

    The Brier score of a judge that always says one half is .25. None where no probability is known.
    """
    known = [(one.p_first, one.better) for one in decided if one.p_first is not None]
    if not known:
        return None
    said, true = np.array(known).T
    places = np.minimum((said * _BINS).astype(int), _BINS - 1)
    bins = [
        {"said": float(said[at].mean()), "true": float(true[at].mean()), "n": int(at.sum())}
        for at in (places == number for number in range(_BINS))
        if at.any()
    ]
    error = sum(row["n"] * abs(row["said"] - row["true"]) for row in bins) / len(known)
    return {"brier": float(((said - true) ** 2).mean()), "error": float(error), "n": len(known), "bins": bins}


def compared(ours: Sequence[Judged], theirs: Sequence[Judged], seed: int = 0) -> dict[str, Any]:
    """The difference in accuracy of two judges on the same pairs, with a paired 95 % bootstrap interval.

    Pair k of both is the same pair; those that either left unread, and equal ones, are left out. Raises
    DataError if the pairs are not the same, or none is left.
    """
    if [one.better for one in ours] != [one.better for one in theirs]:
        raise DataError(
            f"{len(ours)} and {len(theirs)} pairs are not the same pairs; compare on the same file"
        )
    rows = [
        (a.cluster or str(number), np.mean([_credit(v, a.better) for v in a.verdicts]), b)
        for number, (a, b) in enumerate(zip(ours, theirs, strict=True))
        if a.better != 0.5 and a.verdicts and b.verdicts
    ]
    if not rows:
        raise DataError("no pair was read by both judges; there is nothing to compare")
    clusters: dict[str, list[float]] = {}
    for cluster, mine, other in rows:
        credit = float(np.mean([_credit(verdict, other.better) for verdict in other.verdicts]))
        clusters.setdefault(cluster, []).append(float(mine) - credit)
    return {"difference": mean_of_clusters(list(clusters.values()), seed).as_dict(), "pairs": len(rows)}


def _longer(one: Judged) -> float:
    assert one.lengths is not None
    return 0.5 + 0.5 * float(np.sign(one.lengths[0] - one.lengths[1]))


def _credit(verdict: float, better: float) -> float:
    return 0.5 if verdict == 0.5 else float(verdict == better)


def _kappa(judged: Sequence[Judged]) -> float | None:
    """Cohen's kappa of all verdicts that could be read with what is known, equal pairs included."""
    rows = [(verdict, one.better) for one in judged for verdict in one.verdicts]
    return cohen_kappa([verdict for verdict, _ in rows], [better for _, better in rows])


def _estimate(
    judged: Sequence[Judged], values: Callable[[Judged], list[float]], seed: int
) -> dict[str, float] | None:
    """The mean of what `values` takes from each pair, resampling prompts; None if it takes nothing."""
    clusters: dict[str, list[float]] = {}
    for number, one in enumerate(judged):
        clusters.setdefault(one.cluster or str(number), []).extend(values(one))
    kept = [cluster for cluster in clusters.values() if cluster]
    if not kept:
        return None
    estimate = mean_of_clusters(kept, seed).as_dict()
    return {**estimate, "values": sum(map(len, kept))}
