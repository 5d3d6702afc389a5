"""What the judge gate measures of battles and judge pairs, each number worked out by hand on a few rows."""

import dataclasses
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.judge_signals import (
    of_likeness,
    of_positions,
    of_preferences,
    of_shares,
)
from metareward.stages.pair_judge import JudgePairs
from metareward.stats.proportions import clustered_wilson
from pairing_worlds import F, S, T, U, a_battle, a_judgment, a_prompt, a_response, pairs, quick, worlds


class Field:
    """Prompts p0, p1, ...; one response each; battles given as (first, second, outcome) of sample numbers."""

    def __init__(self, *prompts):
        self.prompts, self.responses, self.judgments, self.battles = [], [], [], []
        for number, (scores, battles) in enumerate(prompts):
            self.prompts.append(a_prompt(f"p{number}"))
            self.responses.append(a_response(f"p{number}", 0))
            own = [a_judgment(self.responses[-1], sample, score) for sample, score in enumerate(scores)]
            self.judgments += own
            for first, second, outcome, *p in battles:
                battle = a_battle(own[first], own[second], outcome)
                self.battles.append(dataclasses.replace(battle, p_first=p[0]) if p else battle)

    def positions(self):
        return dict(of_positions(self.prompts, self.judgments, self.battles))

    def preferences(self, rows=()):
        return dict(of_preferences(self.prompts, self.judgments, self.battles, rows))

    def pairs(self):
        return pairs(JudgePairs().apply(self.prompts, self.responses, self.judgments, self.battles))


class TestBattles:
    field = Field(
        ((4.0, 2.0, 4.0), [(0, 1, F), (1, 0, S), (0, 2, F), (2, 0, F), (1, 2, F), (2, 1, T)]),
        ((1.0, 3.0), [(0, 1, F), (1, 0, S)]),
        ((2.0, 2.0), [(0, 1, F), (1, 0, U)]),
    )

    def test_score_preference(self):
        """p0: 4 > 2 twice, 2 > 4 once (the tie counts not); p1: the lower wins twice; p2: equal scores."""
        found = self.field.preferences()["score_preference"]
        assert found.value == pytest.approx(2 / 5)
        assert found.n == 2
        assert (found.lower, found.upper) == clustered_wilson([2, 0], [3, 2])

    def test_position_among_equal_scores(self):
        """p0: the two fours, first twice; p2: first once, the unreadable one counts not."""
        found = self.field.positions()["position"]
        assert found.value == 1
        assert found.n == 2

    def test_flips(self):
        """p0: 0-1 agree, 0-2 flip, 1-2 has a tie and counts not; p1: agree; p2: unreadable."""
        found = self.field.positions()["flips"]
        assert found.value == pytest.approx(1 / 3)
        assert found.n == 2

    def test_nothing_decided_gives_no_number(self):
        field = Field(((4.0, 2.0), [(0, 1, T), (1, 0, U)]))
        assert field.positions() == {}
        assert field.preferences() == {}

    def test_a_forced_pair_counts_once_by_both_orders(self):
        """The first letter is always likelier; over both orders one prefers the higher, one the lower."""
        field = Field(
            ((4.0, 2.0), [(0, 1, F, 0.9), (1, 0, F, 0.8)]), ((4.0, 2.0), [(0, 1, F, 0.7), (1, 0, F, 0.8)])
        )
        found = field.preferences()["score_preference"]
        assert found.value == 0.5
        assert found.n == 2
        assert field.positions()["flips"].value == 1

    def test_a_forced_pair_counts_as_much_as_one_whose_other_order_is_missing(self):
        """The higher wins over both orders, the lower where there is one order alone."""
        field = Field(((4.0, 2.0), [(0, 1, F, 0.9), (1, 0, S, 0.2)]), ((4.0, 2.0), [(0, 1, S, 0.2)]))
        assert field.preferences()["score_preference"].value == 0.5

    def test_forced_scores_are_compared_as_stated(self):
        field = Field(((2.6, 3.4), [(0, 1, F, 0.9), (1, 0, F, 0.9)]))
        field.judgments = [dataclasses.replace(j, confidence=1.0) for j in field.judgments]
        assert set(field.positions()) == {"position", "flips"}
        assert "score_preference" not in field.preferences()

    @given(worlds())
    @quick
    def test_swapping_every_winner_turns_each_share_about(self, world):
        turned = {F: S, S: F, T: T, U: U}
        swapped = [dataclasses.replace(b, outcome=turned[b.outcome]) for b in world.battles]
        rows = (world.prompts, world.judgments)
        straight = dict(of_positions(*rows, world.battles)) | dict(of_preferences(*rows, world.battles, ()))
        other = dict(of_positions(*rows, swapped)) | dict(of_preferences(*rows, swapped, ()))
        assert straight.keys() == other.keys()
        for name in straight:
            expected = straight[name].value if name == "flips" else 1 - straight[name].value
            assert other[name].value == pytest.approx(expected)


