"""How much a judge's scores say: their entropy, and the share of their spread that is the responses'."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from metareward.stats.bootstrap import Estimate, resampled


def entropy(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Shannon entropy in bits of the shares along the last axis; NaN where there is nothing.

    counts: [..., values], 0 or more. 0 where one value has everything, log2(values) where all have the same.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = counts / counts.sum(-1, keepdims=True)
        return -np.where(shares > 0, shares * np.log2(shares), shares).sum(-1)


@dataclass(frozen=True)
class Spread:
    """One prompt's sums of squares: of response means about the prompt's, of scores about the response's.

    inverse: the sum over responses of one over the number of scores.
    """

    between: float
    within: float
    responses: int
    scores: int
    inverse: float


def spread(scores: Sequence[Sequence[float]]) -> Spread | None:
    """The spread of one prompt's scores, one sequence a response; None where it says nothing.

    Responses without a score are left out; two responses are needed, and one of them with two scores.
    """
    kept = [np.asarray(own, dtype=np.float64) for own in scores if len(own)]
    if len(kept) < 2 or max(map(len, kept)) < 2:
        return None
    means = np.array([own.mean() for own in kept])
    within = float(sum(((own - mean) ** 2).sum() for own, mean in zip(kept, means, strict=True)))
    between = float(((means - means.mean()) ** 2).sum())
    return Spread(between, within, len(kept), sum(map(len, kept)), float(sum(1 / len(own) for own in kept)))


def reliability(spreads: Sequence[Spread]) -> Estimate:
    """rho_N = sb2 / (sb2 + sw2 / N): of the variance of a prompt's mean scores, the part that repeats.

    sb2 is the variance between responses to one prompt, sw2 that of one response's N scores (of unequal N
    the harmonic mean), by the analysis of variance, pooled over prompts: for one prompt it is ICC(1, k) of
    Shrout and Fleiss (1979). At least 0, as sb2 is. The interval resamples prompts. Raises ValueError
    without a prompt.
    """
    table = np.array([[s.between, s.within, s.responses, s.scores, s.inverse] for s in spreads], np.float64)

    def rho(rows_DN: NDArray[np.int64]) -> NDArray[np.float64]:
        between, within, responses, scores, inverse = np.moveaxis(table[rows_DN].sum(1), -1, 0)
        prompts = rows_DN.shape[-1]
        noise = within / (scores - responses) * inverse / responses
        return np.clip(1 - noise / (between / (responses - prompts)), 0, 1)

    return resampled(rho, len(spreads))
