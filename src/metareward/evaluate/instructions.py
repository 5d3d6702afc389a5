"""The 25 kinds of instruction of IFEval (Zhou et al., arXiv 2311.07911), each a check of one text.

Every check says what the benchmark's own code says, also where that is odd (a keyword is a pattern
without word boundaries; a text whose language cannot be told follows any); none takes more than about
linear time. Arguments have the benchmark's names, as they stand in its file.
"""

import inspect
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from metareward.errors import DataError
from metareward.evaluate import language as languages

RELATIONS = ("less than", "at least")
STAND_IN = "u"
"""What is counted where a sign such as "#" should be: one of the two middle letters of English.

The code that published scores come from draws a letter at random instead of counting a sign (two prompts,
keys 1122 and 1129); this is its likely verdict, and GPT-4's published one. docs/decisions has the story.
"""
_ANSWERS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")
_FENCES = ("```json", "```Json", "```JSON", "```")
_IFBENCH = {"count", "ratio", "words", "sentence", "format", "custom", "repeat"}  # none is a group of IFEval
_PATTERNS = {"keyword", "keywords", "forbidden_words", "section_spliter", "postscript_marker"}

Check = Callable[..., bool]
"""(text, **arguments) -> is the instruction followed."""


def _compare(count: int, relation: str, threshold: int) -> bool:
    return count < threshold if relation == "less than" else count >= threshold


def keywords_existence(text: str, keywords: list[str]) -> bool:
    """Each keyword occurs, in any case, also inside another word."""
    return all(re.search(keyword, text, re.IGNORECASE) for keyword in keywords)


def keywords_frequency(text: str, keyword: str, frequency: int, relation: str) -> bool:
    """The keyword occurs often or seldom enough, in any case, also inside other words."""
    return _compare(len(re.findall(keyword.strip(), text, re.IGNORECASE)), relation, frequency)


def keywords_forbidden_words(text: str, forbidden_words: list[str]) -> bool:
    """None occurs as a word of its own, in any case."""
    return not any(re.search(rf"\b{word}\b", text, re.IGNORECASE) for word in forbidden_words)


def keywords_letter_frequency(text: str, letter: str, let_frequency: int, let_relation: str) -> bool:
    """The letter occurs often or seldom enough, in either case; for a sign, STAND_IN is counted."""
    counted = letter.strip().lower()
    counted = counted if "a" <= counted <= "z" else STAND_IN
    return _compare(text.lower().count(counted), let_relation, let_frequency)


def language_response_language(text: str, language: str) -> bool:
    """The whole is in this language; a text without a single feature of any is let pass."""
    return languages.language(text) in (language, None)


def length_number_sentences(text: str, num_sentences: int, relation: str) -> bool:
    """Sentences as NLTK counts them."""
    return _compare(len(languages.sentences(text)), relation, num_sentences)


def length_number_paragraphs(text: str, num_paragraphs: int) -> bool:
    """Exactly so many paragraphs between `***`; only the first and the last piece may be blank."""
    blank = [not piece.strip() for piece in re.split(r"\s?\*\*\*\s?", text)]
    if any(blank[1:-1]):
        return False
    outer = blank[:1] + blank[-1:] if len(blank) > 1 else blank
    return len(blank) - sum(outer) == num_paragraphs


def length_number_words(text: str, num_words: int, relation: str) -> bool:
    r"""Words are runs of `\w`: "don't" is two."""
    return _compare(len(re.findall(r"\w+", text)), relation, num_words)


def length_nth_paragraph_first_word(
    text: str, num_paragraphs: int, nth_paragraph: int, first_word: str
) -> bool:
    """Exactly so many paragraphs between empty lines, the nth piece (blank ones counted) beginning so."""
    pieces = text.split("\n\n")
    count = sum(bool(piece.strip()) for piece in pieces)
    if nth_paragraph > count or not pieces[nth_paragraph - 1].strip():
        return False
    word = pieces[nth_paragraph - 1].split()[0].lstrip("'").lstrip('"')
    begins = re.split(r"""[.,?!'"]""", word, maxsplit=1)[0]
    lowered = "".join(letter.lower() for letter in begins)
    return count == num_paragraphs and lowered == first_word.lower()


