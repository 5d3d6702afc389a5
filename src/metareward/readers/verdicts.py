"""From the verdict lines of a text to its verdict, or to why there is none."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from metareward.readers.forms import Form, Found, Value
from metareward.readers.page import LONGEST, Line, Page, Standing, lines_of, shown_of
from metareward.readers.scale import Scale
from metareward.records import Finish, Outcome

NONE, OFF, ENDLESS = "no verdict line", "off the scale", "too many lines"
SEVERAL, CONTRADICTORY, DOUBT = "several scores", "contradictory verdicts", "verdict in doubt"
CUT, FAILED = "cut off", "engine failure"
_MOST = 1000  # verdict lines; with more nothing is certain
_MOST_LINES = 20_000  # nobody grades at such length; what does is a loop
WINNER = "Winner"
_OUT_OF = 2
_WHOLE = re.compile("final|total|overall", re.IGNORECASE)
_OUTCOMES = {"a": Outcome.FIRST, "b": Outcome.SECOND, "tie": Outcome.TIE}
_SCORE = "scores?|rating|grade|mark|total|verdict"
_QUOTED = re.compile(
    r"\"[^\"]{0,300}\"|“[^”]{0,300}”|„[^“”]{0,300}[“”]|«[^»]{0,300}»|「[^」]{0,300}」|`[^`\n]{0,300}`"
    r"|(?<!\w)['‘][^'’\n]{1,200}['’](?!\w)"
)
_NO_COUNT = (  # "a total of 3 planets" counts planets
    r"(?! (?!points?\b|marks?\b|stars?\b|out\b|because|as\b|since|for\b|due\b|given|in\b|on\b|and\b|but\b"
    r"|which"
    r"|overall|based|is\b|was\b|so\b|with\b|here|total)[a-z])"
)
_NUMBER = r"(?P<value>[0-9]{1,3}(?:\.[0-9]{1,3})?)(?![\w%]|\.[0-9]|[ ]?[-–+][ ]?[0-9])"
_MARKS = r"[*_\[( ]{0,4}"
_TOTAL = "(?:final |total |overall )?"
_STATED = (
    rf"(?:^|[.!?;:(]\s{{0,3}}|\b(?:final|total|overall|my) )[*_#]{{0,3}}{_TOTAL}(?:{_SCORE})[*_ ]{{0,3}}[:=]"
    rf"{_MARKS}{_NUMBER}",
    rf"\b(?:{_SCORE}) (?:for (?:this|the) response )?(?:of|is|was|comes to|:"
    rf"|as) {_MARKS}{_NUMBER}{_NO_COUNT}",
    r"(?<![\w./-])(?P<value>[0-9]{1,3}(?:\.[0-9]{1,3})?) ?(?:points? )?(?:/ ?|out of )(?P<of>[0-9]{1,3})"
    rf"(?:\.0)?(?![\w%/]|\.[0-9]){_NO_COUNT}",
)
_MENTIONS = tuple(re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in _STATED)
_NOT_SAID = re.compile(
    r"\b(?:not|never|cannot|if|unless|prevent\w{0,3}|instead|rather|perfect|full|maximum|highest|lowest|minimum"
    r"|could|might|would (?:have|warrant|need|earn|require)|to (?:get|earn|receive|achieve|reach)"
    r"|short of|less than"
    r"|more than|above|below|between|achieving|from (?:receiving|getting|earning)|reach\w{0,3}"
    r"|claim\w{0,3}|said"
    r"|says|asks?|example|scale|an?other|higher|lower|than|why|criteria|warrant\w{0,3})\b"
    r"|n['’]t\b",
    re.IGNORECASE,
)
_CHANGE = (
    "revis|chang|adjust|updat|amend|correct|lower|rais|increas|decreas|reduc|withdraw|retract|reconsider"
)
_TAKEN_BACK = re.compile(
    r"\b(?:up)?on (?:second thoughts?|reflection|further (?:thought|reflection|review|consideration)"
    r"|reconsideration)\b"
    r"|\b(?:scratch|strike) that\b|\bi take (?:that|it|this) back\b"
    r"|\bi (?:made a mistake|was wrong|misjudged|reconsider(?:ed)?)\b"
    rf"|(?<!\bif )\b(?:i|i['’](?:ll|d|m)|let me|we)(?: \w{{1,12}}){{0,3}} (?:{_CHANGE})(?:e|ed|ing)? "
    rf"(?:it to\b|(?:my|the|this|that)(?: \w{{1,12}})? (?:{_SCORE}|winner)\b)"
    rf"|\b(?:{_SCORE}|winner)(?: above| here| given)? (?:should|ought to|must|might|may|could)"
    r"(?: actually| really| perhaps| instead| rather)? (?:have been|be) (?:an? |the )?"
    r"(?:[0-9]|(?:judge?ment |response )?[ab]\b)"
    rf"|\b(?:{_SCORE})(?: above| here| given)? (?:should|ought to|must) (?:have been|be) (?:higher|lower)\b"
    r"|\b(?:or|but) (?:perhaps|maybe)\b|\b(?:perhaps|maybe) not\b"
    rf"|\b(?:ignore|disregard|forget) (?:the|that|this|my)(?: \w{{1,12}})? (?:{_SCORE}|line)\b"
    rf"|\bnot my (?:own |final |actual |real )?(?:{_SCORE}|judge?ment|words?)\b"
    r"|\b(?:this|that|it|which|score|line|above) (?:is|was) (?:only |just |merely )?(?:an example"
    r"|a placeholder"
    r"|a sample|hypothetical|what the \w{1,12} (?:says?|said|claims?|claimed|wrote|writes|gives?|gave"
    r"|asks?|wants?))"
    r"|(?:^|[.!?]\s{1,3})(?:oops|correction ?[:,–-]|wait[,.!…–-]|actually[,.!…–-])",
    re.IGNORECASE | re.MULTILINE,
)
_MARKED = re.compile(r"(?<![^\s:(])\[\[ ?([A-Za-z]{1,8}) ?\]\](?P<end>[*_.! ]{0,4}$)?", re.MULTILINE)
_EITHER = re.compile(r"\b(?:or|either|if|not|would|instead)\b|n['’]t\b", re.IGNORECASE)
_SENTENCES = re.compile(r"[.!?][\"”)*_]{0,4}[ \t]{1,4}([^.!?]{3,50}[:=：][^!?]{1,20})$")
_NEAR = 90  # characters of a sentence that say how a number in it is meant


@dataclass(frozen=True, slots=True)
class Reading:
    """A score on the scale, or why there is none. Exactly one of the two is set."""

    score: float | None = None
    unread: str | None = None


@dataclass(slots=True)
class _Verdict:
    """A verdict line. first, last: of all lines. part: the number of the part that it stands in, from 1."""

    found: Found
    standing: Standing
    first: bool
    part: int
    last: bool = True


def read_score(text: str, finish: Finish, scale: Scale = Scale()) -> Reading:  # noqa: B008 - frozen
    """Read a judgment's score by the label and on the scale that its template asked for."""
    if finish is not Finish.STOP:
        return Reading(unread=FAILED if finish is Finish.FAILED else CUT)
    said = _decided(Form.of_scores(scale), text)
    return Reading(score=said) if isinstance(said, float) else Reading(unread=str(said))


