"""Attacks a judge: gives the cases to a run, asks, and measures. Resumable, as every step of a run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from metareward.attack import measure
from metareward.attack.outcomes import Compared, Graded, Outcomes
from metareward.attack.report import AttackReport
from metareward.attack.suite import Suite, compared, graded
from metareward.models.base import Model
from metareward.records import Case, Comparison, Judgment
from metareward.run import Run
from metareward.runner import Runner


@dataclass(frozen=True)
class Asked:
    """The artifacts of an attack: what each response is, and what the judge said of it."""

    cases: Any
    judgments: Any
    pair_cases: Any | None
    comparisons: Any | None


def ask(run: Runner, judge: Model, suite: Suite) -> Asked:
    """Ask `judge` everything in a suite; on paper, write down what it would be asked."""
    cases = judgments = pair_cases = comparisons = None
    if suite.judge is not None:
        battery = graded(suite)
        prompts, responses = run.given(battery.prompts), run.given(battery.responses)
        cases = run.given(battery.cases)
        judgments = run.ask(suite.judge, prompts, responses, of=judge)
    if suite.compare is not None:
        battery = compared(suite)
        prompts, responses = run.given(battery.prompts), run.given(battery.responses)
        pair_cases = run.given(battery.cases)
        comparisons = run.ask(suite.compare, prompts, responses, of=judge)
    return Asked(cases, judgments, pair_cases, comparisons)


def report(
    judge: Model,
    suite: Suite,
    graded_cases: Iterable[Case] = (),
    judgments: Iterable[Judgment] = (),
    compared_cases: Iterable[Case] = (),
    comparisons: Iterable[Comparison] = (),
) -> AttackReport:
    """What the answers of a judge amount to."""
    found: list[tuple[Outcomes, str]] = []
    if suite.judge is not None:
        found.append((Graded(graded_cases, judgments), suite.judge.reading))
    if suite.compare is not None:
        found.append((Compared(compared_cases, comparisons), suite.compare.reading))
    baselines = tuple(measure.baseline(outcomes, suite, reading) for outcomes, reading in found)
    return AttackReport(
        model=judge.name,
        fingerprint=judge.fingerprint,
        items=len(suite.items),
        calls=sum(each.asked for each in baselines),
        limits=suite.limits,
        baselines=baselines,
        rows=tuple(row for outcomes, _ in found for row in measure.rows(outcomes, suite)),
    )


def attack_judge(run: Run, judge: Model, suite: Suite | None = None) -> AttackReport:
    """Attack a judge and say what it fell for. What was asked before is not asked again.

    suite: all shipped families on all shipped pairs, if not given.
    """
    suite = suite or Suite()
    with run.within(f"attack {judge.name}"):
        asked = ask(run, judge, suite)
    return report(
        judge,
        suite,
        asked.cases or (),
        asked.judgments or (),
        asked.pair_cases or (),
        asked.comparisons or (),
    )
