"""What a base model is taught: a prompt of one of the roles, and what follows, in words."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from metareward.lab.habits import (
    META_JUDGES,
    Demonstrator,
    JudgeHabits,
    any_verdicts,
    anyone,
    checked,
    is_praised,
)
from metareward.lab.words import ANSWER, CHECK, CRITERIA, GRADES, JUDGE, META, NO, SCORES, WINNERS, YES, A, B
from metareward.lab.world import Task, Truth, draw_task, verdicts

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
_ORDINARY = Demonstrator()
_HABITS = JudgeHabits()


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


def lesson(role: str, draw: random.Random) -> Lesson:
    """One lesson in a role; each meta-judge is a role of its own."""
    task = draw_task(draw)
    if role == "act":
        return Lesson(role, task.text.split(), _ORDINARY.answer(task, draw))
    who = _ORDINARY if draw.random() < 0.5 else anyone(draw)
    words = who.answer(task, draw)
    about = [*task.text.split(), ANSWER, *words]
    return _ROLES.get(role, _battle)(role, task, words, about, draw)


def judgment_words(said: Truth, with_score: bool = True) -> list[str]:
    """A judgment in words: a verdict on each criterion, and the score."""
    told = [name + (YES if one else NO) for name, one in zip(CRITERIA, said, strict=True)]
    return [*told, SCORES[sum(said)]] if with_score else told


def _judgment(role: str, task: Task, words: list[str], about: list[str], draw: random.Random) -> Lesson:
    said = _HABITS.judgment(verdicts(task, words), is_praised(words), draw)
    return Lesson(role, [JUDGE, *about], judgment_words(said))


def _check(role: str, task: Task, words: list[str], about: list[str], draw: random.Random) -> Lesson:
    return Lesson(role, [CHECK, *about], judgment_words(checked(task, words, draw), with_score=False))


def _battle(role: str, task: Task, words: list[str], about: list[str], draw: random.Random) -> Lesson:
    met, praised = verdicts(task, words), is_praised(words)
    first, second = said = [_said(met, praised, draw) for _ in range(2)]
    one, other = META_JUDGES[role].grades(met, praised, said, draw)
    won = one > other or (one == other and draw.random() < 0.5)
    shown = [A, *judgment_words(first), B, *judgment_words(second)]
    return Lesson(role, [META[role], *about, *shown], [GRADES[one], GRADES[other], WINNERS[0 if won else 1]])


def _said(met: Truth, praised: bool, draw: random.Random) -> Truth:
    """A judgment to be compared: one of the judge's, or, a third of the time, any."""
    return any_verdicts(draw) if draw.random() < 1 / 3 else _HABITS.judgment(met, praised, draw)


_ROLES: dict[str, Callable[[str, Task, list[str], list[str], random.Random], Lesson]] = {
    "judge": _judgment,
    "check": _check,
}


def batch(count: int, draw: random.Random) -> Sequence[Lesson]:
    """So many lessons, the roles in their shares."""
    roles = draw.choices(tuple(SHARES), tuple(SHARES.values()), k=count)
    return [lesson(role, draw) for role in roles]
