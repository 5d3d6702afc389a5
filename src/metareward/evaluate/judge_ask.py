"""A judge asked about pairs and rankings that people decided: pairwise in both orders, or by its scores."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any, ClassVar, Literal

import numpy as np

from metareward.evaluate import judge_pairs, judge_ranks
from metareward.evaluate.judge_data import KnownPair, Ranked
from metareward.evaluate.judge_pairs import Judged
from metareward.evaluate.judge_ranks import Scored
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.records import Comparison, Finish, Judgment, Outcome, Prompt, Response
from metareward.runner import Runner
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge

_WON = {Outcome.FIRST: 1.0, Outcome.SECOND: 0.0, Outcome.TIE: 0.5}


@dataclass(frozen=True, eq=False)
class JudgePairs:
    """Pairwise accuracy of a model as a judge, in both orders (`pairwise`) or by two scores (`pointwise`).

    Here the model under evaluation is the judge. details: the score says the verdicts on every pair, too,
    in the form that `eval judge --verdicts` reads.
    """

    name: ClassVar[str] = "judge"

    pairs: tuple[KnownPair, ...]
    form: Literal["pairwise", "pointwise"] = "pairwise"
    compare: Compare = Compare(temperature=0.0)
    judge: Judge = Judge(samples=3)
    details: bool = False

    def items(self) -> Iterable[str]:
        """The last turn of every prompt."""
        return (pair.messages[-1].content for pair in self.pairs)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Show `of` both responses of every pair; `judge` has no part in it."""
        pairs = list({pair.id: pair for pair in self.pairs}.values())  # a file may have one twice
        prompts = run.prompts([Prompt(pair.id, pair.messages, "judged pair") for pair in pairs])
        both = [((pair.id, 0, pair.first), (pair.id, 1, pair.second)) for pair in pairs]
        responses = run.given([_response(*side) for sides in both for side in sides])
        stage = self.compare if self.form == "pairwise" else self.judge
        return (run.ask(stage, prompts, responses, of=of),)

    def score(self, *asked: Any) -> dict[str, Any]:
        """As `judge_pairs.score`. Raises DataError, with counts, where nothing could be read."""
        (rows,) = asked
        found = _compared(rows) if self.form == "pairwise" else _pointwise(rows)
        judged = [_judged(pair, found.get(pair.id, _Told())) for pair in self.pairs]
        said = {"benchmark": "judge", "form": self.form, **judge_pairs.score(judged)}
        if not self.details:
            return said
        return said | {"verdicts": [_row(pair, one) for pair, one in zip(self.pairs, judged, strict=True)]}


@dataclass(frozen=True, eq=False)
class JudgeRanks:
    """Rank agreement of a model's scores with people's, over the responses of each prompt.

    unrated: rows of the file that nobody had rated, for the report.
    """

    name: ClassVar[str] = "judge_ranks"

    responses: tuple[Ranked, ...]
    judge: Judge = Judge(samples=3)
    unrated: int = 0

    def items(self) -> Iterable[str]:
        """The last turn of every prompt."""
        return dict.fromkeys(row.messages[-1].content for row in self.responses)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Have `of` grade every response; `judge` has no part in it."""
        prompts = {row.cluster: Prompt(row.cluster, row.messages, "ranked") for row in self.responses}
        order = {cluster: place for place, cluster in enumerate(prompts)}
        grouped = sorted(self.responses, key=lambda row: order[row.cluster])
        given = run.given([_response(row.cluster, row.id, row.response) for row in grouped])
        return (run.ask(self.judge, run.prompts(list(prompts.values())), given, of=of),)

    def score(self, *asked: Any) -> dict[str, Any]:
        """As `judge_ranks.score`. Raises DataError, with counts, where nothing could be read."""
        (rows,) = asked
        found: dict[str, list[float]] = {}
        for judgment in rows:
            if judgment.score is not None:
                found.setdefault(judgment.response_id, []).append(judgment.score)
        scored = [
            Scored(row.cluster, row.quality, _mean(found.get(_name(row.cluster, row.id))), len(row.response))
            for row in self.responses
        ]
        return {"benchmark": "judge ranks", "unrated_rows": self.unrated, **judge_ranks.score(scored)}


def chosen_prompts(rows: Sequence[Any], limit: int | None, seed: int = 0) -> tuple[Any, ...]:
    """The rows of `limit` prompts drawn by seed, in their order; a larger draw contains a smaller one."""
    clusters = list(dict.fromkeys(row.cluster for row in rows))
    drawn = sorted(clusters, key=lambda cluster: seed_of("judge", seed, cluster))[:limit]
    kept = set(drawn)
    return tuple(row for row in rows if row.cluster in kept)


@dataclass
class _Told:
    """What a judge said of a pair: in each order what the first won, and P(first) where known."""

    straight: list[float] | None = None
    swapped: list[float] | None = None
    p_first: list[float] | None = None
    unread: int = 0


def _compared(rows: Iterable[Comparison]) -> Mapping[str, _Told]:
    found: dict[str, _Told] = {}
    for row in rows:
        told = found.setdefault(row.prompt_id, _Told([], [], []))
        assert told.straight is not None
        assert told.swapped is not None
        assert told.p_first is not None
        is_straight = row.first_id == _name(row.prompt_id, 0)
        if row.outcome is Outcome.UNREADABLE:
            told.unread += 1
            continue
        won = _WON[row.outcome]
        (told.straight if is_straight else told.swapped).append(won if is_straight else 1 - won)
        if row.p_first is not None:
            told.p_first.append(row.p_first if is_straight else 1 - row.p_first)
    return found


def _pointwise(rows: Iterable[Judgment]) -> Mapping[str, _Told]:
    scores: dict[str, dict[str, list[float]]] = {}
    found: dict[str, _Told] = {}
    for row in rows:
        told = found.setdefault(row.prompt_id, _Told())
        if row.score is None:
            told.unread += 1
        else:
            scores.setdefault(row.prompt_id, {}).setdefault(row.response_id, []).append(row.score)
    for prompt, means in scores.items():
        first, second = (means.get(_name(prompt, number)) for number in (0, 1))
        if first and second:
            found[prompt].straight = [0.5 + 0.5 * float(np.sign(fmean(first) - fmean(second)))]
    return found


def _judged(pair: KnownPair, told: _Told) -> Judged:
    lengths = (len(pair.first), len(pair.second))
    straight, swapped, p_first = _mean(told.straight), _mean(told.swapped), _mean(told.p_first)
    straight, swapped = _sign(straight), _sign(swapped)
    return Judged(pair.better, straight, swapped, pair.category, lengths, pair.cluster, p_first, told.unread)


def _sign(mean: float | None) -> float | None:
    """A mean of verdicts as one verdict."""
    return None if mean is None else 0.5 + 0.5 * float(np.sign(mean - 0.5))


def _row(pair: KnownPair, one: Judged) -> dict[str, Any]:
    """A verdict as `judge_verdicts` reads it."""
    said = {1.0: 1, 0.0: 2, 0.5: "tie", None: None}
    row = {"label": said[one.better], "verdicts": [said[one.straight], said[one.swapped]]}
    row |= {"category": pair.category, "prompt": pair.cluster, "lengths": list(one.lengths or ())}
    return row | ({} if one.p_first is None else {"p_first": one.p_first})


def _response(prompt: str, part: object, text: str) -> Response:
    return Response(_name(prompt, part), prompt, 0, "given", text, None, Finish.STOP)


def _name(prompt: str, part: object) -> str:
    return fingerprint("known response", prompt, part)


def _mean(values: Sequence[float] | None) -> float | None:
    return fmean(values) if values else None
