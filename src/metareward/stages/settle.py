"""Battles settled over both orders: a preference that position cannot explain, or a tie.

A pair of judgments m and n meets twice. Of a forced reading let l1 and l2 be the log-odds that the first one
shown is better, with m and with n shown first. If l1 = theta + beta + e1 and l2 = -theta + beta + e2, with
theta the preference for m, beta the lean to the first position, and e1, e2 independent noise of one
symmetric distribution, then

    d = (l1 - l2) / 2 = theta + (e1 - e2) / 2      says which judgment is preferred: beta has cancelled,
    c = (l1 + l2) / 2 = beta  + (e1 + e2) / 2      says how far the orders disagree: theta has cancelled,

and where nothing is preferred d has the distribution of c about beta. So the spread of c over an iteration's
own battles says how large |d| becomes by noise alone, whatever is preferred.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil, inf
from typing import ClassVar, Literal

import numpy as np
from scipy.special import expit, logit

from metareward.ids import fingerprint
from metareward.records import Battle, Dropped, Outcome
from metareward.settings import checked, one_of, require
from metareward.stages.base import Shape

_ORDERS = ("apart", "together")
_SURE = 1e-12  # a probability nearer to 0 or 1 counts as this: its log-odds must be finite
_TURNED = {Outcome.FIRST: Outcome.SECOND, Outcome.SECOND: Outcome.FIRST}


@dataclass(frozen=True)
@checked("settle")
class Settle:
    """How the two battles of a pair count.

    orders: "apart" takes each by itself, with the paper's position weights; "together" settles both as one:
        a forced pair by the mean of its log-odds, a free pair only if both orders name the same winner.
    margin: a forced pair is a tie unless |d| is above it (natural log-odds).
    false_decisions: calibrates a margin on the iteration's own battles, so that of pairs between which there
        is nothing to choose at most this share is decided. The larger margin holds. With fewer than
        1 / false_decisions - 1 pairs nothing can be calibrated, and every battle is a tie.
    """

    name: ClassVar[str] = "settle"
    record: ClassVar[type[Battle]] = Battle

    orders: Literal["apart", "together"] = "apart"
    margin: float = 0.0
    false_decisions: float | None = None

    def __post_init__(self) -> None:
        require(self.orders in _ORDERS, "settle.orders", one_of(_ORDERS), self.orders)
        require(0 <= self.margin < inf, "settle.margin", "a number of 0 or more", self.margin)
        rate, margins = self.false_decisions, self.margin > 0 or self.false_decisions is not None
        require(rate is None or 0 < rate < 1, "settle.false_decisions", "between 0 and 1, or not set", rate)
        require(self.together or not margins, "settle.orders", "'together' to set a margin", self.orders)

    @property
    def together(self) -> bool:
        """Whether there is anything to settle."""
        return self.orders == "together"

    @property
    def needs_probabilities(self) -> bool:
        """Whether a margin is set, which only a forced reading has."""
        return self.margin > 0 or self.false_decisions is not None

    def apply(self, battles: Iterable[Battle]) -> Iterator[Battle | Dropped]:
        """Each battle as its pair was settled, in the same order; one whose turned battle is missing drops.

        `battles` is read twice where a margin is calibrated; TypeError if it can be read only once.
        """
        if iter(battles) is battles:
            raise TypeError("Settle reads the battles twice: give a list or an artifact, not an iterator")
        margin = max(self.margin, calibrated_margin(battles, self.false_decisions))
        for _, rows in groupby(battles, key=lambda battle: battle.prompt_id):
            fought = {(battle.first_id, battle.second_id): battle for battle in rows}
            for (first, second), battle in fought.items():
                turned = fought.get((second, first))
                if turned is None:
                    yield Dropped(battle.id, "no battle in the other order")
                else:
                    yield self._settled(battle, turned, margin)

    def shape(self, *shapes: Shape) -> Shape:
        """As many as there were."""
        return shapes[0]

    def _settled(self, battle: Battle, turned: Battle, margin: float) -> Battle:
        outcome, p_first = settled(battle, turned, margin)
        return replace(battle, id=fingerprint("settled", self, battle.id), outcome=outcome, p_first=p_first)


def settled(battle: Battle, turned: Battle, margin: float = 0.0) -> tuple[Outcome, float | None]:
    """Who won a pair over both orders, told by the places of `battle`, and in a forced reading sigmoid(d).

    A tie where |d| is at most `margin`; unreadable where one of the two is. In a free reading a winner is
    one that both orders name, and everything else that could be read is a tie.
    """
    if Outcome.UNREADABLE in (battle.outcome, turned.outcome):
        return Outcome.UNREADABLE, None
    if battle.p_first is None or turned.p_first is None:
        agreed = battle.outcome is _TURNED.get(turned.outcome)
        return (battle.outcome if agreed else Outcome.TIE), None
    d = (_log_odds(battle.p_first) - _log_odds(turned.p_first)) / 2
    if abs(d) <= margin:
        return Outcome.TIE, None
    return (Outcome.FIRST if d > 0 else Outcome.SECOND), float(expit(d))


def calibrated_margin(battles: Iterable[Battle], false_decisions: float | None) -> float:
    """The margin that noise alone passes with at most this probability; 0 if none is asked for.

    The ceil((n + 1) (1 - rate))-th smallest of |c - median c| over the n pairs, a split-conformal quantile
    (Vovk et al. 2005): no shape of the noise is assumed but its symmetry. A lean to a position that differs
    from pair to pair widens it, which errs on the side of ties. Infinite where n is too small for it.
    """
    if false_decisions is None:
        return 0.0
    found = list(_disagreements(battles))
    rank = ceil((len(found) + 1) * (1 - false_decisions))
    if rank > len(found):
        return inf
    spread = np.abs(np.array(found) - np.median(found))
    return float(np.sort(spread)[rank - 1])


def _disagreements(battles: Iterable[Battle]) -> Iterator[float]:
    """c of every pair that a forced reading decided in both orders."""
    for _, rows in groupby(battles, key=lambda battle: battle.prompt_id):
        fought = {(b.first_id, b.second_id): b.p_first for b in rows}
        for (first, second), p_first in fought.items():
            turned = fought.get((second, first))
            if first < second and p_first is not None and turned is not None:
                yield (_log_odds(p_first) + _log_odds(turned)) / 2


def _log_odds(p: float) -> float:
    return float(logit(min(max(p, _SURE), 1 - _SURE)))