def read_winner(text: str, finish: Finish, label: str = WINNER) -> Outcome:
    """Read who won, A, B or neither, from a verdict between two texts."""
    return _OUTCOMES.get(_winner(text, finish, label), Outcome.UNREADABLE)


def winner_unread(text: str, finish: Finish, label: str = WINNER) -> str | None:
    """Why no winner can be read; None where one can."""
    said = _winner(text, finish, label)
    return None if said in _OUTCOMES else said


def _winner(text: str, finish: Finish, label: str) -> str:
    if finish is not Finish.STOP:
        return FAILED if finish is Finish.FAILED else CUT
    return str(_decided(Form.of_winners(label), text))


def _decided(form: Form, text: str) -> Value:
    """The verdict, or why there is none."""
    lines = list(islice(lines_of(text), _MOST_LINES + 1))
    if len(lines) > _MOST_LINES:
        return ENDLESS
    verdicts = list(_verdicts(form, lines))
    if len(verdicts) > _MOST:
        return SEVERAL
    value, why = _unanimous(verdicts, form)
    plain = _QUOTED.sub(" ", "\n".join(line.raw for line in lines))
    if form.scale is not None and not verdicts and lines:
        value = _last_words(form, lines, plain)
    elif form.scale is None:
        marked = _marked(plain)
        if value is None and why == NONE and marked:
            value, why = marked
        elif value is not None and marked and marked[0] != value:
            return CONTRADICTORY
    if value is None:
        return why
    total = any(verdict.found.total for verdict in verdicts)
    if isinstance(value, float) and _otherwise(plain, value, form, total):
        return CONTRADICTORY
    return DOUBT if _TAKEN_BACK.search(plain) else value


def _unanimous(verdicts: list[_Verdict], form: Form) -> tuple[Value | None, str]:
    """What the verdict lines say together, or None and why they say nothing."""
    own = [v for v in verdicts if v.standing is Standing.OWN]
    parts = [v for v in verdicts if v.standing is Standing.CRITERION]
    doubtful = [v for v in verdicts if v.standing is Standing.DOUBTFUL]
    totals = [v for v in own if v.found.total]
    if not own:
        unclear = any(v.found.clear for v in doubtful)
        return None, SEVERAL if parts else DOUBT if unclear else NONE
    values = {v.found.value for v in totals or own}
    if len(values) > 1 or {v.found.value for v in doubtful} - values:
        return None, CONTRADICTORY
    (value,) = values
    if value is None:
        return None, OFF
    others = [v.found.value for v in own if totals and not v.found.total]
    if set(others) - {value} and not _adds_up(others, value):
        return None, CONTRADICTORY
    if not totals and (parts or _could_add_up(own, value, form)):
        return None, SEVERAL
    return value, ""


