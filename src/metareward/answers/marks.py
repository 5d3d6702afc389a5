"""Signs that one answer bears by itself: a verdict, a role's header, a turn made up, an echo, a loop.

A single answer may bear one for good reasons. What counts is how many answers do, which `measure` tells.
No pattern takes more than linear time.
"""

import re
from collections.abc import Sequence
from functools import lru_cache

from metareward.answers.units import grams, units, words
from metareward.readers.words import SCORES, longest_first
from metareward.templates import literal

_TOKEN = r"(?:<[|｜][^<>|｜\s]{1,40}[|｜]>|<(?:start|end)_of_turn>|</?s>|\[/?INST\]|<</?SYS>>)"
_ROLE = r"(?:system|user|assistant|human)"
_OPENS = (  # a token that opens a turn
    rf"(?:<[|｜][ ]?{_ROLE}[^<>|｜\s]{{0,20}}[|｜]>"
    r"|<\|im_start\|>|<start_of_turn>|\[INST\]|<\|start_header_id\|>)"
)
_SECTION = r"#{1,4}[ ]?(?:instruction|response|input|system|user|assistant|human)[ ]?:"
_HEADER = rf"(?:{_TOKEN}[ \t]?){{0,3}}{{}}[ \t]?(?:{_TOKEN}|:|\r?\n|\Z)"
_FRONT = re.compile(
    rf"{_OPENS}|\[/INST\]|{_SECTION}|{_HEADER.replace('{}', _ROLE)}|(?:model|bot|ai|developer|tool)\r?\n"
    r"|(?:ai|bot|chatbot)[ ]?:[ ]",
    re.IGNORECASE,
)
_MARKED = rf"[\[*]{{0,2}}{_ROLE}[\]*]{{0,2}}"
_TURN = re.compile(
    rf"{_OPENS}|\n[ \t]{{0,4}}(?:{_SECTION}|{_HEADER.replace('{}', _MARKED)})"
    r"|[.!?\"”)][ \t](?:user|human)[ \t]?:[ \t\n]"
    r"|\n[ \t*]{0,4}(?:question|q)[ ]?[0-9]{0,2}[ ]?:[^\n]{3,400}\n{1,2}[ \t*]{0,4}"
    r"(?:answer|a)[ ]?[0-9]{0,2}[ ]?:",
    re.IGNORECASE,
)
_DIALOGUE = re.compile(
    r"dialog|conversation|questions|faq|quiz|trivia|flash[ ]?card|\bq[ ]?(?:&|and)[ ]?a\b"
    r"|transcript|interview|screenplay|script|role-?play|\bchat"
    rf"|{_ROLE}[ ]?:|{_OPENS}",
    re.IGNORECASE,
)

_NO_GRADES = (
    "total",
    "overall",
    "points",
    "mark",
    "verdict",
    "note",
    "nota",
    "voto",
    "итог",
    "итого",
    "合計",
)
_GRADES = "|".join(longest_first(map(re.escape, SCORES - {*_NO_GRADES})))
_ASPECT = (
    "relevance|coverage|clarity|accuracy|completeness|helpfulness|conciseness|coherence|correctness|fluency"
    "|depth|tone|structure|focus|style|detail"
)
_JUDGED = r"(?:reply|response|submission|attempt|assistant(?:['’]s[ ](?:response|answer|reply))?)"
_DOES = (
    "is|was|does|has|covers|provides|addresses|answers|fails|lacks|stays|leaves|meets|gives|deserves|receives"
    "|earns|reads|handles|shows|demonstrates"
)
_VERDICT = re.compile(
    "|".join(
        (
            rf"^[ \t*_#>\"({{\[-]{{0,8}}(?:(?:final|overall|total|my|the)[ ])?(?:{_GRADES})"
            r"(?:[ ](?:final|total)e?)?[*_\"]{0,3}[ ]?[:=：][ *_\"\[]{0,4}(?:\d|[AB]\b|tie\b)",
            r"\"(?:score|rating|grade)\"[ ]?:[ ]?\"?\d",
            r"^[ \t*_#>-]{0,6}(?:overall|total|final)\b[^:\n]{0,20}:[ *_]{0,4}\d(?:\.\d)?[ ]?"
            r"(?:/|out[ ]of|of)[ ]?(?:5|10)\b",
            r"\b(?:put|place|mark|rank|give|rate|score|grade|earns|deserves|merits)\b[^.\n]{0,20}"
            r"\b\d(?:\.\d)?[ ]?(?:/|out[ ]of|of)[ ]?(?:5|10)\b",
            r"^[ \t*_#>-]{0,6}(?:strengths?|weaknesses|areas?[ ]for[ ]improvement|feedback|assessment"
            r"|critique)[*_]{0,3}[ ]?:",
            rf"\b(?:this|the|your|that)[ ]{_JUDGED}[ ](?:{_DOES})\b",
            rf"(?:^[ \t*_#>-]{{0,6}}(?:{_ASPECT})[*_]{{0,3}}[ ]?:[^\n]{{0,200}}\n{{1,3}}){{2}}"
            rf"[ \t*_#>-]{{0,6}}(?:{_ASPECT})[*_]{{0,3}}[ ]?:",
            r"^[ \t*_#>\"(\[-]{0,8}(?:(?:final|overall|total|my|the)[ ])?(?:score|grade|rating|verdict"
            r"|winner)[*_\"]{0,3}[ ]?[:=][ *_\"\[]{0,4}(?:\d|[AB]\b|tie\b)",
            r"^\[\[(?:[ABC]|A[<>=]{1,2}B|B[<>=]{1,2}A|\d{1,2})\]\]$",
            r"^(?:graded|scored|rated|assessed|evaluated|judged)\b",
            r"\bI(?:[ ]would|[ ]will|'d|'ll)?[ ](?:grade|rate|score|award|assign)[ ](?:it|this|the|an?)\b",
            r"\bthe[ ]answer[ ](?:is|was)[ ](?:(?:very|mostly|fairly|quite)[ ])?(?:relevant|clear|helpful"
            r"|useful|complete|incomplete|concise|accurate|well[ -]organi[sz]ed)\b",
        )
    ),
    re.IGNORECASE | re.MULTILINE,
)
_ASKS_FOR_ONE = re.compile(
    r"\b(?:grad(?:e|ing)|scor(?:e|ing)|rat(?:e|ing)s?\b|judg|evaluat|assess|rank|review|feedback|critiqu"
    r"|verdict|winner|respons|bewert|benot|calific|puntu|évalu|notez|valuta|avalie|оцен)"
    r"|评|評|打分|採点|평가|\bout of (?:5|10|100)\b|\b[01][ ]?(?:-|–|to)[ ]?(?:5|10|100)\b",
    re.IGNORECASE,
)

