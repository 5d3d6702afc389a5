"""A judge's text as a person reads it: whose words a line is, and under what heading it stands.

Streaming and linear: a line ends at LF or CRLF and at nothing else, and of a long line only that it is there
counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from metareward.readers.words import GLUE, NEUTRAL

LONGEST = 80  # characters of a verdict line
_BLANK = " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_WIDE = {wide: wide - 0xFEE0 for wide in (*range(0xFF10, 0xFF1A), *map(ord, "：＝／［］（）．＋－"))}
_PLAIN = {**dict.fromkeys(map(ord, _BLANK + "*_#"), " "), **_WIDE, ord("。"): "."}
_END = re.compile(
    r"(?: *(?:</s>|<s>|<eos>|<pad>|<\|(?:im_end|eot_id|end|endoftext|end_of_text|eom_id|END_OF_TURN_TOKEN)\|>"
    r"|<end_of_turn>|<\uff5cend\u2581of\u2581sentence\uff5c>|\[/INST\]|\[EOS\]|<\|endofassistant\|>))+ *$"
)
_RULE = re.compile(r"[-=~—–_* ]{2,80}")
_FENCE = re.compile(r"[ \t]{0,8}(?:```|~~~)")
_BULLET = re.compile(r"(?:[-+•‣◦●■▪·►▶→➡👉✅✔☑🏆⭐🌟📝🎯🔹🔸]\ufe0f? {0,3}){1,3}(?=[^\W\d]|[\[(<])")
_AFTER = re.compile(r" {0,3}[✅✔☑🏆⭐🌟📝🎯]\ufe0f?$")
_NUMBERED = re.compile(r"\(?([0-9]{1,2})[.)] ")
_HELD = (
    "response response_a response_b conversation question quote blockquote pre code example user assistant"
)
_TAG = re.compile(
    rf"<(/?)({'|'.join((*_HELD.split(), 'think', 'thinking', 'reasoning', 'draft'))})\b[^<>\n]{{0,60}}>", re.I
)
_CUE = re.compile(
    r"\b(?:if|unless|not|never|cannot|instead|rather than|example|format|template|such as|e\.g|say(?:s"
    r"|ing)?|said"
    r"|claim(?:s|ed|ing)?|writ(?:es?|ten|ing)|wrote|ends?|ended|ending|ask(?:s|ed|ing)?|demand(?:s|ed|ing)?"
    r"|stat(?:es|ed|ing)|contain(?:s|ed|ing)?|includ(?:es|ed|ing)|quot(?:es?|ed|ing)|mentions?|inserts?|adds?|no"
    r"|wrong(?:ly)?|hidden|injected|instructs?|instructed|tells?|told|repeats?)\b|n['’]t\b",
    re.I,
)
_IF = re.compile(r"\b(?:if|unless)\b", re.I)
_MINE = re.compile(
    r"\b(?:i|my|me|final(?:ly)?|total|overall|therefore|thus|hence|so|verdict|evaluation|assessment|conclu\w{3,5}"
    r"|based on|scor(?:e|ing)|rat(?:e|ing)|grade|judge?ment|points)\b",
    re.I,
)
_SAID_BY_ME = re.compile(r"\bi (?:have )?(?:said|stated|wrote|mentioned|explained)\b", re.I)
_HEAD = re.compile(r"(?:[^\W\d_][\w'’&/-]{0,30} ?){1,4}(?:\([^()]{1,30}\) ?)?: ?\S")
_NOUN = re.compile(
    r"(?:\w{2,20}(?:ity|ness|ance|ence|cy|tion|sion|ism|ment|ship|ty)|depth|detail|details|style|tone|format"
    r"|formatting|structure|grammar|language|insight|coverage|usage|flow|wording|reasoning|logic|facts|criterion"
    r"|point|spelling|content|understanding|knowledge|impact|value|focus)",
    re.I,
)
_RUBRIC = re.compile(
    r"(?:add|award|grant|bestow|give) (?:an? |the )?(?:[0-9]|\w{2,8}) (?:additional )?point|(?:criterion"
    r"|point) [0-9]{1,2} ?(?:[:.)–-]|$)",
    re.I,
)
_SENTENCE = re.compile(r"[.!?][*_)\"”]{0,3} ")
_WORD = re.compile(r"[^\W\d_]+")
_SAYING = re.compile(r"[\w'’]+")


class Standing(Enum):
    """How a line stands.

    OWN: the judge's verdict on the whole. CRITERION: on a part. DOUBTFUL: perhaps the words of others.
    """

    OWN = "own"
    CRITERION = "criterion"
    DOUBTFUL = "doubtful"


@dataclass(slots=True)
class Line:
    """A line that is the judge's own words and not blank.

    raw: as it stands, stripped. head: its first characters without emphasis, bullet, end-of-text tokens;
    blanks as spaces, wide digits and marks narrow. shown: the same of the whole; empty where the line is
    longer than a verdict can be. apart: a blank line or a rule is before it. quoted: a quotation is.
    numbered: its number in a list. held: within quotation marks or a tag that are still open.
    """

    raw: str
    head: str
    shown: str
    apart: bool
    quoted: bool
    numbered: int | None
    bulleted: bool
    held: bool


def lines_of(text: str) -> Iterator[Line]:
    """The lines that are the judge's own: neither in a fence nor behind a `>`; rules and blanks left out."""
    whole, fenced, apart, quoted, opened = _all_fenced(text), False, True, False, _Opened()
    for line in text.split("\n"):
        raw = line.removesuffix("\r").strip(_BLANK)
        fence = raw[:1] in "`~" and bool(_FENCE.match(raw)) and not whole
        if fence or fenced or raw[:1] == ">":
            fenced, apart, quoted = fenced ^ fence, True, True
            continue
        made = _line(raw, apart, quoted, opened.any) if raw else None
        if made is None:
            apart = True
            continue
        opened.put(raw)
        yield made
        apart = quoted = False


