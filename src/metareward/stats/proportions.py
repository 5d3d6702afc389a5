"""Intervals of a share of successes: plain trials, and trials that come in clusters."""

import numpy as np
from numpy.typing import ArrayLike
from scipy.special import ndtri


def wilson(successes: float, trials: float, confidence: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval (1927) of a share, both ends in [0, 1].

    It keeps its width where every trial, or none, succeeded. `trials` need not be whole. Raises ValueError
    without a trial, or for successes that are not between 0 and `trials`.
    """
    if not trials > 0 or not 0 <= successes <= trials:
        raise ValueError(f"{successes} successes in {trials} trials have no interval")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1, not {confidence!r}")
    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    share = successes / trials
    centre = (share + z2 / (2 * trials)) / (1 + z2 / trials)
    half = np.sqrt(z2 * (share * (1 - share) + z2 / (4 * trials)) / trials) / (1 + z2 / trials)
    # At the ends of [0, 1] rounding must not leave the share itself outside.
    return max(0.0, min(share, float(centre - half))), min(1.0, max(share, float(centre + half)))


def effective_trials(successes: ArrayLike, trials: ArrayLike) -> float:
    """How many independent trials say as much as these, which come in clusters (Rao and Scott, 1992).

    successes, trials: [clusters]. It is trials over the design effect, the latter at least 1: the variance
    of the share over clusters by that of independent trials. Where every trial, or none, succeeded, nothing
    is known of it, and each cluster counts as one trial. Raises ValueError as `wilson` does.
    """
    won, tried = np.asarray(successes, float), np.asarray(trials, float)
    if won.shape != tried.shape or won.ndim != 1 or not len(won) or (tried <= 0).any():
        raise ValueError("each cluster needs its successes and at least one trial")
    if (won < 0).any() or (won > tried).any():
        raise ValueError("a cluster has successes below 0 or above its trials")
    clusters, total = len(tried), float(tried.sum())
    share = float(won.sum()) / total
    if clusters == 1 or share in (0.0, 1.0):
        return float(clusters)
    residual = won - share * tried
    variance = clusters / (clusters - 1) * float(residual @ residual) / total**2
    return min(total, share * (1 - share) / variance) if variance > 0 else total


def clustered_wilson(
    successes: ArrayLike, trials: ArrayLike, confidence: float = 0.95
) -> tuple[float, float]:
    """Wilson's interval of the share of all trials, at their effective number.

    successes, trials: [clusters]. Raises ValueError as `effective_trials` does.
    """
    effective = effective_trials(successes, trials)
    share = float(np.sum(successes)) / float(np.sum(trials))
    return wilson(share * effective, effective, confidence)


def apart(now: tuple[float, float, float], then: tuple[float, float, float]) -> tuple[float, float]:
    """The interval of now - then, both a share with the two ends of its interval (Newcombe 1998, method 10).

    It keeps its width where both shares are 0 or 1. Of the same units seen twice it is too wide, not too
    narrow, as far as they tend to agree with themselves.
    """
    (a, a_low, a_high), (b, b_low, b_high) = now, then
    lower = a - b - float(np.hypot(a - a_low, b_high - b))
    return max(-1.0, lower), min(1.0, a - b + float(np.hypot(a_high - a, b - b_low)))
