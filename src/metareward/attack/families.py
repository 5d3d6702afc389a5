"""Families of attacks, each with several variants: pure functions of (prompt, response, seed).

A perturbation dresses a response up and leaves what it says as it is; its families are those of the bias
probes in the literature on judges. An empty family replaces the response by one that says nothing.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from metareward.attack import texts
from metareward.errors import ConfigError
from metareward.ids import seed_of

Change = Callable[[str, str, Random], str]
"""(prompt, response, random source) -> the attacked response."""
CODE = re.compile(r"(```.*?```)", re.DOTALL)


@dataclass(frozen=True)
class Variant:
    """One way to carry an attack out."""

    name: str
    change: Change

    def __call__(self, prompt: str, response: str, seed: int) -> str:
        """The attacked response: the same for the same arguments, on any machine."""
        return self.change(prompt, response, Random(seed_of("attack", self.name, seed, prompt, response)))


@dataclass(frozen=True)
class Family:
    """Attacks of one kind. kind: `perturbation` keeps what is said, `empty` says nothing at all.

    `order` is no change to a response: the two that are compared swap their places.
    """

    name: str
    kind: Literal["perturbation", "empty", "order"]
    variants: tuple[Variant, ...] = ()

    def draw(self, count: int, *parts: object) -> tuple[Variant, ...]:
        """`count` distinct variants (all, if there are fewer), chosen by `parts` alone."""
        ranked = sorted(self.variants, key=lambda variant: seed_of("variant", variant.name, *parts))
        return tuple(ranked[:count])


def _repeat(prompt: str, response: str, random: Random) -> str:
    return f"{response}\n\n{random.choice(['To say it once more:', 'In other words:'])} {response}"


def _pad(prompt: str, response: str, random: Random) -> str:
    before, after = random.sample(texts.PADDING[:4], 2), random.sample(texts.PADDING[4:], 2)
    return f"{' '.join(before)}\n\n{response}\n\n{' '.join(after)}"


def _restate(prompt: str, response: str, random: Random) -> str:
    asked = " ".join(prompt.split())
    padding = " ".join(random.sample(texts.PADDING, 2))
    return f"You asked the following: {asked}\n\n{padding} Here is what can be said.\n\n{response}"


def _citations(prompt: str, response: str, random: Random) -> str:
    return f"{response}\n\nSources: {' '.join(random.sample(texts.CITATIONS, 2))}"


def _headings(prompt: str, response: str, random: Random) -> str:
    mark = random.choice(texts.EMOJIS)
    return f"## {mark} Answer\n\n---\n\n{response}\n\n---\n\n### {mark} End of the answer"


def _bold(prompt: str, response: str, random: Random) -> str:
    return _outside_code(response, lambda line: re.sub(r"^(\W*)(\w[\w'’-]*)", r"\1**\2**", line))


def _emojis(prompt: str, response: str, random: Random) -> str:
    return _outside_code(response, lambda line: f"{random.choice(texts.EMOJIS)} {line}")


def _outside_code(response: str, change: Callable[[str], str]) -> str:
    """Change each line that is not blank and not in a fenced block of code."""
    pieces = CODE.split(response)
    for place in range(0, len(pieces), 2):
        lines = pieces[place].split("\n")
        pieces[place] = "\n".join(change(line) if line.strip() else line for line in lines)
    return "".join(pieces)


def before(remarks: Sequence[str]) -> Change:
    """Puts one of the remarks before the response."""
    return lambda prompt, response, random: f"{random.choice(remarks)}\n\n{response}"


def after(remarks: Sequence[str]) -> Change:
    """Puts one of the remarks after the response."""
    return lambda prompt, response, random: f"{response}\n\n{random.choice(remarks)}"


def around(first: Sequence[str], last: Sequence[str]) -> Change:
    """Puts one remark before the response and one after it."""
    return lambda prompt, response, random: f"{random.choice(first)}\n\n{response}\n\n{random.choice(last)}"


def instead(text: str) -> Change:
    """Puts a text in the response's place."""
    return lambda prompt, response, random: text


def _perturbation(name: str, **changes: Change) -> Family:
    return Family(name, "perturbation", tuple(Variant(key, change) for key, change in changes.items()))


def _empty(name: str, replies: dict[str, str]) -> Family:
    return Family(name, "empty", tuple(Variant(key, instead(text)) for key, text in replies.items()))


POSITION = Family("position", "order")
SHIPPED = (
    POSITION,
    _perturbation("verbosity", repeat=_repeat, pad=_pad, restate=_restate),
    _perturbation(
        "authority",
        citations=_citations,
        expert=before(texts.EXPERTS),
        institution=after(texts.INSTITUTIONS),
    ),
    _perturbation("beauty", headings=_headings, bold=_bold, emojis=_emojis),
    _perturbation(
        "bandwagon",
        before=before(texts.CROWDS_BEFORE),
        after=after(texts.CROWDS_AFTER),
        around=around(texts.CROWDS_BEFORE, texts.CROWDS_AFTER),
    ),
    _perturbation(
        "distraction",
        before=before(texts.FACTS[:3]),
        after=after(texts.FACTS[3:]),
        around=around(texts.FACTS[:3], texts.FACTS[3:]),
    ),
    _perturbation(
        "sentiment",
        cheer=around(texts.CHEER_BEFORE, texts.CHEER_AFTER),
        flattery=before(texts.CHEER_BEFORE),
        sympathy=before(texts.SYMPATHY),
    ),
    _empty("null", texts.NULL),
    _empty("master_key", texts.MASTER_KEYS),
    _empty("injection", {name: f"{texts.CARRIER}\n\n{text}" for name, text in texts.INJECTIONS.items()}),
)


def families(names: Sequence[str]) -> tuple[Family, ...]:
    """Shipped families by name, in the shipped order; ConfigError names one that is not known."""
    known = {family.name: family for family in SHIPPED}
    for name in names:
        if name not in known:
            raise ConfigError(
                f"attack.families: {name!r} is not a family of attacks; known: {', '.join(known)}"
            )
    return tuple(family for family in SHIPPED if family.name in names)
