"""What an iteration's own judgments, battles and judge pairs say of each other. Pure; read once, in order."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from math import isfinite
from statistics import fmean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metareward.evaluate.bank import bank_accuracy
from metareward.readers import Scale
from metareward.records import Battle, Judgment, Outcome, PreferencePair, Prompt, Response, Role
from metareward.stages.grouping import bundles
from metareward.stages.matching import likeness, stated
from metareward.stages.settle import settled
from metareward.stats.bootstrap import Estimate, difference, mean_of_clusters, ratio_of_sums, resampled
from metareward.stats.proportions import clustered_wilson
from metareward.stats.reliability import Spread, entropy, reliability, spread

_DECIDED = (Outcome.FIRST, Outcome.SECOND)


@dataclass
class Share:
    """Successes and trials of each prompt that has a trial."""

    won: list[float] = field(default_factory=list)
    tried: list[float] = field(default_factory=list)

    def add(self, outcomes: Sequence[bool]) -> None:
        """One prompt's trials."""
        self.put(sum(outcomes), len(outcomes))

    def put(self, won: int, tried: int) -> None:
        """One prompt's successes and trials."""
        if tried:
            self.won.append(won)
            self.tried.append(tried)

    def estimate(self) -> Estimate | None:
        """The share of all trials with Wilson's interval at their effective number; None without a trial."""
        if not self.tried:
            return None
        value = sum(self.won) / sum(self.tried)
        return Estimate(value, *clustered_wilson(self.won, self.tried), len(self.tried))


@dataclass
class Scores:
    """The scores of one iteration's judgments, a row a prompt that has any judgment.

    counts: how many state each score of the scale, lowest first, [prompts, scores]. sums, unread: of the
    scores themselves.
    """

    scale: Scale = Scale()
    counts: list[list[int]] = field(default_factory=list)
    sums: list[float] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)
    spreads: list[Spread] = field(default_factory=list)

    def add(self, judgments: Sequence[Judgment]) -> None:
        """One prompt's judgments."""
        if not judgments:
            return
        by_response: dict[str, list[float]] = {}
        for judgment in judgments:
            if judgment.score is not None:
                by_response.setdefault(judgment.response_id, []).append(judgment.score)
        flat = [score for scores in by_response.values() for score in scores]
        found = Counter(int(score + 0.5) for score in flat)
        self.counts.append([found[value] for value in range(self.scale.low, self.scale.high + 1)])
        self.sums.append(sum(flat))
        self.unread.append(len(judgments) - len(flat))
        if (own := spread(list(by_response.values()))) is not None:
            self.spreads.append(own)

    def signals(self) -> Iterator[tuple[str, Estimate]]:
        """Each number that can be had of these judgments alone."""
        unread, top = Share(), Share()
        for counts, missed in zip(self.counts, self.unread, strict=True):
            unread.put(missed, sum(counts) + missed)
            top.put(counts[-1], sum(counts))
        yield from _found(unreadable=unread.estimate(), top_share=top.estimate())
        if self._any_read:
            yield "entropy", resampled(self._statistic("entropy"), len(self.counts))
        if self.spreads and isfinite((found := reliability(self.spreads)).value):
            yield "reliability", found  # of scores that are all the same there is none

    def changes(self, before: "Scores") -> Iterator[tuple[str, Estimate]]:
        """Each number less what it was `before`; the prompts are others, so the two are independent."""
        if not (self._any_read and before._any_read):
            return
        units = (len(self.counts), len(before.counts))
        for name in ("mean", "top_share", "unreadable", "entropy"):
            yield f"{name}_change", difference(self._statistic(name), before._statistic(name), units)

    @property
    def _any_read(self) -> bool:
        return any(map(any, self.counts))

    def _statistic(self, name: str) -> Any:
        counts, sums, unread = (np.asarray(own, np.float64) for own in (self.counts, self.sums, self.unread))
        read = counts.sum(-1)

        def statistic(rows_DN: NDArray[np.int64]) -> NDArray[np.float64]:
            if name == "entropy":
                return entropy(counts[rows_DN].sum(1))
            above = {"mean": sums, "top_share": counts[:, -1], "unreadable": unread}[name]
            below = read + unread if name == "unreadable" else read
            return above[rows_DN].sum(-1) / below[rows_DN].sum(-1)

        return statistic


def of_scores(
    prompts: Iterable[Prompt],
    judgments: Iterable[Judgment],
    scale: Scale = Scale(),  # noqa: B008 - frozen
) -> Scores:
    """The scores of an iteration's judgments, prompt by prompt."""
    scores = Scores(scale)
    for bundle in bundles(prompts, (), judgments):
        scores.add(bundle.judgments)
    return scores


def of_positions(
    prompts: Iterable[Prompt], judgments: Iterable[Judgment], battles: Iterable[Battle]
) -> Iterator[tuple[str, Estimate]]:
    """What the meta-judge owes to where a judgment stands. Ties and unreadable battles count in neither.

    position: P(the first shown wins | stated scores are equal). flips: of the pairs that both orders decided,
    the share decided oppositely, that is, twice for one position.
    """
    first, flips = Share(), Share()
    for bundle in bundles(prompts, (), judgments, battles):
        own = {judgment.id: judgment for judgment in bundle.judgments}
        first.add(list(_first_won(bundle.battles, own)))
        flips.add(list(_flipped(bundle.battles)))
    yield from _found(position=first.estimate(), flips=flips.estimate())


