"""Each of IFEval's 25 checks where it is plain, and where the benchmark's own code is odd."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.errors import DataError
from metareward.evaluate.ifeval import Instruction, shipped_tasks
from metareward.evaluate.instructions import CHECKS, checked

AT_LEAST, LESS = "at least", "less than"
ENGLISH = "This is a plain English text about the weather and the sea."
CASES = {
    "keywords:existence": [
        ({"keywords": ["cat", "dog"]}, "A CAT and a dog", True),
        ({"keywords": ["cat"]}, "concatenate", True),  # also inside a word
        ({"keywords": ["cat", "dog"]}, "only a cat", False),
        ({"keywords": ["a.c"]}, "abc", True),  # a keyword is a pattern
    ],
    "keywords:frequency": [
        ({"keyword": "ha", "frequency": 3, "relation": AT_LEAST}, "hahaHA", True),
        ({"keyword": " ha ", "frequency": 3, "relation": AT_LEAST}, "haha", False),
        ({"keyword": "ha", "frequency": 2, "relation": LESS}, "ha", True),
        ({"keyword": "ha", "frequency": 1, "relation": LESS}, "ha", False),
    ],
    "keywords:forbidden_words": [
        ({"forbidden_words": ["cat"]}, "concatenate", True),  # words of their own only
        ({"forbidden_words": ["cat"]}, "a Cat.", False),
        ({"forbidden_words": ["dog", "cat"]}, "cat-like", False),
    ],
    "keywords:letter_frequency": [
        ({"letter": "E", "let_frequency": 2, "let_relation": AT_LEAST}, "Ee", True),
        ({"letter": "e", "let_frequency": 3, "let_relation": AT_LEAST}, "Ee", False),
        ({"letter": "e", "let_frequency": 1, "let_relation": LESS}, "oak", True),
        ({"letter": "#", "let_frequency": 2, "let_relation": AT_LEAST}, "####", False),  # "u" stands in
        ({"letter": "#", "let_frequency": 2, "let_relation": AT_LEAST}, "Uhu", True),
    ],
    "language:response_language": [
        ({"language": "de"}, "Das ist ein ganz gewöhnlicher deutscher Satz.", True),
        ({"language": "de"}, ENGLISH, False),
        ({"language": "de"}, "12345 !!!", True),  # no feature of any language
    ],
    "length_constraints:number_sentences": [
        ({"num_sentences": 2, "relation": AT_LEAST}, "One. Two.", True),
        ({"num_sentences": 2, "relation": LESS}, "One. Two.", False),
        ({"num_sentences": 2, "relation": LESS}, "Dr. No left", True),
    ],
    "length_constraints:number_paragraphs": [
        ({"num_paragraphs": 2}, "a\n***\nb", True),
        ({"num_paragraphs": 2}, "***\na***b\n***", True),  # blank at both ends
        ({"num_paragraphs": 2}, "a\n***\n***\nb", False),  # blank inside
        ({"num_paragraphs": 2}, "a\n\nb", False),
        ({"num_paragraphs": 1}, "a", True),
        ({"num_paragraphs": 2}, "a****b", True),
        ({"num_paragraphs": 0}, "***", True),
    ],
    "length_constraints:number_words": [
        ({"num_words": 3, "relation": AT_LEAST}, "don't go", True),  # an apostrophe parts words
        ({"num_words": 3, "relation": LESS}, "well-known", True),
        ({"num_words": 2, "relation": LESS}, "well-known", False),
        ({"num_words": 3, "relation": AT_LEAST}, "* - !", False),
    ],
    "length_constraints:nth_paragraph_first_word": [
        ({"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "Then"}, "a\n\nthen, b", True),
        ({"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "say"}, "'\"Say! it\n\nb", True),
        ({"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "say"}, "\"'Say it\n\nb", False),
        ({"num_paragraphs": 3, "nth_paragraph": 3, "first_word": "b"}, "a\n\nb", False),
        (
            {"num_paragraphs": 2, "nth_paragraph": 2, "first_word": "b"},
            "a\n\n\n\nb",
            False,
        ),  # piece 2 is blank
        ({"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "a"}, "a\n\n \n\nb", True),
        ({"num_paragraphs": 2, "nth_paragraph": 1, "first_word": "a"}, "a\n\nb\n\nc", False),
        ({"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "it"}, "It's", True),
        ({"num_paragraphs": 1, "nth_paragraph": 1, "first_word": "it"}, "It: no", False),
    ],
    "detectable_content:number_placeholders": [
        ({"num_placeholders": 2}, "[a] and []", True),
        ({"num_placeholders": 2}, "[a [b]", False),  # one pair
        ({"num_placeholders": 1}, "[a\nb]", False),  # within a line
        ({"num_placeholders": 3}, "[a]]\n[[b] [c\n]", False),
        ({"num_placeholders": 2}, "]a[ [b] [c]", True),
    ],
    "detectable_content:postscript": [
        ({"postscript_marker": "P.S."}, "Bye.\np. s. one more", True),
        ({"postscript_marker": "P.S."}, "Bye. P.S one more", False),
        ({"postscript_marker": "P.S."}, "P.P.S. one more", True),
        ({"postscript_marker": "P.P.S"}, "p. p.s", True),
        ({"postscript_marker": "P.P.S"}, "P.S. one more", False),
        ({"postscript_marker": " Note "}, "note", True),
    ],
    "detectable_format:number_bullet_lists": [
        ({"num_bullets": 2}, "* a\n  - b", True),
        ({"num_bullets": 1}, "** a\n* b", True),  # two asterisks are no bullet
        ({"num_bullets": 2}, "-\n--- b", True),  # any dash is one
        ({"num_bullets": 0}, "a * b - c", True),
        ({"num_bullets": 1}, "*\n* b", True),  # a bare asterisk takes the next line with it
        ({"num_bullets": 1}, "*\nplain text", True),
        ({"num_bullets": 1}, "*", False),
        ({"num_bullets": 2}, "\n\n \t* a\n\n\n-b", True),
    ],
    "detectable_format:constrained_response": [
        ({}, "Well: My answer is no. Sorry", True),
        ({}, "my answer is no.", False),
        ({}, "My answer is no", False),
    ],
    "detectable_format:number_highlighted_sections": [
        ({"num_highlights": 2}, "*a* and *b*", True),
        ({"num_highlights": 3}, "**a** **b**", False),
        ({"num_highlights": 2}, "**a**", False),  # once, as double; its halves are blank
        ({"num_highlights": 1}, "**a**", True),
        ({"num_highlights": 1}, "*a\nb* ** *", False),
    ],
    "detectable_format:multiple_sections": [
        ({"section_spliter": "Section", "num_sections": 2}, "Section 1\na\nSection2 b", True),
        ({"section_spliter": "Section ", "num_sections": 2}, "section 1\nSection 2", False),
        ({"section_spliter": "Section", "num_sections": 1}, "Section one", False),
        ({"section_spliter": "Day", "num_sections": 1}, "Today 5", False),
        ({"section_spliter": "Day", "num_sections": 1}, "ToDay 5", True),
    ],
    "detectable_format:json_format": [
        ({}, '```json\n{"a": 1}\n```', True),
        ({}, " ```JSON [1]``` ", True),
        ({}, "12", True),
        ({}, "{'a': 1}", False),
        ({}, 'Here: {"a": 1}', False),
        ({}, "```jSoN\n1```", False),
        ({}, "NaN", True),
    ],
    "detectable_format:title": [
        ({}, "<<joy>>", True),
        ({}, "<<>>", False),
        ({}, "<< >>", False),
        ({}, "<<a\nb>>", False),
        ({}, "<a>", False),
        ({}, "a <<<<b>>>> c", True),
        ({}, "<< >> and >> b", True),  # the longest stretch between them
        ({}, "<>> <<", False),
        ({}, "<<>>x", False),
    ],
    "combination:two_responses": [
        ({}, "a\n******\nb", True),
        ({}, "******a******b******", True),
        ({}, "a******a ", False),
        ({}, "a******b******c", False),
        ({}, "a************b", False),
        ({}, "a*****b", False),
    ],
    "combination:repeat_prompt": [
        ({"prompt_to_repeat": "Say it. "}, "  say IT. Hello", True),
        ({"prompt_to_repeat": "Say it."}, "Well, say it.", False),
    ],
    "startend:end_checker": [
        ({"end_phrase": "The End."}, 'So. THE end."  ', True),
        ({"end_phrase": " The End. "}, "The End. Or not", False),
    ],
    "startend:quotation": [
        ({}, ' "a" ', True),
        ({}, '"', False),
        ({}, '""', True),
        ({}, "“a”", False),
    ],
    "change_case:capital_word_frequency": [
        ({"capital_frequency": 2, "capital_relation": AT_LEAST}, "WELL-KNOWN FACTS", True),
        ({"capital_frequency": 2, "capital_relation": LESS}, "A fact", True),
        ({"capital_frequency": 2, "capital_relation": AT_LEAST}, "CANNOT", True),
        ({"capital_frequency": 2, "capital_relation": AT_LEAST}, "WELL-KNOWN facts", False),
    ],
    "change_case:english_capital": [
        ({}, ENGLISH.upper(), True),
        ({}, ENGLISH, False),
        ({}, "DAS IST EIN GANZ GEWÖHNLICHER DEUTSCHER SATZ.", False),
        ({}, "12345", False),  # no capital in it
    ],
    "change_case:english_lowercase": [
        ({}, ENGLISH.lower(), True),
        ({}, ENGLISH, False),
        ({}, "das ist ein ganz gewöhnlicher deutscher satz.", False),
    ],
    "punctuation:no_comma": [({}, "a; b", True), ({}, "a, b", False), ({}, "a، b", True)],
}
EXAMPLES = {name: cases[0][0] for name, cases in CASES.items()}
ROWS = [(name, *case) for name, cases in CASES.items() for case in cases]


def test_every_kind_has_cases_that_hold_and_cases_that_do_not():
    assert set(CASES) == set(CHECKS)
    for name, cases in CASES.items():
        assert {expected for *_, expected in cases} == {True, False}, name


@pytest.mark.parametrize(("name", "arguments", "text", "expected"), ROWS)
def test_case(name, arguments, text, expected):
    assert Instruction(name, checked(name, arguments)).followed(text) is expected


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_a_blank_text_follows_nothing(name, text):
    assert not Instruction(name, EXAMPLES[name]).followed(text)


SIGNS = [
    "***",
    "*",
    "\n\n",
    "\n",
    "<<",
    ">>",
    "[",
    "]",
    "-",
    "P.S.",
    "```",
    '"',
    "{",
    ",",
    "#",
    "Section 1",
    "\ud800",
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(sorted(CHECKS)), st.lists(st.sampled_from(SIGNS) | st.text(max_size=5), max_size=30))
def test_no_text_makes_a_check_fail(name, pieces):
    assert Instruction(name, EXAMPLES[name]).followed("".join(pieces)) in (True, False)


@pytest.mark.parametrize("name", CHECKS)
@pytest.mark.parametrize("piece", ["\n", " ", "*", "[", "<<", "-", "{", '"', "p. ", "ab, c\n"])
def test_huge_texts_take_seconds_at_most(name, piece):
    """100,000 characters of what a quadratic pattern would trip over."""
    text, began = piece * (100_000 // len(piece)) + "x", time.process_time()
    if name in ("length_constraints:number_sentences", "change_case:capital_word_frequency"):
        text = text[:20_000]  # tests of the tokenisers have these
    Instruction(name, EXAMPLES[name]).followed(text)
    assert time.process_time() - began < 2


@pytest.mark.parametrize(
    ("name", "arguments", "says"),
    [
        ("keywords:nothing", {}, "no instruction 'keywords:nothing'"),
        ("punctuation:no_comma", {"x": 1}, "needs no arguments, and has x"),
        ("keywords:existence", {}, "needs keywords, and has none"),
        ("keywords:existence", {"keywords": None}, "needs keywords"),
        ("keywords:existence", {"keywords": "cat"}, "a list of texts"),
        ("keywords:existence", {"keywords": []}, "a list of texts"),
        ("keywords:existence", {"keywords": ["a", ""]}, "a list of texts"),
        ("keywords:existence", {"keywords": ["("]}, "readable as a pattern"),
        ("keywords:forbidden_words", {"forbidden_words": [3]}, "a list of texts"),
        (
            "keywords:letter_frequency",
            {**EXAMPLES["keywords:letter_frequency"], "letter": "ab"},
            "one letter",
        ),
        (
            "keywords:frequency",
            {**EXAMPLES["keywords:frequency"], "relation": "at most"},
            "'less than' or 'at least'",
        ),
        ("keywords:frequency", {**EXAMPLES["keywords:frequency"], "frequency": -1}, "a whole number"),
        ("keywords:frequency", {**EXAMPLES["keywords:frequency"], "frequency": True}, "a whole number"),
        ("keywords:frequency", {**EXAMPLES["keywords:frequency"], "frequency": 1.5}, "a whole number"),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 3, "first_word": "a"},
            "beyond num_paragraphs",
        ),
        (
            "length_constraints:nth_paragraph_first_word",
            {"num_paragraphs": 2, "nth_paragraph": 0, "first_word": "a"},
            "1 or more",
        ),
    ],
)
def test_arguments_that_make_no_sense_are_refused(name, arguments, says):
    with pytest.raises(DataError, match=says):
        checked(name, arguments)


def test_what_is_null_is_not_given():
    """Copies of the benchmark with one table of columns have a null for each argument of other kinds."""
    assert checked("punctuation:no_comma", {"num_words": None, "relation": None}) == {}


def test_the_shipped_prompts_use_every_kind():
    kinds = {instruction.identifier for task in shipped_tasks() for instruction in task.instructions}
    assert kinds == set(CHECKS)
    assert len(shipped_tasks()) == 541
    assert sum(len(task.instructions) for task in shipped_tasks()) == 834
