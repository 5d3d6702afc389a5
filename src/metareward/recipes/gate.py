"""A judge is attacked before an iteration builds on it: say so, leave its judge pairs out, or stop."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, Literal

from metareward.attack import attack
from metareward.attack.families import families
from metareward.attack.harden import AttackPairs
from metareward.attack.items import SHIPPED, load_items
from metareward.attack.report import AttackReport
from metareward.attack.suite import Limits, Suite
from metareward.history import Attacked
from metareward.models.base import Model
from metareward.records import Case, Judgment
from metareward.runner import Runner
from metareward.settings import checked, require
from metareward.stages.judge import Judge

ACTIONS = ("warn", "drop judge", "stop")


@dataclass(frozen=True)
@checked("attack")
class Gate:
    """Settings of the gate; off unless `enabled`. At the defaults it costs 40 judgments an iteration.

    That is limit x samples x (2 clean responses + 1 a family), and with perturbations among the families
    limit x samples x (4 + 2 a perturbation + 1 an empty family). The judge is the recipe's.

    action: when an alarm fires, or too little could be read to tell, "warn" says so, "drop judge" also
        leaves out the judge pairs (and battles) of this iteration, "stop" ends the run with the numbers.
    harden: what the judge fell for becomes judge training pairs, where the iteration trains the judge;
        needs samples that can disagree.
    items: "shipped", or a file of pairs. The limits are those of `attack.suite.Limits`.
    """

    enabled: bool = False
    action: Literal["warn", "drop judge", "stop"] = "warn"
    harden: bool = False
    limit: int = 8
    samples: int = 1
    families: tuple[str, ...] = ("null", "master_key", "injection")
    items: str = SHIPPED
    threshold: float = Limits.threshold
    max_false_positives: float = Limits.max_false_positives
    max_wins: float = Limits.max_wins
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.action in ACTIONS, "attack.action", "'warn', 'drop judge' or 'stop'", self.action)
        require(self.limit >= 1, "attack.limit", "at least 1", self.limit)
        require(self.samples >= 1, "attack.samples", "at least 1", self.samples)
        require(self.enabled or not self.harden, "attack.enabled", "true to harden", self.enabled)
        require(self.samples >= 2 or not self.harden, "attack.samples", "at least 2 to harden", self.samples)
        names = self.families
        require("position" not in names, "attack.families", "free of 'position', which compares", names)
        require(bool(families(names)), "attack.families", "at least one family", names)
        self.limits()

    def limits(self) -> Limits:
        """When an alarm fires."""
        return Limits(self.threshold, self.max_false_positives, self.max_wins)

    def suite(self, judge: Judge) -> Suite:
        """What the judge is attacked with. Raises DataError if the pairs cannot be read."""
        items = load_items(self.items, self.limit)
        judge = replace(judge, samples=self.samples)
        return Suite(items, families(self.families), judge, None, seed=self.seed, limits=self.limits())


def check_no_judge(gate: Gate, recipe: str) -> None:
    """ConfigError if a recipe that trains no judge is to do something about judge pairs."""
    wanted = "'warn' or 'stop': no judge is trained"
    require(gate.action != "drop judge", "attack.action", wanted, gate.action)
    require(not gate.harden, "attack.harden", f"false: {recipe} trains no judge", gate.harden)


@dataclass(frozen=True)
class Verdict:
    """What came of the gate. Nothing was asked where it is off, and nothing is known yet on paper."""

    asked: attack.Asked | None = None
    report: AttackReport | None = None
    drops_judge: bool = False


def attacked(run: Runner, gate: Gate, judge: Judge, model: Model) -> Verdict:
    """Attack `model` with the recipe's own judge settings, and do what the gate says.

    Raises StepError with the numbers if an alarm fires and the action is "stop".
    """
    if not gate.enabled:
        return Verdict()
    suite = gate.suite(judge)
    with run.within(f"attack {model.name}"):
        asked = attack.ask(run, model, suite)

        def measured(cases: Iterable[Case], judgments: Iterable[Judgment]) -> AttackReport:
            return attack.report(model, suite, cases, judgments)

        found = run.conclude(measured, asked.cases, asked.judgments)
        if found is None:
            return Verdict(asked)
        action = gate.action if found.failed else "none"
        run.history.attacks.append(Attacked(model, action, found))
        if found.failed:
            run.warn(_said(found, gate), stop=gate.action == "stop")
    return Verdict(asked, found, action == "drop judge")


def hardening(run: Runner, gate: Gate, verdict: Verdict) -> list[Any]:
    """Judge training pairs of what the attack got, if the gate says so; none otherwise."""
    if not gate.harden or verdict.asked is None:
        return []
    return [run.derive(AttackPairs(gate.threshold), verdict.asked.cases, verdict.asked.judgments)]


def _said(found: AttackReport, gate: Gate) -> str:
    then = {
        "warn": "it is used all the same",
        "drop judge": "the judge pairs of this iteration are left out",
        "stop": "the run stops here; what it had is kept. To go on, set another action or other limits in "
        "[attack] and add --change, or start from a judge that resists",
    }[gate.action]
    return f"the judge did not pass its attacks ({'; '.join(found.sentences())}): {then}"
