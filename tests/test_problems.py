"""Problems with a known answer: the family is complete, and a number is read as a person reads it."""

import re
import tomllib
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.evaluate.verifiable import Verifiable
from metareward.problems import FOR_TRAINING, arithmetic, as_number, is_right, last_number
from metareward.sources import load_prompts


def test_every_problem_once_with_its_right_answer():
    family = arithmetic()
    assert len(family) == 7139
    assert len({problem.question for problem in family}) == 7139
    for problem in family:
        a, b, c = map(int, re.findall(r"[0-9]+", problem.question))
        assert problem.answer == str(a * b + c)
        assert problem.question.startswith(f"What is {a} * {b} + {c}? ")


def test_the_order_is_always_the_same_and_mixes_the_family():
    first = [problem.answer for problem in arithmetic()[:6]]
    assert first == PINNED
    assert len({len(answer) for answer in first}) > 1


PINNED = ["59", "52", "75", "27", "77", "125"]


def test_prompts_for_training_are_the_first_thousand_and_hold_no_answer():
    loaded = load_prompts("arithmetic")
    asked = [prompt.messages[0].content for prompt in loaded.prompts]
    assert asked == [problem.question for problem in arithmetic()[:FOR_TRAINING]]
    assert len(asked) == 1000
    assert loaded.dropped == {}


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("3 * 4 = 12, and 12 + 15 = 27", "27"),
        ("The answer is 27.", "27"),
        ("**27**", "27"),
        ("27.0", "27"),
        ("\\(1,024\\)", "1024"),
        ("$1,024.50 in all", "1024.5"),
        ("it is -5", "-5"),
        ("it is −5", "-5"),
        ("12 + 15 = 27\n\nSo 27 is right!", "27"),
        ("x = 1, 2, 3", "3"),
        ("0027", "27"),
        ("5-11", "11"),
    ],
)
def test_the_last_number(text, number):
    assert last_number(text) == Decimal(number)
    assert is_right(number, text)


@pytest.mark.parametrize("text", ["", "no number", "NaN", "Infinity", "٣", "³", "9" * 50])
def test_what_names_no_number(text):
    assert last_number(text) is None
    assert not is_right("27", text)


def test_a_wrong_number_is_wrong_also_where_a_right_one_stood_before():
    assert not is_right("27", "27, no: 28")
    assert not is_right("27", "127")
    assert not is_right("27", "27.5")
    assert not is_right("27", "2,700")


@given(st.integers(-(10**9), 10**9), st.text(alphabet="abc \n=*:", max_size=20))
def test_any_number_is_read_back_however_it_is_grouped(number, before):
    for shown in (str(number), f"{number:,}"):
        assert last_number(f"{before} {shown}.") == number
        assert as_number(shown) == number


def test_a_hostile_text_is_read_in_linear_time():
    assert last_number("1" * 2_000_000) is None
    assert last_number("1,111" * 400_000 + " 5") == 5


def test_the_demos_rubric_solves_no_problem_that_the_demo_asks():
    """Its two worked examples are of the family, so they must be neither trained on nor measured."""
    root = Path(__file__).parents[1]
    examples = re.findall(
        r"For (\d+ \* \d+ \+ \d+) and", (root / "examples/arithmetic/judge.txt").read_text()
    )
    settings = tomllib.loads((root / "examples/demo.toml").read_text())
    measured = Verifiable(limit=settings["evaluate"]["verifiable"]["limit"]).items()
    asked = [*measured, *(problem.question for problem in arithmetic()[:FOR_TRAINING])]
    assert len(examples) == 2
    assert not [question for question in asked if any(f"is {each}?" in question for each in examples)]
