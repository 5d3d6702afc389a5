"""A judge's text as a person reads it: under what heading a line stands, and whose words it may be."""

import re
from enum import Enum

from metareward.readers.cues import CONCLUDES, CUE, IF, MINE, SAID_BY_ME
from metareward.readers.lines import LONGEST, Line
from metareward.readers.words import GLUE, NEUTRAL, TOTAL

_HEAD = re.compile(r"(?:[^\W\d_][\w'’&/-]{0,30} ?){1,4}(?:\([^()]{1,30}\) ?)?: ?\S")
_NOUN = re.compile(
    r"(?:\w{2,20}(?:ity|ness|ance|ence|cy|tion|sion|ism|ment|ship|ty)|depth|detail|details|style|tone|format"
    r"|formatting|structure|grammar|language|insight|coverage|usage|flow|wording|reasoning|logic|facts|criterion"
    r"|point|spelling|content|understanding|knowledge|impact|value|focus)",
    re.I,
)
_VALUE = re.compile(
    r"(?:[:=–—-] ?[*_]{0,3}\(?[0-9](?:\.[0-9]{1,2})?(?: ?/ ?[0-9]{1,3})?(?: ?(?:points?|pts?))?\)?"
    r"|\([0-9] ?/ ?[0-9]\)"
    r"|\b(?:yes|no|met)|[✔✓✅☑✘✗❌]\ufe0f?)[*_.! ]{0,4}$",
    re.I,
)
_ROLE = re.compile(r"(?:ai )?(?:assistant|user|human|ai|system)(?: [ab])? ?: ?\S", re.I)
_REPEATED = re.compile(
    r"(?:(?:here|this|below) is )?(?:the )?(?:original |given |submitted )?(?:response|answer|reply)\b"
    r"[^.:]{0,40}\b(?:given|received|submitted|verbatim)\b[^.:]{0,20}:$",
    re.I,
)
_JUDGING = re.compile(r"\b(?:scor|rat(?:e|ing)|grad|point|verdict|judg|evaluat|assess)", re.I)
_ENUMERATED = re.compile(
    r"(?:turn|response|answer|assistant|question|criterion|model|candidate|option|round|item|task|point|output)"
    r" ?#?(?:[a-z]|[0-9]{1,2}) ?:?",
    re.I,
)
_LEADS_TO_TEXT = re.compile(
    r"\b(?:correct(?:ed)?|revised|improved|suggested|reference|ideal) (?:[\w'’]{1,20} ){0,3}(?:answer"
    r"|response|version|code|function|implementation|explanation|program|solution|output|query|sentence|text|reply"
    r"|calculation|correction) ?:$|\b(?:is|are|be|will|would|should)(?: \w{1,12})? ?:$"
    r"|^(?:so|now|then|thus|therefore|here|this|we|let|i)\b.{0,60}:$",
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


class Page:
    """What stands above a line, kept up to date line by line."""

    def __init__(self) -> None:
        self.before: Line | None = None
        self.part = False  # in a section of one criterion
        self.parts = 0  # such sections so far
        self.number: int | None = None  # of the last item of a numbered list
        self._whole = False

    def standing(self, line: Line, total: bool = False) -> Standing:
        """How a verdict line stands here. total: it says itself that it is of the whole."""
        if line.held:
            return Standing.DOUBTFUL
        if line.numbered is not None and not (total and self.parts):
            return Standing.CRITERION
        before = self.before
        if before is None or line.quoted:
            return Standing.OWN
        if before.raw.rstrip("*_ ").endswith((":", "：")):
            return self._introduced(before)
        closed = total or (self.parts > 1 and self._closes(line))
        if (_names_part(before) and not _states_value(before)) or (self.part and not closed):
            return Standing.CRITERION
        unended = not line.apart and before.raw.rstrip("*_ ")[-1:] not in ".!?。！？"
        if before.raw.endswith(("e.g.", "i.e.")):
            return Standing.DOUBTFUL
        return Standing.DOUBTFUL if unended and _leads_elsewhere(before) else Standing.OWN

    @property
    def concludes(self) -> bool:
        """Whether the line before is a heading of the whole, such as `Total`."""
        shown = self.before.shown if self.before else ""
        words = _words(shown)
        short = 0 < len(words) <= 4 and not set(".!?,;0123456789") & set(shown)
        return short and _neutral(words) and not TOTAL.isdisjoint(words)

    def _closes(self, line: Line) -> bool:
        """Whether a line stands after a list of parts and not within its last one."""
        listed = self.before is not None and (self.before.bulleted or self.before.numbered is not None)
        return line.apart or (listed and not line.bulleted and line.numbered is None)

    def _introduced(self, before: Line) -> Standing:
        said = _SENTENCE.split(before.raw[-2 * LONGEST :])[-1]
        if SAID_BY_ME.search(said):
            return Standing.OWN
        words = _words(said)
        if _neutral(words):
            return Standing.CRITERION if before.numbered is not None else Standing.OWN
        clause = None if IF.search(said) else CONCLUDES.search(said.rstrip("*_ :："))
        said = clause[1] if clause and MINE.search(clause[1]) else said
        if CUE.search(said):
            return Standing.DOUBTFUL
        if MINE.search(said):
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
            self.part &= not (self.parts > 1 and _states_value(line))
            return follows
        if _introduces_text(line) and not _quotes(line):
            return False
        if _names_part(line) or _begins_part(line):
            was = self.part
            self.parts += 1
            self._begin(whole=_begins_part(line) and not _quotes(line))
            self.part &= not (self.parts > 1 and _states_value(line))
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
    return bool(IF.search(said) or CUE.search(" ".join(_SAYING.findall(said)[-3:])))


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
    led = line.shown.endswith(":") and len(line.shown.split(" ")) <= 6 and not CUE.search(line.shown)
    return raw.startswith("#") or bold or led


def _states_value(line: Line) -> bool:
    """Whether a criterion has its value on its own line (`Clarity: 1`): the next verdict is not its."""
    return "?" not in line.raw and bool(_VALUE.search(line.raw[-40:]))


def gives_part(line: Line) -> bool:
    """Whether a line gives a criterion and its value: `Clarity: 3/5`."""
    return _begins_part(line) and _states_value(line)


def _introduces_text(line: Line) -> bool:
    """A line that leads to a text and names no criterion: `Corrected answer:`, `It would then output:`."""
    return bool(_LEADS_TO_TEXT.search(line.shown))


def _quotes(line: Line) -> bool:
    """A line from which on the words of others are said again: `Assistant: ...`, `The response as given:`."""
    return bool(_ROLE.match(line.head) or (_REPEATED.match(line.shown) and not _JUDGING.search(line.shown)))


def _names_part(line: Line) -> bool:
    """A heading that names a criterion, marked as one or not (`Clarity`)."""
    if not line.shown:
        return False
    if _ENUMERATED.fullmatch(line.shown):
        return True
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
    if _RUBRIC.match(line.head) or _quotes(line):
        return True
    if not _HEAD.match(line.head):
        return False
    named = [word for word in _words(line.head.partition(":")[0]) if word not in NEUTRAL and word not in GLUE]
    listed = line.bulleted or line.raw.startswith("**")
    return bool(named) and (listed or any(map(_NOUN.fullmatch, named)))
