"""A judge before and after: how often its own judgments can be read, and whom it agrees with."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.judge_ask import JudgeRanks
from metareward.records import Judgment
from metareward.stats.proportions import wilson

_SHOWN = ("pairwise", "length_baseline", "pairwise_longer_is_better", "pairwise_shorter_is_better")


def measured(evaluation: JudgeRanks, judgments: Iterable[Judgment]) -> dict[str, Any]:
    """Readability, and agreement with people's ranks with the baseline 'the longer is better' beside it.

    Each share is {"value", "lower", "upper", "n"} with a 95 % interval, over prompts for agreement (pairs of
    a prompt resemble each other). Where too little could be read, agreement is None and `why` says so.
    """
    unread: Counter[str | None] = Counter()
    points: Counter[str] = Counter()
    for row in judgments:
        if row.score is None:
            unread[row.unread] += 1
        else:
            points[str(int(row.score + 0.5))] += 1
    read, total = points.total(), points.total() + unread.total()
    lower, upper = wilson(read, total)
    said: dict[str, Any] = {
        "judgments": total,
        "readable": {"value": read / total, "lower": lower, "upper": upper, "n": total},
        "unreadable": dict(unread),
        "scores": dict(sorted(points.items())),
        "why": None,
    }
    try:
        found = evaluation.score(judgments)
    except DataError as error:
        return said | dict.fromkeys(_SHOWN) | {"why": str(error)}
    return said | {name: found[name] for name in _SHOWN}
