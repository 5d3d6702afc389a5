"""Agreement of a judge with known preferences: accuracy, kappa, ranks. Numpy and scipy only."""

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa (1960) of two raters: 1 is agreement, 0 what their shares alone would give.

    None where chance alone gives full agreement (both always say the same one thing), or nothing was rated.
    Raises ValueError for sequences of different length.
    """
    if len(first) != len(second):
        raise ValueError(f"{len(first)} ratings cannot be compared with {len(second)}")
    if not first:
        return None
    ours, theirs, total = Counter(first), Counter(second), len(first)
    observed = sum(one == other for one, other in zip(first, second, strict=True)) / total
    expected = sum(ours[value] * theirs[value] for value in ours) / total**2
    return None if expected == 1 else (observed - expected) / (1 - expected)


def spearman(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Spearman's rank correlation, ties by mean ranks; None where one side is constant or has one value."""
    from scipy import stats  # 35 MB, which no run needs

    return _correlation(stats.spearmanr, ours, theirs)


def kendall(ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    """Kendall's tau-b, which corrects for ties; None where one side is constant or there is one value."""
    from scipy import stats

    return _correlation(stats.kendalltau, ours, theirs)


def pair_credits(ours: Sequence[float], theirs: Sequence[float]) -> list[float]:
    """For each pair that `theirs` puts in an order, 1 if `ours` has the same order, .5 if it ties, else 0."""
    credits = []
    for one in range(len(ours)):
        for other in range(one + 1, len(ours)):
            wanted = np.sign(theirs[one] - theirs[other])
            if wanted:
                credits.append(float(0.5 + 0.5 * wanted * np.sign(ours[one] - ours[other])))
    return credits


def best_of_credit(ours: Sequence[float], theirs: Sequence[float]) -> float:
    """The chance that one of our best, drawn at random, is among their best. ValueError for no value."""
    if not len(ours):
        raise ValueError("there is no best of nothing")
    top = [place for place, value in enumerate(ours) if value == max(ours)]
    return sum(theirs[place] == max(theirs) for place in top) / len(top)


def _correlation(measure: object, ours: Sequence[float], theirs: Sequence[float]) -> float | None:
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} values cannot be compared with {len(theirs)}")
    if len(set(ours)) < 2 or len(set(theirs)) < 2:
        return None
    return float(measure(ours, theirs).statistic)  # type: ignore[operator]
