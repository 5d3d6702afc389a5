"""A world with a planted truth, for loops on the fake engine.

A response says its quality 0..5; a judgment says how far its total is off. The judge is told to prefer
the high quality (or, flipped, the low), the meta-judge the judgment that is less off (or, flipped, more).
"""

import re
from dataclasses import dataclass

from metareward.engines.base import Request
from metareward.engines.fake import Reply
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.records import Message, Prompt

QUALITY = re.compile(r"quality (\d+)")
ERROR = re.compile(r"off by (\d)")


@dataclass(frozen=True)
class World:
    """flipped: the judges prefer the worse. first_bias: share of battles that go to the first regardless."""

    flipped: bool = False
    first_bias: float = 0.0

    def __call__(self, request: Request, model: Model) -> Reply | str:
        return {"generate": self.act, "judge": self.judge, "meta_judge": self.compare}[request.step](request)

    def act(self, request: Request) -> Reply | str:
        quality = request.seed % 6
        return f"An answer of quality {quality}." + " Filler." * (request.seed // 6 % 5)

    def judge(self, request: Request) -> Reply | str:
        """Off by 0, 1 or 2 tenths towards the middle: noise that never swaps two qualities."""
        said = int((QUALITY.findall(_text(request)) or ["0"])[-1])
        quality = said if said <= 5 else 0  # what says nothing, or nonsense, is worth nothing
        best, off = 5 - quality if self.flipped else quality, request.seed % 3
        beside = best + (1 if best < 3 else -1)
        remark = f"This is off by {off}."
        if request.forced is None:
            return f"{remark}\nScore: {best + (beside - best) * off / 10:.1f}"
        return Reply(remark, {str(best): 1 - off / 10, str(beside): off / 10})

    def compare(self, request: Request) -> Reply | str:
        first, second = (int(error) for error in ERROR.findall(_text(request))[-2:])
        margin = (first - second) if self.flipped else (second - first)
        biased = (request.seed % 1000) / 1000 < self.first_bias
        winner = "A" if biased or margin > 0 else "B" if margin < 0 else "tie"
        if request.forced is None:
            return f"They differ by {abs(margin)}.\nWinner: {winner}"
        p = {"A": 0.9, "B": 0.1, "tie": 0.5}[winner]
        return Reply("They differ.", {"A": p, "B": 1 - p})


def quality_of(text: str) -> int:
    """The planted quality of a response."""
    return int(QUALITY.findall(text)[-1])


def error_of(text: str) -> int:
    """How far a judgment says it is off."""
    return int(ERROR.findall(text)[-1])


def prompts(count: int) -> list[Prompt]:
    """Prompts that differ."""
    made = []
    for number in range(count):
        messages = (Message("user", f"Tell me about the number {number}."),)
        made.append(Prompt(fingerprint("prompt", messages), messages, f"planted:{number}"))
    return made


def _text(request: Request) -> str:
    return request.messages[-1].content
