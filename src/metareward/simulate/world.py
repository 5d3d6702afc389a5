"""A world in which simulated models answer, judge and meta-judge: a script for the fake engine."""

import math
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from metareward import disk
from metareward.engines.base import OpenEngine, Request, named
from metareward.engines.fake import FakeEngine, Reply
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Message, Prompt
from metareward.simulate.abilities import FILE, Abilities, load, store
from metareward.simulate.texts import (
    MOST_PADDING,
    Answer,
    Remarks,
    question,
    question_number,
    read_answer,
    read_judgments,
    write_answer,
    write_judgment,
)

EASE = (3.2, 2.6, 2.1, 1.5, 0.4)
"""Log-odds that an answer without any quality meets each point of the rubric."""
SPREAD = 1.0
"""Questions are easier or harder by at most so much, in the same units."""


@dataclass(frozen=True)
class MetaJudging:
    """How simulated models compare two judgments; log-odds that the first shown wins, natural log units.

    discernment: for each point on which its remarks are right and the other's are wrong.
    score_bias: for each point that it grants and the other does not.
    seen: the share of `score_bias` that the total shown causes; the rest is caused by the praise in the
        remarks, and stays when the total is taken out.
    position_bias: for standing first.
    score_follows, position_follows: what is added to either bias for each unit by which the model's own
        leniency as a judge exceeds that of the first model, for it is the same model.
    """

    discernment: float = 0.5
    score_bias: float = 0.0
    position_bias: float = 0.0
    seen: float = 0.5
    score_follows: float = 0.0
    position_follows: float = 0.0

    def log_odds(self, first: Remarks, second: Remarks, met: Sequence[bool], excess: float) -> float:
        """That the first of two judgments of a response wins, by a model that is too lenient by `excess`."""
        right = first.right(met) - second.right(met)
        granted = first.total - second.total
        shown = first.score is not None and second.score is not None
        share = 1.0 if shown else 1 - self.seen
        bias = (self.score_bias + self.score_follows * excess) * share
        position = self.position_bias + self.position_follows * excess
        return self.discernment * right + bias * granted + position


UNBIASED = MetaJudging()
PAPER_FIRST = MetaJudging(score_bias=0.251, position_bias=-0.088)
"""On the first model's judgments of the paper's recipe: P(higher-scored wins) .630, P(first wins) .478."""
PAPER_SECOND = MetaJudging(score_bias=4.42, position_bias=1.974)
"""The same of the paper's second iteration: .977 and .878."""
FOLLOWING = replace(PAPER_FIRST, score_follows=10.2, position_follows=5.0)
"""From the first to the second within an iteration of the paper's recipe, which raises leniency by .41."""


@dataclass(frozen=True)
class World:
    """Answers for simulated models. first: the model that a loop starts from.

    Sampling settings are not obeyed: a draw depends on the request's seed and the model's abilities alone.
    """

    meta: MetaJudging = MetaJudging()
    first: Abilities = field(default_factory=Abilities)

    def reply(self, request: Request, own: Abilities) -> Reply:
        """What a model with these abilities says to a request of the steps generate, judge and meta_judge."""
        answer = {"generate": self._act, "judge": self._judge, "meta_judge": self._compare}[request.step]
        return answer(request, own, random.Random(request.seed))

    def _act(self, request: Request, own: Abilities, draw: random.Random) -> Reply:
        number = question_number(request.messages)
        met = tuple(draw.random() < chance for chance in chances(own, number))
        weights = [math.exp(own.length * padding) for padding in range(MOST_PADDING + 1)]
        padding = draw.choices(range(MOST_PADDING + 1), weights)[0]
        return Reply(write_answer(number, Answer(met, padding)))

    def _judge(self, request: Request, own: Abilities, draw: random.Random) -> Reply:
        answer = read_answer(request.messages[-1].content, question_number(request.messages))
        verdicts = [draw.random() < chance for chance in granting(own, answer)]
        if request.forced is None:
            return Reply(write_judgment(verdicts, with_score=True))
        return Reply(write_judgment(verdicts, with_score=False), {str(sum(verdicts)): 1.0})

    def _compare(self, request: Request, own: Abilities, draw: random.Random) -> Reply:
        text = request.messages[-1].content
        met = read_answer(text, question_number(request.messages)).met
        first, second = read_judgments(text)
        excess = own.leniency - self.first.leniency
        odds = self.meta.log_odds(first, second, met, excess) + _logistic(draw)
        if request.forced is None:
            return Reply(f"One is truer.\nWinner: {'A' if odds > 0 else 'B'}")
        likely = sigmoid(odds)
        return Reply("One is truer.", {"A": likely, "B": 1 - likely})


def chances(own: Abilities, number: int) -> tuple[float, ...]:
    """The probability that an answer to a question meets each point of the rubric."""
    easier = SPREAD * (2 * seed_of("ease", number) / 2**63 - 1)
    return tuple(sigmoid(own.quality + easier + ease) for ease in EASE)


def granting(own: Abilities, answer: Answer) -> tuple[float, ...]:
    """The probability that a judgment grants each point to an answer."""
    tendency = own.leniency + own.halo * (answer.padding - MOST_PADDING / 2)
    return tuple(sigmoid(own.insight * (1 if one else -1) + tendency) for one in answer.met)


def sigmoid(x: float) -> float:
    """1 / (1 + exp(-x)), without overflow."""
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(x) / (1 + math.exp(x))


def questions(numbers: Sequence[int]) -> list[Prompt]:
    """Prompts of the world, one a number."""
    made = []
    for number in numbers:
        messages = (Message("user", question(number)),)
        made.append(Prompt(fingerprint("prompt", messages), messages, f"simulated:{number}"))
    return made


def simulated(world: World) -> OpenEngine:
    """Opens engines that answer as the simulated model does which lies in the model's directory."""

    @contextmanager
    def open_engine(model: Model) -> Iterator[FakeEngine]:
        own = load(model.path)
        yield FakeEngine(model, lambda request, _: world.reply(request, own))

    return named(open_engine, "simulated")


def start(world: World, directory: Path) -> Model:
    """Put the world's first model into a directory."""
    disk.make_directory(directory)
    disk.write(directory / FILE, store(world.first))
    return Model("simulated", str(directory), fingerprint("simulated", world))


def _logistic(draw: random.Random) -> float:
    """Standard logistic noise, so that the first wins with probability sigmoid(log-odds)."""
    u = min(max(draw.random(), 1e-12), 1 - 1e-12)
    return math.log(u / (1 - u))
