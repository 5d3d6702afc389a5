"""GSM8K (Cobbe et al., arXiv 2110.14168): 1,319 problems of grade-school arithmetic; exact match, no judge.

An answer is read in three ways. `strict` is the authors' own: the first number after `#### `, compared as
text once its commas are gone. `flexible` is the field's usual second reading (lm-evaluation-harness): the
last number anywhere, compared as text without commas, dollar signs and a last full stop. `by_value` is ours:
the last number anywhere, compared as a number, so that $18.00 is 18.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from metareward.errors import DataError
from metareward.evaluate.answers import answers_of, chosen
from metareward.evaluate.responses import Given, Row, answer_of, join, read_rows, require_fields, text_of
from metareward.evaluate.shares import share
from metareward.models.base import Model
from metareward.runner import Runner
from metareward.settings import checked, require
from metareward.sources import prompt_of
from metareward.stages.generate import Generate

READINGS = ("strict", "flexible", "by_value")
MARK = "####"
_LAST = re.compile(r"-?[$0-9.,]{2,}|-?[0-9]+")
_NOT_THE_MODEL = {"question", "ground_truth"}
_TEMPLATE = (
    "{question}\n\nReason step by step. Then write the answer alone on the last line, as a plain number "
    "after four number signs, like this:\n#### 42"
)


@dataclass(frozen=True)
class Problem:
    """A question and its answer, a whole number written without commas."""

    question: str
    answer: str


@dataclass(frozen=True)
class Verdict:
    """Whether a response is right, by each of READINGS. `empty`: nothing was written."""

    problem: Problem
    strict: bool
    flexible: bool
    by_value: bool
    empty: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"question": self.problem.question, **{name: getattr(self, name) for name in READINGS}}


@dataclass(frozen=True)
@checked("gsm8k")
class GSM8K:
    """GSM8K of a chat model: greedy answers, no examples given, to all problems or `limit` drawn by `seed`.

    template: what is asked; `{question}` stands for the problem. Scores without examples are not those with
    five or eight examples that base models are published with. allow_missing, details: as in
    IFEval.
    """

    name: ClassVar[str] = "gsm8k"

    limit: int | None = None
    seed: int = 0
    max_tokens: int = 512
    template: str = _TEMPLATE
    allow_missing: bool = False
    details: bool = False
    problems: tuple[Problem, ...] = field(default_factory=lambda: shipped_problems(), repr=False)

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit >= 1, "gsm8k.limit", "at least 1", self.limit)
        require(self.max_tokens >= 1, "gsm8k.max_tokens", "at least 1", self.max_tokens)
        require(
            "{question}" in self.template, "gsm8k.template", "a text with {question} in it", self.template
        )

    def items(self) -> Iterable[str]:
        """Every problem of the benchmark."""
        return (problem.question for problem in self.problems)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """One greedy answer to each problem."""
        texts = [(number, self._prompt(problem)) for number, problem in enumerate(self._asked())]
        prompts = run.prompts([prompt_of(text, f"gsm8k:{number}") for number, text in texts])
        stage = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=self.max_tokens)
        return prompts, run.ask(stage, prompts, of=of)

    def score(self, *asked: Iterable[Any]) -> dict[str, Any]:
        """What `score_verdicts` says, and how many answers were cut off at max_tokens (scored as they are).

        Raises DataError if answers are missing (unless allowed).
        """
        given, truncated = answers_of(*asked)
        problems = {self._prompt(problem): problem for problem in self._asked()}
        joined = join(given, list(problems), "GSM8K", allow_missing=self.allow_missing)
        verdicts = [judge_response(problems[prompt], text) for prompt, text in joined.responses.items()]
        sample = {"sampled_from": len(self.problems), "seed": self.seed} if self._sampled() else {}
        score = score_verdicts(verdicts, len(joined.missing), self.details)
        return {**score, "truncated": truncated, "max_tokens": self.max_tokens, **sample}

    def _prompt(self, problem: Problem) -> str:
        return self.template.replace("{question}", problem.question)

    def _asked(self) -> list[Problem]:
        return chosen(self.problems, self.limit, self.seed)

    def _sampled(self) -> bool:
        return self.limit is not None and self.limit < len(self.problems)


@cache
def shipped_problems() -> tuple[Problem, ...]:
    """The 1,319 problems of the test set, as shipped."""
    with resources.as_file(resources.files("metareward").joinpath("evaluate", "data", "gsm8k.jsonl")) as path:
        return load_problems(path)


def load_problems(path: Path) -> tuple[Problem, ...]:
    """Read problems in the benchmark's form: question, and an answer that ends in `#### number`.

    Raises DataError for a row that is not of this form, and for a question that stands there twice.
    """
    rows = read_rows(path)
    require_fields(rows, ("question", "answer"), "GSM8K problems")
    problems = tuple(_problem(where, row) for where, row in rows)
    if twice := len(problems) - len({problem.question for problem in problems}):
        raise DataError(f"{path}: {twice} questions stand there more than once")
    return problems


@dataclass(frozen=True)
class Answers:
    """One model's responses. mark: what stands before its answers. given: verdicts the file brings along."""

    model: str
    given: list[Given]
    mark: str = MARK
    verdicts: Mapping[str, bool] = field(default_factory=dict)


