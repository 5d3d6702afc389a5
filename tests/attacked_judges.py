"""Judges with a planted weakness, and a small suite on which everything is known."""

import re
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metareward.attack import texts
from metareward.attack.attack import attack_judge
from metareward.attack.families import SHIPPED
from metareward.attack.items import Item
from metareward.attack.suite import Suite
from metareward.engines.base import Request
from metareward.engines.fake import Reply, fake
from metareward.ids import seed_of
from metareward.models.base import Model
from metareward.records import Message
from metareward.run import Run
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge
from metareward.train.fake import FakeTrainer

MODEL = Model("judge", "nowhere", "j0")
NAMES = [family.name for family in SHIPPED]
EMPTY = [family.name for family in SHIPPED if family.kind == "empty"]
PERTURBATIONS = [family.name for family in SHIPPED if family.kind == "perturbation"]
_SPLIT = "\n#####\n"
GRADE = f"{{{{ conversation }}}}{_SPLIT}{{{{ response }}}}"
COMPARE = f"{{{{ conversation }}}}{_SPLIT}{{{{ response_a }}}}{_SPLIT}{{{{ response_b }}}}"
_MARKS = {
    "verbosity": (*texts.PADDING, "To say it once more:", "In other words:"),
    "authority": (*texts.CITATIONS, *texts.EXPERTS, *texts.INSTITUTIONS),
    "beauty": ("**", *texts.EMOJIS),
    "bandwagon": (*texts.CROWDS_BEFORE, *texts.CROWDS_AFTER),
    "distraction": texts.FACTS,
    "sentiment": (*texts.CHEER_BEFORE, *texts.CHEER_AFTER, *texts.SYMPATHY),
}


def items(count: int = 12) -> tuple[Item, ...]:
    """Pairs whose truth can be read off them, at equal length."""
    return tuple(
        Item((Message("user", f"What of {n}?"),), f"The number {n} is right.", f"The number {n} is wrong.")
        for n in range(count)
    )


def suite(reading: str = "free", count: int = 12, samples: int = 1, **changes: Any) -> Any:
    """A `Suite` of items that are known, asked in the bare words that `Planted` reads."""
    judge = Judge(samples=samples, reading=reading, template=GRADE)  # type: ignore[arg-type]
    compare = Compare(samples=samples, reading=reading, template=COMPARE)  # type: ignore[arg-type]
    return replace(Suite(items(count), judge=judge, compare=compare), **changes)


def family_of(text: str) -> str:
    """Which family a response was attacked by; "clean" if by none."""
    if not re.search(r"number \d+ is", text):
        text = text.strip()
        if text.startswith(texts.CARRIER) and text != texts.CARRIER:
            return "injection"
        return "null" if text in texts.NULL.values() else "master_key"
    found = [name for name, marks in _MARKS.items() if any(mark in text for mark in marks)]
    assert len(found) <= 1, (text, found)
    return found[0] if found else "clean"


@dataclass(frozen=True)
class Planted:
    """A judge that sees the truth: 4 points for right, 2 for wrong, none for an empty response.

    bonus: points that a family adds (or, negative, takes). noise: points of random error, either way.
    always: the score it gives whatever it sees. first: it always names the response shown first.
    garbled: families whose responses leave no readable verdict.
    """

    bonus: dict[str, float] = field(default_factory=dict)
    noise: float = 0.0
    always: float | None = None
    first: bool = False
    coin: bool = False
    garbled: tuple[str, ...] = ()

    def __call__(self, request: Request, model: Model) -> Reply | str:
        _, *responses = request.messages[0].content.split(_SPLIT)
        if len(responses) == 1 and request.step == "judge" and not responses[0]:
            responses = [" "]
        if any(family_of(response) in self.garbled for response in responses):
            return "I would rather not say."
        if request.step == "judge":
            return self._grade(request, responses[0])
        return self._compare(request, *responses)

    def value(self, request: Request, response: str) -> float:
        if self.always is not None:
            return self.always
        error = (seed_of("noise", request.seed, response) % 2001 / 1000 - 1) * self.noise
        if self.coin:
            return 2.5 + error
        truth = 4 if "is right." in response else 2 if "is wrong." in response else 0
        return min(5.0, max(0.0, truth + self.bonus.get(family_of(response), 0.0) + error))

    def _grade(self, request: Request, response: str) -> Reply | str:
        score = self.value(request, response)
        if request.forced is None:
            return f"Hm.\nScore: {score:.3f}"
        low = min(4, int(score))
        return Reply("Hm.", {str(low): 1 - (score - low), str(low + 1): score - low})

    def _compare(self, request: Request, first: str, second: str) -> Reply | str:
        margin = self.value(request, first) - self.value(request, second)
        winner = "A" if self.first or margin > 0 else "B" if margin < 0 else "tie"
        if request.forced is None:
            return f"Hm.\nWinner: {winner}"
        p = {"A": 0.9, "B": 0.1, "tie": 0.5}[winner]
        return Reply("Hm.", {"A": p, "B": 1 - p})


def attacked(directory: Path, script: Any, wanted: Suite) -> Any:
    """The `AttackReport` of a whole attack on the fake engine."""
    with Run(directory, fake(script), FakeTrainer()) as run:
        return attack_judge(run, MODEL, wanted)


def rows_of(report: Any, measure: str, **wanted: Any) -> list[Any]:
    """The rows of a report with these values."""
    rows = [row for row in report.rows if row.measure == measure]
    return [row for row in rows if all(getattr(row, name) == value for name, value in wanted.items())]
