"""How alike answers to different prompts are: common phrases, one for all, distinct n-grams, packing."""

import zlib
from collections import Counter
from collections.abc import Mapping, Sequence

from metareward.answers.units import grams

Words = Sequence[str]
OPENING = 4  # words
_PHRASE = 4  # words in a row
MANY_WORDS = 5  # fewer can be the right answer to many prompts: yes, 17, positive
_COMMON = 0.2  # a phrase is common that so many of the other prompts' answers have, and at least one
_SHORT, _LONG = 8, 12  # words: of a shorter answer the right form may be much of it, of one below 8 all
_NEARLY_ALL = 0.8
_CHARACTERS = 4_000  # of an answer that are packed


def shared(keys: Sequence[str], texts: Sequence[Words]) -> list[float]:
    """Of each text's words, the share within phrases that texts of other keys have in common with it.

    0 for a text of fewer than eight words, and of fewer than twelve where it is less than four fifths.
    """
    common = _common(keys, texts)
    shares = [_covered(text, common) for text in texts]
    return [
        share if len(text) >= (_SHORT if share >= _NEARLY_ALL else _LONG) else 0.0
        for text, share in zip(texts, shares, strict=True)
    ]


def of_prompts(texts: Mapping[str, Words]) -> float:
    """The mean of the same over prompts, short ones too; 0 without any."""
    common = _common(list(texts), list(texts.values()))
    return sum(_covered(text, common) for text in texts.values()) / len(texts) if texts else 0.0


def most_common(keys: Sequence[str], texts: Sequence[Words]) -> tuple[tuple[str, ...], list[float]]:
    """The text that most keys have, none that is empty, and for each text 1 where it is that one, else 0.

    Only a text of several keys counts. Of equally common ones it is the first by its words.
    """
    having = Counter(text for _, text in dict.fromkeys(zip(keys, map(tuple, texts), strict=True)) if text)
    found = min(having, key=lambda text: (-having[text], text), default=())
    if having[found] < 2:
        return (), [0.0] * len(texts)
    return found, [float(tuple(text) == found) for text in texts]


def repeated(keys: Sequence[str], texts: Sequence[Words]) -> list[float]:
    """For each text 1 where a text of another key is the same, else 0; 0 where it is empty."""
    having = Counter(text for _, text in dict.fromkeys(zip(keys, map(tuple, texts), strict=True)) if text)
    return [float(having[tuple(text)] > 1) for text in texts]


def distinct(texts: Sequence[Words], length: int) -> float | None:
    """Of all runs of `length` words in the texts, the share of different ones; None without any."""
    found = [gram for text in texts for gram in grams(text, length)]
    return len(set(found)) / len(found) if found else None


def compression(texts: Sequence[str]) -> float | None:
    """Bytes of the texts packed together by those of each packed alone; None for fewer than two.

    zlib finds what is repeated within 32 kB.
    """
    if len(texts) < 2:
        return None
    data = [text[:_CHARACTERS].encode("utf-8", "surrogatepass") for text in texts]
    return len(zlib.compress(b"\n".join(data))) / sum(len(zlib.compress(each)) for each in data)


def _common(keys: Sequence[str], texts: Sequence[Words]) -> set[tuple[str, ...]]:
    """The phrases that are common, as `_COMMON` says."""
    of_key: dict[str, set[tuple[str, ...]]] = {}
    for key, text in zip(keys, texts, strict=True):
        of_key.setdefault(key, set()).update(grams(text, _PHRASE))
    having = Counter(phrase for phrases in of_key.values() for phrase in phrases)
    fewest = 1 + max(1.0, _COMMON * (len(of_key) - 1))
    return {phrase for phrase, count in having.items() if count >= fewest}


def _covered(text: Words, common: set[tuple[str, ...]]) -> float:
    """The share of a text's words that stand in one of the phrases."""
    within = [False] * len(text)
    for place, phrase in enumerate(grams(text, _PHRASE)):
        if phrase in common:
            within[place : place + _PHRASE] = [True] * _PHRASE
    return sum(within) / len(text) if text else 0.0