class _Opened:
    """Quotation marks and tags that are open, over lines."""

    def __init__(self) -> None:
        self._tags = self._curly = self._straight = 0

    @property
    def any(self) -> bool:
        return self._tags > 0 or self._curly > 0 or self._straight % 2 == 1

    def put(self, raw: str) -> None:
        for tag in _TAG.finditer(raw):
            self._tags = max(0, self._tags + (-1 if tag[1] else 1))
        self._curly = max(0, self._curly + raw.count("“") - raw.count("”"))
        self._straight += raw.count('"')


def _all_fenced(text: str) -> bool:
    """Whether one fence holds all there is: then it is a way of writing and quotes nothing."""
    stripped = text.strip(_BLANK + "\r\n")
    return bool(_FENCE.match(stripped)) and stripped.endswith("```") and text.count("```") == 2


def _line(raw: str, apart: bool, quoted: bool, held: bool) -> Line | None:
    """None for a rule, for a fence around the whole, and for what only ends a text."""
    head = shown_of(raw[:LONGEST])
    short = len(raw) <= LONGEST
    if short and (not head or _RULE.fullmatch(head) or _FENCE.match(raw)):
        return None
    bullet = _BULLET.match(head)
    head = _AFTER.sub("", head[bullet.end() :].lstrip(" ") if bullet else head)
    number = _NUMBERED.match(head)
    if number:
        head = head[number.end() :]
    counted = int(number[1]) if number else None
    return Line(raw, head, head if short else "", apart, quoted, counted, bool(bullet), held)


def shown_of(raw: str) -> str:
    """Without emphasis and end-of-text tokens; blanks as single spaces, wide digits and marks narrow."""
    return " ".join(part for part in _END.sub("", raw).translate(_PLAIN).split(" ") if part)