def of_preferences(
    prompts: Iterable[Prompt],
    judgments: Iterable[Judgment],
    battles: Iterable[Battle],
    pairs: Iterable[PreferencePair],
) -> Iterator[tuple[str, Estimate]]:
    """What the meta-judge owes to the score. Ties and unreadable battles do not count.

    score_preference: P(the higher-scored judgment wins | stated scores differ). Of a forced reading each pair
        counts once, by both orders together (`stages.settle`), which is how it moves Elo.
    score_margin: mean(score of chosen - score of rejected judgment) over the judge pairs, in points.
    score_lean: the same as a share of the widest that the judgments of these responses lie apart: -1 to 1.
    """
    higher = Share()
    margins: list[float] = []
    ranges: list[float] = []
    ends = {pair.prompt_id: (pair.chosen_id, pair.rejected_id) for pair in pairs}
    for bundle in bundles(prompts, (), judgments, battles):
        own = {judgment.id: judgment for judgment in bundle.judgments}
        higher.add(list(_higher_won(bundle.battles, own)))
        if bundle.prompt.id in ends:
            margin, widest = _margin(own, *ends[bundle.prompt.id])
            margins.append(margin)
            ranges.append(widest)
    yield from _found(
        score_preference=higher.estimate(),
        score_margin=mean_of_clusters([[margin] for margin in margins]) if margins else None,
        score_lean=ratio_of_sums(margins, ranges) if any(ranges) else None,
    )


def of_likeness(
    prompts: Iterable[Prompt], judgments: Iterable[Judgment], battles: Iterable[Battle]
) -> Iterator[tuple[str, Estimate]]:
    """What is left to tell apart, whatever came of the battles.

    alike: the mean over prompts of how alike two judgments are that met (`stages.matching.likeness`).
    """
    means: list[float] = []
    for bundle in bundles(prompts, (), judgments, battles):
        own = {judgment.id: judgment for judgment in bundle.judgments}
        met = {tuple(sorted((battle.first_id, battle.second_id))) for battle in bundle.battles}
        if met:
            means.append(fmean(likeness(own[one], own[other]) for one, other in met))
    yield from _found(alike=mean_of_clusters([[mean] for mean in means]) if means else None)


def of_bank(bank: Iterable[Response], banked: Iterable[Judgment]) -> Iterator[tuple[str, Estimate]]:
    """`bank` and `bank: ` with each kind: the share of pairs whose genuine response has the higher score."""
    found = bank_accuracy(bank, banked)
    for name, entry in {"bank": found["overall"], **_named(found["kinds"])}.items():
        if entry["value"] is not None:
            yield name, Estimate(entry["value"], entry["lower"], entry["upper"], entry["n"])


def of_shares(pairs: Sequence[PreferencePair], *others: Sequence[PreferencePair]) -> dict[str, Estimate]:
    """`judge_share`: of all pairs that will train, those of the judge. A count, not an estimate."""
    judge = len(pairs) + sum(pair.role is Role.JUDGE for rows in others for pair in rows)
    total = len(pairs) + sum(map(len, others))
    return {"judge_share": Estimate(judge / total, judge / total, judge / total, total)} if total else {}


def of_same_responses(banked: Iterable[Judgment], before: Iterable[Judgment]) -> Estimate | None:
    """The rise of mean scores of the very same responses, judged by this model and by the one before it.

    Unlike the change over an iteration's own responses, better responses cannot cause it. Paired by response,
    resampled by prompt; None where no response has a score from both.
    """
    now, then = _means(banked), _means(before)
    rises: dict[str, list[float]] = {}
    for name in now.keys() & then.keys():
        rises.setdefault(name[0], []).append(now[name] - then[name])
    return mean_of_clusters([rises[prompt] for prompt in sorted(rises)]) if rises else None


def _found(**estimates: Estimate | None) -> Iterator[tuple[str, Estimate]]:
    return ((name, estimate) for name, estimate in estimates.items() if estimate is not None)


def _named(kinds: dict[str, Any]) -> dict[str, Any]:
    return {f"bank: {kind}": entry for kind, entry in kinds.items()}


def _means(judgments: Iterable[Judgment]) -> dict[tuple[str, str], float]:
    found: dict[tuple[str, str], list[float]] = {}
    for judgment in judgments:
        if judgment.score is not None:
            found.setdefault((judgment.prompt_id, judgment.response_id), []).append(judgment.score)
    return {name: sum(scores) / len(scores) for name, scores in found.items()}


def _higher_won(battles: Sequence[Battle], own: dict[str, Judgment]) -> Iterator[bool]:
    fought = {(battle.first_id, battle.second_id): battle for battle in battles}
    for (first, second), battle in fought.items():
        outcome, turned = battle.outcome, fought.get((second, first))
        if battle.p_first is not None and turned is not None:
            if second < first:
                continue
            outcome, _ = settled(battle, turned)
        one, other = stated(own[first]), stated(own[second])
        if outcome in _DECIDED and one is not None and other is not None and one != other:
            yield (one > other) == (outcome is Outcome.FIRST)


def _first_won(battles: Iterable[Battle], own: dict[str, Judgment]) -> Iterator[bool]:
    for battle in battles:
        same = stated(own[battle.first_id]) == stated(own[battle.second_id])
        if same and battle.outcome in _DECIDED:
            yield battle.outcome is Outcome.FIRST


def _flipped(battles: Iterable[Battle]) -> Iterator[bool]:
    outcomes = {(battle.first_id, battle.second_id): battle.outcome for battle in battles}
    for (first, second), outcome in outcomes.items():
        turned = outcomes.get((second, first))
        if first < second and outcome in _DECIDED and turned in _DECIDED:
            yield outcome is turned


def _margin(own: dict[str, Judgment], chosen: str, rejected: str) -> tuple[float, float]:
    """Points between the two, and between the highest and the lowest judgment of their response."""
    about = own[chosen].response_id
    scores = [j.score for j in own.values() if j.response_id == about and j.score is not None]
    return (own[chosen].score or 0.0) - (own[rejected].score or 0.0), max(scores) - min(scores)
