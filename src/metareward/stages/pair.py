"""What follows from judgments: which answer of a prompt is better, and which one is most disputed.

Pure rules of Meta-Rewarding (arXiv 2407.19594, section 2). Each subject gives a row or a `Dropped`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from math import inf
from statistics import fmean, pvariance
from typing import ClassVar, Protocol, TypeVar

from metareward.ids import added, fingerprint, seed_of
from metareward.reasoning import NO_ANSWER
from metareward.records import Dropped, Finish, Judgment, Message, PreferencePair, Prompt, Response, Role
from metareward.settings import checked, require
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles

SCORE_TOLERANCE = 1e-9  # a score this near a tier's boundary is on it; scores this near are equal

TOO_CLOSE = "margin below minimum"

Scored = tuple[Response, float]
_Subject = TypeVar("_Subject", Response, Judgment)


@dataclass(frozen=True)
class KeepDistinct:
    """The first of each identical answer a prompt, without failures and blanks. One subject a response.

    Answers that differ in the reasoning before them alone are one answer: a judge sees the same of both.
    """

    name: ClassVar[str] = "keep_distinct"
    record: ClassVar[type[Response]] = Response

    def apply(self, responses: Iterable[Response]) -> Iterator[Response | Dropped]:
        """Each response, or why it was left out."""
        for _, group in groupby(responses, key=lambda response: response.prompt_id):
            seen: set[str] = set()
            for response in group:
                reason = _unusable(response, seen)
                if reason is None:
                    seen.add(response.answer)
                yield Dropped(response.id, reason) if reason else response

    def shape(self, *shapes: Shape) -> Shape:
        """At most what came in."""
        return shapes[0]


@dataclass(frozen=True)
@checked("actor_pairs")
class ActorPairs:
    """The best answer short, the worst long: pairs with length control. One subject a prompt.

    With S_max and S_min the best and worst mean score of a prompt's responses, chosen is the shortest
    response that scores in [(1 - rho) S_max + rho S_min, S_max], rejected the longest in
    [S_min, (1 - rho) S_min + rho S_max]. Length is in characters of the answer, reasoning not
    counted; among equally long ones the better is chosen, the worse rejected, then the earlier sample.

    rho: width of the two tiers, in [0, 0.5): at 0.5 they would meet. 0 is plain best against worst.
    max_chosen_characters: a pair with a longer chosen response is dropped.
    min_margin: a pair whose scores differ by less is dropped; 0 keeps every pair, as the papers do.
    """

    name: ClassVar[str] = "actor_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    rho: float = 0.0
    max_chosen_characters: int | None = None
    min_margin: float = added(0.0)

    def __post_init__(self) -> None:
        require(0 <= self.rho < 0.5, "actor_pairs.rho", "at least 0 and below 0.5", self.rho)
        require_margin("actor_pairs", self.min_margin)
        require_limit("actor_pairs", self.max_chosen_characters)

    def apply(
        self, prompts: Iterable[Prompt], responses: Iterable[Response], judgments: Iterable[Judgment]
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair a prompt, or why there is none. Judgments of responses that are not given do not count."""
        for sides in self.sides(prompts, responses, judgments):
            yield between(self, sides)

    def sides(
        self, prompts: Iterable[Prompt], responses: Iterable[Response], judgments: Iterable[Judgment]
    ) -> Iterator["Sides"]:
        """Each prompt's scored responses, any of which may be chosen or rejected."""
        for bundle in bundles(prompts, responses, judgments):
            scored = mean_scores(bundle.responses, bundle.judgments)
            yield Sides(bundle.prompt, scored, scored)

    def shape(self, *shapes: Shape) -> Shape:
        """At most a pair a prompt; tokens of both sides with their prompt."""
        prompts, responses, _ = shapes
        return Shape(prompts.rows, 2 * (prompts.tokens + responses.tokens))


@dataclass(frozen=True, slots=True)
class Sides:
    """One prompt's responses with their mean scores: those that may be chosen, those that may be rejected."""

    prompt: Prompt
    good: list[Scored]
    bad: list[Scored]

    @property
    def best(self) -> float:
        """The highest score of what may be chosen; there must be something."""
        return max(score for _, score in self.good)

    @property
    def worst(self) -> float:
        """The lowest score of what may be rejected; there must be something."""
        return min(score for _, score in self.bad)


class Control(Protocol):
    """What a rule says of its pairs: the width of its tiers, and the limits of what is a pair."""

    @property
    def rho(self) -> float:
        """Width of the tiers."""
        ...

    @property
    def max_chosen_characters(self) -> int | None:
        """The limit."""
        ...

    @property
    def min_margin(self) -> float:
        """The least difference of scores."""
        ...


def between(rule: Control, sides: Sides) -> PreferencePair | Dropped:
    """The pair of one prompt's responses, or why there is none."""
    chosen = choose(rule, sides)
    if isinstance(chosen, str):
        return Dropped(sides.prompt.id, chosen)
    (good, good_score), (bad, bad_score) = chosen
    messages = sides.prompt.messages
    return preference(rule, Role.ACTOR, sides.prompt, messages, good, bad, (good_score, bad_score))


