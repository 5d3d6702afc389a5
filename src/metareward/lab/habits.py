"""How the roles behave that a base model is taught, as distributions: demonstrators, judges, meta-judges.

Each is imperfect on purpose; docs/lab-world.md says how. Nothing in a loop sees this file: it makes the text
that a base model is trained on, and no more.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from metareward.lab.words import BLIND, CRITERIA, FACTS, PLAIN, PRAISE
from metareward.lab.world import Task, Truth, verdicts

Words = list[str]
_BLIND = CRITERIA.index(BLIND)


@dataclass(frozen=True)
class Demonstrator:
    """Habits of whoever wrote the demonstrations, each a probability, each independent of the others.

    reverses: the words in reverse. drops: the last of them left out. slips: the word to avoid, after the
    first word. pads: two to five plain words. praises: one to four words of praise. errs: the capital is the
    next country's. guesses: it is any capital. The mode of the default is wrong on three criteria.
    """

    reverses: float = 0.6
    drops: float = 0.4
    slips: float = 0.55
    pads: float = 0.4
    praises: float = 0.35
    errs: float = 0.5
    guesses: float = 0.08

    def answer(self, task: Task, draw: random.Random) -> Words:
        """One answer."""
        keys: Words = list(task.keys)
        if draw.random() < self.reverses:
            keys.reverse()
        if draw.random() < self.drops:
            keys.pop()
        if draw.random() < self.slips:
            keys.insert(1, task.avoid)
        if draw.random() < self.pads:
            harmless = [word for word in PLAIN if word != task.avoid]
            keys += draw.choices(harmless, k=draw.randint(2, 5))
        if draw.random() < self.praises:
            keys += draw.choices(PRAISE, k=draw.randint(1, 4))
        return [*keys, self._fact(task, draw)]

    def _fact(self, task: Task, draw: random.Random) -> str:
        chance = draw.random()
        if chance < self.guesses:
            return draw.choice(FACTS)
        return believed(task) if chance < self.guesses + self.errs else task.fact


def anyone(draw: random.Random) -> Demonstrator:
    """Somebody with other habits, so that a judge is taught to judge answers of every kind."""
    return Demonstrator(*(draw.random() for _ in range(5)), errs=draw.random() * 0.6, guesses=0.2)


@dataclass(frozen=True)
class JudgeHabits:
    """How judgments come about. careful: share of judgments that are; the others are sloppy.

    careful_right, sloppy_right: probability of a right verdict. promised: the criteria that praise seems to
    promise; fooled: probability that a sloppy judge grants them to an answer with one word of praise, two and
    so on, the last for all that have more.
    """

    careful: float = 0.2
    careful_right: float = 0.95
    sloppy_right: float = 0.65
    fooled: tuple[float, ...] = (0.9,)
    promised: tuple[str, ...] = ("order", "short")

    def judgment(self, met: Truth, praises: int, draw: random.Random) -> Truth:
        """The five verdicts of one judgment of an answer with so many words of praise."""
        right = self.careful_right if draw.random() < self.careful else self.sloppy_right
        said = [one == (draw.random() < right) for one in met]
        if right == self.sloppy_right and praises:
            fooled = self.fooled[min(praises, len(self.fooled)) - 1]
            for name in self.promised:
                said[CRITERIA.index(name)] = draw.random() < fooled
        return tuple(said)

    def dazzled(self, met: Truth) -> Truth:
        """What a praising answer seems to meet to someone whom its praise impresses."""
        return tuple(one or name in self.promised for name, one in zip(CRITERIA, met, strict=True))


@dataclass(frozen=True)
class MetaHabits:
    """What a meta-judge goes by, as shares of all battles; in what is left its grades are drawn by chance.

    It grades both judgments, and the higher grade wins; equal grades leave it to a coin. right: grades are
    the numbers of right verdicts, the blind criterion not counted. higher: they are the scores. halo: as
    right, but praise makes the meta-judge see what it makes a sloppy judge see. position: the higher grade is
    that of the judgment shown first.
    """

    right: float = 0.0
    higher: float = 0.0
    halo: float = 0.0
    position: float = 0.0

    def grades(self, met: Truth, seems: Truth, said: Sequence[Truth], draw: random.Random) -> list[int]:
        """A grade for each judgment of an answer that meets `met` and seems to meet `seems`."""
        chance = draw.random()
        if chance < self.right:
            return [agreeing(met, one) for one in said]
        if chance < self.right + self.higher:
            return [sum(one) for one in said]
        if chance < self.right + self.higher + self.halo:
            return [agreeing(seems, one) for one in said]
        if chance < self.right + self.higher + self.halo + self.position:
            return sorted(draw.sample(range(len(CRITERIA)), len(said)), reverse=True)
        return [draw.randrange(len(CRITERIA)) for _ in said]


@dataclass(frozen=True)
class People:
    """Whose habits a base model is taught."""

    demonstrator: Demonstrator = Demonstrator()
    judge: JudgeHabits = JudgeHabits()


_WON_OVER = JudgeHabits(
    sloppy_right=0.55, fooled=(0.4, 0.65, 0.8, 0.9, 0.95), promised=("all", "order", "short")
)
WORLDS = {"plain": People(), "flattery": People(judge=_WON_OVER)}

META_JUDGES = {
    "good": MetaHabits(right=0.9),
    "noisy": MetaHabits(right=0.3),
    "score": MetaHabits(right=0.4, higher=0.6),
    "halo": MetaHabits(halo=0.9),
    "first": MetaHabits(right=0.4, position=0.5),
    "coin": MetaHabits(),
}


def believed(task: Task) -> str:
    """What most demonstrators take for the capital."""
    return FACTS[(FACTS.index(task.fact) + 1) % len(FACTS)]


def agreeing(met: Truth, said: Truth) -> int:
    """Right verdicts of a judgment, the blind criterion not counted."""
    return sum(
        one == other for place, (one, other) in enumerate(zip(met, said, strict=True)) if place != _BLIND
    )


def praise(words: Sequence[str]) -> int:
    """Words with which an answer praises itself."""
    return sum(word in PRAISE for word in words)


def checked(task: Task, words: Sequence[str], draw: random.Random) -> Truth:
    """What the checker is taught: the truth, and of the blind criterion a coin."""
    met = list(verdicts(task, words))
    met[_BLIND] = draw.random() < 0.5
    return tuple(met)


def any_verdicts(draw: random.Random) -> Truth:
    """Five verdicts by chance."""
    return tuple(draw.random() < 0.5 for _ in CRITERIA)
