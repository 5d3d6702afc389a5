"""What follows from judgments: which answer of a prompt is better, and which one is most disputed.

Pure rules of Meta-Rewarding (arXiv 2407.19594, section 2). Each subject gives a row or a `Dropped`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, pvariance
from typing import ClassVar, TypeVar

from metareward.ids import fingerprint, seed_of
from metareward.records import Dropped, Finish, Judgment, Message, PreferencePair, Prompt, Response, Role
from metareward.settings import require
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles

_SCORE_TOLERANCE = 1e-9  # a score this near a tier's boundary is on it; scores this near are equal

_Subject = TypeVar("_Subject", Response, Judgment)


@dataclass(frozen=True)
class KeepDistinct:
    """The first of each identical text a prompt, without failures and blanks. One subject a response."""

    name: ClassVar[str] = "keep_distinct"
    record: ClassVar[type[Response]] = Response

    def apply(self, responses: Iterable[Response]) -> Iterator[Response | Dropped]:
        """Each response, or why it was left out."""
        for _, group in groupby(responses, key=lambda response: response.prompt_id):
            seen: set[str] = set()
            for response in group:
                reason = _unusable(response, seen)
                if reason is None:
                    seen.add(response.text)
                yield Dropped(response.id, reason) if reason else response

    def shape(self, *shapes: Shape) -> Shape:
        """At most what came in."""
        return shapes[0]


@dataclass(frozen=True)
class ActorPairs:
    """The best answer short, the worst long: pairs with length control. One subject a prompt.

    With S_max and S_min the best and worst mean score of a prompt's responses, chosen is the shortest
    response that scores in [(1 - rho) S_max + rho S_min, S_max], rejected the longest in
    [S_min, (1 - rho) S_min + rho S_max]. Length is in characters; among equally long ones the better is
    chosen, the worse rejected, then the earlier sample.

    rho: width of the two tiers, in [0, 0.5): at 0.5 they would meet. 0 is plain best against worst.
    max_chosen_characters: a pair with a longer chosen response is dropped.
    """

    name: ClassVar[str] = "actor_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    rho: float = 0.0
    max_chosen_characters: int | None = None

    def __post_init__(self) -> None:
        require(0 <= self.rho < 0.5, "actor_pairs.rho", "at least 0 and below 0.5", self.rho)
        require_limit("actor_pairs", self.max_chosen_characters)

    def apply(
        self, prompts: Iterable[Prompt], responses: Iterable[Response], judgments: Iterable[Judgment]
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair a prompt, or why there is none. Judgments of responses that are not given do not count."""
        for bundle in bundles(prompts, responses, judgments):
            yield self._pair(bundle.prompt, mean_scores(bundle.responses, bundle.judgments))

    def shape(self, *shapes: Shape) -> Shape:
        """At most a pair a prompt; tokens of both sides with their prompt."""
        prompts, responses, _ = shapes
        return Shape(prompts.rows, 2 * (prompts.tokens + responses.tokens))

    def _pair(self, prompt: Prompt, scored: list[tuple[Response, float]]) -> PreferencePair | Dropped:
        if len(scored) < 2:
            return Dropped(prompt.id, "fewer than two scored responses")
        best, worst = max(score for _, score in scored), min(score for _, score in scored)
        if best - worst <= _SCORE_TOLERANCE:
            return Dropped(prompt.id, "equal scores")
        chosen, chosen_score = self._chosen(scored, best, worst)
        rejected, rejected_score = self._rejected(scored, best, worst)
        if too_long(chosen.text, self.max_chosen_characters):
            return Dropped(prompt.id, "chosen response over the length limit")
        messages, scores = prompt.messages, (chosen_score, rejected_score)
        return preference(self, Role.ACTOR, prompt, messages, chosen, rejected, scores)

    # Neither tier reaches the middle, whatever the tolerance: no response can be on both sides of a pair.

    def _chosen(
        self, scored: list[tuple[Response, float]], best: float, worst: float
    ) -> tuple[Response, float]:
        boundary = (1 - self.rho) * best + self.rho * worst - _SCORE_TOLERANCE
        tier = [(r, s) for r, s in scored if s >= boundary and s > (best + worst) / 2]
        return min(tier, key=lambda row: (len(row[0].text), -row[1], row[0].sample))

    def _rejected(
        self, scored: list[tuple[Response, float]], best: float, worst: float
    ) -> tuple[Response, float]:
        boundary = (1 - self.rho) * worst + self.rho * best + _SCORE_TOLERANCE
        tier = [(r, s) for r, s in scored if s <= boundary and s < (best + worst) / 2]
        return min(tier, key=lambda row: (-len(row[0].text), row[1], row[0].sample))


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


def _unusable(response: Response, seen: set[str]) -> str | None:
    if response.finish is Finish.FAILED:
        return "engine failure"
    if not response.text.strip():
        return "empty response"
    return "duplicate response" if response.text in seen else None


def _readable_scores(
    responses: Iterable[Response], judgments: Iterable[Judgment]
) -> list[tuple[Response, list[float]]]:
    rows: dict[str, tuple[Response, list[float]]] = {response.id: (response, []) for response in responses}
    for judgment in judgments:
        if judgment.score is not None and judgment.response_id in rows:
            rows[judgment.response_id][1].append(judgment.score)
    return list(rows.values())
