"""Which judgments meet in battle, and that a pair is made only of two that did."""

import dataclasses
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.models.base import Model
from metareward.records import Dropped
from metareward.stages.base import question_key, step_key
from metareward.stages.matching import length_ratio, pairings, stated
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair_judge import JudgePairs
from pairing_worlds import F, S, T, a_battle, a_judgment, a_prompt, a_response, pairs, quick, worlds

RESPONSE = a_response("p", 0, "text")
MODEL = Model("m", "nowhere", "m0")


def judgments(*scores, lengths=None, forced=False):
    made = []
    for sample, score in enumerate(scores):
        text = f"{sample}" + "x" * ((lengths[sample] if lengths else 10) - 1)
        made.append(a_judgment(RESPONSE, sample, score, text))
    return [dataclasses.replace(j, confidence=0.9 if forced else None) for j in made]


def numbers(rows, **settings):
    return {(first.sample, second.sample) for first, second in pairings(rows, **settings)}


def test_all_meet_in_both_orders():
    assert numbers(judgments(1.0, 1.0, 4.0)) == set(permutations(range(3), 2))


def test_unreadable_ones_never_meet():
    assert numbers(judgments(1.0, None, 4.0)) == {(0, 2), (2, 0)}


def test_between_different_or_the_same_score():
    rows = judgments(1.0, 1.0, 4.0)
    assert numbers(rows, between="same") == {(0, 1), (1, 0)}
    assert numbers(rows, between="different") == {(0, 2), (2, 0), (1, 2), (2, 1)}


@pytest.mark.parametrize(("forced", "same"), [(True, {(0, 1), (1, 0)}), (False, set())])
def test_a_forced_score_is_the_one_its_text_states(forced, same):
    """2.6 and 3.4 both end in 'Score: 3' where reading is forced; a free 2.6 is not a free 3.4."""
    assert numbers(judgments(2.6, 3.4, 3.5, forced=forced), between="same") == same


@pytest.mark.parametrize(("score", "expected"), [(2.5, 3), (2.49, 2), (0.2, 0), (4.9, 5)])
def test_forced_scores_are_rounded_as_the_verdict_line_is(score, expected):
    (row,) = judgments(score, forced=True)
    assert stated(row) == expected
    (free,) = judgments(score)
    assert stated(free) == score
    assert stated(judgments(None)[0]) is None


def test_lengths_that_differ_too_much_never_meet():
    rows = judgments(1.0, 2.0, 3.0, lengths=[10, 15, 30])
    assert numbers(rows, max_length_ratio=1.5) == {(0, 1), (1, 0)}
    assert numbers(rows, max_length_ratio=2.0) == {(0, 1), (1, 0), (1, 2), (2, 1)}
    assert numbers(rows, max_length_ratio=1.5, between="same") == set()


def test_the_ratio_has_no_side():
    assert length_ratio("ab", "abcdef") == length_ratio("abcdef", "ab") == 3
    assert length_ratio("", "abc") == 3
    assert length_ratio("", "") == 1


@given(worlds(), st.sampled_from(["all", "different", "same"]), st.sampled_from([None, 1.0, 1.4, 3.0]))
@quick
def test_both_orders_always(world, between, ratio):
    for response in world.responses:
        own = [j for j in world.judgments if j.response_id == response.id]
        met = {(first.id, second.id) for first, second in pairings(own, between, ratio)}
        assert met == {(second, first) for first, second in met}
        assert met <= {(one.id, other.id) for one, other in permutations(own, 2)}


def test_different_and_same_share_all_out():
    rows = judgments(1.0, 1.0, 4.0, 3.0, 3.0)
    assert numbers(rows, between="same") | numbers(rows, between="different") == numbers(rows)
    assert not numbers(rows, between="same") & numbers(rows, between="different")


