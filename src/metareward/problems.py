"""Problems whose answer a program can check: a generated family that ships, and how an answer is read.

The family is one line of arithmetic, "What is a * b + c?", with a and b from 2 to 12 and c from 2 to 60:
7,139 problems, in an order that looks random and is always the same. The first 1,000 are for training, the
others are only ever asked by evaluations, so that no model is measured on what it was trained on.
"""

import re
from collections import deque
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from itertools import product

from metareward.ids import seed_of

ARITHMETIC = "arithmetic"
FOR_TRAINING = 1000
_ASKED = "What is {} * {} + {}? Work it out in one short line and end with the answer."
# Digits in groups of three or plain, one fraction at most; no two quantifiers meet, so reading is linear.
_NUMBER = re.compile(r"(?<![0-9.,])[-−]?(?:[0-9]{1,3}(?:,[0-9]{3})+|[0-9]+)(?:\.[0-9]+)?", re.ASCII)
_LONGEST = 40  # characters of a number; what is longer is none that anyone asked for


@dataclass(frozen=True, slots=True)
class Problem:
    """A question, and the number that answers it, as text."""

    question: str
    answer: str


@cache
def arithmetic() -> tuple[Problem, ...]:
    """All problems of the family, in their order."""
    family = product(range(2, 13), range(2, 13), range(2, 61))
    problems = [Problem(_ASKED.format(a, b, c), str(a * b + c)) for a, b, c in family]
    return tuple(sorted(problems, key=lambda problem: seed_of(ARITHMETIC, problem.question)))


def is_right(answer: str, text: str) -> bool:
    """Whether the last number of a text is the answer, compared as numbers: 1,024.0 is 1024."""
    found = last_number(text)
    return found is not None and found == as_number(answer)


def last_number(text: str) -> Decimal | None:
    """The last number that a text names; None if it names none."""
    found = deque(_NUMBER.finditer(text), maxlen=1)
    return as_number(found[0][0]) if found else None


def as_number(text: str) -> Decimal | None:
    """The value of a number as people write it; None for anything else."""
    plain = text.strip().replace(",", "").replace("−", "-")
    if not plain or len(plain) > _LONGEST:
        return None
    try:
        number = Decimal(plain)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