class TestMargin:
    field = Field(
        ((5.0, 1.0, 4.0), [(0, 1, F), (1, 0, S), (0, 2, F), (2, 0, S), (1, 2, S), (2, 1, F)]),
        ((3.0, 4.0), [(0, 1, F), (1, 0, S)]),
    )

    def test_by_hand(self):
        """p0: 5 over 1, +4 of 4; p1: 3 over 4, -1 of 1."""
        found = self.field.preferences(self.field.pairs())
        assert found["score_margin"].value == 1.5
        assert found["score_lean"].value == pytest.approx(3 / 5)
        assert found["score_margin"].n == 2

    def test_the_sign_is_that_of_chosen_less_rejected(self):
        turned = [
            dataclasses.replace(p, chosen_id=p.rejected_id, rejected_id=p.chosen_id)
            for p in self.field.pairs()
        ]
        found = self.field.preferences(turned)
        assert found["score_margin"].value == -1.5
        assert found["score_lean"].value == pytest.approx(-3 / 5)

    def test_a_lean_is_a_share_of_what_the_judgments_of_the_same_response_lie_apart(self):
        field = Field(((5.0, 1.0, 4.0), [(0, 2, F), (2, 0, S)]))
        other = a_response("p0", 1)
        (pair,) = field.pairs()
        field.judgments += [a_judgment(other, 0, 0.0), a_judgment(other, 1, 5.0)]
        found = field.preferences([pair])
        assert found["score_margin"].value == 1
        assert found["score_lean"].value == pytest.approx(1 / 4)

    def test_equal_scores_have_a_margin_and_no_lean(self):
        field = Field(((3.0, 3.0), [(0, 1, F), (1, 0, S)]))
        found = field.preferences(field.pairs())
        assert found["score_margin"].value == 0
        assert "score_lean" not in found


class TestLikeness:
    def field(self, *prompts):
        """Prompts as (score, text) of each judgment, all of which met in both orders."""
        made = Field(
            *(
                ([score for score, _ in own], [(a, b, T) for a, b in permutations(range(len(own)), 2)])
                for own in prompts
            )
        )
        texts = [text for own in prompts for _, text in own]
        made.judgments = [
            dataclasses.replace(judgment, text=text)
            for judgment, text in zip(made.judgments, texts, strict=True)
        ]
        return made

    def alike(self, field):
        return dict(of_likeness(field.prompts, field.judgments, field.battles))["alike"]

    def test_by_hand(self):
        """p0: a b c and a b d share half, e nothing with either; p1: the same. Each prompt counts once."""
        found = self.alike(
            self.field([(3.0, "a b c"), (3.0, "a b d"), (3.0, "e")], [(2.0, "x y"), (2.0, "X y.")])
        )
        assert found.value == pytest.approx((1 / 6 + 1) / 2)
        assert found.n == 2
        assert found.lower < found.value < found.upper

    def test_other_scores_are_told_apart_and_whoever_wins_is_nothing_to_it(self):
        field = self.field([(3.0, "a b"), (4.0, "a b"), (3.0, "a b")])
        assert self.alike(field).value == pytest.approx(1 / 3)
        field.battles = [dataclasses.replace(b, outcome=U) for b in field.battles]
        assert self.alike(field).value == pytest.approx(1 / 3)

    def test_only_those_that_met_count_each_two_once(self):
        field = self.field([(3.0, "a b"), (3.0, "a b"), (3.0, "z")])
        field.battles = [b for b in field.battles if {b.first_id, b.second_id} == {"p0-0-0", "p0-0-1"}]
        assert self.alike(field).value == 1
        field.battles = field.battles[:1]
        assert self.alike(field).value == 1
        field.battles = []
        assert dict(of_likeness(field.prompts, field.judgments, field.battles)) == {}

    @given(worlds(), st.randoms())
    @quick
    def test_the_order_of_battles_changes_nothing(self, world, random):
        rows = (world.prompts, world.judgments)
        by_prompt = {prompt.id: number for number, prompt in enumerate(world.prompts)}
        mixed = random.sample(world.battles, len(world.battles))
        mixed.sort(key=lambda battle: by_prompt[battle.prompt_id])
        assert dict(of_likeness(*rows, mixed)) == dict(of_likeness(*rows, world.battles))


def test_the_share_of_judge_pairs_is_a_count():
    field = TestMargin.field
    judge = field.pairs()
    actor = [dataclasses.replace(pair, role="actor") for pair in judge]
    assert of_shares(judge, [*actor, *actor])["judge_share"].value == pytest.approx(2 / 6)
    assert of_shares(judge, actor, judge)["judge_share"].value == pytest.approx(4 / 6)
    assert of_shares([], []) == {}
    assert np.isclose(of_shares(judge)["judge_share"].value, 1)


def leans(preference, responses=60, judgments=11, seed=0, name="score_lean"):
    """What is left by a meta-judge which takes the higher score with this probability."""
    generator = np.random.default_rng(seed)
    made = []
    for _ in range(responses):
        scores = np.clip(np.round(generator.normal(3.5, 1.0, judgments)), 0, 5)
        fought = []
        for first, second in permutations(range(judgments), 2):
            higher = scores[first] > scores[second]
            even = scores[first] == scores[second]
            chance = 0.5 if even else preference if higher else 1 - preference
            fought.append((first, second, F if generator.random() < chance else S))
        made.append((tuple(map(float, scores)), fought))
    field = Field(*made)
    return field.preferences(field.pairs())[name]


def test_the_limit_of_the_lean_tells_the_papers_healthy_iteration_from_its_collapsed_one():
    """The meta-judge took the higher score in 63.0 % of battles, then in 97.7 % (arXiv 2407.19594)."""
    limit = JudgeGate().max_score_lean
    assert abs(leans(0.5).value) < 0.3
    assert leans(0.63).upper < limit
    assert leans(0.977).lower > limit


@pytest.mark.parametrize(("judgments", "limit"), [(5, 1.0), (11, 2.0)])
def test_the_recommended_limits_of_the_margin_tell_the_two_apart_as_well(judgments, limit):
    """docs/gates.md: one point with up to five judgments a response, two with the paper's eleven."""

    def margin(preference):
        return leans(preference, judgments=judgments, name="score_margin")

    assert margin(0.5).value < limit / 2
    assert margin(0.63).lower < limit
    assert margin(0.977).lower > limit
    assert margin(0.023).upper < -limit, "with a sign: one that prefers the lower score is never beyond it"
