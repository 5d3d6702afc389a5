"""Fences around untrusted text: what a template puts around its data, disarmed where the data spells it.

A spelling counts whatever its case, width, accents, entities and lookalike letters are, and whatever
invisible characters stand in it. It is disarmed by putting it between ⟦ and ⟧ and taking its brackets
away: still legible, no longer a fence, and easily counted.
"""

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate

OPEN, CLOSE = "⟦", "⟧"
_BREAKS = "\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"
_BLANKS = "\t\u2800\u3164\uffa0\u115f\u1160"
_HIDDEN = ("Cc", "Cf", "Cs", "Mn", "Me")  # control, format, unpaired, accents
_LOOKALIKES = str.maketrans(
    "‹〈⟨❮ᐸ˂«≪《›〉⟩❯ᐳ˃»≫》⁄∕╱⧸【〔】〕аеорсухіјѕԁԍһкмтвнӏαενοριτυκı",
    "<<<<<<<<<>>>>>>>>>////[[]]aeopcyxijsdghkmtbhlaevopituki",
)
_LESS = r"(?:<|&(?:amp;)*(?:lt|#0*60|#x0*3c);?|\\u003c|\\x3c|%3c)"
_MORE = r"(?:[>\])}]|&(?:amp;)*(?:gt|#0*62|#x0*3e);?|\\u003e|\\x3e|%3e)"
_CLOSING = r"(?:[/\\]|(?:%2f|&(?:amp;)*(?:sol|#0*47|#x0*2f);?)|end\W(?:of\W)?(?:the\W)?)?"
_SPACE = r"[\s|:*=-]{0,9}"
_TAG = re.compile(r"<\s*(/?)[\s|]*([^\W\d][^<>=\n]{0,60}?)(?:\s+[\w-]+\s*=[^<>]*)?[\s|]*/?\s*>")
_BRACKET = re.compile(r"\[\s*/?\s*([^\W\d][^\[\]\n]{0,60}?)\s*\]")
_EITHER = re.compile(r"<[^<>\n]{1,200}>|\[[^\[\]\n]{1,60}\]")


class _Plain(dict[int, str]):
    """A character's plain form: letters of one width and case without accents, blanks, line breaks."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        if character in _BREAKS or character in _BLANKS:
            plain = "\n" if character in _BREAKS else " "
        else:
            forms = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold())
            plain = "".join(c for c in forms if unicodedata.category(c) not in _HIDDEN).translate(_LOOKALIKES)
        self[code] = plain
        return plain


_PLAIN = _Plain()


@dataclass(frozen=True)
class Fences:
    """The spellings to disarm, as a pattern on plain text; its one group is what stays of a spelling."""

    pattern: re.Pattern[str]

    def disarm(self, text: str) -> str:
        """The text with each spelling of a fence between ⟦ and ⟧. Takes linear time."""
        plain = text.translate(_PLAIN)
        found = list(self.pattern.finditer(plain))
        if not found:
            return text
        ends = list(accumulate(len(_PLAIN[ord(character)]) for character in text))
        parts, done = [], 0
        for match in found:
            outer = _place(ends, *match.span())
            inner = _place(ends, *match.span(match.lastindex or 0))
            parts += [text[done : outer[0]], OPEN, text[slice(*inner)], CLOSE]
            done = outer[1]
        return "".join([*parts, text[done:]])


def fences_around(pieces: Iterable[str | None]) -> Fences:
    """The fences of a template, given as its literal texts in order with None where data stands.

    They are: each tag or bracketed word in the two lines next to a place of data, on both sides, and what
    else stands in these lines; and each tag that the template both opens and closes.
    """
    whole = "".join(piece if piece is not None else "\0" for piece in pieces)
    stretches = [[line for line in text.splitlines() if line.strip()] for text in whole.split("\0")]
    lines = {line for lines in stretches[:-1] for line in lines[-2:]}
    lines |= {line for lines in stretches[1:] for line in lines[:2]}
    tags = {name for line in lines for _, name in _TAG.findall(line)}
    opened, closed = ({name for slash, name in _TAG.findall(whole) if slash == mark} for mark in ("", "/"))
    words = {name for line in lines for name in _BRACKET.findall(line)}
    marks = {piece.strip() for line in lines for piece in _EITHER.split(line)}
    return Fences(_pattern(tags | (opened & closed), words, marks - {""}))


def roles(names: Iterable[str]) -> Fences:
    """The marks of a transcript's turns, `[user]` at the beginning of a line."""
    among = "|".join(map(re.escape, names))
    mark = rf"^[ \t*_#>|-]{{0,40}}[\[<({{]{_SPACE}(/?(?:{among})){_SPACE}[\])>}}]"
    return Fences(re.compile(mark, re.MULTILINE))


def count_disarmed(text: str) -> int:
    """How many spellings of a fence were disarmed in a rendered prompt (or how many ⟦ its data held)."""
    return text.count(OPEN)


def _place(ends: list[int], start: int, end: int) -> tuple[int, int]:
    """Where in a text the characters stand whose plain forms are from `start` to `end` (not empty)."""
    return bisect_right(ends, start), bisect_right(ends, end - 1) + 1


def _pattern(tags: set[str], words: set[str], lines: set[str]) -> re.Pattern[str]:
    kinds, closes = [], r"[\[{(](?=\s{0,9}[/\\])"
    for names, opening in ((tags, f"(?:{_LESS}|{closes})"), (words, rf"(?:{_LESS}|[\[{{])")):
        if names:
            among = "|".join(map(_spelled, sorted(names, key=len, reverse=True)))
            name = rf"{_SPACE}({_CLOSING}{_SPACE}(?:{among})(?!\w)"
            rest = rf"(?:(?!{_LESS})[^<>\n{OPEN}{CLOSE}]){{0,200}}?"  # up to the next, however spelled
            kinds += [rf"{opening}{name}{rest}){_MORE}", rf"{opening}{name})"]
    kinds += filter(None, map(_line, sorted(lines, key=len, reverse=True)))
    return re.compile("|".join(kinds) or r"(?!)", re.MULTILINE)


def _spelled(name: str) -> str:
    """A name's words, however they are joined."""
    return r"[\s_.:-]{0,3}".join(re.escape(word) for word in re.findall(r"[^\W_]+", name.translate(_PLAIN)))


def _line(literal: str) -> str:
    """A line that begins like a literal.

    One without words, such as three quotation marks, is looked for anywhere, and its first character stays.
    Nothing if a literal is too little to know it by.
    """
    plain = literal.translate(_PLAIN).strip()
    words = re.findall(r"[^\W_]+", plain)
    odd = rf"[^\w\n{OPEN}{CLOSE}]"
    if not words:
        first, rest, last = re.escape(plain[:1]), re.escape(plain[1:]), re.escape(plain[-1:])
        return f"({first}){rest}{last}*" if len(plain) >= 3 else ""
    lead = "1" if re.match(r"[^\w\s]", plain) else "0"
    trail = rf"[ \t]{{0,9}}[^\w\s{OPEN}{CLOSE}]" if re.search(r"[^\w\s]$", plain) else r"(?!\w)"
    joined = rf"(?:{odd}|_){{0,9}}".join(map(re.escape, words))
    return rf"^({odd}{{{lead},40}}{joined}{trail})"
