"""The cap on judge pairs: never over the share, as many as fit, the same ones whatever the order."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.records import Dropped, PreferencePair, Role
from metareward.stages.base import Shape
from metareward.stages.cap import OVER, CapJudgePairs, most
from tiny_llama import pair

SHARES = st.integers(1, 99).map(lambda hundredth: hundredth / 100)


def some(role: Role, count: int, name: str = "") -> list[PreferencePair]:
    return [replace(pair(n, "yes", "no", role=role), id=f"{role.value}{name}-{n}") for n in range(count)]


def split(rows: Any) -> tuple[list[str], list[str]]:
    kept, dropped = [], []
    for row in rows:
        if isinstance(row, Dropped):
            assert row.reason == OVER
            dropped.append(row.subject_id)
        else:
            kept.append(row.id)
    return kept, dropped


@given(SHARES, st.integers(0, 40), st.integers(0, 40), st.integers(0, 9))
def test_never_over_the_share_and_never_one_fewer_than_fits(
    share: float, actors: int, judges: int, seed: int
):
    actor, judge = some(Role.ACTOR, actors), some(Role.JUDGE, judges)
    kept, dropped = split(CapJudgePairs(share, seed).apply(judge, actor, judge))
    assert sorted(kept + dropped) == sorted(each.id for each in judge)
    hundredths = round(100 * share)
    assert 100 * len(kept) <= hundredths * (len(kept) + actors)
    if dropped:
        assert 100 * (len(kept) + 1) > hundredths * (len(kept) + 1 + actors)


@given(st.permutations(range(12)), st.permutations(range(5)))
def test_which_ones_stay_does_not_depend_on_their_order(judges: list[int], actors: list[int]):
    actor, judge = some(Role.ACTOR, 5), some(Role.JUDGE, 12)
    rule = CapJudgePairs(0.5, 3)
    plain = set(split(rule.apply(judge, actor, judge))[0])
    shuffled = [judge[n] for n in judges]
    kept, _ = split(rule.apply(shuffled, [actor[n] for n in actors], shuffled))
    assert set(kept) == plain
    assert kept == [each.id for each in shuffled if each.id in plain], "their own order is kept"


def test_the_sample_is_by_seed_and_a_larger_share_keeps_what_a_smaller_one_keeps():
    actor, judge = some(Role.ACTOR, 20), some(Role.JUDGE, 40)
    kept = [
        set(split(CapJudgePairs(share, 0).apply(judge, actor, judge))[0]) for share in (0.1, 0.3, 0.5, 0.9)
    ]
    assert [len(each) for each in kept] == [2, 8, 20, 40]
    assert kept[0] < kept[1] < kept[2] < kept[3]
    seeds = {frozenset(split(CapJudgePairs(0.3, seed).apply(judge, actor, judge))[0]) for seed in range(20)}
    assert len(seeds) == 20


def test_judge_pairs_of_several_sources_share_one_cap():
    actor, first, second = some(Role.ACTOR, 6), some(Role.JUDGE, 5, "a"), some(Role.JUDGE, 5, "b")
    rule, parts = CapJudgePairs(0.4), (actor, first, second)
    one, other = (split(rule.apply(part, *parts)) for part in (first, second))
    assert len(one[0]) + len(other[0]) == 4
    assert len(one[1]) + len(other[1]) == 6


def test_without_actor_pairs_no_judge_pair_stays():
    judge = some(Role.JUDGE, 3)
    assert split(CapJudgePairs(0.9).apply(judge, [], judge))[0] == []


@pytest.mark.parametrize(
    ("share", "actors", "judges"), [(0.15, 17, 3), (0.1, 9, 1), (0.3, 7, 3), (0.2, 8, 2)]
)
def test_decimals_count_as_written(share: float, actors: int, judges: int):
    """As binary fractions these would come out one short."""
    assert most(share, actors) == judges


def test_what_cannot_be_is_refused():
    for share in (0, 1, -0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="max_judge_share must be above 0 and below 1"):
            CapJudgePairs(share)
    with pytest.raises(TypeError, match="twice"):
        list(CapJudgePairs(0.5).apply(iter([]), []))
    assert CapJudgePairs(0.5).shape(Shape(7, 3), Shape(9, 2), Shape(7, 3)) == Shape(7, 3)
