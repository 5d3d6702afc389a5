"""Prompts: every accepted form is read as it is, every bad row is named by its line, splits are disjoint."""

import json
import os
import random
import re
import subprocess
import sys
from importlib import resources
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.errors import ConfigError, DataError
from metareward.ids import fingerprint
from metareward.records import Message, Prompt
from metareward.sources import load_prompts, prompt_of, split_prompts

TEXT = st.text(st.characters(exclude_categories=()), min_size=1).filter(str.strip)
USER = {"role": "user", "content": "Hello?"}
SYSTEM = {"role": "system", "content": "Be brief."}
ANSWER = {"role": "assistant", "content": "Hi!"}


def lines(folder: Path, *rows: Any, name: str = "p.jsonl") -> str:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(folder / name)


def texts(source: str, **options: Any) -> list[list[tuple[str, str]]]:
    return [[(m.role, m.content) for m in p.messages] for p in load_prompts(source, **options).prompts]


def refuse(source: str, *said: str, **options: Any) -> None:
    with pytest.raises(DataError) as caught:
        load_prompts(source, **options)
    for part in said:
        assert part in str(caught.value)


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
    ({"messages": [{"from": "human", "value": "x"}]}, ["message 1", "'role' must be a text, not nothing"]),
    ({"messages": [{"role": "tool", "content": "x"}]}, ["unknown role 'tool'", "system, user, assistant"]),
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
        ["no column 'prompt', 'messages' or 'instruction'", "'promt', 'id'", "mean 'promt'?"],
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
            "prompts.csv",
            b"prompt\nx\n",
            ["prompts.csv: a file of prompts must end in .jsonl, .json, .parquet"],
        ),
    ]:
        (tmp_path / name).write_bytes(content)
        refuse(str(tmp_path / name), *said)


def test_a_parquet_text_that_is_not_utf8(tmp_path):
    broken = pa.array([b"fine", b"caf\xe9"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"prompt": broken}), tmp_path / "p.parquet")
    refuse(str(tmp_path / "p.parquet"), "p.parquet: a text after row 0 is not UTF-8")


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


class Hub(ModuleType):
    """Stands for the `datasets` package."""

    def __init__(self, answer: Any) -> None:
        super().__init__("datasets")
        self.answer, self.asked = answer, []

    def load_dataset(self, name: str, split: str) -> Any:
        self.asked.append((name, split))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_hub_dataset_is_read_by_its_id_and_split(tmp_path, monkeypatch):
    hub = Hub([{"prompt": "One."}, {"prompt": "Two."}])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    loaded = load_prompts("someone/prompts", split="test", base=tmp_path)
    assert hub.asked == [("someone/prompts", "test")]
    assert [p.source for p in loaded.prompts] == ["someone/prompts:1", "someone/prompts:2"]
    hub.answer = [{"promt": "x"}]
    refuse("someone/prompts", "someone/prompts:1: no column 'prompt'", base=tmp_path)


def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", Hub(ConnectionError("no route")))
    told = ("'someone/prompts'", "ConnectionError: no route", "Check the spelling and the network", ".jsonl")
    refuse("someone/prompts", *told, base=tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    refuse("someone/prompts", "install metareward[train]", base=tmp_path)


def test_the_real_client_offline_is_a_data_error(tmp_path):
    pytest.importorskip("datasets")
    code = (
        "from metareward.errors import DataError\nfrom metareward.sources import load_prompts\n"
        "try:\n    load_prompts('nobody/nothing-here')\nexcept DataError as error:\n    print(error)"
    )
    home = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **home}
    )
    assert said.returncode == 0, said.stderr
    assert "'nobody/nothing-here' is no file here, and as a hub dataset it cannot be loaded" in said.stdout


def test_a_prompt_of_ones_own_is_checked_too():
    assert prompt_of("Hello?") == prompt_of([Message("user", "Hello?")])
    assert prompt_of("Hello?", "mine").source == "mine"
    for bad in ("", " ", [], [Message("assistant", "x")]):
        with pytest.raises(DataError, match=r"^prompt: "):
            prompt_of(bad)


def many(count: int) -> list[Prompt]:
    return [prompt_of(f"Prompt {number}.") for number in range(count)]


