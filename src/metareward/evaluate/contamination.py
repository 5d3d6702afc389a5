"""Training prompts that equal, or nearly equal, what a model will be evaluated on.

A prompt is contaminated when its words are those of an evaluation item, when it holds a whole item, or
when most of their runs of words are shared. Case, punctuation, accents written apart, and white space do
not count.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from metareward.records import Prompt
from metareward.settings import require

THRESHOLD = 0.7
_WORD = re.compile(r"\w+")
_RUN = 3  # words of a run: one changed word in twelve leaves 0.7 of them
_SHORT = 8  # items with fewer words are compared as a whole: their runs are too common


@dataclass(frozen=True, slots=True)
class Overlap:
    """One training prompt and the evaluation item that it resembles.

    similarity: 1 for equal words, else the share of the item's runs of words that the prompt holds.
    """

    prompt_id: str
    source: str
    evaluation: str
    item: str
    similarity: float


def overlaps(
    prompts: Iterable[Prompt], items: Mapping[str, Iterable[str]], threshold: float = THRESHOLD
) -> Iterator[Overlap]:
    """For each contaminated prompt the item it is nearest to.

    items: the texts of each evaluation, by its name. threshold: the share of an item's runs of three words
    that a prompt must hold, in (0, 1]. Raises ConfigError for another one.
    """
    require(0 < threshold <= 1, "contamination.threshold", "above 0 and at most 1", threshold)
    index = _Index((name, text) for name, texts in items.items() for text in texts)
    for prompt in prompts:
        found = index.nearest(_user_text(prompt))
        if found is not None and found[1] >= threshold:
            (name, text), similarity = found
            yield Overlap(prompt.id, prompt.source, name, text, similarity)


def same_text(one: str, other: str, threshold: float = THRESHOLD) -> bool:
    """Whether two longer texts, such as the templates of two judges, are alike in the same sense."""
    found = _Index([("", other)]).nearest(one)
    back = _Index([("", one)]).nearest(other)
    return all(near is not None and near[1] >= threshold for near in (found, back))


def words(text: str) -> tuple[str, ...]:
    """The words that count: compatibility forms and case folded, without marks and punctuation."""
    plain = unicodedata.normalize("NFKD", text).casefold()
    return tuple(_WORD.findall("".join(c for c in plain if not unicodedata.combining(c))))


class _Index:
    """Evaluation items by their runs of words."""

    def __init__(self, items: Iterable[tuple[str, str]]) -> None:
        self._items: list[tuple[tuple[str, str], int]] = []
        self._whole: dict[tuple[str, ...], int] = {}
        self._runs: dict[tuple[str, ...], list[int]] = {}
        for item in items:
            said = words(item[1])
            if not said:
                continue
            number = len(self._items)
            runs = set(_runs(said)) if len(said) >= _SHORT else set()
            self._items.append((item, len(runs)))
            self._whole.setdefault(said, number)
            for run in runs:
                self._runs.setdefault(run, []).append(number)

    def nearest(self, text: str) -> tuple[tuple[str, str], float] | None:
        """The item that a text holds most of, and how much of it; None if they share no run."""
        said = words(text)
        if said in self._whole:
            return self._items[self._whole[said]][0], 1.0
        shared = Counter(number for run in set(_runs(said)) for number in self._runs.get(run, ()))
        best = max(
            shared, key=lambda number: (shared[number] / self._items[number][1], -number), default=None
        )
        if best is None:
            return None
        item, runs = self._items[best]
        return item, shared[best] / runs


def _runs(said: Sequence[str]) -> Iterator[tuple[str, ...]]:
    return (tuple(said[start : start + _RUN]) for start in range(len(said) - _RUN + 1))


def _user_text(prompt: Prompt) -> str:
    return "\n".join(message.content for message in prompt.messages if message.role == "user")
