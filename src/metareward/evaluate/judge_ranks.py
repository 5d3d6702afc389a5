"""How well a judge's scores rank the responses of a prompt as people did (OASST-like records)."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from metareward.errors import DataError
from metareward.stats.agreement import best_of_credit, kendall, pair_credits, spearman
from metareward.stats.bootstrap import mean_of_clusters

_BINS = 6  # one for each point of the scale


@dataclass(frozen=True, slots=True)
class Scored:
    """A response: what people made of it (higher is better), the judge's score (None: unread), its length."""

    prompt: str
    quality: float
    score: float | None
    length: int


def score(rows: Sequence[Scored], seed: int = 0) -> dict[str, Any]:
    """Rank agreement within prompts, with 95 % intervals over prompts, beside a rule that prefers length.

    `spearman` and `kendall` are means over prompts where both sides tell responses apart, `pooled_spearman`
    is over all responses. `pairwise` takes a tie of the judge as half right, `pairwise_without_ties` leaves
    it out; pairs that people rank equal are left out of both. `best_of`: the judge's favourite is people's.
    `chance_best_of`: what a random favourite would score. Unread scores are left out and counted.
    Raises DataError if no prompt has two responses that were read and that people rank differently.
    """
    read = [row for row in rows if row.score is not None]
    prompts = [group for group in _by_prompt(read) if len({row.quality for row in group}) > 1]
    if not prompts:
        raise DataError(
            f"no prompt has two readable scores of responses that people rank differently ({len(rows)} "
            f"responses, {len(rows) - len(read)} unread scores); there is no rank agreement to report"
        )
    return {
        "n": len(rows),
        "prompts": len(prompts),
        "unread_scores": len(rows) - len(read),
        "pooled_spearman": spearman([_judged(row) for row in read], [row.quality for row in read]),
        **_agreement(prompts, seed),
        **_lengths(prompts, seed),
        "calibration": _calibration(read),
    }


def _agreement(prompts: Sequence[list[Scored]], seed: int) -> dict[str, Any]:
    scores = [[_judged(row) for row in group] for group in prompts]
    people = [[row.quality for row in group] for group in prompts]
    both = list(zip(scores, people, strict=True))
    credits = [pair_credits(ours, theirs) for ours, theirs in both]
    rhos = [[rho] for ours, theirs in both if (rho := spearman(ours, theirs)) is not None]
    taus = [[tau] for ours, theirs in both if (tau := kendall(ours, theirs)) is not None]
    chance = fmean(theirs.count(max(theirs)) / len(theirs) for theirs in people)
    return {
        "spearman": _estimate(rhos, seed),
        "kendall": _estimate(taus, seed),
        "pairwise": _estimate(credits, seed),
        "pairwise_without_ties": _estimate([[c for c in row if c != 0.5] for row in credits], seed),
        "best_of": _estimate([[best_of_credit(ours, theirs)] for ours, theirs in both], seed),
        "chance_best_of": chance,
    }


def _lengths(prompts: Sequence[list[Scored]], seed: int) -> dict[str, Any]:
    """The rule 'the longer is better', and the judge on pairs where it is right and where it is wrong."""
    rule: list[list[float]] = []
    longer: list[list[float]] = []
    shorter: list[list[float]] = []
    for group in prompts:
        rule.append(pair_credits([row.length for row in group], [row.quality for row in group]))
        pairs = [
            (a, b) for place, a in enumerate(group) for b in group[place + 1 :] if a.quality != b.quality
        ]
        sides: dict[bool, list[float]] = {True: [], False: []}
        for a, b in pairs:
            if a.length != b.length:
                credit = pair_credits([_judged(a), _judged(b)], [a.quality, b.quality])
                sides[(a.length > b.length) == (a.quality > b.quality)] += credit
        longer.append(sides[True])
        shorter.append(sides[False])
    return {
        "length_baseline": _estimate(rule, seed),
        "pairwise_longer_is_better": _estimate(longer, seed),
        "pairwise_shorter_is_better": _estimate(shorter, seed),
    }


def _calibration(read: Sequence[Scored]) -> list[dict[str, float]]:
    """For each point of the scale the mean quality, by people, of the responses that were given it."""
    groups: dict[int, list[float]] = {}
    for row in read:
        groups.setdefault(min(_BINS - 1, max(0, round(_judged(row)))), []).append(row.quality)
    return [
        {"score": point, "quality": fmean(groups[point]), "n": len(groups[point])} for point in sorted(groups)
    ]


def _by_prompt(rows: Sequence[Scored]) -> list[list[Scored]]:
    groups: dict[str, list[Scored]] = {}
    for row in rows:
        groups.setdefault(row.prompt, []).append(row)
    return list(groups.values())


def _judged(row: Scored) -> float:
    assert row.score is not None
    return row.score


def _estimate(clusters: Sequence[Sequence[float]], seed: int) -> dict[str, float] | None:
    kept = [cluster for cluster in clusters if len(cluster)]
    return mean_of_clusters(kept, seed).as_dict() if kept else None
