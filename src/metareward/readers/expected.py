"""The score of a forced reading."""

from collections.abc import Mapping

import numpy as np


def expected_score(log_probs: Mapping[str, float]) -> tuple[float, float]:
    """Expected value over the allowed scores, and the probability of all of them together.

    sum_d d p(d) / sum_d p(d), as in Self-J (arXiv 2409.00935), with natural log-probabilities in.
    """
    logs = np.array(list(log_probs.values()), dtype=np.float64)
    digits = np.array([float(choice) for choice in log_probs])
    weights = np.exp(logs - logs.max())
    return float(digits @ weights / weights.sum()), float(np.exp(logs).sum())
