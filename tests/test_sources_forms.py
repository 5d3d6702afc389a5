"""Columns of a prompt are used or named, bad rows are counted, and more kinds of files are read."""

import datetime
import gzip
import json
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from metareward.errors import ConfigError, DataError
from metareward.options import Prompts
from metareward.rows import rows_of
from metareward.sources import load_prompts, prompt_of, split_prompts
from prompt_files import ANSWER, SYSTEM, USER, lines, refuse, texts

BOTH = {"prompt": "Below is a task: Add. 1 2", "instruction": "Add.", "input": "1 2"}
PARTS = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo?"}]
SAID = [
    (
        {
            "instruction": "And in winter?",
            "input": "",
            "system": "You are a clerk.",
            "history": [["How is summer?", "Mild."]],
        },
        [
            ("system", "You are a clerk."),
            ("user", "How is summer?"),
            ("assistant", "Mild."),
            ("user", "And in winter?"),
        ],
    ),
    ({"instruction": "Who?", "context": "Ada signed."}, [("user", "Who?\n\nAda signed.")]),
    ({"instruction": "Who?", "input": "x", "context": "y"}, [("user", "Who?\n\nx\n\ny")]),
    ({"instruction": "Is 3 odd?", "input": "3"}, [("user", "Is 3 odd?\n\n3")]),
    ({"prompt": "Who?", "context": "Ada signed."}, [("user", "Who?\n\nAda signed.")]),
    ({"prompt": "Ada signed. Who?", "context": "Ada signed."}, [("user", "Ada signed. Who?")]),
    (BOTH, [("user", "Below is a task: Add. 1 2")]),
    ({"system": "One word.", "prompt": "Capital?"}, [("system", "One word."), ("user", "Capital?")]),
    ({"system_prompt": "Short.", "messages": [USER, ANSWER]}, [("system", "Short."), ("user", "Hello?")]),
    ({"system": "Be brief.", "messages": [SYSTEM, USER]}, [("system", "Be brief."), ("user", "Hello?")]),
    ({"system": " ", "history": [], "tools": None, "prompt": "Hello?"}, [("user", "Hello?")]),
    ({"prompt": "Hello?", "messages": [SYSTEM, USER, ANSWER]}, [("system", "Be brief."), ("user", "Hello?")]),
    ({"prompt": "", "messages": [USER]}, [("user", "Hello?")]),
    ({"conversations": [{"from": "human", "value": "Hi"}, {"from": "gpt", "value": "Ho"}]}, [("user", "Hi")]),
    (
        {"conversations": [{"from": "system", "value": "Be brief."}, {"from": "user", "value": "Hi"}]},
        [("system", "Be brief."), ("user", "Hi")],
    ),
    ({"conversation": [USER]}, [("user", "Hello?")]),
    (
        {"messages": [{"role": "user", "content": PARTS}]},
        [("user", "Hello?")],
    ),
    ({"messages": json.dumps([SYSTEM, USER, ANSWER])}, [("system", "Be brief."), ("user", "Hello?")]),
    ({"conversations": ' [{"from": "human", "value": "Hi"}]'}, [("user", "Hi")]),
    ({"messages": "[1] is a footnote"}, [("user", "[1] is a footnote")]),
    ({"prompt": json.dumps([USER])}, [("user", json.dumps([USER]))]),
    ({"prompt": "Hello?", "image": None, "images": [], "audio": ""}, [("user", "Hello?")]),
]  # fmt: skip


@pytest.mark.parametrize(("row", "turns"), SAID, ids=[str(row)[:60] for row, _ in SAID])
def test_every_column_of_a_prompt_is_used(tmp_path, row, turns):
    assert texts(lines(tmp_path, row)) == [turns]


def test_beside_a_named_column_the_system_is_used_and_what_is_not_is_named(tmp_path):
    source = lines(
        tmp_path, {"question": "Why?", "system_prompt": "Be brief.", "context": "x", "prompt": "y"}
    )
    loaded = load_prompts(source, column="question")
    assert [(m.role, m.content) for m in loaded.prompts[0].messages] == [
        ("system", "Be brief."),
        ("user", "Why?"),
    ]
    assert loaded.unused == {"context": 1}
    alpaca = lines(tmp_path, {"instruction": "Add.", "input": "1 2"}, name="a.jsonl")
    assert texts(alpaca, column="instruction") == [[("user", "Add.\n\n1 2")]]


def test_a_list_of_messages_in_a_table_is_a_conversation(tmp_path):
    """As pandas and spreadsheets keep it: a text in a cell. Python's own form of it is refused."""
    (tmp_path / "p.csv").write_text('messages\n"' + json.dumps([SYSTEM, USER]).replace('"', '""') + '"\n')
    assert texts("p.csv", base=tmp_path) == [[("system", "Be brief."), ("user", "Hello?")]]
    (tmp_path / "p.csv").write_text(f'chat\n"{[USER]}"\n')
    refuse("p.csv", "p.csv:2: 'chat' is a text that begins like a list", base=tmp_path, column="chat")


