"""`metareward parse`: judgments in a file, read as a run would read them."""

import json

import pytest
from typer.testing import CliRunner

from metareward.cli.app import app

ROWS = [
    {"text": "Fine.\nScore: 4"},
    {"text": "Score: 2\n\nBecause.", "finish": "stop"},
    {"text": "Fine.\nScore: 4", "finish": "length"},
    {"text": "I like it.\x1b[31m"},
    {"text": "Rating: 7", "other": [1]},
    {"text": "\ud800", "finish": None},
]


def parsed(tmp_path, *options, rows=ROWS, name="j.jsonl"):
    path = tmp_path / name
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return CliRunner().invoke(app, ["parse", str(path), *options])


def test_json_says_score_or_reason_of_each(tmp_path):
    found = json.loads(parsed(tmp_path, "--json").stdout)
    assert found == {
        "rows": 6,
        "read": 2,
        "reasons": {"no verdict line": 2, "cut off": 1, "off the scale": 1},
        "scores": [4, 2, None, None, None, None],
    }


def test_the_table_counts_and_shows_an_example_without_commanding_the_terminal(tmp_path):
    result = parsed(tmp_path)
    assert result.exit_code == 0
    assert "2 of 6 read (33.3 %), as Score, 0 to 5" in result.stdout
    assert r"I like it.\x1b[31m" in result.stdout
    assert "\x1b[31m" not in result.stdout


def test_what_to_do_is_said_where_many_cannot_be_read(tmp_path):
    for text, said in (
        (
            "Rating: 7",
            "off the scale: if another scale than 0 to 5 was asked for, give it with --low and --high",
        ),
        ("I like it.", "no verdict line: let the template ask for a line 'Score: <number from 0 to 5>'"),
        ("1. Clarity\nScore: 1\n2. Depth\nScore: 1", "several scores: let the template ask for one line"),
        ("<think>Hm", "reasoning did not end: raise max_tokens of the judge"),
    ):
        result = parsed(tmp_path, rows=[{"text": text}] * 2 + [{"text": "Score: 4"}] * 8)
        assert said in " ".join(result.stdout.split())
    assert "1 unread" not in parsed(tmp_path, rows=[{"text": "?"}] + [{"text": "Score: 4"}] * 9).stdout


def test_label_and_scale_come_of_options_or_of_a_template(tmp_path):
    template = tmp_path / "mine.txt"
    template.write_text("{# verdict: Rating, 1 to 10 #}{{ conversation }} {{ response }} Rating: N")
    for options in (["--label", "Rating", "--low", "1", "--high", "10"], ["--template", str(template)]):
        assert json.loads(parsed(tmp_path, "--json", *options).stdout)["scores"][4] == 7


@pytest.mark.parametrize(
    ("rows", "options", "says"),
    [
        ([{"txt": "a"}], [], '1 of 1 rows have no "text" that is a text (j.jsonl:1)'),
        ([{"text": 3}], [], '"text" that is a text'),
        ([{"text": "a", "finish": "end"}], [], 'a "finish" that is none of stop, length and failed'),
        ([{"text": "a", "finish": [1]}], [], 'a "finish" that is none of stop, length and failed'),
        ([], [], "there are no rows in it"),
        (ROWS, ["--high", "0"], "from 0 to 0"),
        (ROWS, ["--label", "a1"], "words of letters"),
        (ROWS, ["--template", "none.txt"], "none.txt: there is no such file"),
    ],
)
def test_one_sentence_for_what_cannot_be_used(tmp_path, rows, options, says):
    result = parsed(tmp_path, *options, rows=rows)
    assert says in str(result.exception)
    assert "\n" not in str(result.exception)


def test_a_template_and_a_label_contradict_each_other(tmp_path):
    template = tmp_path / "mine.txt"
    template.write_text("{{ conversation }} {{ response }} Score: N")
    result = parsed(tmp_path, "--template", str(template), "--label", "Rating")
    assert "leave --label, --low and --high out" in str(result.exception)


@pytest.mark.parametrize(
    "junk", ["Score: ", '"', "**Score:** ", "1/5 ", "[[", "a: b\n", "<response>", "Score: 4\n"]
)
def test_a_hostile_line_of_any_size_is_read_once(tmp_path, junk):
    """Work is counted, not time: every expression runs over a text a bounded number of times."""
    small, large = (junk * (size // len(junk)) for size in (2_000, 200_000))
    found = json.loads(parsed(tmp_path, "--json", rows=[{"text": small}, {"text": large}]).stdout)
    assert found["rows"] == 2
