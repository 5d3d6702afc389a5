"""Answers that a program can check: accuracy of the actor, and whether the judge can tell right from wrong.

Each problem is asked greedily and, `samples` times, at the temperature that the loop samples with: greedy
accuracy says what a user of the model gets, sampled accuracy what the loop has to choose from. The truth
is for measuring alone: it never reaches a judge, a pair or a training.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from metareward.errors import DataError
from metareward.evaluate.answers import chosen
from metareward.evaluate.jsonrows import numbered_rows
from metareward.models.base import Model
from metareward.problems import FOR_TRAINING, Problem, arithmetic, as_number, is_right
from metareward.records import Finish, Judgment, Prompt, Response
from metareward.runner import Runner
from metareward.settings import check_samples, require, shown
from metareward.sources import prompt_of
from metareward.stages.generate import Generate
from metareward.stats.bootstrap import mean_of_clusters, ratio_of_sums
from metareward.stats.proportions import clustered_wilson

WAYS = ("greedy", "sampled")

Marks = Mapping[str, Sequence[bool]]
"""For each question whether each of its answers is right."""


@dataclass(frozen=True)
class Verifiable:
    """Accuracy on problems whose answer is a number, the last one that an answer names.

    problems: all whose answer is known; of those from `first` on, all or `limit` drawn by `seed` are asked.
    samples, temperature, top_p: how the sampled answers are drawn; 0 samples asks greedily alone.
    """

    name: ClassVar[str] = "verifiable"

    limit: int | None = None
    seed: int = 0
    samples: int = 1
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    first: int = FOR_TRAINING
    problems: tuple[Problem, ...] = field(default_factory=lambda: arithmetic(), repr=False)

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit >= 1, "verifiable.limit", "at least 1", self.limit)
        if self.samples != 0:
            check_samples("verifiable.samples", self.samples)
        require(bool(self.problems[self.first :]), "verifiable.problems", "at least one problem", 0)

    def items(self) -> Iterable[str]:
        """The problems that are asked; others may be trained on, since their answers are not."""
        return (problem.question for problem in self._asked())

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """A greedy answer to each problem, and sampled ones."""
        asked = self._asked()
        prompts = run.prompts([prompt_of(p.question, f"{self.name}:{n}") for n, p in enumerate(asked)])
        greedy = Generate(1, 0.0, 1.0, self.max_tokens)
        sampled = Generate(self.samples, self.temperature, self.top_p, self.max_tokens, self.seed)
        ways = (greedy, sampled) if self.samples else (greedy,)
        return prompts, *(run.ask(way, prompts, of=of) for way in ways)

    def score(self, *asked: Iterable[Any]) -> dict[str, Any]:
        """Each way's accuracy with its 95 % interval over problems; an answer that failed is wrong.

        Raises DataError without an answer.
        """
        prompts, *answers = asked
        if not any(True for _ in prompts):
            raise DataError("there is no answer to score")
        found = dict(zip(WAYS, (self.marks(prompts, rows) for rows in answers), strict=False))
        counts = {"n": len(next(iter(found.values()))), "max_tokens": self.max_tokens}
        cut = sum(row.finish is Finish.LENGTH for rows in answers for row in rows)
        return {
            "benchmark": self.name,
            **counts,
            "truncated": cut,
            **{way: _share(m) for way, m in found.items()},
        }

    def marks(self, prompts: Iterable[Prompt], responses: Iterable[Response]) -> dict[str, list[bool]]:
        """Whether each answer is right, by question."""
        questions = {prompt.id: prompt.messages[-1].content for prompt in prompts}
        answers = self.answers
        found: dict[str, list[bool]] = {}
        for response in responses:
            question = questions[response.prompt_id]
            right = response.finish is not Finish.FAILED and is_right(answers[question], response.answer)
            found.setdefault(question, []).append(right)
        return found

    @property
    def answers(self) -> dict[str, str]:
        """The answer to every problem, by its question."""
        return {problem.question: problem.answer for problem in self.problems}

    def _asked(self) -> list[Problem]:
        return chosen(self.problems[self.first :], self.limit, self.seed)


def read_problems(path: Path) -> tuple[Problem, ...]:
    """The problems of a file: {"prompt" or "question", "answer"} a line, each answer a number.

    Raises DataError that names the line.
    """
    problems = []
    for where, row in numbered_rows(path):
        question, answer = row.get("prompt", row.get("question")), row.get("answer")
        value = as_number(str(answer)) if isinstance(answer, str | int | float) else None
        if not isinstance(question, str) or not question.strip() or value is None:
            raise DataError(
                f'{where}: a problem is {{"prompt": text, "answer": number}}, not {shown(dict(row))}'
            )
        problems.append(Problem(question, str(value)))
    if len({problem.question for problem in problems}) < len(problems):
        raise DataError(f"{path}: a problem stands in it more than once; leave the repeats out")
    return tuple(problems)


def difference(now: Marks, then: Marks) -> dict[str, Any]:
    """Accuracy now less accuracy then on the same problems, with a paired 95 % bootstrap over them.

    gained, lost: problems whose share of right answers rose, and fell.
    """
    both = [sum(now[q]) / len(now[q]) - sum(then[q]) / len(then[q]) for q in now if q in then]
    estimate = mean_of_clusters([[change] for change in both])
    gained, lost = sum(change > 0 for change in both), sum(change < 0 for change in both)
    return {**estimate.as_dict(), "gained": gained, "lost": lost}


def judge_auc(
    problems: Mapping[str, str],
    prompts: Iterable[Prompt],
    responses: Iterable[Response],
    judgments: Iterable[Judgment],
) -> dict[str, Any] | None:
    """How often a judge scores a right answer above a wrong one to the same prompt; equal scores count half.

    The area under the ROC curve within prompts (Mann and Whitney 1947, over pairs of one prompt), with a
    95 % bootstrap over prompts. problems: answers by question; other prompts are left out. None where no
    prompt has both a right and a wrong answer that the judge scored.
    """
    answers = {p.id: problems[p.messages[-1].content] for p in prompts if p.messages[-1].content in problems}
    scores: dict[str, list[float]] = {}
    for judgment in judgments:
        if judgment.score is not None:
            scores.setdefault(judgment.response_id, []).append(judgment.score)
    sides: dict[str, tuple[list[float], list[float]]] = {}
    for row in responses:
        if row.prompt_id in answers and row.id in scores:
            right = is_right(answers[row.prompt_id], row.answer)
            mean = sum(scores[row.id]) / len(scores[row.id])
            sides.setdefault(row.prompt_id, ([], []))[not right].append(mean)
    return _auc([pair for pair in sides.values() if all(pair)])


def _auc(sides: Sequence[tuple[Sequence[float], Sequence[float]]]) -> dict[str, Any] | None:
    if not sides:
        return None
    won = [sum((a > b) + (a == b) / 2 for a in right for b in wrong) for right, wrong in sides]
    pairs = [len(right) * len(wrong) for right, wrong in sides]
    return {**ratio_of_sums(won, pairs).as_dict(), "pairs": sum(pairs)}


def _share(marks: Marks) -> dict[str, Any]:
    right, tried = [sum(each) for each in marks.values()], [len(each) for each in marks.values()]
    lower, upper = clustered_wilson(right, tried)
    return {"value": sum(right) / sum(tried), "lower": lower, "upper": upper, "n": len(tried)}
