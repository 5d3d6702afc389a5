"""The judge gate: what an iteration's own battles say of its judge pairs, before they are trained on."""

from dataclasses import dataclass
from typing import Literal

from metareward.settings import one_of, require

ACTIONS = ("warn", "drop judge", "stop")
_LEFT = ("skip", "stop")


@dataclass(frozen=True)
class JudgeGate:
    """Settings of the judge gate. At the defaults it measures, says what is wrong, and changes nothing.

    action: when a limit is passed, "warn" says so, "drop judge" also leaves the judge pairs of this
        iteration out, "stop" ends the run with the numbers.
    nothing_left: when no pair is left after that (an iteration that trains the judge alone), "skip" goes on
        with the same model, "stop" ends the run.
    """

    action: Literal["warn", "drop judge", "stop"] = "warn"
    nothing_left: Literal["skip", "stop"] = "skip"

    def __post_init__(self) -> None:
        require(self.action in ACTIONS, "judge_gate.action", one_of(ACTIONS), self.action)
        require(self.nothing_left in _LEFT, "judge_gate.nothing_left", one_of(_LEFT), self.nothing_left)