class TestStage:
    def asked(self, **settings):
        rows = judgments(1.0, 1.0, 4.0, lengths=[10, 10, 40])
        return list(MetaJudge(**settings).questions(MODEL, [a_prompt("p")], [RESPONSE], rows))

    def test_it_asks_the_pairs_that_may_meet(self):
        assert len(self.asked()) == 6
        assert len(self.asked(between="same")) == 2
        assert len(self.asked(between="different")) == 4
        assert len(self.asked(max_length_ratio=2.0)) == 2

    def test_a_battle_held_for_all_serves_the_matched_ones(self):
        """Which pairs meet changes which rows there are, not what is in one."""
        every = {question.request.id for question in self.asked()}
        assert {question.request.id for question in self.asked(between="same")} < every
        assert question_key(MetaJudge(between="same"), MODEL) == question_key(MetaJudge(), MODEL)
        assert step_key(MetaJudge(between="same")) != step_key(MetaJudge())
        assert question_key(MetaJudge(show_scores=False), MODEL) != question_key(MetaJudge(), MODEL)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"between": "equal"}, r"meta_judge\.between must be 'all', 'different' or 'same'"),
            ({"max_length_ratio": 0.9}, r"meta_judge\.max_length_ratio must be a number of 1 or more"),
            ({"max_length_ratio": float("inf")}, r"meta_judge\.max_length_ratio"),
            ({"max_length_ratio": float("nan")}, r"meta_judge\.max_length_ratio"),
        ],
    )
    def test_mistakes_are_named(self, settings, message):
        with pytest.raises(ConfigError, match=message):
            MetaJudge(**settings)

    def test_the_paper_shows_scores_and_lets_all_meet(self):
        paper = MetaJudge()
        assert (paper.show_scores, paper.between, paper.max_length_ratio) == (True, "all", None)


class TestPairsOfThoseThatMet:
    def made(self, rows, battles):
        return list(JudgePairs().apply([a_prompt("p")], [RESPONSE], rows, battles))

    def both(self, winner, loser):
        return [a_battle(winner, loser, F), a_battle(loser, winner, S)]

    def test_two_groups_that_never_met_are_not_compared(self):
        """a beats b more clearly than c beats d: a is the best and b the worst of those it met."""
        a, b, c, d = judgments(4.0, 4.0, 2.0, 2.0)
        battles = [*self.both(a, b), a_battle(c, d, F), a_battle(d, c, T)]
        (pair,) = pairs(self.made([a, b, c, d], battles))
        assert {pair.chosen_id, pair.rejected_id} in ({a.id, b.id}, {c.id, d.id})
        assert (pair.chosen_id, pair.rejected_id) == (a.id, b.id)
        assert pair.chosen_score > pair.rejected_score

    def test_the_widest_of_those_that_met_is_taken_along_a_chain(self):
        """a > b > c > d and only neighbours met: the best and the worst of all never did."""
        a, b, c, d = rows = judgments(1.0, 2.0, 3.0, 4.0)
        battles = [*self.both(a, b), *self.both(b, c), *self.both(c, d)]
        (pair,) = pairs(self.made(rows, battles))
        met = {(x.id, y.id) for x, y in ((a, b), (b, c), (c, d))}
        assert (pair.chosen_id, pair.rejected_id) in met, "the better one is chosen"

    def test_all_that_met_equal_gives_none(self):
        a, b, c, d = rows = judgments(4.0, 4.0, 2.0, 2.0)
        battles = [
            a_battle(a, b, F),
            a_battle(b, a, F),
            a_battle(c, d, S),
            a_battle(d, c, S),
        ]
        (row,) = self.made(rows, battles)
        assert isinstance(row, Dropped)
        assert row.reason == "equal Elo"

    @given(worlds())
    @quick
    def test_chosen_and_rejected_always_met(self, world):
        for pair in pairs(JudgePairs().apply(*world.judge_inputs)):
            met = [{b.first_id, b.second_id} for b in world.battles if b.prompt_id == pair.prompt_id]
            assert {pair.chosen_id, pair.rejected_id} in met
            assert pair.chosen_score > pair.rejected_score

    def test_where_all_met_it_is_best_against_worst(self):
        rows = judgments(*np.linspace(0, 5, 5))
        battles = [a_battle(x, y, F if x.sample < y.sample else S) for x, y in permutations(rows, 2)]
        (pair,) = pairs(self.made(rows, battles))
        assert (pair.chosen_id, pair.rejected_id) == (rows[0].id, rows[4].id)
