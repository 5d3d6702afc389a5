"""MATH-500: equal answers are equal however they are written, and nothing that a model writes hangs."""

import json
from pathlib import Path
from typing import Any

import pytest

from metareward.errors import DataError
from metareward.evaluate.math500 import load_problems, load_responses, score_responses
from metareward.evaluate.math_checker import verdicts

pytest.importorskip("math_verify")
pytest.importorskip("antlr4")

RIGHT = [
    ("\\frac{1}{2}", "So it is $\\boxed{\\frac{1}{2}}$."),
    ("\\frac{1}{2}", "The answer is \\boxed{0.5}"),
    ("2\\sqrt{3}", "First \\boxed{1} was my guess, but $\\boxed{\\sqrt{12}}$ is right."),
    ("(3,4)", "We get $\\boxed{(3, 4)}$."),
    ("10", "The answer is $10$."),
]
WRONG = [("\\frac{1}{2}", "\\boxed{\\frac{1}{3}}"), ("10", "I do not know."), ("10", "")]


def test_answers_are_compared_as_mathematics():
    assert list(verdicts(RIGHT)) == [True] * len(RIGHT)
    assert list(verdicts(WRONG)) == [False] * len(WRONG)


def test_what_nobody_can_work_out_is_given_up_and_the_next_is_read():
    hostile = ("10", "\\boxed{9^{9^{9^{9}}}}")
    first, last = verdicts([hostile, RIGHT[0]], seconds=12)
    assert first in (None, False)
    assert last is True


def write(folder: Path, name: str, *rows: Any) -> Path:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / name


def test_a_file_is_scored_in_all_and_by_part(tmp_path):
    rows = [
        {"problem": f"Q{n}?", "answer": str(n), "subject": subject, "level": level}
        for n, (subject, level) in enumerate((("Algebra", 1), ("Algebra", 5), ("Geometry", 5)))
    ]
    problems = load_problems(write(tmp_path, "test.jsonl", *rows))
    said = [{"problem": f"Q{n}?", "response": f"\\boxed{{{min(n, 1)}}}"} for n in range(3)]
    given = load_responses(write(tmp_path, "r.jsonl", *said))
    score = score_responses(problems, {one.prompt: one.response or "" for one in given})
    assert (score["n"], score["accuracy"]["correct"], score["unread"]) == (3, 2, 0)
    assert {name: part["correct"] for name, part in score["by_subject"].items()} == {
        "Algebra": 2,
        "Geometry": 0,
    }
    assert {name: part["n"] for name, part in score["by_level"].items()} == {"1": 1, "5": 2}
    with pytest.raises(DataError, match="stand there more than once"):
        load_problems(write(tmp_path, "twice.jsonl", rows[0], rows[0]))
    with pytest.raises(DataError, match="are not MATH-500 problems, which need problem and answer"):
        load_problems(write(tmp_path, "other.jsonl", {"question": "x", "answer": "1"}))
