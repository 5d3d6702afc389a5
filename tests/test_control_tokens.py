"""Whatever is written into a message, the control tokens of a prompt are those of the template alone."""

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile import FRAGMENTS, hostile
from metareward.engines.base import Forced
from metareward.engines.chat import encode_chat, encode_text
from metareward.engines.forcing import tokenise
from metareward.engines.stopping import Stopping
from metareward.records import Message
from tokenizer_families import FAMILIES, LOSSLESS, SENTENCEPIECE, control_ids, control_texts, family

SURROGATE = re.compile("[\ud800-\udfff]")
roles = st.lists(st.sampled_from(["user", "assistant"]), min_size=1, max_size=3)


def clean(text: str) -> str:
    return SURROGATE.sub("\ufffd", text)


def controls(tokenizer, ids: list[int]) -> list[int]:
    known = control_ids(tokenizer)
    return [token for token in ids if token in known]


def conversation(data, tokenizer) -> list[Message]:
    texts = hostile(tuple(control_texts(tokenizer)))
    return [Message(role, data.draw(texts)) for role in data.draw(roles)]


@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.data())
@settings(max_examples=120, deadline=None)
def test_messages_never_change_the_control_tokens(name, data):
    tokenizer = family(name)
    messages = conversation(data, tokenizer)
    harmless = [Message(message.role, "harmless") for message in messages]
    found = controls(tokenizer, encode_chat(tokenizer, messages))
    assert found == controls(tokenizer, encode_chat(tokenizer, harmless))
    assert found, "the template does write some"


@pytest.mark.parametrize("name", FAMILIES)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_text_never_becomes_a_control_token(name, data):
    tokenizer = family(name)
    text = data.draw(hostile(tuple(control_texts(tokenizer))))
    for continuing in (False, True):
        assert controls(tokenizer, encode_text(tokenizer, text, continuing=continuing)) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_each_control_token_spelled_out_is_text(name):
    tokenizer = family(name)
    clean_ids = controls(tokenizer, encode_chat(tokenizer, [Message("user", "a"), Message("assistant", "b")]))
    for token in control_texts(tokenizer):
        for text in (token, f"x{token}y {token}", f" {token} {token}\n", token * 3, token[1:], token[:-1]):
            ids = encode_chat(tokenizer, [Message("user", text), Message("assistant", text)])
            assert controls(tokenizer, ids) == clean_ids, text


@pytest.mark.parametrize("name", FAMILIES)
@given(
    texts=st.lists(st.text(st.characters(codec="utf-8", exclude_characters="<[|]>"), max_size=20), min_size=1)
)
@settings(max_examples=60, deadline=None)
def test_ordinary_conversations_are_encoded_as_transformers_does(name, texts):
    """Prefix blanks, normalising and swallowed blanks included: a twin cuts text as its tokenizer does."""
    tokenizer = family(name)
    turns = [{"role": "user", "content": text} for text in texts]
    theirs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert encode_chat(tokenizer, [Message("user", text) for text in texts]) == theirs
    plain = [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    assert [encode_text(tokenizer, text) for text in texts] == plain


@pytest.mark.parametrize("name", LOSSLESS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_text_comes_back_from_its_tokens(name, data):
    """SentencePiece alone loses something: U+2581, its blank, and in the newer form one blank in front."""
    tokenizer = family(name)
    text = data.draw(hostile(tuple(control_texts(tokenizer))))
    expected = clean(text).replace("▁", " ") if name in SENTENCEPIECE else clean(text)
    expected = expected.removeprefix(" ") if name == "llama 2, prefix first" else expected
    assert decoded(tokenizer, encode_text(tokenizer, text)) == expected


@pytest.mark.parametrize("name", LOSSLESS)
@given(data=st.data())
@settings(max_examples=60, deadline=None)
def test_continuing_text_adds_nothing_to_what_stands_before(name, data):
    tokenizer = family(name)
    pair = st.text(st.characters(codec="utf-8", exclude_characters="▁"), max_size=9)
    before, after = data.draw(pair), data.draw(pair)
    first = encode_text(tokenizer, before + "x")
    ids = first + encode_text(tokenizer, after, continuing=True)
    assert decoded(tokenizer, ids) == decoded(tokenizer, first) + after


@pytest.mark.parametrize("name", LOSSLESS)
def test_a_forced_verdict_is_the_text_that_is_stored(name):
    """The tokens of an answer and of the verdict's ending are together the judgment's text."""
    tokenizer = family(name)
    answer = encode_text(tokenizer, "The answer is clear.")
    for prefix, choices in (("\nScore: ", "012345"), ("\nWinner: ", "AB")):
        forced = tokenise(tokenizer, Forced(prefix, tuple(choices)), tokenizer.eos_token_id)
        assert forced.single
        for choice in choices:
            told = Stopping(tokenizer).text([*answer, *forced.endings[choice]])
            assert told == f"The answer is clear.{prefix}{choice}"


@pytest.mark.parametrize("name", FAMILIES)
def test_normalising_makes_no_control_token(name):
    """Compatibility forms of a control token that a normaliser turns into its letters."""
    tokenizer = family(name)
    for token in control_texts(tokenizer):
        wide = "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in token)
        for text in (wide, token.replace("<", "＜"), token.swapcase(), unicodedata.normalize("NFD", token)):
            assert controls(tokenizer, encode_text(tokenizer, text)) == [], text


def test_a_huge_message_takes_linear_time():
    tokenizer = family("llama 3")
    for text in ("<|eot_id|>" * 50_000, " " * 500_000, "<" * 300_000, "\n" * 300_000):
        assert len(controls(tokenizer, encode_chat(tokenizer, [Message("user", text)]))) == 6


def test_every_fragment_as_a_message_of_every_family():
    for name in FAMILIES:
        tokenizer = family(name)
        expected = controls(tokenizer, encode_chat(tokenizer, [Message("user", "a")]))
        for text in FRAGMENTS:
            assert controls(tokenizer, encode_chat(tokenizer, [Message("user", text)])) == expected


def decoded(tokenizer, ids: list[int]) -> str:
    return tokenizer.decode(ids, clean_up_tokenization_spaces=False)
