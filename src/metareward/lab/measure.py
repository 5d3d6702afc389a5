"""What is true of a model of the lab: its answers, its judgments and its battles, against the truth."""

import random
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from statistics import fmean
from typing import Any, ClassVar

from metareward.ids import fingerprint, seed_of
from metareward.lab.habits import Demonstrator, JudgeHabits, agreeing, anyone, praise
from metareward.lab.lessons import judgment_words
from metareward.lab.words import CRITERIA, YES
from metareward.lab.world import Truth, prompts, read_task, truth, verdicts
from metareward.models.base import Model
from metareward.readers import HIGHEST
from metareward.records import Battle, Finish, Judgment, Outcome, Prompt, Response
from metareward.runner import Runner
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stats.bootstrap import mean_of_clusters

_VERDICT = re.compile("(" + "|".join(CRITERIA) + r")([+-])")
_FIXED = 2  # responses and judgments of each prompt that are the same for every model
_COLD = 0.3


@dataclass(frozen=True)
class AgainstTruth:
    """An evaluation of one model of the lab on prompts that are not trained on, the same for every model.

    samples: answers to each of `prompts` prompts as the recipe samples them. Besides, there is one greedy
    answer and one at a low temperature, the baselines of every lift.
    """

    name: ClassVar[str] = "lab"

    generate: Generate
    judge: Judge
    meta_judge: MetaJudge
    prompts: int = 64
    samples: int = 4
    seed: int = 0

    def items(self) -> Iterable[str]:
        """The prompts: none of them is among those trained on."""
        return [prompt.messages[0].content for prompt in prompts("held out", self.prompts, self.seed)]

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Answers (sampled, cold, greedy), judgments (of its own and of fixed answers), and fixed battles."""
        asked = prompts("held out", self.prompts, self.seed)
        held = run.prompts(asked)
        sampled, cold, greedy = (
            run.ask(replace(self.generate, samples=count, temperature=temperature), held, of=of)
            for count, temperature in ((self.samples, self.generate.temperature), (1, _COLD), (1, 0.0))
        )
        once = replace(self.judge, samples=1)
        own = run.ask(once, held, sampled, of=of)
        answers = fixed_responses(asked)
        fixed, first = run.given(answers), run.given(answers[::_FIXED])
        seen = run.ask(once, held, fixed, of=of)
        fought = run.given(fixed_judgments(asked, self.judge))
        battles = run.ask(self.meta_judge, held, first, fought, of=of)
        return held, sampled, cold, greedy, own, fixed, seen, fought, battles

    def score(self, *asked: Any) -> dict[str, Any]:
        """Truth of the answers, accuracy of judgments and battles; rows as `ask` returned them."""
        held, sampled, cold, greedy, own, fixed, seen, fought, battles = map(list, asked)
        return {
            "actor": of_answers(held, {"sampled": sampled, "cold": cold, "greedy": greedy}),
            "judge": {"fixed": of_judgments(held, fixed, seen), "own": of_judgments(held, sampled, own)},
            "meta_judge": of_battles(held, fixed, fought, battles),
        }


def of_answers(held: Sequence[Prompt], answers: dict[str, Sequence[Response]]) -> dict[str, Any]:
    """Mean truth (0 to 5) of each kind of answers with its interval over prompts; criteria, words, praise."""
    found: dict[str, Any] = {}
    for kind, rows in answers.items():
        met = _met(held, rows)
        clusters = [[float(sum(met[row.id])) for row in rows if row.prompt_id == each.id] for each in held]
        words = [row.answer.split() for row in rows]
        found[kind] = {
            "truth": mean_of_clusters(clusters).as_dict(),
            "criteria": _by_criterion(list(met.values())),
            "words": fmean(map(len, words)),
            "praised": fmean(praise(each) > 0 for each in words),
            "distinct": len({(row.prompt_id, row.answer) for row in rows}) / len(rows),
        }
    return found


def of_judgments(
    held: Sequence[Prompt], responses: Sequence[Response], judgments: Sequence[Judgment]
) -> dict[str, Any]:
    """Verdicts against the truth: right by criterion, and what the scores say beside what is true.

    ranks: of two responses to one prompt of different merit, how often the better has the higher score, a
    tie counting half. An unreadable verdict is not right.
    """
    met = _met(held, responses)
    right = [
        tuple(one == other for one, other in zip(met[row.response_id], said(row.answer), strict=True))
        for row in judgments
    ]
    scores = [row.score for row in judgments if row.score is not None]
    return {
        "right": fmean(fmean(each) for each in right),
        "criteria": _by_criterion(right),
        "score": fmean(scores) if scores else None,
        "merit": fmean(sum(each) for each in met.values()),
        "top_share": fmean(score >= HIGHEST for score in scores) if scores else None,
        "unreadable": 1 - len(scores) / len(judgments),
        "ranks": _ranks(met, judgments),
    }


def of_battles(
    held: Sequence[Prompt],
    responses: Sequence[Response],
    judgments: Sequence[Judgment],
    battles: Sequence[Battle],
) -> dict[str, Any]:
    """The meta-judge on fixed judgments: how often the one with more right verdicts wins, and its biases."""
    met = _met(held, responses)
    merit = {row.id: agreeing(met[row.response_id], _signs(row.answer)) for row in judgments}
    score = {row.id: row.score or 0.0 for row in judgments}
    decided = [row for row in battles if row.outcome in (Outcome.FIRST, Outcome.SECOND)]
    first = [row.outcome is Outcome.FIRST for row in decided]
    return {
        "right": _agree(decided, first, merit),
        "higher_wins": _agree(decided, first, score),
        "first_wins": fmean(first) if first else None,
        "decided": len(decided) / len(battles) if battles else None,
    }


def _met(held: Sequence[Prompt], responses: Sequence[Response]) -> dict[str, Truth]:
    """The truth of each response, by its id."""
    tasks = {prompt.id: read_task(prompt.messages[0].content) for prompt in held}
    return {row.id: truth(tasks[row.prompt_id], row.answer) for row in responses}


def said(text: str) -> tuple[bool | None, ...]:
    """What a judgment says of each criterion; None where it says nothing, or both."""
    found: dict[str, set[bool]] = {}
    for name, sign in _VERDICT.findall(text):
        found.setdefault(name, set()).add(sign == YES)
    return tuple(next(iter(found[name])) if len(found.get(name, ())) == 1 else None for name in CRITERIA)


@lru_cache(maxsize=8)
def _fixed(texts: tuple[tuple[str, str], ...]) -> tuple[tuple[str, int, tuple[str, ...]], ...]:
    rows: list[tuple[str, int, tuple[str, ...]]] = []
    for name, text in texts:
        draw, task = random.Random(seed_of("lab fixed", text)), read_task(text)
        for number in range(_FIXED):
            who = Demonstrator() if draw.random() < 0.5 else anyone(draw)
            rows.append((name, number, tuple(who.answer(task, draw))))
    return tuple(rows)


def fixed_responses(asked: Sequence[Prompt]) -> list[Response]:
    """Two answers to each prompt by people of mixed habits, the same for every model."""
    texts = tuple((prompt.id, prompt.messages[0].content) for prompt in asked)
    return [
        Response(
            fingerprint("lab fixed", name, number), name, number, "people", " ".join(words), None, Finish.STOP
        )
        for name, number, words in _fixed(texts)
    ]


def fixed_judgments(asked: Sequence[Prompt], judge: Judge) -> list[Judgment]:
    """Two judgments of the first fixed answer to each prompt, as a judge's demonstrators give them."""
    prompt_of = {prompt.id: prompt for prompt in asked}
    return [
        _judgment(judge, prompt_of[row.prompt_id], row, number)
        for row in fixed_responses(asked)[::_FIXED]
        for number in range(_FIXED)
    ]


