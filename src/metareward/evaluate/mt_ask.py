"""MT-Bench with any engine as the judge: two turns are answered, or given, then rated or compared."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from metareward.errors import DataError
from metareward.evaluate.answers import chosen
from metareward.evaluate.mt_bench import TURNS, Match, Rated, score_matches, score_ratings
from metareward.evaluate.mt_files import TwoTurns
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.records import Comparison, Finish, Judgment, Outcome, Prompt, Response
from metareward.runner import Runner
from metareward.settings import checked
from metareward.sources import prompt_of
from metareward.stages.generate import Generate
from metareward.stages.rate import Rate
from metareward.stages.three_way import ThreeWay
from metareward.stages.turns import FollowUp, asked_in, followed, reference_of

TEMPERATURES: Mapping[str, float] = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
"""The benchmark's own; every category that is not named is greedy."""
WITH_REFERENCE = ("reasoning", "math", "coding")
_WON = {Outcome.FIRST: 1.0, Outcome.SECOND: 0.0, Outcome.TIE: 0.5, Outcome.UNREADABLE: None}
_PARTS = 5  # artifacts of one temperature: answers, second prompts, second answers, judgments of both turns

Answers = Mapping[str, tuple[str, str]]
"""Answers to both turns, by question id."""


@dataclass(frozen=True, eq=False)
@checked("mt_bench")
class MTBench:
    """Ratings of a model's two turns from 1 to 10, or, given a baseline's answers, wins against it.

    answers: the model's, where they are given and not to be generated. references: of the questions in
        reasoning, math and coding; without one a judge has only its own knowledge.
    generate: all but its temperature, which goes by category.
    details: the score brings the judgments along, in the benchmark's own form.
    """

    name: ClassVar[str] = "mt_bench"

    questions: tuple[TwoTurns, ...]
    references: Answers | None = None
    answers: Answers | None = None
    baseline: Answers | None = None
    generate: Generate = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=1024)
    rate: Rate = Rate()
    compare: ThreeWay = ThreeWay()
    details: bool = False

    def items(self) -> Iterable[str]:
        """Both turns of every question."""
        return (turn for question in self.questions for turn in question.turns)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Answers, second prompts, second answers, and the judgments of both turns, for each temperature."""
        groups = by_temperature(self.questions).items()
        spoken = [self._answered(run, of, temperature, group) for temperature, group in groups]
        asked: list[Any] = []
        for (_, group), (prompts, answers, seconds, last) in zip(groups, spoken, strict=True):
            turns = ((prompts, answers), (seconds, last))
            asked += [answers, seconds, last, *self._judged(run, judge, group, turns)]
        return tuple(asked)

    def score(self, *asked: Any) -> dict[str, Any]:
        """As `mt_bench.score_ratings` or `score_matches`, with how many answers failed.

        Raises DataError, with counts, if nothing that can be read is left.
        """
        told, failed = [], 0
        for group, parts in zip(by_temperature(self.questions).values(), _in_parts(asked), strict=True):
            answers, seconds, last, *judgments = parts
            prompts = {_first(question).id: (question, 1) for question in group}
            known = {question.turns: question for question in group}
            prompts |= {prompt.id: (known[_two(prompt)], 2) for prompt in seconds}
            failed += sum(row.finish is Finish.FAILED for rows in (answers, last) for row in rows)
            told += self._told(prompts, answers, last, judgments)
        referred = sum(one.id in (self.references or {}) for one in self.questions if _needs_reference(one))
        missing = len(self.questions) * len(TURNS) - len(told)
        about = {"missing": missing, "failed_answers": failed, "with_reference": referred}
        try:
            scored = score_ratings(told) if self.baseline is None else score_matches(told)
        except DataError as error:
            hint = "use a judge that keeps to the form, or reading = 'forced'"
            raise DataError(f"mt_bench: {error}; {failed} answers failed; {hint}") from None
        form = "single" if self.baseline is None else "pairwise"
        rows = {"judgments_made": [_row(one) for one in told]} if self.details else {}
        return {"benchmark": "mt-bench", "form": form, **scored, **about, **rows}

    def _answered(self, run: Runner, of: Model, temperature: float, group: Sequence[TwoTurns]) -> Any:
        prompts = run.prompts([_first(question) for question in group])
        if self.answers is not None:
            return (prompts, *_given(run, group, self.answers, "model"))
        generate = replace(self.generate, temperature=temperature)
        answers = run.ask(generate, prompts, of=of)
        follow = FollowUp(tuple(question.turns[1] for question in group))
        seconds = run.derive(follow, prompts, answers)
        return prompts, answers, seconds, run.ask(generate, seconds, of=of)

    def _judged(
        self, run: Runner, judge: Model, group: Sequence[TwoTurns], turns: Iterable[tuple[Any, Any]]
    ) -> list[Any]:
        known = self.references or {}
        wanted = [question for question in group if _needs_reference(question) and question.id in known]
        kept = [reference_of(question.turns, known[question.id]) for question in wanted]
        references = [run.prompts(kept)] if kept else []
        if self.baseline is None:
            return [run.ask(self.rate, *both, *references, of=judge) for both in turns]
        first, seconds, last = _given(run, group, self.baseline, "baseline")
        others = ((run.prompts([_first(question) for question in group]), first), (seconds, last))
        return [
            run.ask(self.compare, *both, *other, *references, of=judge)
            for both, other in zip(turns, others, strict=True)
        ]

    def _told(
        self, prompts: Mapping[str, tuple[TwoTurns, int]], answers: Any, last: Any, judgments: Sequence[Any]
    ) -> list[Any]:
        if self.baseline is None:
            return [_rated(row, *prompts[row.prompt_id]) for rows in judgments for row in rows]
        ours = {row.id for rows in (answers, last) for row in rows}
        games: dict[str, dict[bool, float | None]] = {}
        for row in (row for rows in judgments for row in rows):
            games.setdefault(row.prompt_id, {}).update([_game(row, ours)])
        return [_match(prompts[prompt], won) for prompt, won in games.items()]


def by_temperature(questions: Iterable[TwoTurns]) -> dict[float, list[TwoTurns]]:
    """The questions that are answered at each temperature, in their order."""
    found: dict[float, list[TwoTurns]] = {}
    for question in questions:
        found.setdefault(TEMPERATURES.get(question.category, 0.0), []).append(question)
    return dict(sorted(found.items()))


def chosen_questions(
    questions: Sequence[TwoTurns],
    limit: int | None = None,
    seed: int = 0,
    references: Answers | None = None,
    answers: Answers | None = None,
    baseline: Answers | None = None,
) -> tuple[TwoTurns, ...]:
    """All questions, or `limit` of them drawn by seed.

    Raises DataError, with counts, where an answer is missing, or a reference that the benchmark's rule asks
    for.
    """
    lacking = {
        "the model's answers": [q for q in questions if answers is not None and q.id not in answers],
        "the baseline's answers": [q for q in questions if baseline is not None and q.id not in baseline],
        f"the references ({', '.join(WITH_REFERENCE)})": [
            q for q in questions if references is not None and _needs_reference(q) and q.id not in references
        ],
    }
    said = [f"{len(missed)} of {what}, first {missed[0].id}" for what, missed in lacking.items() if missed]
    if said:
        raise DataError(f"of {len(questions)} questions these are missing: {'; '.join(said)}; give them all")
    return tuple(chosen(list(questions), limit, seed))


def _needs_reference(question: TwoTurns) -> bool:
    return question.category in WITH_REFERENCE


def _first(question: TwoTurns) -> Prompt:
    return prompt_of(question.turns[0], f"mt_bench:{question.id}")


def _two(prompt: Prompt) -> tuple[str, str]:
    first, second = asked_in(prompt)
    return first, second


def _given(run: Runner, group: Sequence[TwoTurns], answers: Answers, source: str) -> tuple[Any, Any, Any]:
    """Answers that are at hand: the first ones, the second prompts, the second ones."""
    firsts = [_first(question) for question in group]
    seconds = [
        followed(prompt, answers[question.id][0], question.turns[1])
        for prompt, question in zip(firsts, group, strict=True)
    ]

    def responses(prompts: Iterable[Prompt], turn: int) -> Any:
        texts = [(prompt, answers[q.id][turn]) for prompt, q in zip(prompts, group, strict=True)]
        return run.given([_response(prompt.id, source, text) for prompt, text in texts])

    return responses(firsts, 0), run.prompts(seconds), responses(seconds, 1)


def _response(prompt: str, source: str, text: str) -> Response:
    return Response(fingerprint(source, prompt, text), prompt, 0, source, text, None, Finish.STOP)


def _in_parts(asked: Sequence[Any]) -> Iterable[Sequence[Any]]:
    return (asked[start : start + _PARTS] for start in range(0, len(asked), _PARTS))


def _rated(row: Judgment, question: TwoTurns, turn: int) -> Rated:
    return Rated(question.id, turn, row.score, question.category)


def _game(row: Comparison, ours: set[str]) -> tuple[bool, float | None]:
    """Whether the model was shown first, and what it won."""
    won, is_first = _WON[row.outcome], row.first_id in ours
    return is_first, won if won is None or is_first else 1 - won


def _match(asked: tuple[TwoTurns, int], won: Mapping[bool, float | None]) -> Match:
    question, turn = asked
    return Match(question.id, turn, (won.get(True), won.get(False)), question.category)


def _row(one: Rated | Match) -> dict[str, Any]:
    """A judgment as the benchmark writes it down."""
    about = {"question_id": int(one.question) if one.question.isdecimal() else one.question, "turn": one.turn}
    if isinstance(one, Rated):
        return about | {"score": -1 if one.score is None else one.score}
    said = {1.0: "model_1", 0.0: "model_2", 0.5: "tie", None: "error"}
    first, second = (said[won] for won in one.games)
    return about | {"g1_winner": first, "g2_winner": second}
