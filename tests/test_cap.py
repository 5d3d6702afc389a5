"""The share of judge pairs: never over it, as many (or as heavy) as fit, whatever the order."""

from dataclasses import replace
from math import fsum
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.records import Dropped, PreferencePair, Role
from metareward.stages.base import Shape
from metareward.stages.cap import OVER, CapJudgePairs, WeighJudgePairs, most
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


# By weight


def weighty(role: Role, weights: list[float], name: str = "") -> list[PreferencePair]:
    return [
        replace(one, weight=own) for one, own in zip(some(role, len(weights), name), weights, strict=True)
    ]


def weighed(part: list[PreferencePair], *parts: list[PreferencePair], share: float) -> list[PreferencePair]:
    rows = list(WeighJudgePairs(share).apply(part, *parts))
    assert all(isinstance(row, PreferencePair) for row in rows)
    return [row for row in rows if isinstance(row, PreferencePair)]


def total(pairs: list[PreferencePair]) -> float:
    return fsum(pair.weight for pair in pairs)


WEIGHTS = st.lists(st.floats(0.01, 8), min_size=1, max_size=12)


@given(SHARES, WEIGHTS, WEIGHTS)
def test_the_weight_is_never_over_the_share_and_is_it_wherever_anything_was_taken_away(
    share: float, actors: list[float], judges: list[float]
):
    actor, judge = weighty(Role.ACTOR, actors), weighty(Role.JUDGE, judges)
    made = weighed(judge, actor, judge, share=share)
    assert len(made) == len(judge), "every judge pair stays"
    found = total(made) / (total(made) + total(actor))
    assert found <= share * (1 + 1e-12)
    if total(judge) > share * (total(judge) + total(actor)) * (1 + 1e-12):
        assert found == pytest.approx(share, rel=1e-12)
    else:
        assert [each.weight for each in made] == pytest.approx(judges, rel=1e-9)
    ratios = [new.weight / old.weight for new, old in zip(made, judge, strict=True)]
    assert ratios == pytest.approx([ratios[0]] * len(ratios)), "one factor for all"
    assert max(ratios) <= 1


def test_by_hand():
    """6 actor pairs of weight 1 and a share of 1/4 leave the judge pairs a weight of 2, half a pair each."""
    actor, judge = some(Role.ACTOR, 6), some(Role.JUDGE, 4)
    made = weighed(judge, actor, judge, share=0.25)
    assert [each.weight for each in made] == [0.5] * 4
    assert [replace(each, id="", weight=1.0) for each in made] == [replace(each, id="") for each in judge]
    actor = weighty(Role.ACTOR, [0.5] * 6)
    assert [each.weight for each in weighed(judge, actor, judge, share=0.25)] == [0.25] * 4
    judge = weighty(Role.JUDGE, [3.0, 1.0])
    assert [each.weight for each in weighed(judge, actor, judge, share=0.25)] == [0.75, 0.25]


def test_a_pair_whose_weight_changes_has_another_id_and_one_whose_does_not_is_the_very_same():
    actor, judge = some(Role.ACTOR, 6), some(Role.JUDGE, 4)
    made = weighed(judge, actor, judge, share=0.25)
    again = weighed(judge, actor, judge, share=0.25)
    other = weighed(judge, actor, judge, share=0.2)
    assert made == again
    names = [{each.id for each in pairs} for pairs in (judge, made, other)]
    assert all(len(own) == 4 for own in names)
    assert len(set().union(*names)) == 12
    assert weighed(judge, actor, judge, share=0.4) == judge, "4 of 10 are within the share"
    assert weighed(judge, actor, judge, share=0.9) == judge


@given(st.permutations(range(7)), st.permutations(range(5)))
def test_weights_do_not_depend_on_the_order(judges: list[int], actors: list[int]):
    actor = weighty(Role.ACTOR, [0.1, 0.2, 0.3, 0.7, 1.1])
    judge = weighty(Role.JUDGE, [0.1, 0.2, 0.3, 0.7, 1.1, 2.3, 3.1])
    plain = {each.id for each in weighed(judge, actor, judge, share=0.15)}
    mixed = [judge[n] for n in judges]
    found = weighed(mixed, [actor[n] for n in actors], mixed, share=0.15)
    assert {each.id for each in found} == plain
    assert len(plain) == 7


def test_judge_pairs_of_several_sources_share_one_weight():
    actor, first, second = some(Role.ACTOR, 6), some(Role.JUDGE, 5, "a"), some(Role.JUDGE, 5, "b")
    parts = (actor, first, second)
    both = [*weighed(first, *parts, share=0.4), *weighed(second, *parts, share=0.4)]
    assert {each.weight for each in both} == {0.4}
    assert total(both) == pytest.approx(4)


@pytest.mark.parametrize("actor", [[], weighty(Role.ACTOR, [0.0, 0.0])], ids=["no pair", "no weight"])
def test_without_weight_among_the_actor_pairs_no_judge_pair_stays(actor: list[PreferencePair]):
    judge = some(Role.JUDGE, 3)
    kept, dropped = split(WeighJudgePairs(0.9).apply(judge, actor, judge))
    assert (kept, len(dropped)) == ([], 3)


def test_judge_pairs_that_weigh_nothing_are_left_as_they_are():
    actor, judge = some(Role.ACTOR, 3), weighty(Role.JUDGE, [0.0, 0.0])
    assert weighed(judge, actor, judge, share=0.2) == judge
    kept, dropped = split(WeighJudgePairs(0.2).apply(judge, judge))
    assert (kept, len(dropped)) == ([], 2), "but there must be weight among the actor pairs"


@pytest.mark.parametrize("rule", [CapJudgePairs(0.5), WeighJudgePairs(0.5)], ids=["sampling", "weight"])
def test_of_a_part_that_has_both_only_the_judge_pairs_are_told_of(rule: Any):
    both = [*some(Role.ACTOR, 3), *some(Role.JUDGE, 3)]
    kept, dropped = split(rule.apply(both, both))
    assert kept == ["judge-0", "judge-1", "judge-2"]
    assert not dropped


def test_what_cannot_be_is_refused_by_weight_too():
    for share in (0, 1, -0.1, 1.5, float("nan")):
        with pytest.raises(ConfigError, match="max_judge_share must be above 0 and below 1"):
            WeighJudgePairs(share)
    with pytest.raises(TypeError, match="WeighJudgePairs reads the pairs twice"):
        list(WeighJudgePairs(0.5).apply(iter([]), []))
    assert WeighJudgePairs(0.5).shape(Shape(7, 3), Shape(9, 2), Shape(7, 3)) == Shape(7, 3)