class Page:
    """What stands above a line, kept up to date line by line."""

    def __init__(self) -> None:
        self.before: Line | None = None
        self.part = False  # in a section of one criterion
        self.parts = 0  # such sections so far
        self.number: int | None = None  # of the last item of a numbered list
        self._whole = False

    def standing(self, line: Line) -> Standing:
        """How a verdict line stands here."""
        if line.held:
            return Standing.DOUBTFUL
        if line.numbered is not None:
            return Standing.CRITERION
        before = self.before
        if before is None or line.quoted:
            return Standing.OWN
        if before.raw.rstrip("*_ ").endswith((":", "：")):
            return self._introduced(before)
        if _names_part(before) or (self.part and not (self.parts > 1 and self._closes(line))):
            return Standing.CRITERION
        unended = not line.apart and before.raw.rstrip("*_ ")[-1:] not in ".!?。！？"
        return Standing.DOUBTFUL if unended and _leads_elsewhere(before) else Standing.OWN

    def _closes(self, line: Line) -> bool:
        """Whether a line stands after a list of parts and not within its last one."""
        listed = self.before is not None and (self.before.bulleted or self.before.numbered is not None)
        return line.apart or (listed and not line.bulleted and line.numbered is None)

    def _introduced(self, before: Line) -> Standing:
        said = _SENTENCE.split(before.raw[-2 * LONGEST :])[-1]
        if _SAID_BY_ME.search(said):
            return Standing.OWN
        words = _words(said)
        if _neutral(words):
            return Standing.CRITERION if before.numbered is not None else Standing.OWN
        if _CUE.search(said):
            return Standing.DOUBTFUL
        if _MINE.search(said):
            return Standing.OWN
        return Standing.CRITERION if len(words) <= 5 else Standing.DOUBTFUL

    def put(self, line: Line, verdict: bool) -> bool:
        """Go on to the next line. True if it begins another part: what was read in the last was of that."""
        begins = False
        if not verdict and not line.held:
            begins = self._turn(line)
        self.before = line
        return begins

    def _turn(self, line: Line) -> bool:
        if line.numbered is not None:
            follows = self.number is not None and line.numbered == self.number + 1
            self.number, self.parts = line.numbered, self.parts + 1
            whole = line.raw[-1] in ".!;"
            self._begin(whole)
            self.part = not whole or _begins_part(line)  # a sentence in a list is a remark
            return follows
        if _names_part(line) or _begins_part(line):
            was = self.part
            self.parts += 1
            self._begin(whole=_begins_part(line))
            return was
        if _is_heading(line) or (self._whole and line.apart and not line.bulleted):
            self.part = False
        return False

    def _begin(self, whole: bool) -> None:
        """whole: the part is this line or paragraph; otherwise it is all to the next heading."""
        self.part, self._whole = True, whole


def _leads_elsewhere(before: Line) -> bool:
    """Whether a sentence that goes on in the next line is about what others say, or about what is not so."""
    said = _SENTENCE.split(before.raw[-2 * LONGEST :])[-1]
    return bool(_IF.search(said) or _CUE.search(" ".join(_SAYING.findall(said)[-3:])))


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _neutral(names: list[str]) -> bool:
    """Whether a heading of these words names no criterion: `Evaluation of the response`, not `Response`."""
    said = [word for word in names if word not in GLUE]
    return all(word in NEUTRAL or word == "response" for word in said) and said != ["response"]


def _is_heading(line: Line) -> bool:
    """A line that only names what comes: marked as a heading, in bold as a whole, or ending in a colon."""
    raw = line.raw
    if len(raw) > 60 or raw[-1] in ".!?,;":
        return False
    bold = raw.startswith("**") and raw.endswith(("**", "**:")) and raw.count("**") == 2
    led = line.shown.endswith(":") and len(line.shown.split(" ")) <= 6 and not _CUE.search(line.shown)
    return raw.startswith("#") or bold or led


def _names_part(line: Line) -> bool:
    """A heading that names a criterion, marked as one or not (`Clarity`)."""
    if not line.shown:
        return False
    words = _words(line.shown)
    if _is_heading(line):
        return not _neutral(words)
    short = (
        1 <= len(words) <= 4
        and not set(".!?,;:)0123456789") & set(line.shown)
        and not line.shown[0].islower()
    )
    return short and any(_NOUN.fullmatch(word) and word not in NEUTRAL for word in words)


def _begins_part(line: Line) -> bool:
    """A paragraph that begins with its criterion: `Clarity: it is hard to follow`, `Add 1 point if ...`."""
    if _RUBRIC.match(line.head):
        return True
    if not _HEAD.match(line.head):
        return False
    named = [word for word in _words(line.head.partition(":")[0]) if word not in NEUTRAL and word not in GLUE]
    listed = line.bulleted or line.raw.startswith("**")
    return bool(named) and (listed or any(map(_NOUN.fullmatch, named)))
