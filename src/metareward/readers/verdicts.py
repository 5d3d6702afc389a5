"""From the verdict lines of a text to its verdict, or to why there is none."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice

from metareward.readers.cues import CUE, TAKEN_BACK
from metareward.readers.forms import Form, Found, Value
from metareward.readers.lines import LONGEST, Line, lines_of, shown_of
from metareward.readers.page import Page, Standing, gives_part
from metareward.readers.scale import Scale
from metareward.readers.structured import as_lines
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
    r"(?<![\w./,-])(?P<value>[0-9]{1,3}(?:\.[0-9]{1,3})?) ?(?:points? )?(?:/ ?|out of )(?P<of>[0-9]{1,3})"
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
_MARKED = re.compile(r"(?<![^\s:(])\[\[ ?([A-Za-z]{1,8}) ?\]\](?P<end>[*_.! ]{0,4}$)?", re.MULTILINE)
_EITHER = re.compile(r"\b(?:or|either|if|not|would|instead)\b|n['’]t\b", re.IGNORECASE)
_SENTENCES = tuple(
    re.compile(rf"{before}([^.!?]{{3,50}}(?:[:=：]| is )(?:[^.!?]|\.(?! )){{1,20}})$", re.IGNORECASE)
    for before in (
        r"[.!?][\"”)*_]{0,4}[ \t]{1,4}",
        r"\b(?:score|rating|grade|verdict|total)[^.!?:\n]{0,20}: ?",
    )
)
_NOTE = re.compile(r"(?:note|justification|explanation|reason(?:ing)?|comment|please|let me know)\b", re.I)
_COLON = re.compile("[:=：]")
_MARK = re.compile(r"[.!?][\"”)*_]{0,4}[ \t]{1,4}(\[\[[^\[\]]{1,10}\]\])[.!]?$")
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
    lines = list(islice(lines_of(as_lines(text)), _MOST_LINES + 1))
    if len(lines) > _MOST_LINES:
        return ENDLESS
    verdicts = list(_verdicts(form, lines))
    if len(verdicts) > _MOST:
        return SEVERAL
    value, why = _unanimous(verdicts, form)
    plain = _QUOTED.sub(" ", "\n".join(line.raw for line in lines))
    if form.scale is not None and not verdicts and lines:
        value = _in_passing(form, lines, plain)
    elif form.scale is None:
        marked = _marked(plain)
        if value is None and why == NONE and marked:
            value, why = marked
        elif value is not None and marked and marked[0] != value:
            return CONTRADICTORY
    if value is None:
        return why
    total = any(verdict.found.total for verdict in verdicts)
    whole = _QUOTED.sub(" ", "\n".join(line.raw for line in lines if not gives_part(line)))
    if isinstance(value, float) and _otherwise(whole, value, form, total):
        return CONTRADICTORY
    return DOUBT if TAKEN_BACK.search(plain) else value


def _unanimous(verdicts: list[_Verdict], form: Form) -> tuple[Value | None, str]:
    """What the verdict lines say together, or None and why they say nothing."""
    own = [v for v in verdicts if v.standing is Standing.OWN]
    parts = [v for v in verdicts if v.standing is Standing.CRITERION]
    if any(v.found.total for v in parts) or len({v.part for v in own if v.found.total} - {0}) > 1:
        return None, SEVERAL
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


def _in_passing(form: Form, lines: list[Line], plain: str) -> Value | None:
    """The verdict that is a text's last sentence, but for a note. Without parts; it stands nowhere else."""
    page = Page()
    for line in lines:
        page.put(line, False)
    if page.parts or len(list(_MENTIONS[0].finditer(plain))) > 1:
        return None
    places = [place for place, line in enumerate(lines) if line.apart and _NOTE.match(line.head)]
    last = lines[places[0] - 1] if places and places[0] else lines[-1]
    said = _ends_in(form, last, plain.count("[[") == 1)
    return said.value if said else None


def _ends_in(form: Form, line: Line, marked: bool) -> Found | None:
    """The verdict that a line of the judge's own ends in. marked: a mark alone (`[[4]]`) is one, too."""
    tail, mark = line.raw[-LONGEST:], _MARK.search(line.raw[-LONGEST:])
    if line.held:
        return None
    for found in filter(None, (pattern.search(tail) for pattern in _SENTENCES)):
        leads = re.split(r"[.!?] ", tail[: found.start(1)])[-1]
        said = None if CUE.search(leads) else form.found(shown_of(found[1]))
        if said and said.clear and not said.bare and (said.total or _COLON.search(found[1])):
            return said
    return form.bare(shown_of(mark[1])) if mark and marked else None


def _adds_up(parts: list[Value | None], total: Value) -> bool:
    numbers = [part for part in parts if isinstance(part, float)]
    return 1 < len(numbers) == len(parts) and sum(numbers) == total


def _could_add_up(own: list[_Verdict], value: Value, form: Form) -> bool:
    """Whether equal scores could be those of criteria, to be added up. Two that frame the text cannot."""
    if len(own) == 1 or not isinstance(value, float) or form.scale is None:
        return False
    alone = not any(v.found.goes_on for v in own)
    framed = len(own) == 2 and own[0].first and own[1].last and alone
    return 0 < value * len(own) <= form.scale.high and not framed


def _verdicts(form: Form, lines: Iterable[Line]) -> Iterator[_Verdict]:
    """Every verdict line with how it stands, in order."""
    page, kept = Page(), list[_Verdict]()
    label: tuple[str, Standing] | None = None  # of the line before, where it is a label alone
    valued = False  # the line before was the value to such a label
    for line in lines:
        found = form.found(line.shown) if line.shown else form.opening(line.head)
        found = found or form.opening(line.head)
        if found and page.concludes and not found.total:
            found = replace(found, total=True)
        first, standing = page.before is None, page.standing(line, bool(found and found.total))
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
