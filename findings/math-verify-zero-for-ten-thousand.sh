#!/usr/bin/env bash
# math-verify compares a model's final answer with the right one, in evaluations and as a reward. One would expect
# it to read the usual ways to write a number. "10\,000" with LaTeX's thin space, which textbooks and models use
# for thousands, is read as 10 * 000 = 0: the right answer gets no reward, and 0 gets it. Outside of math, "1 1/2"
# and "1e3" are read as 1. And equality is no equivalence: 50% equals 50 and equals 0.5, which differ, and
# verify(gold, answer) takes an inequality for the gold interval but not the reverse. Look at what parse returns
# for your gold answers before training on it.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
  math-verify==0.9.0 latex2sympy2_extended==1.11.0 antlr4-python3-runtime==4.13.2 sympy==1.14.0
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import version

from math_verify import parse, verify

print("math-verify", version("math-verify"), "latex2sympy2_extended", version("latex2sympy2_extended"))
cases = [
    # gold, answer, accepted
    ("$10000$", r"$10\,000$", False),
    ("$0$", r"$10\,000$", True),
    (r"$10\,000$", "$0$", True),
    ("$10000$", "$10{,}000$", True),
    ("1.5", "1 1/2", False),
    ("1", "1 1/2", True),
    ("1000", "1e3", False),
    ("1", "1e3", True),
    (r"$50\%$", "$50$", True),
    (r"$50\%$", "$0.5$", True),
    ("$50$", "$0.5$", False),
    ("$(1,2)$", "$1 < x < 2$", False),
    ("$1 < x < 2$", "$(1,2)$", True),
]
for gold, answer, accepted in cases:
    verdict = verify(parse(gold), parse(answer))
    print(f"{'accepted' if verdict else 'refused ':8}  gold {gold:12} answer {answer:12} read as {parse(answer)[0]}")
    assert verdict == accepted, (gold, answer)
PY
