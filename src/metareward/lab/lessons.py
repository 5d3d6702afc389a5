"""What a base model is taught: a prompt of one of the roles, and what follows, in words."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

from metareward.lab.habits import (
    META_JUDGES,
    JudgeHabits,
    People,
    any_verdicts,
    anyone,
    checked,
    praise,
)
from metareward.lab.words import ANSWER, CHECK, CRITERIA, GRADES, JUDGE, META, NO, SCORES, WINNERS, YES, A, B
from metareward.lab.world import Truth, draw_task, verdicts

JUDGE_TEMPLATE = f"{JUDGE} {{{{ conversation }}}} {ANSWER} {{{{ response }}}}"
SHARES = {
    "act": 0.3,
    "judge": 0.2,
    "check": 0.1,
    "good": 0.2,
    "noisy": 0.04,
    "score": 0.05,
    "halo": 0.06,
    "first": 0.03,
    "coin": 0.02,
}


@dataclass(frozen=True, slots=True)
class Lesson:
    """Words of a prompt, and those that follow it. Only the latter are learnt."""

    role: str
    prompt: list[str]
    answer: list[str]


def meta_template(meta_judge: str) -> str:
    """The prompt of a meta-judge, by name."""
    shown = f"{A} {{{{ judgment_a }}}} {B} {{{{ judgment_b }}}}"
    return f"{META[meta_judge]} {{{{ conversation }}}} {ANSWER} {{{{ response }}}} {shown}"


def lesson(role: str, draw: random.Random, people: People = People()) -> Lesson:  # noqa: B008 - frozen
    """One lesson in a role; each meta-judge is a role of its own."""
    task = draw_task(draw)
    if role == "act":
        return Lesson(role, task.text.split(), people.demonstrator.answer(task, draw))
    who = people.demonstrator if draw.random() < 0.5 else anyone(draw)
    words = who.answer(task, draw)
    about = [*task.text.split(), ANSWER, *words]
    if role == "check":
        return Lesson(role, [CHECK, *about], judgment_words(checked(task, words, draw), with_score=False))
    met, praises = verdicts(task, words), praise(words)
    if role == "judge":
        return Lesson(role, [JUDGE, *about], judgment_words(people.judge.judgment(met, praises, draw)))
    said = [_said(people.judge, met, praises, draw) for _ in range(2)]
    seems = people.judge.dazzled(met) if praises else met
    return _battle(role, about, said, META_JUDGES[role].grades(met, seems, said, draw), draw)


def judgment_words(said: Truth, with_score: bool = True) -> list[str]:
    """A judgment in words: a verdict on each criterion, and the score."""
    told = [name + (YES if one else NO) for name, one in zip(CRITERIA, said, strict=True)]
    return [*told, SCORES[sum(said)]] if with_score else told


def _battle(
    role: str, about: list[str], said: Sequence[Truth], grades: Sequence[int], draw: random.Random
) -> Lesson:
    (first, second), (one, other) = said, grades
    won = one > other or (one == other and draw.random() < 0.5)
    shown = [A, *judgment_words(first), B, *judgment_words(second)]
    return Lesson(role, [META[role], *about, *shown], [GRADES[one], GRADES[other], WINNERS[0 if won else 1]])


def _said(judge: JudgeHabits, met: Truth, praises: int, draw: random.Random) -> Truth:
    """A judgment to be compared: one of the judge's, or, a third of the time, any."""
    return any_verdicts(draw) if draw.random() < 1 / 3 else judge.judgment(met, praises, draw)


def batch(count: int, draw: random.Random, people: People = People()) -> Sequence[Lesson]:  # noqa: B008
    """So many lessons, the roles in their shares."""
    roles = draw.choices(tuple(SHARES), tuple(SHARES.values()), k=count)
    return [lesson(role, draw, people) for role in roles]