def test_pictures_beside_a_prompt_are_not_left_out_without_a_word(tmp_path):
    rows = [{"prompt": "What is this?", "images": ["a.png"]}, {"prompt": "Hello?", "images": []}]
    source = lines(tmp_path, *rows)
    refuse(source, "p.jsonl:1: 'images' stands beside 'prompt', and only text is taken")
    loaded = load_prompts(source, bad_rows="skip")
    assert (len(loaded.prompts), loaded.dropped) == (1, {"pictures or sound": 1})
    asked = load_prompts(source, column="prompt")
    assert (len(asked.prompts), asked.unused) == (2, {"images": 1})
    picture = pa.array([{"bytes": b"x" * 100, "path": None}, None])
    pq.write_table(
        pa.table({"prompt": ["What is this?", "Hello?"], "image": picture}), tmp_path / "p.parquet"
    )
    loaded = load_prompts("p.parquet", base=tmp_path, bad_rows="skip")
    assert (texts("p.parquet", base=tmp_path, bad_rows="skip"), loaded.dropped) == (
        [[("user", "Hello?")]],
        {"pictures or sound": 1},
    )


def test_rows_that_cannot_be_used_are_counted_by_reason(tmp_path):
    rows = [
        {"prompt": "One."},
        {"prompt": None},
        {"messages": [USER, {"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "image"}]}]},
        {"prompt": " "},
        {"prompt": "One."},
        {"messages": [{"role": "assistant", "content": None, "tool_calls": [{"id": 1}]}]},
        {"prompt": "Two."},
    ]
    source = lines(tmp_path, *rows)
    with (tmp_path / "p.jsonl").open("ab") as file:
        file.write(b'{"prompt": "cut\n"caf\xe9"\n')
    loaded = load_prompts(source, bad_rows="skip")
    assert [p.messages[0].content for p in loaded.prompts] == ["One.", "Two."]
    assert loaded.dropped == {
        "no prompt": 1,
        "tool conversation": 2,
        "pictures or sound": 1,
        "empty prompt": 1,
        "duplicate prompt": 1,
        "not JSON": 1,
        "not UTF-8": 1,
    }
    assert len(loaded.prompts) + sum(loaded.dropped.values()) == len(rows) + 2
    refuse(source, "p.jsonl:2: 'prompt' must be a text")
    refuse(
        lines(tmp_path, {"prompt": None}), "none of 1 rows can be used; the first: p.jsonl:1", bad_rows="skip"
    )


def test_the_setting_is_one_of_two_and_changes_nothing_at_its_default():
    assert Prompts(bad_rows="skip").bad_rows == "skip"
    with pytest.raises(ConfigError, match=r"prompts\.bad_rows must be 'refuse' or 'skip', not 'ignore'"):
        Prompts(bad_rows="ignore")
    with pytest.raises(ConfigError, match=r"prompts\.source must be written out .*\$HOME"):
        Prompts(source="$HOME/p.jsonl")


def test_tables_texts_and_packed_files(tmp_path):
    expected = [[("user", "One,\ntwo.\n\n3")], [("user", "Three.")]]
    (tmp_path / "p.csv").write_text('instruction,input,id\n"One,\ntwo.",3,1\nThree.,,2\n')
    (tmp_path / "p.tsv").write_text('instruction\tinput\n"One,\ntwo."\t3\nThree.\t\n')
    (tmp_path / "p.txt").write_text("Hello there.\n\n  Two lines?  \r\n")
    rows = b'{"instruction": "One,\\ntwo.", "input": "3"}\n{"instruction": "Three."}\n'
    (tmp_path / "p.jsonl.gz").write_bytes(gzip.compress(rows))
    for name in ("p.csv", "p.tsv", "p.jsonl.gz"):
        assert texts(name, base=tmp_path) == expected, name
    assert texts("p.txt", base=tmp_path) == [[("user", "Hello there.")], [("user", "  Two lines?  ")]]
    (tmp_path / "bad.csv").write_text("prompt,id\na,1\nb,2,3\nc,3\n")
    refuse("bad.csv", "bad.csv:3: 3 values, and the first line names 2 columns", base=tmp_path)
    loaded = load_prompts("bad.csv", base=tmp_path, bad_rows="skip")
    assert loaded.dropped == {"another number of values": 1}
    (tmp_path / "cut.jsonl.gz").write_bytes(gzip.compress(rows * 500)[:-20])
    refuse("cut.jsonl.gz", "cut.jsonl.gz: cannot be unpacked as gzip", base=tmp_path)
    (tmp_path / "p.jsonl.zst").write_bytes(b"x")
    refuse("p.jsonl.zst", "not '.zst'. Unpack it first.", base=tmp_path)
    refuse("p.csv", "prompts.split: ", "has no split 'test'", base=tmp_path, split="test")


def test_a_saved_dataset_and_its_splits(tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"prompt": [f"Question {n}?" for n in range(1500)], "at": [datetime.datetime(2020, 1, 1)] * 1500}
    whole = datasets.Dataset.from_dict(rows)
    whole.save_to_disk(tmp_path / "one")
    datasets.DatasetDict({"train": whole, "test": whole.select(range(3, 5))}).save_to_disk(tmp_path / "two")
    assert [t[0][1] for t in texts("one", base=tmp_path)] == rows["prompt"]
    assert [t[0][1] for t in texts("two", base=tmp_path, split="test")] == ["Question 3?", "Question 4?"]
    refuse("two", "has no split 'validation'; there are 'train', 'test'", base=tmp_path, split="validation")
    state = tmp_path / "one" / "state.json"
    state.write_text(json.dumps({"_data_files": [{"filename": "../two/train/data-00000-of-00001.arrow"}]}))
    refuse("one", "state.json does not name the files", base=tmp_path)


def test_of_parquet_only_the_columns_of_the_prompt_are_read(tmp_path):
    odd = {
        "day": pa.array([10**7, 0], pa.date32()),
        "at": pa.array([10**15, 0], pa.timestamp("s")),
        "zone": pa.array([0, 1], pa.timestamp("us", "Mars/Olympus")),
    }
    for name, column in odd.items():
        pq.write_table(pa.table({"prompt": ["One.", "Two."], name: column}), tmp_path / f"{name}.parquet")
        assert len(load_prompts(f"{name}.parquet", base=tmp_path).prompts) == 2
        wanted = [set(row) for _, row in rows_of(f"{name}.parquet", "train", tmp_path, None, ("prompt",))]
        assert wanted == [{"prompt"}, {"prompt"}]


def test_dates_within_messages_do_not_matter_and_harm_one_row_where_they_do(tmp_path):
    turn = pa.struct([("role", pa.string()), ("content", pa.string()), ("at", pa.timestamp("s"))])
    said = [[{"role": "user", "content": text, "at": at}] for text, at in (("One.", 10**15), ("Two.", 0))]
    pq.write_table(pa.table({"messages": pa.array(said, pa.list_(turn))}), tmp_path / "m.parquet")
    assert texts("m.parquet", base=tmp_path) == [[("user", "One.")], [("user", "Two.")]]
    pq.write_table(pa.table({"q": pa.array([10**15, 0], pa.timestamp("s"))}), tmp_path / "q.parquet")
    refuse("q.parquet", "q.parquet:1: a value in it cannot be read", base=tmp_path, column="q")


def test_a_small_parquet_of_huge_texts_is_refused_before_it_is_unpacked(tmp_path):
    pq.write_table(pa.table({"prompt": ["a" * 70_000_000]}), tmp_path / "one.parquet", compression="zstd")
    refuse("one.parquet", "one.parquet: rows of more than 67,108,864 bytes each", base=tmp_path)
    many = [f"{n} " + "a" * 20_000_000 for n in range(16)]
    pq.write_table(pa.table({"prompt": many}), tmp_path / "many.parquet", compression="zstd")
    refuse("many.parquet", "bytes of prompts; is it the right file?", base=tmp_path)


def test_near_duplicates_are_on_one_side_and_others_stay_where_they_were():
    plain = [prompt_of(f"Question {n}?") for n in range(30)]
    alike = [
        prompt_of(form.format(n))
        for n in range(30)
        for form in ("Question {}?", " question  {}?", "QUESTION {}?")
    ]
    for seed in range(20):
        split = split_prompts(alike, 2, 20, 12, seed, dev=6)
        sides = [split.held_out, split.dev, [p for batch in split.batches for p in batch]]
        folded = [{" ".join(p.messages[0].content.casefold().split()) for p in side} for side in sides]
        assert all(folded[a].isdisjoint(folded[b]) for a, b in ((0, 1), (0, 2), (1, 2)))
        assert [len(side) for side in sides] == [12, 6, 40]
        assert sum(map(len, sides)) + split.unused == len(alike)
        odd = split_prompts(alike, 1, 20, 13, seed)
        assert len(odd.held_out) == 13
        assert odd.unused == len(alike) - 33
        groups = Counter(" ".join(p.messages[0].content.casefold().split()) for p in odd.held_out)
        assert groups.keys().isdisjoint(
            " ".join(p.messages[0].content.casefold().split()) for p in odd.batches[0]
        )
        one = split_prompts([*plain, prompt_of("question 3?")], 1, None, 5, seed)
        assert len(one.held_out) == 5
    with pytest.raises(DataError, match="must stay on one side"):
        split_prompts(alike[:6], 1, 4, 2, 0)
