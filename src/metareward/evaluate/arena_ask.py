"""Arena-Hard with any engine as the judge: answers are made or given, both games are played and scored."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from metareward.errors import DataError
from metareward.evaluate.answers import chosen
from metareward.evaluate.arena_hard import Games, Method, battles_of, score
from metareward.evaluate.jsonrows import Row, complain, read_rows, require_fields
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.reasoning import AUTO
from metareward.records import Comparison, Finish, Outcome, Prompt, Response
from metareward.runner import Runner
from metareward.sources import prompt_of
from metareward.stages.five_way import FiveWay, verdict_of
from metareward.stages.generate import Generate

BASELINE, SUBJECT = "baseline", "model"


@dataclass(frozen=True)
class QA:
    """A question of the benchmark and the baseline's answer to it."""

    question: str
    baseline: str


@dataclass(frozen=True, eq=False)
class ArenaHard:
    """A model's answers against the baseline's, in both orders, by a judge's five-way verdict.

    answers: the model's, one a question, if they are given and not to be generated. generate: greedy, as
    the benchmark asks. method: whose script's score and interval (see `arena_hard.score`).
    """

    name: ClassVar[str] = "arena_hard"

    questions: tuple[QA, ...]
    answers: tuple[str, ...] | None = None
    generate: Generate = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=4096)
    judge: FiveWay = FiveWay()
    method: Method = "bradley-terry"

    @property
    def prompts(self) -> list[Prompt]:
        """Each question as a user's turn."""
        return [prompt_of(qa.question, f"arena_hard:{number}") for number, qa in enumerate(self.questions)]

    def items(self) -> Iterable[str]:
        """Every question that is asked."""
        return (qa.question for qa in self.questions)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Generate, or take the given answers, and let `judge` play both games: (answers, games)."""
        rows = self.prompts
        prompts = run.prompts(rows)
        baseline = run.given(_given(rows, [qa.baseline for qa in self.questions], BASELINE))
        if self.answers is not None:
            answers = run.given(_given(rows, self.answers, SUBJECT))
        else:
            answers = run.ask(self.generate, prompts, of=of)
        return answers, run.ask(self.judge, prompts, baseline, answers, of=judge)

    def score(self, *asked: Any) -> dict[str, Any]:
        """`score`, `lower`, `upper`, `battles`, and how many games were played and unread.

        Raises DataError, with counts, if no game has a verdict.
        """
        answers, comparisons = asked
        written: dict[str, Response] = {response.prompt_id: response for response in answers}
        games = list(_games(comparisons, {response.id for response in written.values()}))
        fought, unread = battles_of(games, BASELINE, self.method)
        failed = sum(response.finish is Finish.FAILED for response in written.values())
        if not fought:
            raise DataError(
                f"arena_hard: none of {2 * len(games)} games has a verdict that can be read, and {failed} of "
                f"{len(written)} answers failed; use a judge that keeps to the form, or reading = 'forced'"
            )
        found = score(fought, BASELINE, self.method)[SUBJECT]
        counts = {"n": len(games), "games": 2 * len(games), "unread_games": unread, "failed_answers": failed}
        return {"benchmark": "arena-hard", "method": self.method, **found, **counts}


def _games(comparisons: Iterable[Comparison], models: set[str]) -> Iterable[Games]:
    found: dict[str, dict[bool, str | None]] = {}
    for row in comparisons:
        unread = row.outcome is Outcome.UNREADABLE
        label = None if unread else verdict_of(row.answer.splitlines()[-1]) or verdict_of(row.answer)
        found.setdefault(row.prompt_id, {})[row.second_id in models] = label
    for prompt, labels in found.items():
        yield Games(prompt, SUBJECT, labels.get(True), labels.get(False))


def read_questions(path: Path) -> dict[str, str]:
    """The questions by uid: rows with `prompt`, or with `turns`. Raises DataError, with counts."""
    rows = read_rows(path)
    wanted = "questions have rows with a uid (or question_id) and a prompt (or turns)"
    require_fields(path, rows, lambda row: _uid(row) is not None and _question(row) is not None, wanted)
    found = {str(_uid(row)): str(_question(row)) for row in rows}
    complain(path, _repeats(rows), len(rows), wanted)
    return found


def read_answers(path: Path) -> dict[str, str]:
    """A model's answers by uid: rows with `answer`, `choices` or `messages`. DataError has counts."""
    rows = read_rows(path)
    wanted = "answers have rows with a uid (or question_id) and an answer (or choices, or messages)"
    require_fields(path, rows, lambda row: _uid(row) is not None and _answer(row) is not None, wanted)
    complain(path, _repeats(rows), len(rows), wanted)
    return {str(_uid(row)): AUTO.answer(str(_answer(row))) for row in rows}


def paired(
    questions: Mapping[str, str],
    baseline: Mapping[str, str],
    answers: Mapping[str, str] | None = None,
    limit: int | None = None,
    seed: int = 0,
) -> tuple[tuple[QA, ...], tuple[str, ...] | None]:
    """Questions with the baseline's and the model's answers, or `limit` of them drawn by seed.

    Raises DataError, with counts, where an answer is missing.
    """
    lacking = {
        side: [uid for uid in questions if uid not in given]
        for side, given in (("baseline", baseline), ("model", answers))
        if given is not None
    }
    if any(lacking.values()):
        said = ", ".join(f"{len(uids)} of the {side}'s" for side, uids in lacking.items() if uids)
        raise DataError(f"of {len(questions)} questions these answers are missing: {said}; give them all")
    drawn = chosen(list(questions), limit, seed)
    own = None if answers is None else tuple(answers[uid] for uid in drawn)
    return tuple(QA(questions[uid], baseline[uid]) for uid in drawn), own


def _uid(row: Row) -> Any:
    return row.get("uid", row.get("question_id"))


def _question(row: Row) -> str | None:
    if isinstance(row.get("prompt"), str):
        return row["prompt"]
    turns = row.get("turns")
    first = turns[0] if isinstance(turns, list) and turns else None
    text = first.get("content") if isinstance(first, Mapping) else first
    return text if isinstance(text, str) else None


def _answer(row: Row) -> str | None:
    if isinstance(row.get("answer"), str):
        return row["answer"]
    value: Any = row.get("messages", row.get("choices"))
    try:
        if "messages" in row:
            value = value[-1]["content"]
            value = value["answer"] if isinstance(value, Mapping) else value
        else:
            value = value[0]["turns"][0]
            value = value["content"] if isinstance(value, Mapping) else value
    except (KeyError, IndexError, TypeError):
        return None
    return value if isinstance(value, str) else None


def _repeats(rows: Sequence[Row]) -> list[tuple[str, str]]:
    seen: set[str] = set()
    faults = []
    for number, row in enumerate(rows, 1):
        if str(_uid(row)) in seen:
            faults.append(("repeat a uid", f"row {number}"))
        seen.add(str(_uid(row)))
    return faults


def _given(prompts: Sequence[Prompt], texts: Sequence[str], source: str) -> list[Response]:
    return [
        Response(fingerprint(source, prompt.id, text), prompt.id, 0, source, text, None, Finish.STOP)
        for prompt, text in zip(prompts, texts, strict=True)
    ]