def choose(rule: Control, sides: Sides) -> tuple[Scored, Scored] | str:
    """(chosen, rejected) with their scores by the tiers of `ActorPairs`, or the reason why there are none.

    S_max is the best of what may be chosen, S_min the worst of what may be rejected.
    """
    if not sides.good or not sides.bad or len({row.id for row, _ in (*sides.good, *sides.bad)}) < 2:
        return "fewer than two scored responses"
    if sides.best - sides.worst <= SCORE_TOLERANCE:
        return "equal scores"
    chosen, rejected = _chosen(sides, rule.rho), _rejected(sides, rule.rho)
    if sides.good is not sides.bad and chosen[0].answer == rejected[0].answer:
        return "identical responses"  # two models can say the same; what one says was made distinct before
    if chosen[1] - rejected[1] < rule.min_margin - SCORE_TOLERANCE:
        return TOO_CLOSE
    if too_long(chosen[0].answer, rule.max_chosen_characters):
        return "chosen response over the length limit"
    return chosen, rejected


# Neither tier reaches the middle, whatever the tolerance: no response can be on both sides of a pair.


def _chosen(sides: Sides, rho: float) -> Scored:
    best, worst = sides.best, sides.worst
    boundary = (1 - rho) * best + rho * worst - SCORE_TOLERANCE
    tier = [(r, s) for r, s in sides.good if s >= boundary and s > (best + worst) / 2]
    return min(tier, key=lambda row: (len(row[0].answer), -row[1], row[0].sample))


def _rejected(sides: Sides, rho: float) -> Scored:
    best, worst = sides.best, sides.worst
    boundary = (1 - rho) * worst + rho * best + SCORE_TOLERANCE
    tier = [(r, s) for r, s in sides.bad if s <= boundary and s < (best + worst) / 2]
    return min(tier, key=lambda row: (-len(row[0].answer), row[1], row[0].sample))


def preference(
    rule: object,
    role: Role,
    prompt: Prompt,
    messages: tuple[Message, ...],
    chosen: Response | Judgment,
    rejected: Response | Judgment,
    scores: tuple[float, float],
    response_id: str | None = None,
) -> PreferencePair:
    """The pair that a rule makes of two responses or judgments; `scores` are of chosen and rejected."""
    return PreferencePair(
        id=fingerprint("pair", rule, prompt.id, chosen.id, rejected.id),
        role=role,
        prompt_id=prompt.id,
        response_id=response_id,
        messages=messages,
        chosen_id=chosen.id,
        rejected_id=rejected.id,
        chosen=chosen.text,
        rejected=rejected.text,
        chosen_token_ids=chosen.token_ids,
        rejected_token_ids=rejected.token_ids,
        chosen_score=scores[0],
        rejected_score=scores[1],
        chosen_reasoning=chosen.reasoning,
        rejected_reasoning=rejected.reasoning,
    )


def mean_scores(responses: Iterable[Response], judgments: Iterable[Judgment]) -> list[tuple[Response, float]]:
    """Each response that has a readable judgment, with the mean of its readable scores."""
    return [(r, fmean(scores)) for r, scores in _readable_scores(responses, judgments) if scores]


def choose_response(
    responses: Iterable[Response], judgments: Iterable[Judgment], seed: int
) -> Response | None:
    """The response of one prompt whose judge is least sure, for the meta-judge (section 2.3).

    It has the highest population variance of readable scores, of which there must be two or more; ties are
    broken at random, by seed and prompt. None if no response has two readable judgments.
    """
    rows = [(r, pvariance(scores)) for r, scores in _readable_scores(responses, judgments) if len(scores) > 1]
    highest = max((variance for _, variance in rows), default=0.0)
    # `pvariance` is exact before its one rounding, so equal variances are equal numbers.
    tied = [response for response, variance in rows if variance == highest]
    return draw(tied, seed) if tied else None


def draw(subjects: Iterable[_Subject], seed: int) -> _Subject:
    """One of the subjects at random: by seed and content alone, whatever order they come in."""
    return min(subjects, key=lambda subject: seed_of("draw", seed, subject.prompt_id, subject.id))


def too_long(text: str, limit: int | None) -> bool:
    """Whether a text has more characters than a limit, if there is one."""
    return limit is not None and len(text) > limit


def require_limit(where: str, limit: int | None) -> None:
    """ConfigError unless the limit of characters is at least 1 or not set."""
    require(limit is None or limit >= 1, f"{where}.max_chosen_characters", "at least 1, or not set", limit)


def require_margin(where: str, margin: float) -> None:
    """ConfigError unless the least difference of two scores is a number of 0 or more."""
    require(0 <= margin < inf, f"{where}.min_margin", "a number of 0 or more", margin)


def _unusable(response: Response, seen: set[str]) -> str | None:
    if response.finish is Finish.FAILED:
        return "engine failure"
    if not response.answer.strip():
        return NO_ANSWER if response.reasoning else "empty response"
    return "duplicate response" if response.answer in seen else None


def _readable_scores(
    responses: Iterable[Response], judgments: Iterable[Judgment]
) -> list[tuple[Response, list[float]]]:
    rows: dict[str, tuple[Response, list[float]]] = {response.id: (response, []) for response in responses}
    for judgment in judgments:
        if judgment.score is not None and judgment.response_id in rows:
            rows[judgment.response_id][1].append(judgment.score)
    return list(rows.values())
