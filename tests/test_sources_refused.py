"""Prompts that cannot be read: every bad row is named by its line, every bad file by its name."""

import json
import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prompt_files import ANSWER, SYSTEM, USER, lines, refuse

BAD_ROWS = [
    ({"prompt": 3}, ["'prompt' must be a text or a list of messages, not a number"]),
    ({"prompt": None}, ["'prompt' must be a text", "not nothing"]),
    ({"prompt": {"text": "x"}}, ["'prompt' must be", "not an object"]),
    ({"prompt": True}, ["not true or false"]),
    ({"prompt": ["hello"]}, ["message 1", '{"role": ..., "content": ...}', "not a text"]),
    ({"messages": [{"role": "user"}]}, ["message 1", "'content' must be a text, not nothing"]),
    (
        {"messages": [SYSTEM, {"role": "user", "content": [{"type": "text"}]}]},
        ["message 2", "'content'", "a list"],
    ),
    ({"messages": [{"from": 3, "value": "x"}]}, ["message 1", "'from' must be a text, not a number"]),
    (
        {"messages": [{"role": "critic", "content": "x"}]},
        ["unknown role 'critic'", "system, user, assistant"],
    ),
    ({"messages": [USER, {"role": "tool", "content": "x"}]}, ["message 2", "a turn of tools ('tool')"]),
    ({"messages": [{**USER, "tool_calls": [{"name": "f"}]}]}, ["message 1", "a turn of tools"]),
    ({"messages": [USER], "tools": [{"name": "f"}]}, ["'tools' stands beside 'messages'"]),
    ({"messages": [{**USER, "content": [{"type": "image_url"}]}]}, ["a part of type 'image_url'"]),
    (
        {"prompt": "Hello?", "messages": [{**USER, "content": "Bye?"}]},
        ["'prompt' and 'messages' hold different"],
    ),
    ({"prompt": "x", "instruction": "y"}, ["'prompt' and 'instruction' hold different", "column = 'prompt'"]),
    ({"messages": [SYSTEM, USER], "system": "Be long."}, ["'system' and the system's turn", "differ"]),
    ({"system": "a", "system_prompt": "b", "prompt": "x"}, ["'system_prompt' and the system's turn"]),
    ({"messages": [USER], "history": [["a", "b"]]}, ["'history' stands beside 'messages'"]),
    ({"instruction": "x", "history": [["a", "b", "c"]]}, ["history 1 must be two texts"]),
    ({"instruction": "x", "history": "a: b"}, ["'history' must be a list", "not a text"]),
    (
        {"messages": [USER], "context": "Ada signed."},
        ["'context' stands beside 'messages'", "column = 'messages'"],
    ),
    ({"prompt": "x", "system": 3}, ["'system' must be a text, not a number"]),
    ({"messages": [ANSWER]}, ["no turn that waits", "must end in a turn of the user"]),
    ({"messages": []}, ["must end in a turn of the user"]),
    ({"messages": [USER, SYSTEM]}, ["ends with the system", "must end in a turn of the user"]),
    ({"prompt": " \n"}, ["empty prompt", "the user's turn is blank"]),
    ({"messages": [{"role": "system", "content": ""}, USER]}, ["empty prompt", "the system's turn is blank"]),
    ({"instruction": " ", "input": "x"}, ["empty prompt"]),
    ({"instruction": 3}, ["'instruction' must be a text, not a number"]),
    ({"instruction": "x", "input": ["y"]}, ["'input' must be a text, not a list"]),
    (
        {"promt": "x", "id": 3},
        [
            "no column 'prompt', 'messages', 'conversations' or 'instruction'",
            "'promt', 'id'",
            "mean 'promt'?",
        ],
    ),
    ({}, ["no column 'prompt'", "there is nothing"]),
    (3, ["a number is not a prompt", '{"prompt": text or messages}']),
    ([USER], ["a list is not a prompt"]),
]


@pytest.mark.parametrize(("row", "said"), BAD_ROWS, ids=[str(row)[:50] for row, _ in BAD_ROWS])
def test_each_bad_row_is_one_clear_error_with_its_line(tmp_path, row, said):
    refuse(lines(tmp_path, {"prompt": "fine"}, row), "p.jsonl:2: ", *said)
    (tmp_path / "p.json").write_text(json.dumps([{"prompt": "fine"}, row]))
    refuse("p.json", "p.json:2: ", *said, base=tmp_path)


def test_a_missing_column_names_those_there_are_and_the_nearest(tmp_path):
    source = lines(tmp_path, {"question": "x", "answer": "y"})
    refuse(
        source,
        "p.jsonl:1",
        "no column 'questions'",
        "'question', 'answer'",
        "mean 'question'?",
        column="questions",
    )
    refuse(lines(tmp_path, "text alone"), "p.jsonl:1", "column 'q'", column="q")


def test_files_that_cannot_be_used(tmp_path):
    for name, content, said in [
        ("bad.jsonl", b'"ok"\n{"prompt": "x"\n', ["bad.jsonl:2: not JSON", "column"]),
        ("latin.jsonl", b'"ok"\n"caf\xe9"\n', ["latin.jsonl:2: not UTF-8", "byte 5"]),
        ("deep.jsonl", b"[" * 200_000 + b"\n", ["deep.jsonl:1: not usable JSON"]),
        ("number.jsonl", b"1" * 5000 + b"\n", ["number.jsonl:1: not usable JSON"]),
        ("empty.jsonl", b"\n\n", ["empty.jsonl: there are no prompts in it"]),
        ("bad.json", b'[\n"a",\n"b" "c"]', ["bad.json: not JSON", "line 3, column 5"]),
        ("latin.json", b'["caf\xe9"]', ["latin.json: not UTF-8"]),
        ("lines.json", b'"a"\n"b"\n', ["lines.json: not JSON: Extra data"]),
        ("object.json", b'{"prompt": "x"}', ["object.json: must be a JSON array of rows, not an object"]),
        ("none.json", b"[]", ["none.json: there are no prompts in it"]),
        ("bad.parquet", b"not parquet", ["bad.parquet: cannot be read as Parquet"]),
        (
            "prompts.xml",
            b"<prompt/>\n",
            ["a file of prompts must end in .jsonl, .json, .csv, .tsv, .txt, .parquet, not '.xml'"],
        ),
    ]:
        (tmp_path / name).write_bytes(content)
        refuse(str(tmp_path / name), *said)


def test_a_parquet_text_that_is_not_utf8(tmp_path):
    broken = pa.array([b"fine", b"caf\xe9"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": broken}), tmp_path / "p.parquet")
    refuse(str(tmp_path / "p.parquet"), "p.parquet:2: a text is not UTF-8")


def test_a_missing_file_and_a_directory(tmp_path):
    refuse(str(tmp_path / "none.jsonl"), "none.jsonl: there is no such file")
    refuse("./none", "there is no such file", base=tmp_path)
    refuse(str(tmp_path), "is a directory; name a file")
    (tmp_path / "folder.jsonl").mkdir()
    refuse("folder.jsonl", "is a directory", base=tmp_path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_one_may_not_read(tmp_path):
    Path(lines(tmp_path, "x")).chmod(0)
    refuse("p.jsonl", "cannot be read: Permission denied", base=tmp_path)
