"""The value of a score as judges write it: digits or words, its scale, units, brackets, sums and stars."""

import re
from collections.abc import Iterable

from metareward.readers import words
from metareward.readers.scale import Scale

_WRITTEN_OUT = "|".join(words.longest_first(words.NUMBERS))
_NUMBER = rf"-?[0-9]{{1,6}}(?:\.[0-9]{{1,6}})?|{_WRITTEN_OUT}"
_HELD = rf"(?:\[\[ ?({_NUMBER}) ?\]\]|\[ ?({_NUMBER}) ?\]|< ?({_NUMBER}) ?>|\( ?({_NUMBER}) ?\)|({_NUMBER}))"
_OF = rf"{words.OF} ?(?:an? |the )?(?:possible |maximum |max |total )?(?:of )?{_HELD}"
_SCORE = re.compile(
    rf"{_HELD} ?(?P<unit>{words.UNITS} ?)?(?P<of>\(? ?{_OF} ?\)? ?)?(?:{words.UNITS} ?)?"
    r"(?:\((?P<again>[^()]{1,30})\) ?)?(?:in total|total|overall|possible points|possible|\(total\))?"
    r"(?:입니다)? ?[.!;,]?!?",
    re.IGNORECASE,
)
_AGAIN = re.compile(rf"{_HELD}(?: ?{words.UNITS})?(?P<of> ?{_OF})?(?: {words.UNITS})?", re.IGNORECASE)
_ONLY_OF = re.compile(rf"(?:{_OF}|[满滿]分 ?(?P<most>[0-9]{{1,4}}) ?分?)(?: {words.UNITS})?", re.IGNORECASE)
_ADDEND = r"[0-9]{1,3}(?:\.[0-9]{1,3})?"
_SUM = re.compile(rf"((?:{_ADDEND} ?\+ ?){{1,9}}{_ADDEND}) ?= ?(.*)")
COMMA = re.compile(r"(?<![0-9,])([0-9]{1,3}),([0-9]{1,2})(?![0-9,])")
_SCALED = re.compile(rf" ?{words.OF} ?[0-9]", re.IGNORECASE)
_PERCENT = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,2})?) ?%")
_FRACTION = re.compile(r"\\d?frac\{([0-9.]{1,5})\}\{([0-9]{1,3})\}")
_STARS = re.compile(r"((?:[★⭐🌟]\ufe0f? ?)+)([☆✩✰ ]*)(.*)")
_AROUND = (
    *(("[[", "]]"), ("[", "]"), ("(", ")"), ("<", ">"), ("{", "}")),
    *(("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]"), ("\\boxed{", "}")),
)
QUOTES = (('"', '"'), ("'", "'"), ("`", "`"), ("“", "”"))


def score(said: str, scale: Scale) -> tuple[float | None, bool] | None:
    """The value, None where it is off the scale, and whether scale or unit stand there; None for no value."""
    added = _SUM.fullmatch(said)
    found = _SCORE.fullmatch(added[2] if added else said)
    again = found and found["again"]
    if found is None or (
        again and not (_AGAIN.fullmatch(again.strip()) or _ONLY_OF.fullmatch(again.strip()))
    ):
        return None
    value, scaled = _first(found), bool(found["of"] or found["unit"])
    if added and abs(sum(float(part) for part in added[1].split("+")) - value) > 1e-9:
        return None, scaled
    right = _limit(found) in (None, scale.high) and _agrees(found["again"], value, scale)
    on = str(found[0]).lstrip("[(< ")[0] != "-" and scale.low <= value <= scale.high
    return (value if right and on else None), scaled


def _agrees(again: str | None, value: float, scale: Scale) -> bool:
    """Whether brackets behind a value say nothing but it, or its scale: `4 (four)`, `4 (out of 5)`."""
    if again is None:
        return True
    same, only = _AGAIN.fullmatch(again.strip()), _ONLY_OF.fullmatch(again.strip())
    if same:
        return _first(same) == value and _limit(same) in (None, scale.high)
    return bool(only) and (float(only["most"]) if only["most"] else _first(only)) == scale.high


def _first(found: re.Match[str]) -> float:
    return next(_number(found[place]) for place in range(1, 6) if found[place])


def _limit(found: re.Match[str]) -> float | None:
    """What the value is out of."""
    said = re.search(rf"({_NUMBER})\W*$", found["of"].strip(), re.IGNORECASE) if found["of"] else None
    return _number(said[1]) if said else None


def _number(said: str) -> float:
    return float(words.NUMBERS.get(said.casefold(), said))


def simple(said: str, scale: Scale) -> str:
    """Other ways to write a number: `3,5/5`, stars, a fraction in LaTeX, a percentage that says the same."""
    said = _FRACTION.sub(r"\1/\2", said)
    stars = _STARS.fullmatch(said)
    if stars:
        full, empty = (sum(mark in "★⭐🌟☆✩✰" for mark in stars[n]) for n in (1, 2))
        known = not empty or full + empty == scale.high
        of = f"/{scale.high}" if empty else ""
        return f"{full}{of} {stars[3].strip()}".strip() if known else ""
    comma = COMMA.match(said)
    if comma and (float(f"{comma[1]}.{comma[2]}") <= scale.high) and _SCALED.match(said[comma.end() :]):
        said = f"{comma[1]}.{comma[2]}{said[comma.end() :]}"
    return (
        _PERCENT.sub(lambda found: f"{float(found[1]) * scale.high / 100:g}/{scale.high}", said)
        if "(" in said
        else said
    )


def unwrapped(said: str, around: Iterable[tuple[str, str]] = _AROUND) -> str:
    """Without brackets around the whole."""
    for _ in range(3):
        said = said.strip(" ")
        for left, right in around:
            inner = said[len(left) : -len(right)]
            if (
                said.startswith(left)
                and said.endswith(right)
                and inner
                and left[0] not in inner
                and right[-1] not in inner
            ):
                said = inner
                break
        else:
            return said
    return said