def load_responses(path: Path) -> list[Answers]:
    """Read responses, of one model or of several.

    A row is {"question": ..., "response": ...} ("prompt" will do for "question"; the model's name is then
    ""), or as the authors published four models' solutions, whose answers stand after "A:":
    {"question": ..., "ground_truth": ..., NAME: {"solution": ..., "is_correct": ...}, ...}.
    Raises DataError for rows of another form.
    """
    rows = read_rows(path)
    if "ground_truth" in rows[0][1]:
        return _solutions(rows)
    name = "question" if "question" in rows[0][1] else "prompt"
    require_fields(rows, (name, "response"), "GSM8K responses")
    return [Answers("", [_given(where, row[name], row["response"]) for where, row in rows])]


def judged(problems: Iterable[Problem], responses: Mapping[str, str], mark: str = MARK) -> list[Verdict]:
    """The verdict on every problem that has a response (by question)."""
    return [
        judge_response(problem, responses[problem.question], mark)
        for problem in problems
        if problem.question in responses
    ]


def judge_response(problem: Problem, response: str, mark: str = MARK) -> Verdict:
    """Read a response in each way and compare. mark: what stands before the answer in the strict reading."""
    last = _LAST.findall(response)
    return Verdict(
        problem,
        strict=strict_answer(response, mark) == problem.answer,
        flexible=bool(last) and _tidy(last[-1]) == problem.answer,
        by_value=_value(next(filter(_digits, reversed(last)), "")) == Decimal(problem.answer),
        empty=not response.strip(),
    )


def strict_answer(response: str, mark: str = MARK) -> str | None:
    """The first number after the mark and a space, without its commas; None if there is none.

    So a dollar sign, or no space, leaves it unread, and a full stop after it is part of it.
    """
    found = re.search(re.escape(mark) + r" (-?[0-9.,]+)", response)
    return found[1].replace(",", "") if found else None


def score_verdicts(verdicts: Sequence[Verdict], missing: int = 0, details: bool = False) -> dict[str, Any]:
    """Accuracy by each of READINGS, with 95 % intervals; an `empty` response is wrong.

    Raises DataError without a verdict.
    """
    if not verdicts:
        raise DataError("there is no response to score")
    readings = {name: share(getattr(verdict, name) for verdict in verdicts) for name in READINGS}
    counts = {"n": len(verdicts), "missing": missing, "empty": sum(verdict.empty for verdict in verdicts)}
    each = {"verdicts": [verdict.as_dict() for verdict in verdicts]} if details else {}
    return {"benchmark": "gsm8k", **counts, **readings, **each}


def agreement(verdicts: Iterable[Verdict], given: Mapping[str, bool]) -> dict[str, int] | None:
    """How many strict verdicts equal those that came with the responses (by question); None if none came."""
    equal = [
        verdict.strict is given[verdict.problem.question]
        for verdict in verdicts
        if verdict.problem.question in given
    ]
    return {"verdicts": len(equal), "equal": sum(equal)} if equal else None


def _solutions(rows: Sequence[Row]) -> list[Answers]:
    names = [name for name in rows[0][1] if name not in _NOT_THE_MODEL]
    require_fields(rows, ("question", *names), "GSM8K solutions")
    models = []
    for name in names:
        given, verdicts = [], {}
        for where, row in rows:
            solution = row[name]
            if not isinstance(solution, Mapping) or "solution" not in solution:
                raise DataError(f"{where}: {name!r} must be an object with a 'solution'")
            given.append(_given(where, row["question"], solution["solution"]))
            if isinstance(solution.get("is_correct"), bool):
                verdicts[row["question"]] = solution["is_correct"]
        models.append(Answers(name, given, "A:", verdicts))
    return models


def _given(where: str, question: Any, response: Any) -> Given:
    text = text_of(question, where, "question")
    if text is None:
        raise DataError(f"{where}: 'question' is null")
    return Given(where, text, answer_of(response, where, "response"))


def _problem(where: str, row: Mapping[str, Any]) -> Problem:
    question, solution = text_of(row["question"], where, "question"), text_of(row["answer"], where, "answer")
    answer = strict_answer(solution or "")
    if not question or answer is None or _value(answer) is None:
        raise DataError(f"{where}: a problem needs a question, and an answer that ends in '#### number'")
    return Problem(question, answer)


def _tidy(number: str) -> str:
    return number.replace(",", "").replace("$", "").removesuffix(".")


def _digits(text: str) -> bool:
    return any(character.isdigit() for character in text)


def _value(number: str) -> Decimal | None:
    try:
        return Decimal(_tidy(number))
    except InvalidOperation:
        return None