def content_number_placeholders(text: str, num_placeholders: int) -> bool:
    """At least so many pairs of square brackets, each within one line."""
    return sum(map(_brackets, text.split("\n"))) >= num_placeholders


def _brackets(line: str) -> int:
    count, end = 0, 0
    while (start := line.find("[", end)) >= 0 and (end := line.find("]", start) + 1) > 0:
        count += 1
    return count


def content_postscript(text: str, postscript_marker: str) -> bool:
    """The marker occurs anywhere; of the usual two also with a space after its first full stop."""
    marker = postscript_marker.strip()
    usual = {"P.P.S": r"p\.\s?p\.\s?s", "P.S.": r"p\.\s?s\."}
    return re.search(usual.get(marker, marker.lower()), text.lower(), re.MULTILINE) is not None


def format_number_bullet_lists(text: str, num_bullets: int) -> bool:
    """Exactly so many lines that begin with one `*` or with `-`."""
    stars = re.findall(r"^[^\S\n]*\*[^*].*$", text, re.MULTILINE)
    dashes = re.findall(r"^[^\S\n]*-", text, re.MULTILINE)
    return len(stars) + len(dashes) == num_bullets


def format_constrained_response(text: str) -> bool:
    """One of the three answers occurs, letter by letter."""
    return any(answer in text for answer in _ANSWERS)


def format_number_highlighted_sections(text: str, num_highlights: int) -> bool:
    """At least so many `*...*`, plus once more each `**...**`, that are not blank and within one line."""
    single = [found.strip("*") for found in re.findall(r"\*[^\n*]*\*", text)]
    double = re.findall(r"\*\*([^\n*]*)\*\*", text)
    return sum(bool(found.strip()) for found in single + double) >= num_highlights


def format_multiple_sections(text: str, section_spliter: str, num_sections: int) -> bool:
    """At least so many headings: the word and a number, anywhere in a line."""
    return len(re.split(rf"\s?{section_spliter.strip()}\s?\d+\s?", text)) - 1 >= num_sections


def format_json(text: str) -> bool:
    """The whole is JSON, with or without a code fence around it."""
    text = text.strip()
    for fence in _FENCES:
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def format_title(text: str) -> bool:
    """Some line has `<<...>>` with more than angular brackets and white space in it."""
    return any(map(_titled, text.split("\n")))


def _titled(line: str) -> bool:
    start, end = line.find("<<"), line.rfind(">>")
    return 0 <= start < end and bool(line[start : end + 2].lstrip("<").rstrip(">").strip())


def combination_two_responses(text: str) -> bool:
    """Two different texts with `******` between them; only the first and the last piece may be blank."""
    pieces = [piece.strip() for piece in text.split("******")]
    if not all(pieces[1:-1]):
        return False
    given = [piece for piece in pieces if piece]
    return len(given) == 2 and given[0] != given[1]


def combination_repeat_prompt(text: str, prompt_to_repeat: str) -> bool:
    """It begins with the request, in any case."""
    return text.strip().lower().startswith(prompt_to_repeat.strip().lower())


def startend_end_checker(text: str, end_phrase: str) -> bool:
    """It ends with the phrase, in any case, quotation marks around the whole aside."""
    return text.strip().strip('"').lower().endswith(end_phrase.strip().lower())


def startend_quotation(text: str) -> bool:
    """The whole stands between straight double quotation marks."""
    text = text.strip()
    return len(text) > 1 and text[0] == '"' == text[-1]


def case_capital_word_frequency(text: str, capital_frequency: int, capital_relation: str) -> bool:
    """Words all in capitals, as NLTK cuts words: a hyphenated one counts once."""
    capitals = sum(word.isupper() for word in languages.words(text))
    return _compare(capitals, capital_relation, capital_frequency)


def case_english_capital(text: str) -> bool:
    """English in capitals only."""
    return text.isupper() and languages.language(text) in ("en", None)


def case_english_lowercase(text: str) -> bool:
    """English without a capital letter."""
    return text.islower() and languages.language(text) in ("en", None)


def punctuation_no_comma(text: str) -> bool:
    """No comma anywhere."""
    return "," not in text


