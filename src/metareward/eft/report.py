"""What evaluation fine-tuning came to, in numbers, for a run's summary."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from metareward.history import Tuned
from metareward.train.job import RESULT


def tuned(history: Tuned | None) -> dict[str, Any] | None:
    """The step as plain data: its data with what was left out, its training, the judge before and after.

    `demonstrations` are judgments, `taken` those that were trained on, with copies; `replayed` are ordinary
    answers, and `trained` is how many of both fitted.
    """
    if history is None:
        return None
    training = json.loads((Path(history.trained.path) / RESULT).read_text(encoding="utf-8"))
    left_out = Counter(history.left_out)
    replayed = [] if history.replayed is None else [history.replayed]
    for part in (history.demonstrations, history.taken, *replayed):
        left_out.update(part.manifest.dropped)
    left_out.update(training["dropped"])
    return {
        "how": history.how,
        "demonstrations": len(history.demonstrations),
        "taken": len(history.taken),
        "replayed": sum(len(part) for part in replayed),
        "left_out": dict(sorted(left_out.items())),
        "trained": training["pairs_used"],
        "loss_first": training["loss_first"],
        "loss_last": training["loss_last"],
        "seconds": round(training["seconds"], 1),
        "before": history.before,
        "after": history.after,
    }
