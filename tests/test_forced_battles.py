"""Forced battles count by their probabilities, and with 0 and 1 they are the paper's free ones."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.records import Outcome
from metareward.stages.pair_judge import PositionWeights, battle_matrix, position_weights, won
from metareward.stats.bradley_terry import strengths
from pairing_worlds import a_battle, a_judgment, a_response

RESPONSE = a_response("p", 0, "text")
ONE, TWO = (a_judgment(RESPONSE, sample, 3.0) for sample in range(2))
PROBABILITY = st.floats(0, 1)


def forced(first, second, p_first):
    outcome = Outcome.FIRST if p_first > 0.5 else Outcome.SECOND if p_first < 0.5 else Outcome.TIE
    return dataclasses.replace(a_battle(first, second, outcome), p_first=p_first)


def test_by_hand():
    """P(first) .8 and .7 with the order turned: both lean to the first, yet ONE is the better.

    win_1st = 1.5, win_2nd = .5, w1 = 1/4, w2 = 3/4; B[1, 2] = .8/4 + 3/4 .3 = .425, B[2, 1] = .325.
    """
    battles = [forced(ONE, TWO, 0.8), forced(TWO, ONE, 0.7)]
    weights = position_weights(battles)
    assert (weights.first, weights.second) == pytest.approx((0.25, 0.75), abs=1e-15)
    wins = battle_matrix([ONE.id, TWO.id], battles, weights)
    assert wins == pytest.approx(np.array([[0, 0.425], [0.325, 0]]), abs=1e-15)
    assert strengths(wins)[0] > 0 > strengths(wins)[1]


@given(PROBABILITY, PROBABILITY)
def test_the_judgment_preferred_over_both_orders_is_stronger_whatever_the_position_bias(p, q):
    battles = [forced(ONE, TWO, p), forced(TWO, ONE, q)]
    wins = battle_matrix([ONE.id, TWO.id], battles, position_weights(battles))
    assert np.sign(round(wins[0, 1] - wins[1, 0], 12)) == np.sign(round((p - q) / 2, 12))


@given(st.lists(st.booleans(), min_size=2, max_size=12))
def test_certain_probabilities_are_the_papers_formula(outcomes):
    pairs = [(ONE, TWO) if n % 2 else (TWO, ONE) for n in range(len(outcomes))]
    free = [
        a_battle(*pair, Outcome.FIRST if won else Outcome.SECOND)
        for pair, won in zip(pairs, outcomes, strict=True)
    ]
    sure = [forced(*pair, float(won)) for pair, won in zip(pairs, outcomes, strict=True)]
    assert position_weights(free) == position_weights(sure)
    weights = position_weights(free)
    assert (
        battle_matrix([ONE.id, TWO.id], free, weights) == battle_matrix([ONE.id, TWO.id], sure, weights)
    ).all()


@given(PROBABILITY)
def test_a_battle_has_one_win_to_give(p):
    assert sum(won(forced(ONE, TWO, p))) == pytest.approx(1)
    assert won(forced(ONE, TWO, p)) == tuple(reversed(won(forced(ONE, TWO, 1 - p)))) or p != 1 - (1 - p)


@pytest.mark.parametrize("outcome", [Outcome.TIE, Outcome.UNREADABLE])
def test_ties_and_unreadable_battles_give_nothing(outcome):
    assert won(a_battle(ONE, TWO, outcome)) == (0, 0)
    assert position_weights([a_battle(ONE, TWO, outcome)]) == PositionWeights(0.5, 0.5)
