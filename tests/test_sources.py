"""Prompts: every accepted form is read as it is, in order, and what is left out is counted."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.errors import DataError
from metareward.ids import fingerprint
from metareward.records import Message, Prompt
from metareward.sources import load_prompts, prompt_of
from prompt_files import ANSWER, SYSTEM, USER, lines, texts

TEXT = st.text(st.characters(exclude_categories=()), min_size=1).filter(str.strip)


@given(st.lists(TEXT, min_size=1, max_size=12))
@settings(max_examples=80, deadline=None)
def test_texts_survive_in_order_and_the_counts_add_up(tmp_path_factory, written):
    source = lines(tmp_path_factory.mktemp("prompts"), *({"prompt": text} for text in written))
    loaded = load_prompts(source)
    assert [p.messages[0].content for p in loaded.prompts] == list(dict.fromkeys(written))
    assert len(loaded.prompts) + sum(loaded.dropped.values()) == len(written)
    assert len({p.id for p in loaded.prompts}) == len(loaded.prompts)


@given(TEXT)
@settings(max_examples=40, deadline=None)
def test_every_form_of_one_prompt_is_the_same_prompt(tmp_path_factory, text):
    forms = [
        {"prompt": text},
        {"prompt": [{"role": "user", "content": text}]},
        {"messages": [{"role": "user", "content": text}, ANSWER]},
        {"instruction": text},
        {"instruction": text, "input": None},
        {"instruction": text, "input": " "},
        {"messages": None, "prompt": text, "instruction": 3},
        text,
    ]
    loaded = load_prompts(lines(tmp_path_factory.mktemp("prompts"), *forms))
    assert loaded.prompts == [prompt_of(text, "p.jsonl:1")]
    assert loaded.dropped == {"duplicate prompt": len(forms) - 1}


def test_ids_are_pinned_and_depend_on_the_messages_alone(tmp_path):
    messages = (Message("user", "Hello?"),)
    (prompt,) = load_prompts(lines(tmp_path, {"prompt": "Hello?"})).prompts
    assert prompt == Prompt(fingerprint("prompt", messages), messages, "p.jsonl:1")
    assert prompt_of([Message("system", "Be brief."), *messages]).id != prompt.id
    assert prompt_of("Hello? ").id != prompt.id, "nothing is stripped"


def test_turns_are_kept_and_only_trailing_answers_removed(tmp_path):
    row = {"messages": [SYSTEM, USER, ANSWER, {**USER, "name": "x"}, ANSWER, ANSWER]}
    (turns,) = texts(lines(tmp_path, row))
    assert turns == [("system", "Be brief."), ("user", "Hello?"), ("assistant", "Hi!"), ("user", "Hello?")]


def test_an_instruction_goes_with_its_input(tmp_path):
    source = lines(tmp_path, {"instruction": "Translate.", "input": "Bonjour", "output": "Hello"})
    assert texts(source) == [[("user", "Translate.\n\nBonjour")]]


def test_lone_surrogates_and_odd_line_breaks_survive(tmp_path):
    file = tmp_path / "p.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"prompt": "half \\ud83d done"}\r\n\n"a\xe2\x80\xa8b"\n')
    loaded = load_prompts(str(file))
    assert [p.messages[0].content for p in loaded.prompts] == ["half \ud83d done", "a\u2028b"]
    assert [p.source for p in loaded.prompts] == ["p.jsonl:1", "p.jsonl:3"]


def test_a_json_array_and_a_parquet_table_read_as_lines_do(tmp_path):
    rows = [{"prompt": "One."}, {"prompt": "Two."}, {"prompt": "One."}]
    expected = load_prompts(lines(tmp_path, *rows))
    (tmp_path / "p.json").write_text(json.dumps(rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    for name in ("p.json", "p.parquet"):
        loaded = load_prompts(name, base=tmp_path)
        assert [p.id for p in loaded.prompts] == [p.id for p in expected.prompts]
        assert loaded.dropped == expected.dropped == {"duplicate prompt": 1}
        assert loaded.prompts[1].source == f"{name}:2"


def test_parquet_messages_and_large_tables(tmp_path):
    rows = [{"chat": [SYSTEM, {"role": "user", "content": f"Question {n}?"}]} for n in range(1100)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "p.parquet")
    loaded = load_prompts("p.parquet", column="chat", base=tmp_path)
    assert loaded.prompts[1099].source == "p.parquet:1100"
    assert loaded.prompts[1099].messages[1] == Message("user", "Question 1099?")


def test_a_column_of_ones_own(tmp_path):
    source = lines(
        tmp_path, {"question": "Why?", "prompt": "not this"}, {"question": [USER], "prompt": "nor this"}
    )
    assert texts(source, column="question") == [[("user", "Why?")], [("user", "Hello?")]]
    instruction = lines(tmp_path, {"instruction": [USER]}, name="i.jsonl")
    assert texts(instruction, column="instruction") == [[("user", "Hello?")]]


def test_a_prompt_of_ones_own_is_checked_too():
    assert prompt_of("Hello?") == prompt_of([Message("user", "Hello?")])
    assert prompt_of("Hello?", "mine").source == "mine"
    for bad in ("", " ", [], [Message("assistant", "x")]):
        with pytest.raises(DataError, match=r"^prompt: "):
            prompt_of(bad)
