"""Annotation files in both forms, the tables beside them, and one counted error for each that is wrong."""

import json
import math

import numpy as np
import pytest

from alpaca_worlds import full_row, short_row, world, write_difficulty, write_gamed, write_lines, write_table
from metareward.errors import DataError
from metareward.evaluate.annotations import Annotation, Instruction, read_annotations, read_instructions
from metareward.evaluate.length_control import Weights
from metareward.evaluate.tables import difficulty_of, read_baseline_rows, read_difficulty, read_weights

WEIGHTS = ",np.tanh(std_delta_len),instruction_difficulty,not_gamed_baseline.astype(float)"
SET = [Instruction(n, f"Do {n}.", "ab"[n % 2]) for n in range(4)]


def test_the_short_form_in_the_order_of_the_set(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [short_row(2, 2), short_row(0, 1.25), short_row(1, 1.0)])
    rows = read_annotations(path).rows
    assert [row.number for row in rows] == [0, 1, 2]
    assert [row.preference for row in rows] == [0.25, 0.0, 1.0]
    assert (rows[0].len_baseline, rows[0].len_model) == (10, 12)


def test_the_benchmarks_own_form_as_an_array(tmp_path):
    path = tmp_path / "a.json"
    rows = [full_row(0, 1.25, "abc", "naïve 😀", dataset="koala"), full_row(1, 2.0)]
    path.write_text(json.dumps(rows), encoding="utf-8")
    read = read_annotations(path)
    assert (read.model, read.baseline) == ("own", "base")
    assert read.rows[0] == Annotation(None, 0.25, 3, 7, "koala")  # Unicode code points
    assert read.rows[1].preference == 1.0


def test_with_the_set_rows_are_numbered_by_their_text_and_named_by_dataset(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [full_row(3), full_row(1), full_row(0), full_row(2)])
    read = read_annotations(path, SET).rows
    assert [(row.number, row.dataset) for row in read] == [(0, "a"), (1, "b"), (2, "a"), (3, "b")]


@pytest.mark.parametrize(("given", "preference"), [(0, 0.5), (0.0, 0.5), (1.5, 0.5), (1, 0.0), (2, 1.0)])
def test_old_files_write_a_tie_as_0(tmp_path, given, preference):
    assert (
        read_annotations(write_lines(tmp_path / "a", [short_row(0, given)])).rows[0].preference == preference
    )


@pytest.mark.parametrize("unread", ["null", "NaN"])
def test_an_unread_preference_stays_unread(tmp_path, unread):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(short_row(0, "?")).replace('"?"', unread))
    assert math.isnan(read_annotations(path).rows[0].preference)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [short_row(0), short_row(1, 2.5), short_row(2, 0.5)],
            r"2 of 3 rows have a preference .*row 2, row 3",
        ),
        ([short_row(0, -1.0)], "neither in 1..2 nor 0"),
        ([short_row(0, "1.5")], "1 of 1 rows have a preference that is no number"),
        ([short_row(0, True)], "preference that is no number"),
        ([short_row(0, math.inf)], "neither in 1..2 nor 0"),
        ([short_row(0, 1, "10")], "whole number of 0 or more"),
        ([short_row(0, 1, 10, -3)], "whole number of 0 or more"),
        ([short_row(0, 1, 10, 3.5)], "whole number of 0 or more"),
        ([short_row(0), short_row(1), short_row(0)], r"1 of 3 rows repeat an instruction \(row 3\)"),
        ([full_row(0), full_row(0)], "1 of 2 rows repeat an instruction"),
        ([full_row(0, 1.0, "x", None)], "no text"),
        ([full_row(0, 1.0, ["x"])], "no text"),
        (
            [full_row(0), full_row(1, generator_2="b"), full_row(2)],
            r"generator_2 names 2 models.*'own' \(2\)",
        ),
        ([{"question_id": "q", "model_a": "x", "winner": "tie"}] * 3, r"3 of 3 rows .*model_a, question_id"),
        (
            [short_row(0), {"prompt": "p", "response": "r"}],
            r"1 of 2 rows .*their fields are: prompt, response",
        ),
    ],
)
def test_what_cannot_be_used_is_counted(tmp_path, rows, message):
    path = write_lines(tmp_path / "a.jsonl", rows)
    with pytest.raises(DataError, match=message) as caught:
        read_annotations(path)
    assert str(path) in str(caught.value)
    assert "AlpacaEval annotations have" in str(caught.value) or "generator" in message


