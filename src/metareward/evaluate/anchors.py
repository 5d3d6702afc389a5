"""What the anchors of a run say: the bank and the evaluations of each model, and the two ladders."""

from collections.abc import Mapping
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.bank import bank_accuracy
from metareward.evaluate.ladder import ladder, scores_by_prompt
from metareward.history import History, Look


def of_model(look: Look | None) -> dict[str, Any]:
    """`bank`: a judge's accuracy on pairs known by construction, by kind; `evaluations`: each one's numbers.

    An evaluation without an honest number says why in `error`.
    """
    if look is None:
        return {"bank": None, "evaluations": {}}
    bank = None if look.bank is None else bank_accuracy(look.bank, look.banked or ())
    return {"bank": bank, "evaluations": {one.name: _scored(one, asked) for one, asked in look.evaluated}}


def ladders(history: History) -> dict[str, Any] | None:
    """The actors of all models under the first judge and under the newest; None without two looks.

    Entries as `evaluate.ladder.ladder` gives them; `newest` is None until the last model has judged all.
    """
    looks = [look for look in history.looks if look.answers is not None]
    if len(looks) < 2:
        return None
    names = [look.model.name for look in looks]
    newest: Mapping[str, Any] = history.newest
    return {
        "referee": ladder(names, [scores_by_prompt(look.refereed or ()) for look in looks]),
        "newest": ladder(names, [scores_by_prompt(newest[name]) for name in names])
        if set(names) <= set(newest)
        else None,
    }


def _scored(evaluation: Any, asked: tuple[Any, ...]) -> dict[str, Any]:
    try:
        return evaluation.score(*asked)
    except DataError as error:
        return {"error": str(error)}
