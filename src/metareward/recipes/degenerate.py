"""Answers that no judge should be paid for: measured as soon as they are there, told, or the end."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from metareward.answers.alike import MANY_WORDS
from metareward.answers.measure import Answers, change, look
from metareward.display import one_line
from metareward.history import Answered
from metareward.models.base import Model
from metareward.runner import Runner
from metareward.settings import one_of, require
from metareward.stages.judge import Judge
from metareward.stats.bootstrap import Estimate

State = Literal["passed", "failed", "cannot tell", "measured"]
Kind = Literal["held-out", "training", "past", "future"]  # the last two: of an iteration, by another model
HELD_OUT: Kind = "held-out"
TRAINING: Kind = "training"
_ACTIONS = ("warn", "stop")
_SHORT, _ALIKE = (
    0.15,
    0.25,
)  # added to the limit of one answer that is short, or to prompts that are alike
_PROMPTS_ALIKE = 0.3  # of prompts of which more is alike, alike answers may be what was asked for
_SHOWN = 80  # characters of an example in a message
_ID = 12  # digits of an id in a message

_WORDS: Mapping[str, str] = {
    "verdict": "of the answers read as a verdict or a rubric",
    "alike": "of what they say stands in phrases that answers to other prompts have, too",
    "one_answer": "of the answers are one and the same, to different prompts",
    "loops": "of the answers say the same again and again",
    "empty": "of the answers are empty",
    "echo": "of the answers say the prompt back",
    "turns": "of the answers go on with a turn of somebody else",
    "header": "of the answers begin with the header of a role",
    "cut_off": "of the answers are cut off",
    "opening": "of the answers begin with the same words",
    "repeated": "of the answers are also given to another prompt",
}
_RISING = ("verdict", "alike", "loops", "empty", "echo", "turns", "header")


@dataclass(frozen=True)
class Degenerate:
    """Settings of the answers' gate. At the defaults it measures, says what is wrong, and changes nothing.

    action: where a limit is passed, "warn" says so, "stop" ends the run before these answers are judged.
    fewest: with answers to fewer prompts nothing is held against a limit.
    max_rise: how much more of a model's answers than of the first model's may be so.

    A limit is passed when the whole 95 % interval lies beyond it; at 1 it is off. docs/degenerate-answers.md
    says what each measures.
    """

    enabled: bool = True
    action: Literal["warn", "stop"] = "warn"
    fewest: int = 4
    max_verdict: float = 0.25
    max_alike: float = 0.4
    max_one_answer: float = 0.5
    max_loops: float = 0.5
    max_empty: float = 0.3
    max_echo: float = 0.5
    max_turns: float = 0.3
    max_header: float = 0.3
    max_cut_off: float = 1.0
    max_opening: float = 1.0
    max_rise: float = 0.3

    def __post_init__(self) -> None:
        require(self.action in _ACTIONS, "answers.action", one_of(_ACTIONS), self.action)
        require(self.fewest >= 2, "answers.fewest", "2 or more", self.fewest)
        for name in (*_WORDS, "rise"):
            given = self.limit(name)
            require(given is None or 0 <= given <= 1, f"answers.max_{name}", "between 0 and 1", given)

    def limit(self, name: str) -> float | None:
        """What a share is held to; None for one that has no limit."""
        return getattr(self, f"max_{name}", None)


@dataclass(frozen=True)
class Sign:
    """One share with its interval over `n` prompts, the limit it is held to, and what that says.

    rise: how much it is above the first model's, where there is one to compare with. state: "measured" where
    no limit is set; "cannot tell" where there are too few prompts.
    """

    name: str
    share: Estimate | None
    rise: Estimate | None
    limit: float | None
    state: State

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        share = self.share.as_dict() if self.share else dict.fromkeys(("value", "lower", "upper")) | {"n": 0}
        rise = self.rise.as_dict() if self.rise else None
        return {**share, "rise": rise, "limit": self.limit, "state": self.state}


@dataclass(frozen=True)
class AnswersReport:
    """What the answers look like, and which of it is held against them."""

    answers: Answers
    signs: tuple[Sign, ...]

    @property
    def failed(self) -> tuple[Sign, ...]:
        """The signs that are beyond their limits."""
        return tuple(sign for sign in self.signs if sign.state == "failed")

    @property
    def passed(self) -> bool:
        """Whether none is."""
        return not self.failed

    def as_dict(self) -> dict[str, Any]:
        """As plain data: each sign by its name."""
        signs = {sign.name: sign.as_dict() for sign in self.signs}
        return {"passed": self.passed, "signs": signs, **self.answers.as_dict()}


def noticed(
    run: Runner, gate: Degenerate, judge: Judge, model: Model, kind: Kind, prompts: Any, answers: Any
) -> None:
    """Measure answers that were just given, before anybody judges them, and do what the gate says.

    judge: whose template's words make a rubric. Raises StepError with the shares and an example, if a limit
    is passed and the action is "stop".
    """
    if not gate.enabled:
        return
    found = run.conclude(lambda *rows: look(*rows, template=judge.template), prompts, answers)
    if found is None:
        return
    report = AnswersReport(found, hold(gate, found, _first(run, model, kind)))
    action = "none" if report.passed else gate.action
    run.history.answers.append(Answered(kind, len(run.history.rounds), model, action, report))
    if not report.passed:
        run.warn(said(report, model, gate.action), stop=gate.action == "stop")


def hold(gate: Degenerate, answers: Answers, first: Answers | None = None) -> tuple[Sign, ...]:
    """Hold each share to its limit, and what it is above the first model's to the limit of a rise."""
    rises = change(answers, first) if first is not None else {}
    return tuple(_sign(gate, name, answers, rises.get(name)) for name in _WORDS)


