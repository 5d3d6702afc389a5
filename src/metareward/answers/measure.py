"""The answers of one model to many prompts, in shares with intervals, and what has changed in them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nsmallest
from typing import Any

from metareward.answers import alike, marks
from metareward.answers.units import asked, said, whole, words
from metareward.ids import seed_of
from metareward.records import Finish, Prompt, Response
from metareward.stats.bootstrap import Estimate
from metareward.stats.proportions import apart, clustered_wilson

PROMPTS, SAMPLES = 400, 4  # of so many prompts so many answers are looked at, whichever they are
_WORDS = 300  # of an answer that are held against other answers
_BEGUN = 30  # words; an answer that was cut off before may only have begun as others do
_SHOWN = 200  # characters of an example

Column = Sequence[float | None]  # for each answer 0 to 1; None where the prompt asks for such a thing
Values = Mapping[str, tuple[float, int]]  # by prompt: the sum over its answers, and how many there are


@dataclass(frozen=True)
class Example:
    """An answer that shows something: its id, and how it begins."""

    id: str
    text: str


@dataclass(frozen=True)
class Answers:
    """What the answers of one model look like.

    prompts, answers: how many were looked at. failed: those that the engine could not give, not among them.
    shares: by name (docs/degenerate-answers.md), with 95 % intervals over prompts; None where nothing can be
        told. values: what they were made of. examples: for each share an answer that it counts, if there is.
    opening: the most common first words. answer: the words of the most common answer. every: whether all
        answers are that one. prompts_alike: of the prompts' own words, the share in phrases they
        have in common.
    distinct: of the words, pairs and triples of words in one answer a prompt, how many are different ones.
    compression: what one answer a prompt takes packed together, by what each takes alone.
    """

    prompts: int
    answers: int
    failed: int
    shares: Mapping[str, Estimate | None]
    opening: str
    answer: str
    every: bool
    prompts_alike: float
    distinct: tuple[float | None, ...]
    compression: float | None
    examples: Mapping[str, Example] = field(default_factory=dict)
    values: Mapping[str, Values] = field(default_factory=dict, repr=False)

    def as_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {
            "prompts": self.prompts,
            "answers": self.answers,
            "failed": self.failed,
            "shares": {name: one.as_dict() if one else None for name, one in self.shares.items()},
            "opening": self.opening,
            "one_answer": self.answer[:_SHOWN],
            "prompts_alike": self.prompts_alike,
            "distinct": {f"{length}": share for length, share in enumerate(self.distinct, 1)},
            "compression": self.compression,
            "examples": {name: {"id": one.id, "text": one.text} for name, one in self.examples.items()},
        }


@dataclass(frozen=True)
class _Row:
    """One answer with its prompt, and its words."""

    prompt: Prompt
    response: Response
    text: str
    words: tuple[str, ...]


def look(prompts: Iterable[Prompt], responses: Iterable[Response], template: str = "") -> Answers:
    """Measure responses to prompts; the order of the rows makes no difference. template: the judge's.

    Of more than `PROMPTS` prompts, and of more than `SAMPLES` answers to one, those are looked at that a
    fixed draw names. Raises KeyError for a response to none of the prompts.
    """
    rows, failed = _rows(prompts, responses)
    keys = [row.prompt.id for row in rows]
    prompts_alike = alike.of_prompts({row.prompt.id: words(whole(row.prompt))[:_WORDS] for row in rows})
    opening, opened = alike.most_common(keys, [row.words[: alike.OPENING] for row in rows])
    answer, same = _same(rows, prompts_alike)
    columns = (
        _alone(rows, template) | same | {"opening": opened if len(set(keys)) > 1 else [None] * len(rows)}
    )
    values = {name: _by_prompt(keys, column) for name, column in columns.items()}
    ones = {row.prompt.id: row for row in reversed(rows)}
    return Answers(
        prompts=len(ones),
        answers=len(rows),
        failed=failed,
        shares={name: share_of(found) for name, found in values.items()},
        opening=" ".join(opening),
        answer=" ".join(answer),
        every=bool(answer) and all(value in (1, None) for value in same["one_answer"]),
        prompts_alike=prompts_alike,
        distinct=tuple(alike.distinct([row.words for row in ones.values()], length) for length in (1, 2, 3)),
        compression=alike.compression([ones[key].text for key in sorted(ones)]),
        examples={name: one for name, column in columns.items() if (one := _example(rows, column))},
        values=values,
    )


def change(now: Answers, then: Answers) -> dict[str, Estimate]:
    """now - then, share by share, with 95 % intervals (`stats.proportions.apart`).

    Over the prompts that both answered, where there are at least two; else over all that each answered, as
    two samples. `n` is the smaller number of prompts. What one of them cannot tell is left out.
    """
    found: dict[str, Estimate] = {}
    for name in now.values.keys() & then.values.keys():
        both = now.values[name].keys() & then.values[name].keys()
        kept = [
            {key: value for key, value in sorted(side.values[name].items()) if len(both) < 2 or key in both}
            for side in (now, then)
        ]
        ends = [share_of(side) for side in kept]
        if ends[0] is not None and ends[1] is not None:
            lower, upper = apart(*((one.value, one.lower, one.upper) for one in ends if one is not None))
            found[name] = Estimate(ends[0].value - ends[1].value, lower, upper, min(map(len, kept)))
    return dict(sorted(found.items()))


def share_of(values: Values) -> Estimate | None:
    """The mean over all answers, with Wilson's interval at the effective number of prompts."""
    if not values:
        return None
    sums, counts = zip(*(values[key] for key in sorted(values)), strict=True)
    return Estimate(sum(sums) / sum(counts), *clustered_wilson(sums, counts), len(counts))


