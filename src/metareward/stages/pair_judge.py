"""What follows from battles: which judgment of a response is better.

Pure rules of Meta-Rewarding (arXiv 2407.19594, section 2.3). Each subject gives a row or a `Dropped`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from metareward.errors import ConfigError, StoreError
from metareward.ids import added, seed_of
from metareward.records import Battle, Dropped, Judgment, Outcome, PreferencePair, Prompt, Response, Role
from metareward.settings import checked, positive, require
from metareward.stages.base import Shape
from metareward.stages.grouping import Bundle, bundles
from metareward.stages.pair import (
    TOO_CLOSE,
    choose_response,
    draw,
    preference,
    require_limit,
    require_margin,
    too_long,
)
from metareward.stats.bradley_terry import DEFAULT_PRIOR, strengths

_ELO_TOLERANCE = 1e-6  # far above what the solver is off by, far below what a battle moves


@dataclass(frozen=True, slots=True)
class PositionWeights:
    """What a win counts for a judgment shown first, and for one shown second. They sum to one."""

    first: float
    second: float


@dataclass(frozen=True)
@checked("judge_pairs")
class JudgePairs:
    """The strongest judgment of each prompt's most disputed response against the weakest.

    Strength is Elo over the battles, in natural log units. Several strongest (or weakest) are told apart
    at random, by `seed`; if all are equally strong there is no pair. One subject a prompt.

    Where not all judgments met (`MetaJudge.between` and `max_length_ratio`), strengths of two that did not
    are hardly comparable: then the pair is the one with the largest difference among those that did.

    prior: see `stats.bradley_terry`; above 0, since a judgment may win or lose everything.
    max_chosen_characters: a pair with a longer chosen judgment is dropped.
    min_margin: a pair whose Elo differs by less (natural log units) is dropped; 0 keeps every pair.
    seed: must be that of the meta-judge, which chose the same response by it.
    """

    name: ClassVar[str] = "judge_pairs"
    record: ClassVar[type[PreferencePair]] = PreferencePair

    prior: float = DEFAULT_PRIOR
    max_chosen_characters: int | None = None
    seed: int = 0
    min_margin: float = added(0.0)

    def __post_init__(self) -> None:
        require_margin("judge_pairs", self.min_margin)
        require(positive(self.prior), "judge_pairs.prior", "a number above 0", self.prior)
        require_limit("judge_pairs", self.max_chosen_characters)

    def apply(
        self,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
        battles: Iterable[Battle],
    ) -> Iterator[PreferencePair | Dropped]:
        """A pair a prompt, or why there is none. `battles` is read twice, the weights first.

        TypeError if `battles` can be read only once; ConfigError if they were held about other responses
        than `seed` chooses; StoreError if they name unknown judgments.
        """
        if iter(battles) is battles:
            raise TypeError("JudgePairs reads the battles twice: give a list or an artifact, not an iterator")
        weights = position_weights(battles)
        for bundle in bundles(prompts, responses, judgments, battles):
            yield self._pair(bundle, weights)

    def shape(self, *shapes: Shape) -> Shape:
        """At most a pair a prompt; tokens of both sides with what was judged, the rubric not counted."""
        prompts, responses, judgments, _ = shapes
        return Shape(prompts.rows, 2 * (prompts.tokens + responses.tokens + judgments.tokens))

    def _pair(self, bundle: Bundle, weights: PositionWeights) -> PreferencePair | Dropped:
        response = choose_response(bundle.responses, bundle.judgments, self.seed)
        _require_about(bundle.battles, response)
        if response is None:
            return Dropped(bundle.prompt.id, "no response with two readable judgments")
        fought = {name for battle in bundle.battles for name in (battle.first_id, battle.second_id)}
        readable = [j for j in bundle.judgments if j.response_id == response.id and j.score is not None]
        rivals = [judgment for judgment in readable if judgment.id in fought]
        wins = battle_matrix([judgment.id for judgment in rivals], bundle.battles, weights)
        if not wins.any():
            return Dropped(bundle.prompt.id, "no decided battle")
        met = {(battle.first_id, battle.second_id) for battle in bundle.battles}
        return self._between(bundle.prompt, rivals, strengths(wins, self.prior), met)

    def _between(
        self, prompt: Prompt, rivals: list[Judgment], elo: NDArray[np.float64], met: set[tuple[str, str]]
    ) -> PreferencePair | Dropped:
        if np.ptp(elo) <= 2 * _ELO_TOLERANCE:
            return Dropped(prompt.id, "equal Elo")
        chosen, chosen_elo = self._nearest(rivals, elo, elo.max())
        rejected, rejected_elo = self._nearest(rivals, elo, elo.min())
        if not {(chosen.id, rejected.id), (rejected.id, chosen.id)} & met:
            (chosen, chosen_elo), (rejected, rejected_elo) = self._farthest_met(rivals, elo, met)
            if chosen_elo - rejected_elo <= 2 * _ELO_TOLERANCE:
                return Dropped(prompt.id, "equal Elo")
        if chosen.answer == rejected.answer:
            return Dropped(prompt.id, "identical judgments")
        if chosen_elo - rejected_elo < self.min_margin:
            return Dropped(prompt.id, TOO_CLOSE)
        if too_long(chosen.answer, self.max_chosen_characters):
            return Dropped(prompt.id, "chosen judgment over the length limit")
        if chosen.messages != rejected.messages:
            raise StoreError(
                f"judgments {chosen.id} and {rejected.id} of response {chosen.response_id} answer different "
                f"judge prompts, so no preference between them can be trained; judge with one template"
            )
        scores = (chosen_elo, rejected_elo)
        return preference(
            self, Role.JUDGE, prompt, chosen.messages, chosen, rejected, scores, chosen.response_id
        )

    def _nearest(
        self, rivals: list[Judgment], elo: NDArray[np.float64], end: float
    ) -> tuple[Judgment, float]:
        tied = [rival for rival, own in zip(rivals, elo, strict=True) if abs(own - end) <= _ELO_TOLERANCE]
        drawn = draw(tied, self.seed)
        return drawn, float(elo[rivals.index(drawn)])

    def _farthest_met(
        self, rivals: list[Judgment], elo: NDArray[np.float64], met: set[tuple[str, str]]
    ) -> list[tuple[Judgment, float]]:
        """The stronger and the weaker of the two that met and differ most; of several such, one at random."""
        own = {rival.id: (rival, float(value)) for rival, value in zip(rivals, elo, strict=True)}
        apart = {names: abs(own[names[0]][1] - own[names[1]][1]) for names in met}
        widest = max(apart.values()) - _ELO_TOLERANCE
        tied = [names for names, gap in apart.items() if gap >= widest]
        names = min(tied, key=lambda names: seed_of("draw", self.seed, *sorted(names)))
        return sorted((own[name] for name in names), key=lambda side: (-side[1], side[0].id))


def won(battle: Battle) -> tuple[float, float]:
    """How much of a battle the judgment shown first won, and how much the second.

    One and nothing in a free reading (the paper); the two probabilities in a forced one, so that a
    meta-judge which always leans to one position still says, by how much, which judgment it prefers.
    Nothing to either where there was a tie or no readable verdict.
    """
    if battle.p_first is not None:
        return battle.p_first, 1 - battle.p_first
    return float(battle.outcome is Outcome.FIRST), float(battle.outcome is Outcome.SECOND)


def position_weights(battles: Iterable[Battle]) -> PositionWeights:
    """Weights that give both positions the same say over an iteration (section 2.3).

    first = wins shown second / decided battles, second = wins shown first / decided battles: the more
    often a position wins, the less a win there counts. One half each if no battle was decided.
    """
    first = second = 0.0
    for battle in battles:
        by_first, by_second = won(battle)
        first, second = first + by_first, second + by_second
    decided = first + second
    return PositionWeights(second / decided, first / decided) if decided else PositionWeights(0.5, 0.5)


def battle_matrix(
    ids: Sequence[str], battles: Iterable[Battle], weights: PositionWeights
) -> NDArray[np.float64]:
    """Weighted wins B [N, N] among the judgments `ids` [N]: row m, column n is what m won against n.

    B[m, n] = weights.first [m wins when shown first] + weights.second [m wins when shown second]; ties and
    unreadable battles are zero, forced ones count by their probabilities (section 2.3; see `won`).
    StoreError if a battle names a judgment not in `ids`.
    """
    place = {name: number for number, name in enumerate(ids)}
    wins = np.zeros((len(ids), len(ids)))
    for battle in battles:
        if battle.first_id not in place or battle.second_id not in place:
            raise StoreError(
                f"battle {battle.id} is between judgments {battle.first_id} and {battle.second_id}, not both "
                f"of which are readable judgments of response {battle.response_id}; hold the battles again"
            )
        first, second = place[battle.first_id], place[battle.second_id]
        by_first, by_second = won(battle)
        wins[first, second] += weights.first * by_first
        wins[second, first] += weights.second * by_second
    return wins


def _require_about(battles: Iterable[Battle], response: Response | None) -> None:
    for battle in battles:
        if response is None or battle.response_id != response.id:
            chosen = response.id if response else "none"
            raise ConfigError(
                f"battle {battle.id} is about response {battle.response_id} of prompt {battle.prompt_id}, "
                f"but judge_pairs chooses {chosen}; give judge_pairs and meta_judge the same seed and the "
                f"same judgments"
            )
