"""What is true of a simulated model, exactly from its abilities; no recipe sees these numbers."""

import math
import random
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from metareward.simulate.abilities import Abilities
from metareward.simulate.texts import MOST_PADDING, POINTS, Answer
from metareward.simulate.world import chances, granting

_QUESTIONS = range(10**12, 10**12 + 200)  # asked by nobody else
_PAIRS = 5  # of answers to each of them


@dataclass(frozen=True)
class Truth:
    """A model measured on questions and answers that are the same for all models.

    quality: expected points that its answers truly meet, 0 to 5. padding: expected sentences of it.
    accuracy: of two answers by the first model, one better than the other, how often one judgment of the
        better has the higher score than one of the worse; an equal score is half.
    score: expected score of these answers, whose true mean is `merit`. error: expected distance of a score
        from the truth. at_most: share of scores that are 5.
    """

    quality: float
    padding: float
    accuracy: float
    score: float
    merit: float
    error: float
    at_most: float


def truth(own: Abilities, first: Abilities) -> Truth:
    """Measure a model; `first` is the one whose answers are judged. Exact but for the choice of answers."""
    pairs = _bank(first)
    better, worse = (_scores(own, [pair[side] for pair in pairs]) for side in (0, 1))
    below = np.cumsum(worse, axis=1) - worse
    accuracy = (better * (below + worse / 2)).sum(axis=1).mean()
    both = np.concatenate([better, worse])
    merits = np.array([pair[side].quality for side in (0, 1) for pair in pairs])
    scale = np.arange(len(POINTS) + 1)
    weights = np.array([math.exp(own.length * padding) for padding in range(MOST_PADDING + 1)])
    return Truth(
        quality=float(np.mean([sum(chances(own, number)) for number in _QUESTIONS])),
        padding=float(weights @ np.arange(MOST_PADDING + 1) / weights.sum()),
        accuracy=float(accuracy),
        score=float((both @ scale).mean()),
        merit=float(merits.mean()),
        error=float((both * abs(scale - merits[:, None])).sum(axis=1).mean()),
        at_most=float(both[:, -1].mean()),
    )


@lru_cache(maxsize=16)
def _bank(first: Abilities) -> list[tuple[Answer, Answer]]:
    """Pairs of answers to one question, the better one first; of different quality."""
    draw, found = random.Random(0), []
    for number in _QUESTIONS:
        odds = chances(first, number)
        for _ in range(_PAIRS):
            sides = [_answer(draw, first, odds) for _ in range(2)]
            if sides[0].quality != sides[1].quality:
                better, worse = sorted(sides, key=lambda answer: -answer.quality)
                found.append((better, worse))
    return found


def _answer(draw: random.Random, first: Abilities, odds: tuple[float, ...]) -> Answer:
    weights = [math.exp(first.length * padding) for padding in range(MOST_PADDING + 1)]
    met = tuple(draw.random() < chance for chance in odds)
    return Answer(met, draw.choices(range(MOST_PADDING + 1), weights)[0])


def _scores(own: Abilities, answers: list[Answer]) -> NDArray[np.float64]:
    """The probability of each score 0..5 for each answer, [N, 6]: independent verdicts, added up."""
    odds = np.array([granting(own, answer) for answer in answers])
    found = np.zeros((len(answers), len(POINTS) + 1))
    found[:, 0] = 1
    for point in odds.T:
        found[:, 1:] = found[:, 1:] * (1 - point[:, None]) + found[:, :-1] * point[:, None]
        found[:, 0] *= 1 - point
    return found