def _rows(prompts: Iterable[Prompt], responses: Iterable[Response]) -> tuple[list[_Row], int]:
    """The answers to look at, in an order that does not depend on theirs, and how many had failed."""
    chosen = nsmallest(PROMPTS, prompts, key=lambda prompt: seed_of("answers", prompt.id))
    known = {prompt.id: prompt for prompt in chosen}
    answers: dict[str, list[Response]] = {}
    for response in responses:
        if response.prompt_id in known:
            answers.setdefault(response.prompt_id, []).append(response)
    rows, failed = [], 0
    for key in sorted(answers):
        whole_ones = [one for one in answers[key] if one.finish is not Finish.FAILED]
        failed += len(answers[key]) - len(whole_ones)
        for response in sorted(whole_ones, key=lambda one: (one.sample, one.id))[:SAMPLES]:
            text = said(response)
            rows.append(_Row(known[key], response, text, tuple(words(text)[:_WORDS])))
    return rows, failed


def _alone(rows: Sequence[_Row], template: str) -> dict[str, Column]:
    """What each answer shows by itself."""
    rubric = marks.rubric_of(template)
    asks = {row.prompt.id: whole(row.prompt) for row in rows}
    verdicts = {key for key, text in asks.items() if marks.asks_for_verdict(text)}
    turns = {key for key, text in asks.items() if marks.asks_for_turns(text)}

    def column(mark: Any, free: set[str] = frozenset()) -> Column:  # type: ignore[assignment]
        return [None if row.prompt.id in free else float(mark(row)) for row in rows]

    return {
        "verdict": column(lambda row: marks.is_verdict(row.text, rubric), verdicts),
        "header": column(lambda row: marks.headed(row.text), turns),
        "turns": column(lambda row: marks.goes_on(row.text), turns),
        "echo": column(lambda row: marks.echoes(asked(row.prompt), row.text, _cut_off(row))),
        "loops": column(lambda row: marks.loops(row.text)),
        "empty": column(lambda row: not row.text.strip()),
        "cut_off": column(_cut_off),
    }


def _same(rows: Sequence[_Row], prompts_alike: float) -> tuple[tuple[str, ...], dict[str, Column]]:
    """The most common answer, and how far each answer is like those to other prompts.

    None for one that was cut off before it could differ, and for all where there is one prompt.
    """
    told = [row for row in rows if not _cut_off(row) or len(row.words) >= _BEGUN]
    keys, texts = [row.prompt.id for row in told], [row.words for row in told]
    answer, same = alike.most_common(keys, texts)
    columns = {
        "alike": [max(0.0, share - prompts_alike) for share in alike.shared(keys, texts)],
        "one_answer": same,
        "repeated": alike.repeated(keys, texts),
    }
    several = len(set(keys)) > 1
    by_id = {
        name: dict(zip((row.response.id for row in told), column, strict=True))
        for name, column in columns.items()
    }
    return answer, {
        name: [found.get(row.response.id) if several else None for row in rows]
        for name, found in by_id.items()
    }


def _cut_off(row: _Row) -> bool:
    return row.response.finish is Finish.LENGTH


def _by_prompt(keys: Sequence[str], column: Column) -> Values:
    found: dict[str, tuple[float, int]] = {}
    for key, value in zip(keys, column, strict=True):
        if value is not None:
            total, count = found.get(key, (0.0, 0))
            found[key] = (total + value, count + 1)
    return found


def _example(rows: Sequence[_Row], column: Column) -> Example | None:
    """The first answer that counts most, if it counts at least half."""
    most = max((value for value in column if value is not None), default=0.0)
    if most < 0.5:
        return None
    row = rows[list(column).index(most)]
    return Example(row.response.id, row.text[:_SHOWN])
