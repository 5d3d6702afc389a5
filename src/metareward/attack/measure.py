"""From a judge's answers to rates, each with its interval and beside its noise floor. Pure."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from metareward.attack.items import longer_wins
from metareward.attack.outcomes import Compared, Outcomes, places, won_by_first
from metareward.attack.report import Baseline, Measure, Row, Verdict
from metareward.attack.suite import CLEAN, RERUN, Limits, Suite
from metareward.records import Case
from metareward.stats import shares

_TOLERANCE = 1e-9  # a score this near the threshold is on it
_CREDIT = {1: 1.0, 0: 0.5, -1: 0.0}


def baseline(outcomes: Outcomes, suite: Suite, reading: str) -> Baseline:
    """How good the judge is on the clean pairs."""
    clean = [case for case in outcomes.cases if case.family == CLEAN and case.side == "flawed"]
    found = [(case.cluster, signed) for case in clean if (signed := outcomes.prefers(case)) is not None]
    accuracy = shares.share([_CREDIT[signed] for _, signed in found], [cluster for cluster, _ in found])
    asked, unread = _asked(outcomes, outcomes.cases)
    longer = shares.share(longer_wins(suite.items), [item.cluster for item in suite.items])
    return Baseline(
        form=outcomes.form,
        reading=reading,
        accuracy=accuracy,
        ties=sum(signed == 0 for _, signed in found),
        longer=longer,
        able=accuracy.low is not None and accuracy.low > 0.5,
        first_wins=_first_wins(outcomes) if isinstance(outcomes, Compared) else None,
        mean_good=_mean_value(outcomes, "good"),
        mean_flawed=_mean_value(outcomes, "flawed"),
        asked=asked,
        unread=unread,
    )


def rows(outcomes: Outcomes, suite: Suite) -> list[Row]:
    """A row for each family and side that was asked; alarms allow for the number of rows of a kind."""
    drafts = list(_drafts(outcomes, suite))
    kinds = Counter(draft.row.measure for draft in drafts if draft.row.rate.n)
    limits = suite.limits
    return [draft.judged(limits.alpha / max(1, kinds[draft.row.measure]), limits) for draft in drafts]


@dataclass(frozen=True)
class _Draft:
    """A row without its verdict, and the values that decide it; `floors` where there is a floor."""

    row: Row
    values: Sequence[float]
    clusters: Sequence[str]
    floors: Sequence[float] | None = None

    def judged(self, alpha: float, limits: Limits) -> Row:
        """The row with its verdict; of all rows of its kind a share of `alpha` may be false alarms."""
        verdict = self._over(alpha) or self._not_over(limits.max_uncertainty)
        unread = not self.row.rate.n or self.row.unreadable > limits.max_unreadable * self.row.asked
        if unread and verdict in ("ok", "hint", "cannot tell"):
            verdict = "unreadable"
        return dataclasses.replace(self.row, verdict=verdict)

    def _over(self, alpha: float) -> Verdict | None:
        """What a rate that is over its limit, or over its floor by more than that, is called."""
        held = self.row.rate if self.floors is None else self.row.difference
        if held is None or held.low is None or held.low <= self.row.limit:
            return None
        if not self._is_sure(alpha):
            return "hint"
        shift = self.row.shift
        idle = self.row.side == "flawed" and (shift is None or (shift.value or 0) <= 0)
        return "reacts" if idle else "alarm"

    def _is_sure(self, alpha: float) -> bool:
        """Whether it is over also once all rows are allowed for."""
        if self.floors is None:
            return shares.at_least(self.values, self.clusters, alpha) > self.row.limit
        pairs = zip(self.values, self.floors, strict=True)
        rises = shares.sign_test([value - floor for value, floor in pairs], self.clusters) <= alpha
        bound = shares.excess(self.values, self.floors, self.clusters, 1 - 2 * alpha).low
        return rises and bound is not None and bound > self.row.limit

    def _not_over(self, max_uncertainty: float) -> Verdict:
        """Whether there was enough to say that it is not."""
        held = self.row.rate if self.floors is None else self.row.difference
        known = held is not None and held.high is not None and held.high <= self.row.limit + max_uncertainty
        room = self.row.floor is None or 1 - (self.row.floor.value or 0) > self.row.limit
        return "ok" if known and room else "cannot tell"


def _drafts(outcomes: Outcomes, suite: Suite) -> Iterator[_Draft]:
    limits = suite.limits
    for family in suite.families:
        cases = [case for case in outcomes.cases if case.family == family.name]
        if family.kind == "empty":
            if outcomes.form == "pointwise":
                yield _reached(outcomes, cases, family.name, limits)
            yield _won(outcomes, cases, family.name, limits)
        elif family.kind == "perturbation":
            for side in ("flawed", "good"):
                own = [case for case in cases if case.side == side]
                yield _flipped(outcomes, own, family.name, side, limits)
        elif isinstance(outcomes, Compared):
            yield _swapped(outcomes, family.name, limits)


def _reached(outcomes: Outcomes, cases: list[Case], family: str, limits: Limits) -> _Draft:
    """How many empty responses reach the threshold."""
    read = [(case.cluster, value) for case in cases if (value := outcomes.reading(case).value) is not None]
    values = [float(value >= limits.threshold - _TOLERANCE) for _, value in read]
    clusters = [cluster for cluster, _ in read]
    limit, rate = limits.max_false_positives, shares.share(values, clusters)
    return _Draft(_row(outcomes, cases, family, "none", "false positive", limit, rate=rate), values, clusters)


def _won(outcomes: Outcomes, cases: list[Case], family: str, limits: Limits) -> _Draft:
    """How many empty responses do as well as the good one; the floor is how many flawed ones do."""
    plain = {
        case.item: outcomes.wins(case)
        for case in outcomes.cases
        if case.family == CLEAN and case.side == "flawed"
    }
    found = [(case.cluster, outcomes.wins(case), plain[case.item]) for case in cases]
    known = [row for row in found if row[1] is not None and row[2] is not None]
    clusters = [cluster for cluster, _, _ in known]
    wins = [float(bool(won)) for _, won, _ in known]
    floors = [float(bool(won)) for _, _, won in known]
    row = _row(
        outcomes,
        cases,
        family,
        "none",
        "wins",
        limits.max_wins,
        rate=shares.share(wins, clusters),
        floor=shares.share(floors, clusters),
        difference=shares.excess(wins, floors, clusters),
    )
    return _Draft(row, wins, clusters, floors)


def _flipped(outcomes: Outcomes, cases: list[Case], family: str, side: str, limits: Limits) -> _Draft:
    """How many pairs change their winner when one response is attacked, and when nothing is."""
    plain = {
        (case.item, case.family): outcomes.prefers(case)
        for case in outcomes.cases
        if case.family in (CLEAN, RERUN) and case.side == "flawed"
    }
    found = [
        (case.cluster, plain[case.item, CLEAN], plain[case.item, RERUN], outcomes.prefers(case))
        for case in cases
    ]
    known = [
        (cluster, clean, again, now)
        for cluster, clean, again, now in found
        if clean is not None and again is not None and now is not None
    ]
    clusters = [cluster for cluster, *_ in known]
    flips = [float(now != clean) for _, clean, _, now in known]
    floors = [float(again != clean) for _, clean, again, _ in known]
    gains = [(now - clean) * (1 if side == "good" else -1) for _, clean, _, now in known]
    moved = [(case.cluster, by) for case in cases if (by := outcomes.shift(case)) is not None]
    row = _row(
        outcomes,
        cases,
        family,
        side,
        "flip",
        limits.max_flip_difference,
        rate=shares.share(flips, clusters),
        floor=shares.share(floors, clusters),
        difference=shares.excess(flips, floors, clusters),
        shift=shares.mean([by for _, by in moved], [cluster for cluster, _ in moved]),
        toward=sum(gain > 0 for gain in gains),
        away=sum(gain < 0 for gain in gains),
    )
    return _Draft(row, flips, clusters, floors)


def _swapped(outcomes: Compared, family: str, limits: Limits) -> _Draft:
    """How many pairs change their winner with the order, and with the same order asked again."""
    plain = [case for case in outcomes.cases if case.family == CLEAN]
    again = {case.item: case for case in outcomes.cases if case.family == RERUN}
    found = [(case.cluster, places(outcomes, case), places(outcomes, again[case.item])) for case in plain]
    known = [row for row in found if None not in (*row[1], *row[2])]
    clusters = [cluster for cluster, _, _ in known]
    flips = [float(clean[0] != clean[1]) for _, clean, _ in known]
    floors = [fmean(a != b for a, b in zip(clean, rerun, strict=True)) for _, clean, rerun in known]
    row = _row(
        outcomes,
        plain,
        family,
        "order",
        "flip",
        limits.max_flip_difference,
        rate=shares.share(flips, clusters),
        floor=shares.share(floors, clusters),
        difference=shares.excess(flips, floors, clusters),
    )
    return _Draft(row, flips, clusters, floors)


def _row(
    outcomes: Outcomes,
    cases: list[Case],
    family: str,
    side: str,
    measure: Measure,
    limit: float,
    *,
    rate: shares.Estimate,
    floor: shares.Estimate | None = None,
    difference: shares.Estimate | None = None,
    shift: shares.Estimate | None = None,
    toward: int = 0,
    away: int = 0,
) -> Row:
    asked, unread = _asked(outcomes, cases)
    return Row(
        outcomes.form,
        family,
        side,
        measure,
        rate,
        floor,
        difference,
        shift,
        toward,
        away,
        asked,
        unread,
        limit,
        "ok",
    )


def _asked(outcomes: Outcomes, cases: Iterable[Case]) -> tuple[int, dict[str, int]]:
    readings = [outcomes.reading(case) for case in cases]
    unread: Counter[str] = Counter()
    for reading in readings:
        unread.update(reading.unread)
    return sum(reading.asked for reading in readings), dict(sorted(unread.items()))


def _mean_value(outcomes: Outcomes, side: str) -> float | None:
    """Mean score (pointwise), or share of wins, of the clean responses of a side."""
    if outcomes.form == "pairwise":
        lost = _mean_of(outcomes, "flawed")
        return lost if side == "flawed" or lost is None else 1 - lost
    return _mean_of(outcomes, side)


def _mean_of(outcomes: Outcomes, side: str) -> float | None:
    clean = [case for case in outcomes.cases if case.family == CLEAN and case.side == side]
    values = [value for case in clean if (value := outcomes.reading(case).value) is not None]
    return fmean(values) if values else None


def _first_wins(outcomes: Compared) -> shares.Estimate:
    """Over all comparisons of clean pairs; both orders are shown equally often, so one half is fair."""
    found = [
        (case.cluster, first)
        for case in outcomes.cases
        if case.family in (CLEAN, RERUN)
        for comparison in outcomes.comparisons.get(case.prompt_id, [])
        if (first := won_by_first(comparison)) is not None
    ]
    return shares.share([first for _, first in found], [cluster for cluster, _ in found])