CHECKS: dict[str, Check] = {
    "keywords:existence": keywords_existence,
    "keywords:frequency": keywords_frequency,
    "keywords:forbidden_words": keywords_forbidden_words,
    "keywords:letter_frequency": keywords_letter_frequency,
    "language:response_language": language_response_language,
    "length_constraints:number_sentences": length_number_sentences,
    "length_constraints:number_paragraphs": length_number_paragraphs,
    "length_constraints:number_words": length_number_words,
    "length_constraints:nth_paragraph_first_word": length_nth_paragraph_first_word,
    "detectable_content:number_placeholders": content_number_placeholders,
    "detectable_content:postscript": content_postscript,
    "detectable_format:number_bullet_lists": format_number_bullet_lists,
    "detectable_format:constrained_response": format_constrained_response,
    "detectable_format:number_highlighted_sections": format_number_highlighted_sections,
    "detectable_format:multiple_sections": format_multiple_sections,
    "detectable_format:json_format": format_json,
    "detectable_format:title": format_title,
    "combination:two_responses": combination_two_responses,
    "combination:repeat_prompt": combination_repeat_prompt,
    "startend:end_checker": startend_end_checker,
    "startend:quotation": startend_quotation,
    "change_case:capital_word_frequency": case_capital_word_frequency,
    "change_case:english_capital": case_english_capital,
    "change_case:english_lowercase": case_english_lowercase,
    "punctuation:no_comma": punctuation_no_comma,
}


def checked(identifier: str, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an instruction, without those that are None.

    Raises DataError for an unknown instruction, and for arguments that are missing, unknown, of the wrong
    kind, negative, or a pattern that cannot be read. (The benchmark's own code draws some at random.)
    """
    if identifier not in CHECKS:
        raise DataError(_unknown(identifier))
    wanted = list(inspect.signature(CHECKS[identifier]).parameters.values())[1:]
    given = {name: value for name, value in arguments.items() if value is not None}
    if set(given) != {parameter.name for parameter in wanted}:
        names = ", ".join(parameter.name for parameter in wanted) or "no arguments"
        raise DataError(f"{identifier} needs {names}, and has {', '.join(sorted(given)) or 'none'}")
    for parameter in wanted:
        if fault := _fault(parameter.name, parameter.annotation, given[parameter.name]):
            raise DataError(f"{identifier}: {parameter.name} must be {fault}, not {given[parameter.name]!r}")
    if given.get("nth_paragraph", 0) > given.get("num_paragraphs", 0):
        raise DataError(f"{identifier}: nth_paragraph is beyond num_paragraphs: {given!r}")
    return given


def _unknown(identifier: str) -> str:
    if identifier.partition(":")[0] in _IFBENCH:
        return (
            f"{identifier!r} is an instruction of IFBench (arXiv 2507.02833), which is not supported: "
            f"IFEval's {len(CHECKS)} kinds are checked here and none of its 58; score this file with the "
            "benchmark's own code (allenai/IFBench)"
        )
    return f"there is no instruction {identifier!r} among the {len(CHECKS)} of IFEval"


def _fault(name: str, kind: Any, value: Any) -> str | None:
    """What the argument should have been; None if it is that."""
    if kind is int:
        right = isinstance(value, int) and not isinstance(value, bool) and value >= (name == "nth_paragraph")
        return None if right else "a whole number of 0 or more (a paragraph: 1 or more)"
    texts = [value] if kind is str else value if isinstance(value, list) else []
    if not texts or not all(isinstance(text, str) and text for text in texts):
        return "a text that is not empty" if kind is str else "a list of texts that are not empty"
    if name.endswith("relation") and value not in RELATIONS:
        return " or ".join(map(repr, RELATIONS))
    if name == "letter" and len(texts[0].strip()) != 1:
        return "one letter or sign"
    return None if name not in _PATTERNS or all(map(_compiles, texts)) else "readable as a pattern"


def _compiles(pattern: str) -> bool:
    try:
        re.compile(pattern.strip())
        re.compile(pattern.lower())
    except (re.error, RecursionError, OverflowError):
        return False
    return True
