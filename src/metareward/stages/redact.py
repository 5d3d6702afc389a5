"""Judgments without their scores, for a meta-judge that must not prefer the higher one.

Made for English. The verdict line goes, whatever its label; a total on its scale that the remarks mention
("4/5", "four out of 5", "I give it 4 points", "full marks") becomes `[hidden]`. Numbers that count something
else ("lists 5 steps", "point 4 is not met", "3 examples") stay. What is said of the response stays too, so a
reader can still guess a total from praise; only its number is hidden.
"""

import re
from functools import lru_cache

from metareward.readers import Scale

HIDDEN = "[hidden]"

# Every repetition is bounded, so that reading takes linear time whatever a judge wrote.
_WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten")
_BEFORE, _END = r"(?<![^\W_])(?<![.,/+-])", r"(?![^\W_]|%|\.[0-9])"
_WORD = r"(?<![^\W_])"  # an underscore is emphasis here, and no letter
_MARKS = r"[*_`\"']{0,3}"
_UNIT = r"(?:\s{1,3}(?:possible\s{1,3})?(?:points?|marks?|stars?)\b)"
_OTHER_THINGS = (  # "4 out of 5 examples" counts examples
    r"(?!\s{1,3}(?!points|stars|marks|criteria|as|is|was|has|this|its|thus|plus|unless)[a-z]{1,30}s\b)"
)
_AFTER = (  # what may follow a number that is a total, and no count of something
    r"(?=\s{0,3}(?:$|[.,;:!?()\]|/*_\"'`\n]|[-\u2013\u2014]\s|(?:points?|marks?|stars?|out|because|as|for|since"
    r"|due|given|giving|overall|in|and|but|on|at|so|which|total|rather|instead|here|with|from|if|that|is|was"
    r"|would|only|than|to (?:a )?[0-9]|or|though|although|while|when|this|it|not)\b))"
)
_SAID = (
    r"scor(?:e[sd]?|ing)|rat(?:e[sd]?|ings?)|grad(?:e[sd]?|ing)|totals?|verdict|giv(?:e[sn]?|ing)|gave"
    r"|award(?:s|ed|ing)?|earn(?:s|ed|ing)?|receiv(?:e[sd]?|ing)|gets?|got|deserv(?:e[sd]?|ing)|merit(?:s|ed)?"
    r"|assign(?:s|ed|ing)?|grant(?:s|ed)?|worth|add(?:s|ed|ing)? up to|com(?:es?|ing) to|sums? (?:up )?to"
    r"|mak(?:es?|ing)|equals?|settled? (?:on|for|at)|(?:go|went|going) (?:for|with)|say|limited to|capped at"
)
_LABEL = "points?|marks?|stars?|so|hence|therefore|thus|overall"
_GAP = r"\s{0,3}(?:->|[:=-])?[^.\n0-9<>=]{0,40}?"
_NO_NAME = "".join(  # "criterion 4" names a statement of the rubric
    rf"(?<!\b{word} )"
    for word in ("criterion", "point", "step", "item", "number", "part", "statement", "rule")
)
_KIND = r"(?:solid|strong|weak|clear|generous|fair|low|high|bare|borderline)\s{1,3}"
_PASSES = 3  # "between 3 and 4, so 4": what was hidden leads on to the next
_MARK = r"(?:[^\w\n]|_){0,40}"


def without_scores(text: str, scale: Scale = Scale()) -> str:  # noqa: B008 - frozen
    """A judgment as a meta-judge sees it that is not shown scores. Takes linear time."""
    for pattern in _compiled(scale):
        for _ in range(_PASSES):
            text = pattern.sub(_hide, text)
    line = _verdict_line(scale)
    return "\n".join(own for own in text.split("\n") if not line.fullmatch(own)).strip()


@lru_cache(maxsize=16)
def _compiled(scale: Scale) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(pattern, re.IGNORECASE | re.MULTILINE) for pattern in _patterns(scale))


def _patterns(scale: Scale) -> tuple[str, ...]:
    whole = "|".join(reversed(scale.choices))
    named = "|".join(_WORDS[scale.low : scale.high + 1]) or whole
    high = f"{scale.high}|{_WORDS[scale.high]}" if scale.high < len(_WORDS) else str(scale.high)
    one, digit = f"(?:{whole})", rf"(?:(?:{whole})(?:\.[0-9]{{1,3}})?|{named})"
    number = rf"{_MARKS}{_BEFORE}{digit}{_END}{_MARKS}"
    most = rf"[*_]{{0,3}}(?:{high})(?:\.0)?(?![\w/]|\.[0-9])[*_]{{0,3}}"
    all_of = f"(?:{high})"
    full = (
        r"full|perfect|maximum|max|top|(?:high|low)est(?: possible)?|minimum|half"
        rf"|all(?: {all_of})?"
    )
    said = f"{_SAID}|{re.escape(scale.label)}"
    return (
        r"[\u2605\u2606\u2b50\U0001f31f\ufe0f]{1,20}",  # drawn stars
        rf"(?<![\w/]){one}(?:\s{{0,2}}\+\s{{0,2}}{one}){{2,9}}\s{{0,2}}=\s{{0,2}}{one}(?![\w/])",  # a sum
        rf"{_MARKS}{_BEFORE}{digit}{_MARKS}\s{{0,3}}/\s{{0,3}}{most}{_UNIT}?",
        rf"{number}{_UNIT}?\s{{1,3}}(?:out\s{{1,3}})?of\s{{1,3}}(?:(?:a|the)\s{{1,3}})?"
        rf"(?:(?:possible|maximum|total)\s{{1,3}})?{most}{_UNIT}?{_OTHER_THINGS}",
        rf"\b(?:{full}|no|zero)\s{{1,3}}(?:marks?|points|credit|scores?|ratings?|stars)\b",
        rf"{_BEFORE}{digit}[\s-](?:stars?|point)\b",
        rf"(?:(?<=^)|(?<=[.!?]\s)){number}{_UNIT}?(?=[.!]?\s{{0,3}}$)",  # the last words of a line
        rf"{number}{_UNIT}(?=\s{{1,3}}(?:in total|total|overall|altogether)\b)",
        rf"(?:\b(?:all(?: {all_of})?|no)|{number})(?=\s{{1,3}}(?:of the\s{{1,3}})?criteria\b)",
        rf"(?P<lead>{_WORD}(?:(?:{said})\b|(?:{_LABEL})\s{{0,3}}[:=]){_GAP})"
        rf"{_NO_NAME}{number}{_AFTER}{_UNIT}?",
        rf"(?P<lead>\ban?\s{{1,3}}(?:{_KIND})?){number}{_AFTER}{_UNIT}?",
    )


@lru_cache(maxsize=16)
def _verdict_line(scale: Scale) -> re.Pattern[str]:
    label = "score|total|rating|grade|points?|verdict|mark"
    return re.compile(
        rf"{_MARK}(?:(?:[^\W_]{{1,30}}[ \t]){{0,3}}(?:{label}|{re.escape(scale.label)})s?{_MARK}"
        rf"(?:is|of)?{_MARK})?\[hidden\]{_MARK}",
        re.IGNORECASE,
    )


def _hide(found: re.Match[str]) -> str:
    return found.groupdict().get("lead", "") + HIDDEN