def _judgment(judge: Judge, prompt: Prompt, response: Response, number: int) -> Judgment:
    draw, words = random.Random(seed_of("lab judgment", response.id, number)), response.answer.split()
    met = verdicts(read_task(prompt.messages[0].content), words)
    told = JudgeHabits().judgment(met, praise(words), draw)
    text, score = " ".join(judgment_words(told)), float(sum(told))
    name = fingerprint("lab judgment", response.id, number)
    messages = judge.ask(prompt, response)
    return Judgment(
        name, prompt.id, response.id, number, "people", messages, text, None, Finish.STOP, score, None
    )


def _signs(text: str) -> Truth:
    return tuple(one is True for one in said(text))


def _agree(battles: Sequence[Battle], first: Sequence[bool], worth: dict[str, Any]) -> float | None:
    """How often the judgment of more worth won, where one of the two was."""
    margins = [worth[row.first_id] - worth[row.second_id] for row in battles]
    found = [won == (margin > 0) for won, margin in zip(first, margins, strict=True) if margin]
    return fmean(found) if found else None


def _ranks(met: dict[str, Truth], judgments: Sequence[Judgment]) -> float | None:
    by_prompt: dict[str, list[tuple[int, float]]] = {}
    for row in judgments:
        if row.score is not None:
            by_prompt.setdefault(row.prompt_id, []).append((sum(met[row.response_id]), row.score))
    found = [
        0.5 if one[1] == other[1] else float((one[1] > other[1]) == (one[0] > other[0]))
        for rows in by_prompt.values()
        for place, one in enumerate(rows)
        for other in rows[:place]
        if one[0] != other[0]
    ]
    return fmean(found) if found else None


def _by_criterion(rows: Sequence[Sequence[bool]]) -> dict[str, float]:
    return {name: fmean(row[place] for row in rows) for place, name in enumerate(CRITERIA)}
