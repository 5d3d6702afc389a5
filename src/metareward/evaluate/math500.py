"""MATH-500 (Lightman et al., arXiv 2305.20050): 500 competition problems; answers compared as mathematics.

The set is not shipped: give its file, with rows {"problem", "answer", "subject", "level"}.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from metareward.errors import ConfigError, DataError
from metareward.evaluate.answers import answers_of, chosen
from metareward.evaluate.math_checker import verdicts
from metareward.evaluate.responses import Given, join, read_rows, require_fields, text_of
from metareward.evaluate.shares import share
from metareward.models.base import Model
from metareward.runner import Runner
from metareward.settings import require
from metareward.sources import prompt_of
from metareward.stages.generate import Generate

_TEMPLATE = "{problem}\n\nReason step by step, and put your final answer within \\boxed{}."


@dataclass(frozen=True)
class Problem:
    """A problem and its answer in LaTeX."""

    problem: str
    answer: str
    subject: str = ""
    level: str = ""


@dataclass(frozen=True)
class Math500:
    """MATH-500 of a chat model: one greedy answer to each problem, or to `limit` of them drawn by `seed`.

    template: what is asked; `{problem}` stands for the problem. allow_missing, details: as in IFEval.
    """

    name: ClassVar[str] = "math-500"

    problems: tuple[Problem, ...]
    limit: int | None = None
    seed: int = 0
    max_tokens: int = 2048
    template: str = _TEMPLATE
    allow_missing: bool = False
    details: bool = False

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit >= 1, "math-500.limit", "at least 1", self.limit)
        require(self.max_tokens >= 1, "math-500.max_tokens", "at least 1", self.max_tokens)
        given = "{problem}" in self.template
        require(given, "math-500.template", "a text with {problem} in it", self.template)

    def items(self) -> Iterable[str]:
        """Every problem of the benchmark."""
        return (problem.problem for problem in self.problems)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """One greedy answer to each problem."""
        texts = [self._prompt(problem) for problem in self._asked()]
        prompts = run.prompts([prompt_of(text, f"math-500:{number}") for number, text in enumerate(texts)])
        stage = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=self.max_tokens)
        return prompts, run.ask(stage, prompts, of=of)

    def score(self, *asked: Iterable[Any]) -> dict[str, Any]:
        """What `score_responses` says, and how many answers were cut off at max_tokens."""
        given, truncated = answers_of(*asked)
        problems = {self._prompt(problem): problem for problem in self._asked()}
        joined = join(given, list(problems), "MATH-500", allow_missing=self.allow_missing)
        found = {problems[prompt].problem: text for prompt, text in joined.responses.items()}
        score = score_responses(list(problems.values()), found, self.details)
        sampled = self.limit is not None and self.limit < len(self.problems)
        sample = {"sampled_from": len(self.problems), "seed": self.seed} if sampled else {}
        return {**score, "truncated": truncated, "max_tokens": self.max_tokens, **sample}

    def _prompt(self, problem: Problem) -> str:
        return self.template.replace("{problem}", problem.problem)

    def _asked(self) -> list[Problem]:
        return chosen(self.problems, self.limit, self.seed)


def require_checker() -> None:
    """ConfigError if the library that compares answers is not installed."""
    if find_spec("math_verify") is None or find_spec("antlr4") is None:
        raise ConfigError(
            "MATH-500 needs math-verify, not installed here; pip install 'metareward[evaluate]' brings it"
        )


def load_problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a file. DataError for rows of another form, and for one that stands there twice."""
    rows = read_rows(path)
    require_fields(rows, ("problem", "answer"), "MATH-500 problems")
    problems = tuple(_problem(where, row) for where, row in rows)
    if twice := len(problems) - len({problem.problem for problem in problems}):
        raise DataError(f"{path}: {twice} problems stand there more than once")
    return problems


def load_responses(path: Path) -> list[Given]:
    """Responses as rows {"problem", "response"}. DataError for rows of another form."""
    rows = read_rows(path)
    require_fields(rows, ("problem", "response"), "MATH-500 responses")
    return [
        Given(where, _text(row["problem"], where, "problem"), text_of(row["response"], where, "response"))
        for where, row in rows
    ]


def score_responses(
    problems: Sequence[Problem], responses: Mapping[str, str], details: bool = False
) -> dict[str, Any]:
    """Accuracy with 95 % intervals, in all, by subject and by level.

    An answer that could not be compared is wrong, and counted in `unread`. DataError without a response.
    """
    asked = [problem for problem in problems if problem.problem in responses]
    if not asked:
        raise DataError("there is no response to score")
    found = list(verdicts((problem.answer, responses[problem.problem]) for problem in asked))
    right = [(problem, verdict is True) for problem, verdict in zip(asked, found, strict=True)]
    each = [{"problem": problem.problem, "right": good} for problem, good in right] if details else []
    return {
        "benchmark": "math-500",
        "n": len(asked),
        "missing": len(problems) - len(asked),
        "empty": sum(not responses[problem.problem].strip() for problem in asked),
        "unread": sum(verdict is None for verdict in found),
        "accuracy": share(good for _, good in right),
        "by_subject": _parts((problem.subject, good) for problem, good in right),
        "by_level": _parts((problem.level, good) for problem, good in right),
        **({"verdicts": each} if details else {}),
    }


def _parts(named: Iterable[tuple[str, bool]]) -> dict[str, Any]:
    groups: dict[str, list[bool]] = {}
    for name, good in named:
        groups.setdefault(name, []).append(good)
    return {name: share(groups[name]) for name in sorted(groups) if name}


def _problem(where: str, row: Mapping[str, Any]) -> Problem:
    problem, answer = _text(row["problem"], where, "problem"), _text(row["answer"], where, "answer")
    return Problem(problem, answer, str(row.get("subject", "")), str(row.get("level", "")))


def _text(value: Any, where: str, name: str) -> str:
    text = text_of(value, where, name)
    if not text or not text.strip():
        raise DataError(f"{where}: {name!r} is empty")
    return text