@given(
    st.integers(0, 40),
    st.integers(1, 4),
    st.integers(1, 9) | st.none(),
    st.integers(0, 9),
    st.integers(0, 2**40),
)
def test_every_prompt_is_in_one_place_or_the_split_is_refused(
    count, iterations, per_iteration, held_out, seed
):
    prompts = many(count)
    needed = held_out + iterations * (per_iteration or 1)
    if needed > count:
        with pytest.raises(DataError, match=f"need {needed} prompts, and there are {count};"):
            split_prompts(prompts, iterations, per_iteration, held_out, seed)
        return
    split = split_prompts(prompts, iterations, per_iteration, held_out, seed)
    placed = [p.id for part in (split.held_out, *split.batches) for p in part]
    assert len(placed) == len(set(placed)) == count - split.unused
    assert set(placed) <= {p.id for p in prompts}
    assert len(split.held_out) == held_out
    size = per_iteration or (count - held_out) // iterations
    assert [len(batch) for batch in split.batches] == [size] * iterations
    if per_iteration is None:
        assert split.unused < iterations
    assert split == split_prompts(prompts, iterations, per_iteration, held_out, seed)


def test_more_prompts_an_iteration_keep_what_was_paid_for():
    small, large = (split_prompts(many(60), 2, size, 10, 7) for size in (5, 20))
    assert large.held_out == small.held_out
    assert large.batches[0][:10] == [*small.batches[0], *small.batches[1]]


def test_the_shuffle_is_pinned_and_follows_the_seed_alone():
    expected = many(9)
    random.Random(3).shuffle(expected)
    split = split_prompts(many(9), 2, None, 1, 3)
    assert [*split.held_out, *split.batches[0], *split.batches[1]] == expected
    numbers = [int(re.findall(r"\d+", p.messages[0].content)[0]) for p in expected]
    assert numbers == [1, 5, 6, 0, 8, 4, 7, 2, 3]
    assert split_prompts(many(9), 2, None, 1, 4) != split


def test_settings_of_a_split_are_checked():
    for iterations, per_iteration, held_out in ((0, 1, 0), (1, 0, 0), (1, 1, -1)):
        with pytest.raises(ConfigError):
            split_prompts(many(5), iterations, per_iteration, held_out, 0)


def test_the_shipped_prompts_are_enough_distinct_and_of_fit_length():
    loaded = load_prompts("shipped")
    assert len(loaded.prompts) == 164
    assert loaded.dropped == {}
    assert loaded.prompts[0].source == "shipped:1"
    rows = shipped()
    assert len({row["id"] for row in rows}) == len(rows) == 164
    for prompt in loaded.prompts:
        (turn,) = prompt.messages
        assert turn.role == "user"
        assert 0 < len(turn.content.strip()) == len(turn.content) <= 1500


def test_the_shipped_prompts_are_verbatim_from_their_source():
    folder = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
    file = folder / "self_instruct" / "seed_tasks.jsonl"
    if not file.is_file():
        pytest.skip(f"the seed tasks are not at {file}; METAREWARD_DATA may name the folder that has them")
    seeds = {task["id"]: task for task in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
    for row in shipped():
        task = seeds[row["id"]]
        given = task["instances"][0]["input"]
        assert row == {"id": task["id"], "prompt": task["instruction"] + (f"\n\n{given}" if given else "")}
    left_out = seeds.keys() - {row["id"] for row in shipped()}
    assert len(left_out) == 11
    told = resources.files("metareward").joinpath("prompts", "SHIPPED_PROMPTS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [a-z][^|]+\| ([\d, ]+) \| \d+ \|$", told, re.MULTILINE)
    listed = {f"seed_task_{number}" for row in rows for number in row.split(", ")}
    assert left_out == listed, "the attribution names every task that was left out"


def shipped() -> list[dict[str, str]]:
    text = resources.files("metareward").joinpath("prompts", "shipped.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]


@given(
    st.integers(4, 60), st.integers(1, 3), st.integers(1, 6) | st.none(), st.integers(0, 6), st.integers(0, 6)
)
def test_dev_prompts_are_apart_from_all_others_and_move_none_of_them(count, iterations, each, held_out, dev):
    prompts = many(count)
    needed = held_out + dev + iterations * (each or 1)
    if needed > count:
        with pytest.raises(DataError, match=f"need {needed} prompts, and there are {count};"):
            split_prompts(prompts, iterations, each, held_out, 5, dev)
        return
    split = split_prompts(prompts, iterations, each, held_out, 5, dev)
    placed = [p.id for part in (split.held_out, split.dev, *split.batches) for p in part]
    assert len(placed) == len(set(placed)) == count - split.unused
    assert len(split.dev) == dev
    without = split_prompts(prompts, iterations, each, held_out, 5)
    assert split.held_out == without.held_out
    if each is not None:
        assert split.batches == without.batches
    assert without.dev == []


def test_too_few_prompts_for_dev_are_said_with_the_setting():
    with pytest.raises(
        DataError, match=r"and 3 in dev, need 6 prompts.*lower per_iteration, dev or held_out"
    ):
        split_prompts(many(5), 1, 2, 1, 0, 3)