def _first(run: Runner, model: Model, kind: Kind) -> Answers | None:
    """What the first model's answers to such prompts look like; None for the first model itself."""
    sort = (HELD_OUT,) if kind == HELD_OUT else (TRAINING,)
    found = next((one for one in run.history.answers if one.kind in sort), None)
    if found is None or found.model.fingerprint == model.fingerprint:
        return None
    return found.report.answers


def _sign(gate: Degenerate, name: str, answers: Answers, rise: Estimate | None) -> Sign:
    share, limit = answers.shares[name], gate.limit(name)
    limit = None if limit == 1 else limit
    if limit is None:
        return Sign(name, share, rise, None, "measured")
    if name == "one_answer":
        limit = _limit_of_one(limit, answers)
    if share is None or share.n < gate.fewest:
        return Sign(name, share, rise, limit, "cannot tell")
    beyond = share.lower > limit or _risen(gate, name, share, rise, limit)
    return Sign(name, share, rise, limit, "failed" if beyond else "passed")


def _risen(gate: Degenerate, name: str, share: Estimate, rise: Estimate | None, limit: float) -> bool:
    """Whether there is too much more of it than in the first model's answers.

    One answer to all is held against any rise, but only beyond its own limit.
    """
    if rise is None or gate.max_rise == 1:
        return False
    if name == "one_answer":
        return rise.lower > 0 and share.value > limit
    return name in _RISING and rise.lower > gate.max_rise


def _limit_of_one(limit: float, answers: Answers) -> float:
    """The limit of one answer to all: higher where it is short, or where the prompts are alike, too.

    A short one, such as "yes", is held against them only where no other answer is given at all.
    """
    short = len(answers.answer.split()) < MANY_WORDS
    if short and not answers.every:
        return 1.0
    alike = answers.prompts_alike > _PROMPTS_ALIKE
    return min(1.0, limit + short * _SHORT + alike * _ALIKE)


def said(report: AnswersReport, model: Model, action: str) -> str:
    """What is wrong, with the shares and an example, and what is done about it."""
    told = "; ".join(map(_told, report.failed))
    then = "they are judged all the same"
    if action == "stop":
        then = "the run stops here, before they are judged; what it had is kept"
    message = f"the answers of {one_line(model.name)} look degenerate: {told}; {then}."
    examples = report.answers.examples
    shown = next((examples[sign.name] for sign in report.failed if sign.name in examples), None)
    if shown is not None:
        message += f' One begins "{one_line(shown.text, _SHOWN)}" (metareward show {shown.id[:_ID]}).'
    other = 'action = "warn" or other limits' if action == "stop" else "other limits"
    return (
        f"{message} Take a model that answers, or mend its chat template or what it was trained on; if such "
        f"answers are what you want, set {other} in [answers] and add --change"
    )


def _told(sign: Sign) -> str:
    assert sign.share is not None  # it could not have failed
    share, limit = _percent(sign.share), 100 * (sign.limit or 0)
    told = f"{share} {_WORDS[sign.name]} ({sign.share.n} prompts; limit {limit:.0f} %"
    if sign.rise is not None and sign.rise.lower > 0:
        told += f"; {_percent(sign.rise)} more than of the first model's"
    return f"{told})"


def _percent(estimate: Estimate) -> str:
    value, lower, upper = (f"{100 * end:.0f}" for end in (estimate.value, estimate.lower, estimate.upper))
    return f"{value} % [{lower}, {upper}]"
