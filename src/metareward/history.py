"""What a run has done so far, as handles on its artifacts: the report and the summary read this."""

from dataclasses import dataclass, field
from typing import Any

from metareward.models.base import Model
from metareward.supervision import Supervision


@dataclass(frozen=True)
class Look:
    """One model seen on the held-out prompts: its answers judged by itself and by the first model."""

    model: Model
    answers: Any
    judgments: Any
    refereed: Any
    battles: Any | None


@dataclass(frozen=True)
class Round:
    """One iteration: what the model wrote, the pairs that came of it, and what it was trained into."""

    start: Model
    prompts: Any
    answers: Any
    responses: Any
    judgments: Any
    battles: Any | None
    pairs: tuple[Any, ...]
    trained: Model


@dataclass(frozen=True)
class Attacked:
    """One model attacked as a judge: the report, and what was done about it ("none" without an alarm)."""

    model: Model
    action: str
    report: Any


@dataclass
class History:
    """Looks, rounds and attacks in the order in which they were finished, and what supervision there was."""

    looks: list[Look] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    attacks: list[Attacked] = field(default_factory=list)
    supervision: Supervision = Supervision()
