"""Pairs across time: the initial model's worst is rejected, a future model's best is chosen.

Pure rule of Temporal Self-Rewarding (arXiv 2508.06026). In plain Self-Rewarding chosen and rejected improve
together, and the gap between them, which is what is learnt from, closes. Each prompt gives a pair or a
`Dropped`.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import tee
from typing import ClassVar

from metareward.ids import added
from metareward.records import Dropped, Judgment, PreferencePair, Prompt, Response
from metareward.settings import checked, require
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles
from metareward.stages.pair import (
    SCORE_TOLERANCE,
    Scored,
    Sides,
    between,
    mean_scores,
    require_limit,
    require_margin,
)


@dataclass(frozen=True)
@checked("anchored_pairs")
class AnchoredPairs:
    """The best of the present (or, if better, of the future) against the worst of the past, if worse.

    rejected: of the past model's responses if their worst scores below the worst of the present model's,
    else of the present model's ("anchored rejection"). chosen: of the future model's responses if there are
    any and their best scores above the best of the present model's, else of the present model's
    ("future-guided chosen"). All scores are by one judge, the present model. At equal scores it is the
    present. One subject a prompt.

    rho: width of the tiers, as in `stages.pair.ActorPairs`, within the responses that may be chosen and
        those that may be rejected. The paper has no length control: 0 takes the best and the worst.
    max_chosen_characters, min_margin: as in `ActorPairs`.
    """

    name: ClassVar[str] = "actor_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    rho: float = 0.0
    max_chosen_characters: int | None = None
    min_margin: float = added(0.0)

    def __post_init__(self) -> None:
        require(0 <= self.rho < 0.5, "anchored_pairs.rho", "at least 0 and below 0.5", self.rho)
        require_limit("anchored_pairs", self.max_chosen_characters)
        require_margin("anchored_pairs", self.min_margin)

    def apply(
        self,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
        past: Iterable[Response],
        past_judgments: Iterable[Judgment],
        future: Iterable[Response] = (),
        future_judgments: Iterable[Judgment] = (),
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair a prompt, or why there is none. Without `future` it is the pair of the first phase."""
        for sides in self.sides(
            prompts, responses, judgments, past, past_judgments, future, future_judgments
        ):
            yield between(self, sides)

    def sides(
        self,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
        past: Iterable[Response],
        past_judgments: Iterable[Judgment],
        future: Iterable[Response] = (),
        future_judgments: Iterable[Judgment] = (),
    ) -> Iterator[Sides]:
        """Each prompt's scored responses: those of the model that may be chosen from, and rejected from."""
        first, second, third = tee(prompts, 3)
        present = _scored(first, responses, judgments)
        earlier, later = _scored(second, past, past_judgments), _scored(third, future, future_judgments)
        for (prompt, now), (_, before), (_, after) in zip(present, earlier, later, strict=True):
            yield Sides(prompt, _better(now, after), _worse(now, before))

    def shape(self, *shapes: Shape) -> Shape:
        """At most a pair a prompt; tokens of both sides with their prompt."""
        prompts, responses = shapes[:2]
        return Shape(prompts.rows, 2 * (prompts.tokens + responses.tokens))


def _scored(
    prompts: Iterable[Prompt], responses: Iterable[Response], judgments: Iterable[Judgment]
) -> Iterator[tuple[Prompt, list[Scored]]]:
    for bundle in bundles(prompts, responses, judgments):
        yield bundle.prompt, mean_scores(bundle.responses, bundle.judgments)


def _better(now: list[Scored], after: list[Scored]) -> list[Scored]:
    """The future's responses if its best is better. Without a scored present one there is nothing to beat."""
    if not now or not after:
        return now
    return after if _best(after) > _best(now) + SCORE_TOLERANCE else now


def _worse(now: list[Scored], before: list[Scored]) -> list[Scored]:
    if not now or not before:
        return now
    return before if _worst(before) < _worst(now) - SCORE_TOLERANCE else now


def _best(rows: list[Scored]) -> float:
    return max(score for _, score in rows)


def _worst(rows: list[Scored]) -> float:
    return min(score for _, score in rows)
