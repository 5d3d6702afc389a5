"""IFEval (Zhou et al., arXiv 2311.07911): 541 prompts whose instructions a program can check; no judge."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, ClassVar

from metareward.errors import DataError
from metareward.evaluate.answers import answers_of, chosen
from metareward.evaluate.instructions import CHECKS, checked
from metareward.evaluate.language import require_packages
from metareward.evaluate.responses import Given, answer_of, join, read_rows, require_fields, text_of
from metareward.evaluate.shares import clustered_share, share
from metareward.models.base import Model
from metareward.runner import Runner
from metareward.settings import require
from metareward.sources import prompt_of
from metareward.stages.generate import Generate

_REWORDED = {  # the published responses to key 2785 were given to an earlier wording of it
    2785: ("at least 3 placeholders (an example", "at least one placeholder (an example"),
}


@dataclass(frozen=True)
class Instruction:
    """One checkable instruction of a prompt. `arguments` are the benchmark's `kwargs`, checked."""

    identifier: str
    arguments: Mapping[str, Any]

    def followed(self, text: str) -> bool:
        """Whether the text follows it; a blank text follows nothing."""
        return bool(text.strip()) and CHECKS[self.identifier](text, **self.arguments)


@dataclass(frozen=True)
class Task:
    """A prompt and its instructions."""

    key: int
    prompt: str
    instructions: tuple[Instruction, ...]


@dataclass(frozen=True)
class Verdict:
    """Which instructions of a task a response follows, in their order."""

    task: Task
    strict: tuple[bool, ...]
    loose: tuple[bool, ...]
    empty: bool

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"key": self.task.key, "strict": list(self.strict), "loose": list(self.loose)}


@dataclass(frozen=True)
class IFEval:
    """IFEval of a model: greedy answers to all tasks, or to `limit` of them drawn by `seed`.

    allow_missing: score the rest where the engine failed to answer; the failures are counted.
    details: the score says the verdict on every prompt, too.
    """

    name: ClassVar[str] = "ifeval"

    limit: int | None = None
    seed: int = 0
    max_tokens: int = 1280
    allow_missing: bool = False
    details: bool = False
    tasks: tuple[Task, ...] = field(default_factory=lambda: shipped_tasks(), repr=False)

    def __post_init__(self) -> None:
        require(self.limit is None or self.limit >= 1, "ifeval.limit", "at least 1", self.limit)
        require(self.max_tokens >= 1, "ifeval.max_tokens", "at least 1", self.max_tokens)

    def items(self) -> Iterable[str]:
        """Every prompt of the benchmark."""
        return (task.prompt for task in self.tasks)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """One greedy answer to each prompt. ConfigError if what the checks need is not installed."""
        require_packages()
        prompts = run.prompts([prompt_of(task.prompt, f"ifeval:{task.key}") for task in self._asked()])
        stage = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=self.max_tokens)
        return prompts, run.ask(stage, prompts, of=of)

    def score(self, *asked: Iterable[Any]) -> dict[str, Any]:
        """What `score_verdicts` says, and how many answers were cut off at max_tokens (scored as they are).

        Raises DataError if answers are missing (unless allowed).
        """
        given, truncated = answers_of(*asked)
        tasks = self._asked()
        joined = join(given, [task.prompt for task in tasks], "IFEval", allow_missing=self.allow_missing)
        score = score_verdicts(judged(tasks, joined.responses), len(joined.missing), self.details)
        sampled = {"sampled_from": len(self.tasks), "seed": self.seed} if len(tasks) < len(self.tasks) else {}
        return {**score, "truncated": truncated, "max_tokens": self.max_tokens, **sampled}

    def _asked(self) -> list[Task]:
        return chosen(self.tasks, self.limit, self.seed)


@cache
def shipped_tasks() -> tuple[Task, ...]:
    """The benchmark's 541 prompts, as shipped."""
    with resources.as_file(
        resources.files("metareward").joinpath("evaluate", "data", "ifeval.jsonl")
    ) as path:
        return load_tasks(path)


def load_tasks(path: Path) -> tuple[Task, ...]:
    """Read prompts in the benchmark's form: key, prompt, instruction_id_list, kwargs.

    Raises DataError for a row that is not of this form, and for a prompt that stands there twice.
    """
    rows = read_rows(path)
    require_fields(rows, ("key", "prompt", "instruction_id_list", "kwargs"), "IFEval prompts")
    tasks = tuple(_task(where, row) for where, row in rows)
    if twice := len(tasks) - len({task.prompt for task in tasks}):
        raise DataError(f"{path}: {twice} prompts stand there more than once")
    return tasks


