"""A world whose truth is known: what is asked for, and what an answer is worth.

A task names three words to use (who does what where, in this order), a country whose capital to name, and a
word to avoid. An answer earns a point for each of five criteria, whatever the others are: all three words are
there; those that are there stand in order; the word to avoid is not; it is short; the capital is right.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from operator import contains

from metareward.errors import DataError
from metareward.ids import seed_of
from metareward.lab.words import ACT, CAPITALS, COUNTRIES, CRITERIA, FACTS, KEYS, PLAIN
from metareward.records import Message, Prompt

SHORT = 6  # words of the longest answer that is short
Truth = tuple[bool, ...]


@dataclass(frozen=True, slots=True)
class Task:
    """What one prompt asks for."""

    keys: tuple[str, str, str]
    country: str
    avoid: str

    @property
    def text(self) -> str:
        """The prompt, as the model sees it."""
        return " ".join((ACT, *self.keys, self.country, self.avoid))

    @property
    def fact(self) -> str:
        """The right capital."""
        return CAPITALS[self.country]


def draw_task(draw: random.Random) -> Task:
    """A task, every one as likely as every other: there are 40,960."""
    who, what, where = map(draw.choice, KEYS)
    return Task((who, what, where), draw.choice(COUNTRIES), draw.choice(PLAIN))


def read_task(text: str) -> Task:
    """The task that a prompt asks for. Raises DataError if it is none of this world's."""
    words = text.split()
    lists = ((ACT,), *KEYS, COUNTRIES, PLAIN)
    if len(words) != len(lists) or not all(map(contains, lists, words)):
        raise DataError(
            f"{text!r} is no prompt of the lab's world; it is '{ACT}', three words, a country, a word"
        )
    return Task((words[1], words[2], words[3]), words[4], words[5])


def prompts(kind: str, count: int, seed: int) -> list[Prompt]:
    """So many prompts, no two alike. Two kinds ("train", "held out") of one seed share none."""
    draw = random.Random(seed_of("lab prompts", seed))
    found: dict[str, list[Prompt]] = {"train": [], "held out": []}
    seen: set[Task] = set()
    while len(found[kind]) < count:
        task = draw_task(draw)
        side = "held out" if seed_of("lab side", task.text) % 4 == 0 else "train"
        if task not in seen:
            seen.add(task)
            found[side].append(_prompt(task))
    return found[kind]


def _prompt(task: Task) -> Prompt:
    return Prompt(task.text.replace(" ", "-"), (Message("user", task.text),), "lab")


def truth(task: Task, answer: str) -> Truth:
    """Which of the five criteria an answer meets, in the order of `CRITERIA`. Its merit is their number."""
    return verdicts(task, answer.split())


def verdicts(task: Task, words: Sequence[str]) -> Truth:
    """The same of an answer in words."""
    places = [words.index(key) for key in task.keys if key in words]
    facts = {word for word in words if word in _FACTS}
    met = {
        "all": len(places) == len(task.keys),
        "order": len(places) > 1 and places == sorted(places),
        "avoid": task.avoid not in words,
        "short": 0 < len(words) <= SHORT,
        "fact": facts == {task.fact},
    }
    return tuple(met[name] for name in CRITERIA)


_FACTS = frozenset(FACTS)
