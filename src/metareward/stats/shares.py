"""Shares and means with intervals that respect which observations belong together."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import betainc, betaincinv, ndtri

LEVEL = 0.95
_RESAMPLES = 4000
_BOOTSTRAP = "bootstrap over prompts"


@dataclass(frozen=True)
class Estimate:
    """A mean of `n` values from `clusters` prompts with its 95 % interval; None where there is none.

    method: "Wilson" where each prompt gives one yes or no, else a percentile bootstrap over prompts; where
    all prompts agree on 0 or on 1 the bootstrap has no width, and "Wilson over prompts" takes each prompt
    for one observation, which is wide rather than narrow.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    clusters: int
    method: str


def share(values: Sequence[float], clusters: Sequence[str], level: float = LEVEL) -> Estimate:
    """The mean of values in [0, 1], each from the prompt that `clusters` names at its place.

    level: of the interval, where it is to be another than 95 %.
    """
    count, distinct = len(values), len(set(clusters))
    if not count:
        return Estimate(None, None, None, 0, 0, "no data")
    mean = float(np.mean(values))
    if count == distinct and set(values) <= {0, 1}:
        return Estimate(mean, *wilson(sum(values), count, level), count, distinct, "Wilson")
    if mean in (0, 1):
        ends = wilson(mean * distinct, distinct, level)
        return Estimate(mean, *ends, count, distinct, "Wilson over prompts")
    return _bootstrapped(values, clusters, level)


def mean(values: Sequence[float], clusters: Sequence[str]) -> Estimate:
    """The mean of any values, by bootstrap over prompts; no interval where there is one prompt."""
    if not values:
        return Estimate(None, None, None, 0, 0, "no data")
    return _bootstrapped(values, clusters)


def excess(
    values: Sequence[float], floors: Sequence[float], clusters: Sequence[str], level: float = LEVEL
) -> Estimate:
    """The share of `values` less that of `floors`, paired; both as `share` takes them.

    The interval is Newcombe's for paired shares (1998, method 10), made of the two shares' own intervals and
    the correlation of both over prompts, so that it keeps its width where nothing, or everything, differs.
    """
    rate, floor = share(values, clusters, level), share(floors, clusters, level)
    if rate.value is None or floor.value is None:
        return rate
    value, low, high = rate.value - floor.value, None, None
    if None not in (rate.low, rate.high, floor.low, floor.high):
        below, above = _reach(rate), _reach(floor)
        together = _correlation(values, floors, clusters)
        low = max(-1.0, value - _joint(below[0], above[1], together))
        high = min(1.0, value + _joint(below[1], above[0], together))
    return Estimate(value, low, high, rate.n, rate.clusters, "Newcombe, paired")


def wilson(successes: float, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927, without a continuity correction)."""
    z = float(ndtri((1 + level) / 2))
    rate, weight = successes / trials, 1 + z * z / trials
    centre = (rate + z * z / (2 * trials)) / weight
    half = z / weight * np.sqrt(rate * (1 - rate) / trials + z * z / (4 * trials * trials))
    low = float(centre - half) if successes > 0 else 0.0
    return low, float(centre + half) if successes < trials else 1.0


def at_least(values: Sequence[float], clusters: Sequence[str], alpha: float) -> float:
    """A bound that the true share is above with confidence 1 - alpha; 0 without data.

    Exact (Clopper and Pearson 1934) where each prompt gives one yes or no; else by bootstrap over prompts,
    with the exact bound over prompts where that has no width.
    """
    count, distinct = len(values), len(set(clusters))
    if not count:
        return 0.0
    rate = float(np.mean(values))
    if (count == distinct and set(values) <= {0, 1}) or rate in (0, 1):
        return _exact_bound(round(rate * distinct), distinct, alpha)
    return float(np.quantile(resampled(values, clusters), alpha))


def sign_test(values: Sequence[float], clusters: Sequence[str]) -> float:
    """One-sided exact sign test over prompts: the probability of so many positive sums, were both signs
    equally likely. 1 where no prompt leans to either side (McNemar's test for paired yes and no).
    """
    sums = [total for total, _ in _totals(values, clusters)]
    positive, negative = sum(s > 0 for s in sums), sum(s < 0 for s in sums)
    return float(betainc(positive, negative + 1, 0.5)) if positive else 1.0


def resampled(values: Sequence[float], clusters: Sequence[str], seed: int = 0) -> NDArray[np.float64]:
    """Means of resamples over prompts, [4000]; a prompt comes with all of its values."""
    totals = np.array(_totals(values, clusters), dtype=np.float64)
    random = np.random.default_rng(seed)
    counts = random.multinomial(len(totals), [1 / len(totals)] * len(totals), _RESAMPLES)
    sums = counts @ totals
    return sums[:, 0] / sums[:, 1]


def _reach(found: Estimate) -> tuple[float, float]:
    """How far an interval reaches below its value, and above it."""
    value, low, high = found.value or 0.0, found.low or 0.0, found.high or 0.0
    return max(0.0, value - low), max(0.0, high - value)


def _joint(one: float, other: float, correlation: float) -> float:
    """How far the difference of two numbers reaches that reach so far, and vary together so much."""
    return float(np.sqrt(max(0.0, one**2 - 2 * correlation * one * other + other**2)))


def _correlation(values: Sequence[float], floors: Sequence[float], clusters: Sequence[str]) -> float:
    """Of the prompts' means; 0 where one side does not vary."""
    both = [[total / count for total, count in _totals(side, clusters)] for side in (values, floors)]
    if any(max(side) == min(side) for side in both):
        return 0.0
    together = np.corrcoef(np.asarray(both))
    return float(np.asarray(together)[0, 1])


def _bootstrapped(values: Sequence[float], clusters: Sequence[str], level: float = LEVEL) -> Estimate:
    distinct = len(set(clusters))
    low = high = None
    if distinct > 1:
        edges = ((1 - level) / 2, (1 + level) / 2)
        low, high = (float(edge) for edge in np.quantile(resampled(values, clusters), edges))
    return Estimate(float(np.mean(values)), low, high, len(values), distinct, _BOOTSTRAP)


def _exact_bound(successes: int, trials: int, alpha: float) -> float:
    return float(betaincinv(successes, trials - successes + 1, alpha)) if successes else 0.0


def _totals(values: Sequence[float], clusters: Sequence[str]) -> list[tuple[float, int]]:
    """Sum and number of the values of each prompt."""
    found: dict[str, Any] = {}
    for value, cluster in zip(values, clusters, strict=True):
        so_far = found.get(cluster, (0.0, 0))
        found[cluster] = (so_far[0] + value, so_far[1] + 1)
    return list(found.values())