def test_instructions_that_are_not_of_the_set_are_counted(tmp_path):
    path = write_lines(tmp_path / "a.jsonl", [full_row(0), full_row(9), full_row(8)])
    with pytest.raises(DataError, match="2 of 3 rows have an instruction that is not in the set"):
        read_annotations(path, SET)
    path = write_lines(tmp_path / "b.jsonl", [short_row(3), short_row(4)])
    with pytest.raises(DataError, match="1 of 2 rows have an instruction that is not in the set"):
        read_annotations(path, SET)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no rows"),
        ("[]", "no rows"),
        ("{not json", "a.jsonl:1: not JSON"),
        ("[1, 2", "not valid JSON"),
        ("3\n4\n", "a.jsonl:1: a JSON int, not an object"),
        ('{"a": 1}\n\n{"b"', "a.jsonl:3: not JSON"),
        ("[" * 100_000, "not valid JSON"),
        ("\x00\x01", "not JSON"),
        ("[3]", "row 1 is not an object but int"),
    ],
)
def test_files_that_are_not_rows(tmp_path, text, message):
    path = tmp_path / "a.jsonl"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        read_annotations(path)


def test_files_that_are_not_there_or_not_text(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_annotations(tmp_path / "nothing")
    with pytest.raises(DataError, match="is a directory"):
        read_annotations(tmp_path)
    (tmp_path / "b").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="is UTF-16: save it as UTF-8"):
        read_annotations(tmp_path / "b")


def test_a_line_separator_inside_a_text_ends_no_line(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(json.dumps(full_row(0, 1.0, "a\u2028b\x85c"), ensure_ascii=False), encoding="utf-8")
    assert read_annotations(path).rows[0].len_baseline == 5


def test_the_set(tmp_path):
    rows = [{"i": 1, "instruction": "B", "dataset": "d"}, {"i": 0, "instruction": "A", "dataset": "c"}]
    assert read_instructions(write_lines(tmp_path / "a", rows)) == (
        Instruction(0, "A", "c"),
        Instruction(1, "B", "d"),
    )
    plain = read_instructions(write_lines(tmp_path / "b", [{"instruction": "A"}, {"instruction": "B"}]))
    assert [one.number for one in plain] == [0, 1]
    for bad, message in [
        ([{"i": 0, "instruction": "A"}, {"i": 2, "instruction": "B"}], "without gaps"),
        ([{"instruction": "A"}, {"instruction": "A"}], "1 of 2 instructions occur more than once"),
        ([{"instruction": 3}], "1 of 1 rows"),
    ]:
        with pytest.raises(DataError, match=message):
            read_instructions(write_lines(tmp_path / "c", bad))


def test_difficulties_by_number_whatever_the_order(tmp_path):
    path = write_table(tmp_path / "d.csv", ",instruction_difficulty", [(2, 0.5), (0, -1.5), (1, 2e-10)])
    assert read_difficulty(path).tolist() == [-1.5, 2e-10, 0.5]


@pytest.mark.parametrize(
    ("header", "rows", "message"),
    [
        ("index,instruction_difficulty", [(0, 1.0), (2, 1.0)], "not numbered from 0 without gaps"),
        ("index,instruction_difficulty", [(0, 1.0), (1, "nan")], ":3: instruction_difficulty is 'nan'"),
        ("index,instruction_difficulty", [(0, 1.0), (1,)], ":3: instruction_difficulty is ''"),
        ("index,hardness", [(0, 1.0)], "without the columns instruction_difficulty"),
        ("index,instruction_difficulty", [], "0 rows"),
    ],
)
def test_difficulties_that_cannot_be_used(tmp_path, header, rows, message):
    with pytest.raises(DataError, match=message):
        read_difficulty(write_table(tmp_path / "d.csv", header, rows))


def test_the_baselines_rows_and_their_difficulties(tmp_path):
    _, difficulty, gamed = world(20)
    path = write_gamed(tmp_path / "g.csv", gamed, 20)
    read = read_baseline_rows(path)
    assert np.array_equal(read.preference, gamed.preference)
    assert np.array_equal(read.length, gamed.length)
    assert np.array_equal(difficulty_of(path), difficulty)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("m", 0, 1.5, 0, 0, "False"), "1 of 2 preferences are outside 0..1"),
        (("m", 0, 0.5, 0, 0, "True"), "1 rows are not of a gamed baseline"),
        (("m", 0, "", 0, 0, "False"), "preference is ''"),
    ],
)
def test_baseline_rows_that_cannot_be_used(tmp_path, row, message):
    header = "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline"
    path = write_table(tmp_path / "g.csv", header, [("m", 0, 0.5, 0, 0, "False"), row])
    with pytest.raises(DataError, match=message):
        read_baseline_rows(path)


def test_weights_of_one_model(tmp_path):
    path = write_table(tmp_path / "w.csv", WEIGHTS, [("one", 1, 2, 3), ("two", 4, 5, 6)])
    assert read_weights(path, "two") == Weights(4.0, 5.0, 6.0)
    with pytest.raises(DataError, match="no weights of 'tow' among 2 models; near: two"):
        read_weights(path, "tow")
    with pytest.raises(DataError, match="without the columns"):
        read_weights(write_difficulty(tmp_path / "d.csv", [1.0]), "one")