def load_responses(path: Path, tasks: Sequence[Task]) -> tuple[list[Given], dict[str, dict[str, list[bool]]]]:
    """Read responses in the benchmark's form, {"prompt": ..., "response": ...} a line.

    Returns the responses, and by prompt the verdicts `strict` and `loose` that a row may bring along.
    Raises DataError for rows of another form.
    """
    rows = read_rows(path)
    require_fields(rows, ("prompt", "response"), "IFEval responses")
    reworded = _earlier_wordings(tasks)
    given, verdicts = [], {}
    for where, row in rows:
        prompt = text_of(row["prompt"], where, "prompt")
        if prompt is None:
            raise DataError(f"{where}: 'prompt' is null")
        prompt = reworded.get(prompt, prompt)
        given.append(Given(where, prompt, answer_of(row["response"], where, "response")))
        verdicts[prompt] = {name: row[name] for name in ("strict", "loose") if name in row}
    return given, verdicts


def judged(tasks: Iterable[Task], responses: Mapping[str, str]) -> list[Verdict]:
    """The verdict on every task that has a response (by prompt)."""
    return [judge_response(task, responses[task.prompt]) for task in tasks if task.prompt in responses]


def judge_response(task: Task, response: str) -> Verdict:
    """Strict: the response itself. Loose: any of eight forms of it follows the instruction."""
    forms = loose_forms(response)
    strict = tuple(instruction.followed(response) for instruction in task.instructions)
    loose = tuple(any(map(instruction.followed, forms)) for instruction in task.instructions)
    return Verdict(task, strict, loose, not response.strip())


def loose_forms(response: str) -> list[str]:
    """The response; without its first line, its last, both; and these four without asterisks."""
    lines = response.split("\n")
    cut = ["\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1])]
    return [form for text in (response, *cut) for form in (text, text.replace("*", ""))]


def score_verdicts(verdicts: Sequence[Verdict], missing: int = 0, details: bool = False) -> dict[str, Any]:
    """Accuracies, each with a 95 % interval, of `n` prompts; `empty` responses count as following nothing.

    strict, loose: `prompt` (all instructions of a prompt followed), `instruction` (of all instructions),
    and `by_category`, `by_type` of instruction. Instructions of one prompt stand or fall together, so their
    intervals are clustered by prompt. Raises DataError without a verdict.
    """
    if not verdicts:
        raise DataError("there is no response to score")
    return {
        "benchmark": "ifeval",
        "n": len(verdicts),
        "instructions": sum(len(verdict.strict) for verdict in verdicts),
        "missing": missing,
        "empty": sum(verdict.empty for verdict in verdicts),
        "strict": _scored([(verdict.task, verdict.strict) for verdict in verdicts]),
        "loose": _scored([(verdict.task, verdict.loose) for verdict in verdicts]),
        **({"verdicts": [verdict.as_dict() for verdict in verdicts]} if details else {}),
    }


def agreement(verdicts: Iterable[Verdict], given: Mapping[str, Mapping[str, Any]]) -> dict[str, int] | None:
    """How many verdicts on instructions equal those that came with the responses; None if none came."""
    verdicts, compared, equal = list(verdicts), 0, 0
    for name in ("strict", "loose"):
        for verdict in verdicts:
            ours, theirs = getattr(verdict, name), given.get(verdict.task.prompt, {}).get(name)
            if isinstance(theirs, list) and len(theirs) == len(ours):
                compared += len(ours)
                equal += sum(mine is other for mine, other in zip(ours, theirs, strict=True))
    return {"verdicts": compared, "equal": equal} if compared else None


def _scored(followed: Iterable[tuple[Task, Sequence[bool]]]) -> dict[str, Any]:
    whole, marks = [], []
    for place, (task, each) in enumerate(followed):
        whole.append(all(each))
        kinds = [instruction.identifier for instruction in task.instructions]
        marks += [(kind, (place, mark)) for kind, mark in zip(kinds, each, strict=True)]
    return {
        "prompt": share(whole),
        "instruction": clustered_share(mark for _, mark in marks),
        "by_category": _grouped((kind.split(":")[0], mark) for kind, mark in marks),
        "by_type": _grouped(marks),
    }


def _grouped(marks: Iterable[tuple[str, tuple[int, bool]]]) -> dict[str, Any]:
    groups = defaultdict(list)
    for name, mark in marks:
        groups[name].append(mark)
    return {name: clustered_share(groups[name]) for name in sorted(groups)}


def _task(where: str, row: Mapping[str, Any]) -> Task:
    identifiers, arguments = row["instruction_id_list"], row["kwargs"]
    fits = isinstance(identifiers, list) and isinstance(arguments, list) and isinstance(row["prompt"], str)
    if not fits or len(identifiers) != len(arguments) or not identifiers:
        raise DataError(
            f"{where}: a prompt needs a text, and as many kwargs as instruction_id_list has names"
        )
    try:
        instructions = [
            Instruction(str(identifier), checked(str(identifier), dict(given)))
            for identifier, given in zip(identifiers, arguments, strict=True)
        ]
    except (DataError, TypeError, ValueError) as error:
        raise DataError(f"{where}: {error}") from None
    return Task(row["key"], row["prompt"], tuple(instructions))


def _earlier_wordings(tasks: Iterable[Task]) -> dict[str, str]:
    reworded = [(task.prompt, *_REWORDED[task.key]) for task in tasks if task.key in _REWORDED]
    return {now.replace(new, old): now for now, new, old in reworded}
