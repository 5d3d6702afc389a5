"""Files of responses that do not fit: one message with counts, and nothing lost in silence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import DataError
from metareward.evaluate.responses import Given, form_of, join, read_rows, require_fields

PROMPTS = ["a", "b", "c", "d"]


def given_of(*rows):
    return [Given(f"f.jsonl:{number}", *row) for number, row in enumerate(rows, 1)]


def test_responses_that_fit():
    joined = join(given_of(("b", "2"), ("a", ""), ("d", "4"), ("c", "3")), PROMPTS, "Test")
    assert joined.responses == {"a": "", "b": "2", "c": "3", "d": "4"}
    assert joined.missing == []


def test_all_that_is_wrong_is_said_at_once():
    rows = given_of(("a", "1"), ("a", "2"), ("x", "3"), ("y", "4"), ("b", None))
    with pytest.raises(DataError) as error:
        join(rows, PROMPTS, "Test")
    said = str(error.value)
    assert "the responses do not fit Test: " in said
    assert "1 prompts answered more than once (first: f.jsonl:2, 'a')" in said
    assert "2 prompts that are not among its 4 (first: f.jsonl:3, 'x')" in said
    assert "1 responses that are null or failed (first: f.jsonl:5)" in said
    assert "2 prompts without a response (first: 'c')" in said
    assert "--allow-missing" not in said  # it would not help


def test_missing_responses_are_an_error_unless_allowed():
    rows = given_of(("a", "1"), ("b", None))
    with pytest.raises(DataError, match="With --allow-missing the rest is scored, and the 3 are counted"):
        join(rows, PROMPTS, "Test")
    joined = join(rows, PROMPTS, "Test", allow_missing=True)
    assert (joined.responses, joined.missing) == ({"a": "1"}, ["b", "c", "d"])


@pytest.mark.parametrize("rows", [[("x", "1")], [("a", None)], []])
def test_not_one_response_is_an_error_even_if_missing_ones_are_allowed(rows):
    with pytest.raises(DataError, match="not one response fits"):
        join(given_of(*rows), PROMPTS, "Test", allow_missing=True)


@pytest.mark.parametrize(
    "rows", [[("a", "1"), ("a", "1")], [("a", "1"), ("z", "1")], [("a", None), ("a", "1")]]
)
def test_other_mistakes_are_not_let_pass(rows):
    with pytest.raises(DataError):
        join(given_of(*rows), PROMPTS, "Test", allow_missing=True)


@given(st.lists(st.tuples(st.sampled_from([*PROMPTS, "x"]), st.none() | st.text(max_size=2)), max_size=8))
def test_every_row_and_prompt_is_accounted_for(rows):
    try:
        joined = join(given_of(*rows), PROMPTS, "Test", allow_missing=True)
    except DataError:
        names = [name for name, _ in rows]
        assert "x" in names or len(names) > len(set(names)) or all(text is None for _, text in rows)
    else:
        assert len(joined.responses) + len(joined.missing) == len(PROMPTS)
        assert joined.responses == {name: text for name, text in rows if text is not None}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "the file is empty"),
        (b"\n \n", "the file is empty"),
        (b'{"a": 1}\n[1]', r"f.jsonl:2: a JSON list, not an object"),
        (b'{"a": 1', r"f.jsonl:1: not JSON"),
        (b'{"a": "\xff"}', r"f.jsonl:1: not UTF-8 \(byte 8"),
        (b"[" * 100_000, r"f.jsonl:1: not JSON"),
        (b"prompt,response\n", r"f.jsonl:1: not JSON"),
    ],
)
def test_files_that_cannot_be_read(tmp_path, content, says):
    file = tmp_path / "f.jsonl"
    file.write_bytes(content)
    with pytest.raises(DataError, match=says):
        read_rows(file)


def test_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        read_rows(tmp_path / "none.jsonl")
    with pytest.raises(DataError, match="is a directory"):
        read_rows(tmp_path)


def test_a_byte_order_mark_and_blank_lines_are_no_matter(tmp_path):
    file = tmp_path / "f.jsonl"
    file.write_bytes(b'\xef\xbb\xbf{"a": 1}\r\n\r\n{"a": 2}')
    assert read_rows(file) == [("f.jsonl:1", {"a": 1}), ("f.jsonl:3", {"a": 2})]


@pytest.mark.parametrize(
    ("row", "form"),
    [
        ({"instruction": "", "output": "", "generator": ""}, "AlpacaEval outputs"),
        ({"instruction": "", "output_1": "", "preference": 1}, "AlpacaEval annotations"),
        ({"question_id": "", "games": []}, "Arena-Hard judgments"),
        ({"question": "", "answer": ""}, "GSM8K problems"),
        ({"x": 1}, None),
    ],
)
def test_rows_of_other_benchmarks_are_named(row, form):
    assert form_of(row) == form
    with pytest.raises(DataError) as error:
        require_fields(
            [("f:1", {"prompt": "", "response": ""}), ("f:2", row)], ("prompt", "response"), "responses"
        )
    assert "1 of 2 rows are not responses, which need prompt and response" in str(error.value)
    assert (f"these look like {form}" in str(error.value)) is (form is not None)


def test_what_a_file_says_is_shown_without_its_control_characters():
    with pytest.raises(DataError) as error:
        join(given_of(("\x1b[31m\u202ered", "1"), ("a", "1")), PROMPTS, "Test")
    assert "\x1b" not in str(error.value)
    assert "\u202e" not in str(error.value)
    with pytest.raises(DataError) as error:
        require_fields([("f:1", {"\x1b[2J": 1})], ("prompt",), "responses")
    assert "\x1b" not in str(error.value)
