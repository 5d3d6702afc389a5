"""Accuracies as plain data: a share with its 95 % interval and the counts behind it."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from metareward.stats.proportions import clustered_wilson, wilson


def share(marks: Iterable[bool]) -> dict[str, Any]:
    """Of independent trials, at least one: Wilson's interval."""
    marks = list(marks)
    return _plain(sum(marks), len(marks), wilson(sum(marks), len(marks)))


def clustered_share(marks: Iterable[tuple[int, bool]]) -> dict[str, Any]:
    """Of trials (cluster, success) where those of one cluster may stand or fall together."""
    clusters, successes = zip(*marks, strict=True)
    _, places = np.unique(np.array(clusters), return_inverse=True)
    won, tried = np.bincount(places, np.array(successes, float)), np.bincount(places)
    return _plain(sum(successes), len(successes), clustered_wilson(won, tried))


def _plain(successes: int, trials: int, interval: tuple[float, float]) -> dict[str, Any]:
    lower, upper = interval
    accuracy = successes / trials
    return {"accuracy": accuracy, "lower": lower, "upper": upper, "correct": successes, "n": trials}
