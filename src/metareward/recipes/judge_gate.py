"""The judge gate: what an iteration's own battles say of its judge pairs, before they are trained on.

It stands beside the attacks of `recipes.gate` and takes the same actions. Those try the judge with texts made
to fool it; this one measures the meta-judge, and the judge it is about to change, on the iteration's rows.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from math import log2
from typing import Any, Final, Literal

from metareward.history import STOPS_JUDGE
from metareward.readers import HIGHEST, LOWEST, Scale
from metareward.settings import checked, one_of, require
from metareward.stats.bootstrap import Estimate

Action = Literal["warn", "equal scores", "drop judge", "stop judge", "stop"]
State = Literal["passed", "failed", "cannot tell", "measured"]
LEFT_OUT = "left out by the judge gate"
EQUAL_SCORES: Final = "equal scores"
ACTIONS = ("warn", EQUAL_SCORES, "drop judge", STOPS_JUDGE, "stop")  # each one sterner than those before it
_EVIDENCE, _UNSURE, _LEFT = ("interval", "estimate"), ("pass", "fail"), ("skip", "stop")


@dataclass(frozen=True)
@checked("judge_gate")
class JudgeGate:
    """Settings of the judge gate. At the defaults it measures, says what is wrong, and changes nothing.

    action: when a limit is passed, "warn" says so, "equal scores" also makes the judge pairs of this
        iteration anew from its battles between judgments of equal score, which no score can have decided,
        "drop judge" leaves its judge pairs out, "stop judge" does that and trains no judge in the rest of the
        run either, "stop" ends the run with the numbers.
    stop_judge_when: names of signals; where one of them fails, judge training ends as by "stop judge",
        whatever a milder `action` says of the others. "bank" stands for all kinds of the bank.
    nothing_left: when no pair is left after that (an iteration that trains the judge alone), "skip" goes on
        with the same model, "stop" ends the run.
    evidence: a limit is passed when the whole 95 % "interval" lies beyond it, or the "estimate" alone.
    fewest: with fewer prompts that have such rows a signal cannot be told; cannot_tell: which then is to
        "pass" or to "fail".
    bank_prompts, bank_judgments: where no bank was judged on held-out prompts ([watch] bank_prompts), one is
        made of so many of the iteration's prompts and judged so many times a response; 0 makes none.

    The limits are those of docs/gates.md; at 1, 0 or 5, whatever a signal cannot pass, they are off.
    Those in points are for a scale of 0 to 5; on another one they grow with its width.
    """

    action: Action = "warn"
    stop_judge_when: tuple[str, ...] = ()
    nothing_left: Literal["skip", "stop"] = "skip"
    evidence: Literal["interval", "estimate"] = "interval"
    fewest: int = 10
    cannot_tell: Literal["pass", "fail"] = "pass"
    bank_prompts: int = 0
    bank_judgments: int = 3
    max_score_preference: float = 0.75
    max_position_lean: float = 0.1
    max_flips: float = 0.2
    max_score_lean: float = 0.75
    max_score_margin: float = 5.0
    max_alike: float = 1.0
    max_mean_rise: float = 0.3
    max_top_share: float = 1.0
    max_unreadable: float = 1.0
    min_entropy: float = 0.0
    min_reliability: float = 0.0
    min_bank_accuracy: float = 0.5
    max_judge_share: float = 1.0

    def __post_init__(self) -> None:
        for name, choices in (
            ("action", ACTIONS),
            ("nothing_left", _LEFT),
            ("evidence", _EVIDENCE),
            ("cannot_tell", _UNSURE),
        ):
            given = getattr(self, name)
            require(given in choices, f"judge_gate.{name}", one_of(choices), given)
        for name, fewest in (("fewest", 2), ("bank_judgments", 1), ("bank_prompts", 0)):
            given = getattr(self, name)
            require(given >= fewest, f"judge_gate.{name}", f"{fewest} or more", given)
        require(self.bank_prompts != 1, "judge_gate.bank_prompts", "0, or at least 2", self.bank_prompts)
        for rule in _RULES.values():
            if rule.limit:
                given = getattr(self, rule.limit)
                sane = 0 <= given <= rule.most
                require(sane, f"judge_gate.{rule.limit}", f"between 0 and {rule.most:g}", given)
        for name in self.stop_judge_when:
            self._check_stopping(name)

    def _check_stopping(self, name: str) -> None:
        limited = {known: rule for known, rule in _RULES.items() if rule.limit}
        require(name in limited, "judge_gate.stop_judge_when", f"names among {', '.join(limited)}", name)
        limit, off = limited[name].limit, limited[name].off
        wanted = f"other than {off:g}, at which it is off, to have {name!r} in stop_judge_when"
        require(getattr(self, limit) != off, f"judge_gate.{limit}", wanted, off)


@dataclass(frozen=True)
class _Rule:
    """How a signal is read.

    limit: its setting. beyond: on which side of it the signal fails. most: its largest value. off: the limit
    that no value is beyond. unit: "%", "points" or "bits".
    """

    words: str
    unit: str = "%"
    limit: str = ""
    beyond: Literal["above", "below", "around"] = "above"
    most: float = 1.0

    @property
    def off(self) -> float:
        return {"above": self.most, "below": 0.0, "around": self.most}[self.beyond]


_BANK = _Rule("of the pairs known by construction are right", "%", "min_bank_accuracy", "below")
_RULES: Mapping[str, _Rule] = {
    "score_preference": _Rule("of the battles go to the higher score", "%", "max_score_preference"),
    "position": _Rule(
        "of the battles between equal scores go to the first shown", "%", "max_position_lean", "around", 0.5
    ),
    "flips": _Rule("of the pairs are decided oppositely in the two orders", "%", "max_flips"),
    "score_lean": _Rule(
        "of the widest score difference lies between chosen and rejected", "%", "max_score_lean"
    ),
    "alike": _Rule("of what two judgments in battle say is the same", "%", "max_alike"),
    "score_margin": _Rule("between chosen and rejected judgment", "points", "max_score_margin", most=5.0),
    "mean_change": _Rule(
        "more in the mean score than in the last iteration", "points", "max_mean_rise", most=5.0
    ),
    "same_responses": _Rule(
        "more for the same responses than the model before", "points", "max_mean_rise", most=5.0
    ),
    "top_share": _Rule("of the judgments give full marks", "%", "max_top_share"),
    "top_share_change": _Rule("more of the judgments give full marks"),
    "unreadable": _Rule("of the judgments are unreadable", "%", "max_unreadable"),
    "unreadable_change": _Rule("more of the judgments are unreadable"),
    "entropy": _Rule("in the scores", "bits", "min_entropy", "below", log2(HIGHEST + 1)),
    "entropy_change": _Rule("more in the scores", "bits"),
    "reliability": _Rule("of the variance of mean scores is the responses'", "%", "min_reliability", "below"),
    "bank": _BANK,
    "judge_share": _Rule("of the pairs are judge pairs", "%", "max_judge_share"),
}


@dataclass(frozen=True)
class Signal:
    """One number with its 95 % interval over `n` prompts, the limit it is held to, and what that says.

    limit: None where none is set. state: "measured" where nothing is held against it. value: None where there
    were no rows of the kind. A `judge_share` is a count and has no interval.
    """

    name: str
    value: float | None
    lower: float | None
    upper: float | None
    n: int
    limit: float | None
    state: State

    def __str__(self) -> str:
        rule = rule_of(self.name)
        if self.value is None:
            return f"{self.name.replace('_', ' ')}: no rows to tell it by"
        shown = f"{_shown(self.value, rule.unit)} {rule.unit}"
        if self.lower is not None and self.upper is not None:
            shown += f" [{_shown(self.lower, rule.unit)}, {_shown(self.upper, rule.unit)}]"
        named = f" ({self.name})" if self.name.startswith("bank: ") else ""
        limit = "" if self.limit is None else f"; limit {_limit(self.limit, rule)}"
        counted = "pairs" if self.name == "judge_share" else "prompts"
        return f"{shown} {rule.words}{named} ({self.n} {counted}{limit})"


@dataclass(frozen=True)
class GateReport:
    """All signals of one iteration."""

    signals: tuple[Signal, ...]
    cannot_tell: str = "pass"

    @property
    def failed(self) -> tuple[Signal, ...]:
        """The signals that are beyond their limits, and if so configured those that could not be told."""
        also = ("cannot tell",) if self.cannot_tell == "fail" else ()
        return tuple(signal for signal in self.signals if signal.state in ("failed", *also))

    @property
    def held(self) -> tuple[Signal, ...]:
        """The signals that are held to a limit."""
        return tuple(signal for signal in self.signals if signal.state != "measured")

    @property
    def told(self) -> tuple[Signal, ...]:
        """Those of them that there was enough to tell by."""
        return tuple(signal for signal in self.held if signal.state != "cannot tell")

    @property
    def verdict(self) -> State:
        """What all signals come to.

        "failed" where any did, else "passed" where any could be told, "cannot tell" where none could, and
        "measured" where none is held to a limit.
        """
        if self.failed:
            return "failed"
        if not self.held:
            return "measured"
        return "passed" if self.told else "cannot tell"

    @property
    def passed(self) -> bool:
        """Whether there was something to tell by, and nothing failed."""
        return self.verdict == "passed"

    def as_dict(self) -> dict[str, Any]:
        """As plain data: each signal by its name."""
        return {signal.name: _without_name(signal) for signal in self.signals}


def hold(
    gate: JudgeGate,
    found: Mapping[str, Estimate],
    expected: Iterable[str],
    free: Iterable[str] = (),
    scale: Scale = Scale(),  # noqa: B008 - frozen
) -> GateReport:
    """Hold each measured signal to its limit.

    expected: signals that cannot be told where `found` has none of them. free: held to no limit.
    scale: of the scores, for limits in points.
    """
    names, wide = list(dict.fromkeys([*expected, *found])), (scale.high - scale.low) / (HIGHEST - LOWEST)
    signals = (_signal(gate, name, found.get(name), name not in set(free), wide) for name in names)
    return GateReport(tuple(signals), gate.cannot_tell)


def rule_of(name: str) -> _Rule:
    """How a signal is read; every kind of the bank as the bank."""
    return _BANK if name.startswith("bank") else _RULES[name]


def _signal(gate: JudgeGate, name: str, estimate: Estimate | None, held: bool, wide: float) -> Signal:
    rule = rule_of(name)
    limit = getattr(gate, rule.limit) if rule.limit and held else None
    limit = None if limit == rule.off else limit
    if limit is not None and rule.unit == "points":
        limit *= wide
    if estimate is None:
        return Signal(name, None, None, None, 0, limit, "measured" if limit is None else "cannot tell")
    counted = name == "judge_share"
    few = estimate.n < gate.fewest and not counted
    beyond = limit is not None and _beyond(gate, rule, limit, estimate, counted)
    state: State = "measured" if limit is None else "cannot tell" if few else "failed" if beyond else "passed"
    ends = (None, None) if counted else (estimate.lower, estimate.upper)
    return Signal(name, estimate.value, *ends, estimate.n, limit, state)


def _beyond(gate: JudgeGate, rule: _Rule, limit: float, estimate: Estimate, counted: bool) -> bool:
    alone = gate.evidence == "estimate" or counted
    lower, upper = (estimate.value, estimate.value) if alone else (estimate.lower, estimate.upper)
    if rule.beyond == "around":
        return lower > 0.5 + limit or upper < 0.5 - limit
    return lower > limit if rule.beyond == "above" else upper < limit


def _without_name(signal: Signal) -> dict[str, Any]:
    return {name: value for name, value in asdict(signal).items() if name != "name"}


def _shown(value: float, unit: str) -> str:
    return f"{100 * value:.0f}" if unit == "%" else f"{value:.2f}"


def _limit(limit: float, rule: _Rule) -> str:
    if rule.beyond == "around":
        return f"50 % ± {100 * limit:.0f}"
    return f"{_shown(limit, rule.unit)} {rule.unit}"
