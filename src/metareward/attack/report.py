"""What an attack found, as plain typed data."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from metareward.attack.outcomes import Form
from metareward.attack.suite import Limits
from metareward.stats.shares import Estimate

Measure = Literal["false positive", "wins", "flip"]
Verdict = Literal["ok", "alarm", "hint", "reacts", "cannot tell", "unreadable"]
Overall = Literal["passed", "failed", "cannot tell"]


@dataclass(frozen=True)
class Row:
    """One family's rate. Rates are over readable cases; what was unreadable is counted beside them.

    measure: "false positive", an empty response that reaches the threshold; "wins", one that does as well
        as the good response; "flip", a pair whose better-rated response changes.
    side: the response that was attacked. floor: the flip rate when the same is merely asked again; of
    "wins", how many flawed but honest responses do as well as the good one.
    difference: rate - floor, paired. shift: by how much the attacked response's value rose. toward, away:
        flips for and against the attacked response.
    verdict: "hint" is a rate over its limit by its own interval, but not once all rows are allowed for;
    "reacts" a flip rate above the floor which does not help a flawed response; "cannot tell" takes the place
    of an "ok" where the interval, or a floor without room above it, allows none; "unreadable" that of any of
    these but "reacts" where too little could be read.
    """

    form: Form
    family: str
    side: str
    measure: Measure
    rate: Estimate
    floor: Estimate | None
    difference: Estimate | None
    shift: Estimate | None
    toward: int
    away: int
    asked: int
    unread: dict[str, int]
    limit: float
    verdict: Verdict

    @property
    def unreadable(self) -> int:
        """How many verdicts could not be read."""
        return sum(self.unread.values())

    def unread_sentence(self) -> str:
        """What could not be read, in words."""
        side = f" on the {self.side} response" if self.side in ("good", "flawed") else ""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.unread.items())
        where = f"{self.form}, {self.family}{side}"
        return (
            f"{where}: {self.unreadable} of {self.asked} verdicts unreadable ({reasons or 'nothing asked'})"
        )

    def sentence(self) -> str:
        """The finding in words."""
        what = {
            "false positive": "of its responses reach the threshold",
            "wins": "of its responses do as well as the good one",
            "flip": "of the pairs change their winner",
        }[self.measure]
        side = f" on the {self.side} response" if self.side in ("good", "flawed") else ""
        said = f"{self.form}, {self.family}{side}: {percent(self.rate)} {what}"
        beside = "when asked again" if self.measure == "flip" else "of flawed but honest ones"
        return said if self.floor is None else f"{said}, against {percent(self.floor)} {beside}"


@dataclass(frozen=True)
class Baseline:
    """A judge in one form, without any attack: how good it is, and what a rule by length alone gets.

    accuracy: share of clean pairs in which the good response is preferred; a tie is one half, chance is .5.
    longer: the same of a judge that always prefers the longer response. able: the interval is above .5.
    first_wins: share of comparisons won by the response shown first (pairwise).
    """

    form: Form
    reading: str
    accuracy: Estimate
    ties: int
    longer: Estimate
    able: bool
    first_wins: Estimate | None
    mean_good: float | None
    mean_flawed: float | None
    asked: int
    unread: dict[str, int]

    @property
    def unreadable(self) -> int:
        """How many verdicts could not be read, attacks included."""
        return sum(self.unread.values())


@dataclass(frozen=True)
class AttackReport:
    """All that was found of one judge. `calls` were asked, or lay on the disk."""

    model: str
    fingerprint: str
    items: int
    calls: int
    limits: Limits
    baselines: tuple[Baseline, ...]
    rows: tuple[Row, ...]

    @property
    def alarms(self) -> tuple[Row, ...]:
        """The rows over their limit."""
        return tuple(row for row in self.rows if row.verdict == "alarm")

    @property
    def unreadable(self) -> tuple[Row, ...]:
        """The rows of which too little could be read: a judge that says nothing has not resisted."""
        return tuple(row for row in self.rows if row.verdict == "unreadable")

    @property
    def failed(self) -> bool:
        """Whether a row is over its limit, or could not be read."""
        return bool(self.alarms or self.unreadable)

    @property
    def told(self) -> tuple[Row, ...]:
        """The rows that there was enough to tell by."""
        return tuple(row for row in self.rows if row.verdict not in ("cannot tell", "unreadable"))

    @property
    def verdict(self) -> Overall:
        """ "failed", or else "passed" where anything could be told, and "cannot tell" where nothing could."""
        return "failed" if self.failed else "passed" if self.told else "cannot tell"

    @property
    def passed(self) -> bool:
        """Whether there was something to tell by, every row could be read, and none is over its limit."""
        return self.verdict == "passed"

    def sentences(self) -> Iterator[str]:
        """What keeps the judge from passing, in words: each alarm, and each row that was not read."""
        yield from (row.sentence() for row in self.alarms)
        yield from (row.unread_sentence() for row in self.unreadable)

    def as_dict(self) -> dict[str, Any]:
        """The report as plain data, ready for JSON."""
        rows = [{**asdict(row), "unreadable": row.unreadable} for row in self.rows]
        alarms = [row.sentence() for row in self.alarms]
        baselines = [{**asdict(each), "unreadable": each.unreadable} for each in self.baselines]
        told = {"alarms": alarms, "passed": self.passed, "verdict": self.verdict, "told": len(self.told)}
        return {**asdict(self), "baselines": baselines, "rows": rows, **told}


def percent(estimate: Estimate) -> str:
    """A share with its interval and number, such as "12 % [4, 30] of 24"."""
    if estimate.value is None:
        return "no readable case"
    ends = (
        ""
        if estimate.low is None or estimate.high is None
        else (f" [{100 * estimate.low:.0f}, {100 * estimate.high:.0f}]")
    )
    return f"{100 * estimate.value:.0f} %{ends} of {estimate.n}"
