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
from metareward.stages.matching import length_ratio, likeness, pairings, stated
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


class TestLikeness:
    def alike(self, one, other, scores=(3.0, 3.0), forced=False):
        texts = zip((one, other), scores, strict=True)
        rows = [a_judgment(RESPONSE, sample, score, text) for sample, (text, score) in enumerate(texts)]
        first, second = (dataclasses.replace(row, confidence=0.9 if forced else None) for row in rows)
        assert likeness(first, second) == likeness(second, first)
        return likeness(first, second)

    def test_by_hand(self):
        """Pairs of neighbours: _a ab bc c_ and _a ab bd d_: two of four are in both."""
        assert self.alike("a b c", "a b d") == 0.5
        assert self.alike("a b c", "c b a") == 0, "the same words in another order"
        assert self.alike("a", "a b") == pytest.approx(2 / 5)

    def test_the_very_same_is_alike_and_what_shares_nothing_is_not(self):
        assert self.alike("Clear and short.\nScore: 3", "Clear and short.\nScore: 3") == 1
        assert self.alike("one two", "three four") == 0
        assert self.alike("", "") == self.alike("...", "!") == 1, "neither says anything"
        assert self.alike("", "word") == 0

    def test_case_and_punctuation_are_nothing_to_tell_judgments_apart_by(self):
        assert self.alike("Clear, and short!", "clear and SHORT") == 1
        assert self.alike("Straße", "STRASSE") == 1, "whatever letters a case has"

    def test_repeated_words_count_as_often_as_they_occur(self):
        """_a aa aa a_ and _a aa a_: three of the shorter one's three, of seven together."""
        assert self.alike("a a a", "a a") == pytest.approx(6 / 7)

    def test_another_score_is_enough_to_tell_them_apart(self):
        assert self.alike("the same words", "the same words", scores=(3.0, 4.0)) == 0

    @pytest.mark.parametrize(("scores", "expected"), [((2.6, 3.4), 1), ((3.4, 3.6), 0)])
    def test_forced_scores_are_those_that_the_text_states(self, scores, expected):
        assert self.alike("the same", "the same", scores, forced=True) == expected

    @given(st.text(max_size=30), st.text(max_size=30))
    @quick
    def test_it_is_a_share(self, one, other):
        assert 0 <= self.alike(one, other) <= 1
        assert self.alike(one, one) == 1


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

    @given(worlds(), st.booleans())
    @quick
    def test_battles_of_equal_scores_make_pairs_of_equal_scores_only(self, world, forced):
        """Though other judgments of the response met as well, and may differ more."""
        rows = [dataclasses.replace(j, confidence=0.9 if forced else None) for j in world.judgments]
        own = {row.id: row for row in rows}
        same = [b for b in world.battles if stated(own[b.first_id]) == stated(own[b.second_id])]
        made = pairs(JudgePairs().apply(world.prompts, world.responses, rows, same))
        for pair in made:
            assert stated(own[pair.chosen_id]) == stated(own[pair.rejected_id])

    def test_a_pair_of_equal_scores_where_all_battles_would_make_another(self):
        """The best and the worst of all have different scores; among equals the truth decides as well."""
        rows = judgments(4.0, 4.0, 1.0, 1.0)
        battles = [a_battle(x, y, F if x.sample < y.sample else S) for x, y in permutations(rows, 2)]
        (of_all,) = pairs(self.made(rows, battles))
        assert (of_all.chosen_id, of_all.rejected_id) == (rows[0].id, rows[3].id)
        met = {(x.id, y.id) for x, y in pairings(rows, "same")}
        (of_equals,) = pairs(self.made(rows, [b for b in battles if (b.first_id, b.second_id) in met]))
        names = (of_equals.chosen_id, of_equals.rejected_id)
        assert names in {(rows[0].id, rows[1].id), (rows[2].id, rows[3].id)}
