"""A judge's text as lines: which are the judge's own, and what they say without their decoration.

Streaming and linear: a line ends at LF or CRLF and at nothing else, and of a long line only that it is there
counts.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

LONGEST = 80  # characters of a verdict line
_BLANK = " \t\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000"
_WIDE = {wide: wide - 0xFEE0 for wide in (*range(0xFF10, 0xFF1A), *map(ord, "：＝／［］（）．＋－"))}
_ZEROS = (0x0660, 0x06F0, 0x0966, 0x09E6, 0x0A66, 0x0AE6, 0x0BE6, 0x0C66, 0x0CE6, 0x0D66, 0x0E50, 0x17E0)
_DIGITS = {zero + digit: str(digit) for zero in _ZEROS for digit in range(10)}  # Arabic, Devanagari, Thai ...
_MARKS = {ord("。"): ".", ord("٫"): ".", ord("﹕"): ":", ord("【"): "[", ord("】"): "]"}
_PLAIN = {**dict.fromkeys(map(ord, _BLANK + "*_#"), " "), **_WIDE, **_DIGITS, **_MARKS}
_HTML = re.compile(
    r"</?(?:b|strong|i|em|u|p|h[1-6]|li|span|div|center|font|mark|br)(?: [^<>]{0,40})?/? ?>", re.I
)
_STRUCK = re.compile(r"~~[^~\n]{1,80}~~")
_LATEX = re.compile(r"\\(?:textbf|text|mathbf|mathrm|textit|emph|boxed)\{([^{}]{1,60})\}")
_END = re.compile(
    r"(?: *(?:</s>|<s>|<eos>|<pad>|<\|(?:im_end|eot_id|end|endoftext|end_of_text|eom_id|END_OF_TURN_TOKEN"
    r"|return|END_RESPONSE|end_of_solution)\|>"
    r"|<end_of_turn>|<\uff5cend\u2581of\u2581sentence\uff5c>|\[/INST\]|\[EOS\]|<\|endofassistant\|>))+ *$"
)
_RULE = re.compile(r"[-=~—–_* ]{2,80}")
_FENCE = re.compile(r"[ \t]{0,8}(?:```|~~~|'''\s*$)")
_PICTURE = r"(?:(?![❌❎✖✗✘⛔🚫👎])[\u2190-\u21ff\u25a0-\u27bf\u2b00-\u2bff\U0001f000-\U0001faff])\ufe0f?"
_BULLET = re.compile(rf"(?:(?:[-+•‣–—]|[-=]{{1,2}}>|{_PICTURE}) {{0,3}}){{1,3}}(?=[^\W\d]|[\[(<])")
_STRAIGHT = re.compile(r"(?<=[0-9])(\")(?!\w)|\"")
_AFTER = re.compile(rf"(?<=[\w)\].!/]) {{0,3}}(?:{_PICTURE} ?){{1,3}}$")
_NUMBERED = re.compile(r"\(?([0-9]{1,2})[.)] ")
_HELD = (
    "response response_a response_b conversation question quote blockquote pre code example user assistant"
)
_TAG = re.compile(
    rf"<(/?)(?:{'|'.join((*_HELD.split(), 'think', 'thinking', 'reasoning', 'draft'))})\b[^<>\n]{{0,60}}>"
    r"|\[(?:(end|/)|begin|start)(?: ?of)? ?(?:the )?(?:user['’]s |assistant['’]s )?"
    r"(?:response|answer|question|conversation|data|example)(?: [ab])?\]",
    re.I,
)


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
        fence = raw[:1] in "`~'" and bool(_FENCE.match(raw)) and not whole
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
            self._tags = max(0, self._tags + (-1 if tag[1] or tag[2] else 1))
        self._curly = max(0, self._curly + raw.count("“") - raw.count("”"))
        for found in _STRAIGHT.finditer(raw):  # behind a digit it is inches, or it closes
            if found[1] is None or self._straight % 2:
                self._straight += 1


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
    plain = _STRUCK.sub(" ", _END.sub("", raw))
    if "</" in plain or "<br" in plain:
        plain = _HTML.sub(" ", plain)
    if "\\" in plain:
        plain = _LATEX.sub(r"\1", plain)
    return " ".join(part for part in plain.translate(_PLAIN).split(" ") if part)