def _last_words(form: Form, lines: list[Line], plain: str) -> Value | None:
    """The verdict that is the last sentence of a text without parts, and that is stated nowhere else."""
    last, page = lines[-1], Page()
    for line in lines:
        page.put(line, False)
    found = _SENTENCES.search(last.raw[-LONGEST:])
    if page.parts or last.held or found is None or len(list(_MENTIONS[0].finditer(plain))) > 1:
        return None
    said = form.found(shown_of(found[1]))
    return said.value if said and said.clear and not said.bare else None


def _adds_up(parts: list[Value | None], total: Value) -> bool:
    numbers = [part for part in parts if isinstance(part, float)]
    return 1 < len(numbers) == len(parts) and sum(numbers) == total


def _could_add_up(own: list[_Verdict], value: Value, form: Form) -> bool:
    """Whether equal scores could be those of criteria, to be added up. Two that frame the text cannot."""
    if len(own) == 1 or not isinstance(value, float) or form.scale is None:
        return False
    framed = len(own) == 2 and own[0].first and own[1].last
    return 0 < value * len(own) <= form.scale.high and not framed


def _verdicts(form: Form, lines: Iterable[Line]) -> Iterator[_Verdict]:
    """Every verdict line with how it stands, in order."""
    page, kept = Page(), list[_Verdict]()
    label: tuple[str, Standing] | None = None  # of the line before, where it is a label alone
    valued = False  # the line before was the value to such a label
    for line in lines:
        first, standing = page.before is None, page.standing(line)
        found = form.found(line.shown) if line.shown else None
        if kept and ((not line.apart and kept[-1].found.bare) or (valued and form.value(line.shown))):
            kept[-1].standing = Standing.DOUBTFUL
        if found is None and label and (found := form.value(line.shown, label[0])):
            standing, valued = label[1], True
        else:
            valued = False
        if found is None and (found := form.bare(line.shown)) and not line.apart:
            standing = Standing.DOUBTFUL
        if found is None:
            found = form.unclear(line.shown)
        if kept:
            kept[-1].last = False
        kind = None if found else form.only_label(line.shown, line.raw.startswith(("#", "**")))
        label = (kind, standing) if kind else None
        _turn(page, line, found is not None or label is not None, kept)
        if found:
            held = standing if found.clear else Standing.DOUBTFUL
            kept.append(_Verdict(found, held, first, page.parts))
            if len(kept) > _MOST:
                break
    for verdict in kept:
        if verdict.found.bare and not (verdict.first or verdict.last):
            verdict.standing = Standing.DOUBTFUL
        yield verdict


def _turn(page: Page, line: Line, verdict: bool, kept: list[_Verdict]) -> None:
    """Go on. Where another part begins, what was read within the last part was said of it alone."""
    ended = page.parts
    if page.put(line, verdict):
        for earlier in kept:
            if earlier.part == ended and earlier.standing is Standing.OWN:
                earlier.standing = Standing.CRITERION


def _otherwise(plain: str, value: float, form: Form, total: bool) -> bool:
    """Whether the text states another score of the response in passing."""
    assert form.scale is not None
    for place, pattern in enumerate(_MENTIONS):
        for found in pattern.finditer(plain):
            if float(found["value"]) == value:
                continue
            if place == 0 and total and not _WHOLE.search(found[0]):
                continue
            if place == _OUT_OF and int(found["of"]) != form.scale.high:
                continue
            before = re.split(r"[.!?\n]\s", plain[max(0, found.start() - _NEAR) : found.start() + 1])[-1]
            after = plain[found.end() : found.end() + _NEAR // 3]
            if place == 0 or not _NOT_SAID.search(f"{before}{found[0]}{after}"):
                return True
    return False


def _marked(plain: str) -> tuple[str | None, str] | None:
    """The winner in `[[A]]`, where a line ends in it and no other is marked; None if none is marked."""
    letters = {found[1].lower() for found in _MARKED.finditer(plain)}
    if not letters:
        return None
    if len(letters) > 1 or not letters <= _OUTCOMES.keys():
        return None, CONTRADICTORY if len(letters) > 1 else NONE
    *_, last = _MARKED.finditer(plain)
    line = plain[plain.rfind("\n", 0, last.start()) + 1 : last.start()][-_NEAR:]
    sure = last["end"] is not None and not _EITHER.search(line)
    return (letters.pop(), "") if sure else (None, DOUBT)
