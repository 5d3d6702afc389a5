"""The judge gate at work: the measures it can take of an iteration, from rows that are there already."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from metareward.evaluate.bank import Bank
from metareward.models.base import Model
from metareward.readers import Scale
from metareward.recipes import judge_signals
from metareward.recipes.judge_gate import GateReport, JudgeGate, hold
from metareward.runner import Runner
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.settle import Settle
from metareward.stats.bootstrap import Estimate


class Measures(Protocol):
    """The settings that measuring needs of a recipe."""

    @property
    def judge(self) -> Judge:
        """Whose judgments they are."""
        ...

    @property
    def meta_judge(self) -> MetaJudge:
        """What held the battles."""
        ...

    @property
    def settle(self) -> Settle:
        """How they count."""
        ...

    @property
    def judge_gate(self) -> JudgeGate:
        """The limits, and the bank."""
        ...


@dataclass(frozen=True)
class Fought:
    """One iteration's artifacts. counted: battles as they count. others: pairs that train beside these."""

    prompts: Any
    responses: Any
    judgments: Any
    battles: Any
    counted: Any
    pairs: Any
    others: Sequence[Any] = ()


def measured(run: Runner, recipe: Measures, model: Model, fought: Fought) -> GateReport | None:
    """Every signal that can be had, held to the limits; None on paper, where a step is not finished.

    Asks nothing, unless [judge_gate] bank_prompts wants a bank where held-out prompts gave none.
    """
    gate, expected = recipe.judge_gate, _expected(recipe)
    parts: list[dict[str, Estimate] | None] = [_positions(run, fought), _preferences(run, fought)]
    parts += [_scores(run, fought, recipe.judge.scale), _share(run, fought)]
    if "alike" in expected:
        parts.append(_likeness(run, fought))
    bank, banked, before = _bank(run, recipe, model, fought)
    if bank is not None:
        expected.append("bank")
        parts.append(run.conclude(lambda *rows: dict(judge_signals.of_bank(*rows)), bank, banked))
    if before is not None:
        expected.append("same_responses")
        parts.append(run.conclude(_rise, banked, before))
    found: dict[str, Estimate] = {}
    for part in parts:
        if part is None:
            return None
        found |= part
    free = ("position", "flips") if recipe.settle.together else ()
    return hold(gate, found, expected, free, recipe.judge.scale)


def _expected(recipe: Measures) -> list[str]:
    """The signals of battles that the settings allow for, whether or not there are rows to tell them by."""
    between = recipe.meta_judge.between
    different = ["score_preference", "score_lean"] if between != "same" else []
    same = ["position", "alike"] if between != "different" else []
    return [*different, *same, "flips"]


def _positions(run: Runner, fought: Fought) -> dict[str, Estimate] | None:
    rows = (fought.prompts, fought.judgments, fought.battles)
    return run.conclude(lambda *rows: dict(judge_signals.of_positions(*rows)), *rows)


def _likeness(run: Runner, fought: Fought) -> dict[str, Estimate] | None:
    rows = (fought.prompts, fought.judgments, fought.battles)
    return run.conclude(lambda *rows: dict(judge_signals.of_likeness(*rows)), *rows)


def _preferences(run: Runner, fought: Fought) -> dict[str, Estimate] | None:
    rows = (fought.prompts, fought.judgments, fought.counted, fought.pairs)
    return run.conclude(lambda *rows: dict(judge_signals.of_preferences(*rows)), *rows)


def _scores(run: Runner, fought: Fought, scale: Scale) -> dict[str, Estimate] | None:
    """The scores of this iteration, and what has changed since the last one."""

    def scores(prompts: Any, judgments: Any) -> judge_signals.Scores:
        return judge_signals.of_scores(prompts, judgments, scale)

    now = run.conclude(scores, fought.prompts, fought.judgments)
    if now is None:
        return None
    found = dict(now.signals())
    if run.history.rounds:
        last = run.history.rounds[-1]
        before = run.conclude(scores, last.prompts, last.judgments)
        found |= dict(now.changes(before)) if before is not None else {}
    return found


def _share(run: Runner, fought: Fought) -> dict[str, Estimate] | None:
    if not fought.others:
        return {}
    return run.conclude(judge_signals.of_shares, fought.pairs, *fought.others)


def _bank(run: Runner, recipe: Measures, model: Model, fought: Fought) -> tuple[Any, Any, Any]:
    """The bank, this model's judgments of it, and those of the model before it where they are of the same."""
    looks = {look.model.fingerprint: look for look in run.history.looks if look.bank is not None}
    if model.fingerprint in looks:
        look = looks[model.fingerprint]
        last = run.history.rounds[-1].start.fingerprint if run.history.rounds else None
        before = looks[last].banked if last in looks and last != model.fingerprint else None
        return look.bank, look.banked, before
    gate = recipe.judge_gate
    if not gate.bank_prompts:
        return None, None, None
    bank = run.derive(Bank(gate.bank_prompts, recipe.meta_judge.seed), fought.prompts, fought.responses)
    judge = replace(recipe.judge, samples=gate.bank_judgments)
    return bank, run.ask(judge, fought.prompts, bank, of=model), None


def _rise(banked: Any, before: Any) -> dict[str, Estimate]:
    rise = judge_signals.of_same_responses(banked, before)
    return {} if rise is None else {"same_responses": rise}