_FEWEST_WORDS = 4  # a shorter prompt may well be said back
_TAIL, _LOOP_UNITS, _LOOP = 200, 12, 0.6
_RUBRIC, _RUBRIC_GRAMS = 0.25, 3


def headed(text: str) -> bool:
    """Whether an answer begins with the header of a role, such as `assistant` on a line of its own."""
    return _FRONT.match(text[:400].lstrip()) is not None


def goes_on(text: str) -> bool:
    """Whether it goes on, after what it says first, with the header of another turn."""
    body = text.lstrip()
    header = _FRONT.match(body)
    start = header.end() if header else 1
    return _TURN.search(body, start) is not None


def asks_for_turns(prompt: str) -> bool:
    """Whether headers of roles are what a prompt asks for, or shows."""
    return _DIALOGUE.search(prompt) is not None


def is_verdict(text: str, rubric: frozenset[tuple[str, ...]]) -> bool:
    """Whether it reads as a judge's verdict, or a quarter of it and more stands in its template."""
    if _VERDICT.search(text):
        return True
    found = list(grams(words(text), 3))
    shared = [gram for gram in found if gram in rubric]
    return len(set(shared)) >= _RUBRIC_GRAMS and len(shared) >= _RUBRIC * len(found)


def asks_for_verdict(prompt: str) -> bool:
    """Whether a prompt asks to grade something, or talks of it."""
    return _ASKS_FOR_ONE.search(prompt) is not None


@lru_cache(maxsize=16)
def rubric_of(template: str) -> frozenset[tuple[str, ...]]:
    """Every three words in a row that a judge's template itself says."""
    return frozenset(gram for piece in literal(template) for gram in grams(words(piece), 3))


def echoes(prompt: str, text: str, cut_off: bool) -> bool:
    """Whether it says the prompt back and hardly anything else; a cut off answer, the prompt's beginning."""
    wanted, found = words(prompt), words(text)
    if len(wanted) < _FEWEST_WORDS:
        return False
    if cut_off and 2 * _FEWEST_WORDS <= len(found) <= len(wanted):
        return found[:-1] == wanted[: len(found) - 1]
    needle, rest = _joined(wanted), _joined(found)
    return needle in rest and rest.replace(needle, "").count(_ENDS) <= max(3, len(wanted) // 10)


def loops(text: str) -> bool:
    """Whether its last 200 units say the same again and again: most of their runs of four occur before."""
    tail = units(text)[-_TAIL:]
    if len(tail) < _LOOP_UNITS:
        return False
    found = list(grams(tail, 4))
    return 1 - len(set(found)) / len(found) >= _LOOP


_BEGINS, _ENDS = "\x1e", "\x1f"  # blanks, so that they stand in no unit


def _joined(found: Sequence[str]) -> str:
    return "".join(f"{_BEGINS}{word}{_ENDS}" for word in found)
