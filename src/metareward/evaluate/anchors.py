"""What the anchors of a run say: the bank and the evaluations of each model, and the two ladders."""

from collections.abc import Mapping
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.bank import bank_accuracy
from metareward.evaluate.ladder import ladder, scores_by_prompt
from metareward.evaluate.verifiable import WAYS, Verifiable, difference, judge_auc
from metareward.history import History, Look, Round


def of_model(look: Look | None) -> dict[str, Any]:
    """`bank`: a judge's accuracy on pairs known by construction, by kind; `evaluations`: each one's numbers.

    An evaluation without an honest number says why in `error`.
    """
    if look is None:
        return {"bank": None, "evaluations": {}}
    bank = None if look.bank is None else bank_accuracy(look.bank, look.banked or ())
    return {"bank": bank, "evaluations": {one.name: _scored(one, asked) for one, asked in look.evaluated}}


def accuracy(look: Look | None, history: History) -> dict[str, Any] | None:
    """A model's accuracy on problems whose answer is known, and how far it is above the first model's.

    {"n", "greedy", "sampled", "above_first"}: each way's share with its 95 % interval over problems, and the
    paired differences by way; `above_first` is None for the first model itself. None where no such
    problem was asked.
    """
    found, first = _verifiable(look), _verifiable(history.looks[0] if history.looks else None)
    if found is None or first is None:
        return None
    (one, (prompts, *answers)), (_, (_, *before)) = found, first
    now, then = ([one.marks(prompts, rows) for rows in ways] for ways in (answers, before))
    above = {way: difference(*both) for way, *both in zip(WAYS, now, then, strict=False)}
    score = one.score(prompts, *answers)
    ways = {way: score[way] for way in WAYS if way in score}
    return {"n": score["n"], **ways, "above_first": None if look is history.looks[0] else above}


def judge_on_problems(round: Round, history: History) -> dict[str, Any] | None:
    """`evaluate.verifiable.judge_auc` of an iteration's own judgments, where the right answers are known."""
    known = _verifiable(history.looks[0] if history.looks else None)
    if known is None:
        return None
    return judge_auc(known[0].answers, round.prompts, round.responses, round.judgments)


def _verifiable(look: Look | None) -> tuple[Verifiable, tuple[Any, ...]] | None:
    pairs = ((one, asked) for one, asked in (look.evaluated if look else ()) if isinstance(one, Verifiable))
    return next(pairs, None)


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
