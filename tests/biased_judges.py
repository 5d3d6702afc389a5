"""A world whose meta-judge has the biases it is told to have, for the judge gate."""

import re
from dataclasses import dataclass, replace
from typing import Any

import loops
import planted
from metareward.engines.base import Request
from metareward.engines.fake import Reply
from metareward.events import Noticed
from metareward.ids import seed_of
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.meta_rewarding import MetaRewarding
from metareward.recipes.settings import Iteration, Watch
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.train.dpo import DPO

_SCORE = re.compile(r"Score: (\d)")
_MARK = re.compile(r"mark (\d+)")


@dataclass(frozen=True)
class Biased(planted.World):
    """Judgments scatter about the quality and carry a mark; a fair meta-judge prefers by the marks alone.

    higher: share of the battles between different scores that go to the higher, whatever the marks say.
    first: share of all battles that go to the first shown. noise: share decided by a coin.
    points: what the judge adds to every score. blind: the judge gives every response full marks.
    """

    higher: float = 0.0
    first: float = 0.0
    noise: float = 0.1
    points: int = 0
    blind: bool = False

    def judge(self, request: Request) -> Reply | str:
        found = planted.QUALITY.findall(request.messages[-1].content)
        quality = int(found[-1]) if found and int(found[-1]) <= 5 else 0
        said = min(5, max(0, quality + request.seed % 3 - 1 + self.points))
        said = 5 if self.blind and not found else 3 if self.blind else said
        remark = f"It has mark {seed_of('mark', request.seed) % 10_000}."
        if request.forced is None:
            return f"{remark}\nScore: {said}"
        return Reply(remark, {str(said): 1.0})

    def compare(self, request: Request) -> Reply | str:
        shown = request.messages[-1].content
        marks = [int(mark) for mark in _MARK.findall(shown)[-2:]]
        scores = [int(score) for score in _SCORE.findall(shown)[-2:]]
        wins = marks[0] > marks[1]
        draw = [seed_of("draw", name, request.seed) % 10_000 / 10_000 for name in range(4)]
        if draw[0] < self.noise:
            wins = draw[1] < 0.5
        if draw[2] < self.higher and len(scores) == 2 and scores[0] != scores[1]:
            wins = scores[0] > scores[1]
        if draw[3] < self.first:
            wins = True
        if request.forced is None:
            return f"By the marks.\nWinner: {'A' if wins else 'B'}"
        return Reply("By the marks.", {"A": 0.8 if wins else 0.2, "B": 0.2 if wins else 0.8})


FAIR = Biased()
TO_HIGHER = Biased(higher=0.95)
TO_FIRST = Biased(first=0.75)
GATE = JudgeGate()


def settings(seed: int = 0, iterations: int = 1, reading: Any = "free", **changes: Any) -> MetaRewarding:
    """One whole iteration or more, small in numbers: 2 responses, 4 judgments, 12 battles a prompt."""
    made = MetaRewarding(
        Generate(samples=2, seed=seed),
        Judge(samples=4, reading=reading, seed=seed),
        MetaJudge(reading=reading, seed=seed),
        DPO(batch_size=2, epochs=1),
        tuple(Iteration() for _ in range(iterations)),
        Watch(1, 2, bank_prompts=0),
    )
    return replace(made, **changes)


def gated(action: Any = "drop judge", seed: int = 0, iterations: int = 1, **limits: Any) -> MetaRewarding:
    """The same with a gate that acts."""
    return settings(seed, iterations, judge_gate=JudgeGate(action, **limits))


def failed(run: Any) -> list[set[str]]:
    """The names of the signals that failed, iteration by iteration."""
    return [{signal.name for signal in gate.report.failed} for gate in run.history.judge_gates]


def names(run: Any) -> list[list[str]]:
    """The lists of pairs that were trained on, iteration by iteration."""
    return [[rows.manifest.name for rows in round.pairs] for round in run.history.rounds]


def noticed(heard: Any) -> list[str]:
    return [event.message for event in heard if isinstance(event, Noticed) and event.section]


def looped(directory: Any, world: Biased, wanted: MetaRewarding, prompts: int = 24, **given: Any) -> Any:
    """The finished run."""
    run, _ = loops.loop(directory, loops.Asked(world), settings=wanted, prompts=prompts, **given)
    return run
