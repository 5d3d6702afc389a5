"""What follows from what the judge gate measured: an action, and the sentence that says it."""

from metareward.history import STOPS_JUDGE
from metareward.recipes.judge_gate import ACTIONS, EQUAL_SCORES, GateReport, JudgeGate, Signal


def decided(gate: JudgeGate, report: GateReport) -> str:
    """What is to be done: "none", or of what the failed signals ask for the sternest."""
    if not report.failed:
        return "none"
    ends = any(signal.name.partition(":")[0] in gate.stop_judge_when for signal in report.failed)
    return max(gate.action, STOPS_JUDGE if ends else "warn", key=ACTIONS.index)


def said(report: GateReport, action: str) -> str:
    """What failed, with the numbers, and what is done about it, in one sentence."""
    then = {
        "warn": "its judge pairs are used all the same",
        EQUAL_SCORES: "the judge pairs of this iteration come of battles between equal scores alone",
        "drop judge": "the judge pairs of this iteration are left out",
        STOPS_JUDGE: "its judge pairs are left out, and no judge is trained in the rest of the run",
        "stop": "the run stops here; what it had is kept. To go on, set another action or other limits in "
        "[judge_gate] and add --change",
    }[action]
    return f"the judge gate failed ({'; '.join(map(_told, report.failed))}): {then}"


def _told(signal: Signal) -> str:
    few = signal.state == "cannot tell" and signal.value is not None
    return f"too few to tell: {signal}" if few else str(signal)
