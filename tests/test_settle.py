"""Battles settled over both orders: position cancels, weak margins tie, noise decides as rarely as stated."""

import dataclasses
from math import inf, log

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import binom

from metareward.errors import ConfigError
from metareward.records import Battle, Dropped, Outcome
from metareward.stages.base import Shape
from metareward.stages.pair_judge import JudgePairs, battle_matrix, position_weights, won
from metareward.stages.settle import Settle, calibrated_margin, settled
from pairing_worlds import FLIPPED, F, S, T, U, a_battle, a_judgment, a_prompt, a_response, pairs, quick

RESPONSE = a_response("p", 0, "text")
ONE, TWO = (a_judgment(RESPONSE, sample, 3.0, f"text {sample}") for sample in range(2))
PROBABILITY = st.floats(0.001, 0.999)


def forced(first, second, p_first):
    outcome = F if p_first > 0.5 else S if p_first < 0.5 else T
    return dataclasses.replace(a_battle(first, second, outcome), p_first=p_first)


def both(p_first, p_turned, first=ONE, second=TWO):
    return forced(first, second, p_first), forced(second, first, p_turned)


def a_field(log_odds):
    """Battles of one pair a prompt; log_odds: [pairs, 2], of the first shown, in both orders."""
    battles = []
    for number, (first, turned) in enumerate(log_odds):
        response = a_response(f"p{number}", 0)
        judgments = [a_judgment(response, sample, 3.0) for sample in range(2)]
        battles += both(float(expit(first)), float(expit(turned)), *judgments)
    return battles


def settle(battles, **settings):
    """The battles that a rule settles; none may drop."""
    rows = list(Settle("together", **settings).apply(battles))
    assert all(isinstance(row, Battle) for row in rows)
    return [row for row in rows if isinstance(row, Battle)]


def decided(battles):
    return sum(battle.outcome in (F, S) for battle in battles) / len(battles)


def test_by_hand():
    """P(first) .8 and .6 with the order turned: d = (log 4 - log 1.5) / 2 = .4904, c = .8959."""
    outcome, p_first = settled(*both(0.8, 0.6))
    assert outcome is F
    assert p_first is not None
    assert logit(p_first) == pytest.approx((log(4) - log(1.5)) / 2)
    assert settled(*both(0.8, 0.6), margin=0.5) == (T, None)
    assert settled(*both(0.8, 0.6), margin=0.49)[0] is F
    assert settled(*both(0.6, 0.8))[0] is S, "the sign is the preferred one's"


@given(PROBABILITY, PROBABILITY, st.floats(-3, 3))
@quick
def test_a_lean_to_a_position_changes_nothing(p, q, lean):
    plain = settled(*both(p, q))
    leaning = settled(*both(float(expit(logit(p) + lean)), float(expit(logit(q) + lean))))
    if abs(logit(p) - logit(q)) > 1e-9:
        assert leaning[0] is plain[0]
        assert leaning[1] == pytest.approx(plain[1])


@given(PROBABILITY, PROBABILITY, st.floats(0, 2))
@quick
def test_turning_the_pair_turns_the_verdict(p, q, margin):
    battle, turned = both(p, q)
    one, other = settled(battle, turned, margin), settled(turned, battle, margin)
    assert other[0] is FLIPPED[one[0]]
    if one[1] is not None and other[1] is not None:
        assert other[1] == pytest.approx(1 - one[1])


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [((F, S), F), ((S, F), S), ((F, F), T), ((S, S), T), ((F, T), T), ((T, T), T), ((F, U), U), ((U, S), U)],
)
def test_a_free_pair_is_decided_only_if_both_orders_agree(outcomes, expected):
    battle, turned = a_battle(ONE, TWO, outcomes[0]), a_battle(TWO, ONE, outcomes[1])
    assert settled(battle, turned) == (expected, None)


def test_a_failed_half_of_a_forced_pair_is_unreadable():
    good, bad = forced(ONE, TWO, 0.9), a_battle(TWO, ONE, U)
    assert settled(good, bad) == (U, None)


class TestRule:
    def test_rows_keep_their_order_and_get_names_of_their_own(self):
        battles = list(both(0.9, 0.2))
        rows = settle(battles)
        assert [(r.first_id, r.second_id) for r in rows] == [(b.first_id, b.second_id) for b in battles]
        assert not {r.id for r in rows} & {b.id for b in battles}
        assert [r.outcome for r in rows] == [F, S]
        assert rows[0].p_first == pytest.approx(1 - (rows[1].p_first or 0))
        assert Settle("together").shape(Shape(6, 2.0)) == Shape(6, 2.0)

    def test_each_battle_gives_a_row_or_a_reason(self):
        battles = [*both(0.9, 0.2), forced(ONE, a_judgment(RESPONSE, 2, 1.0), 0.7)]
        rows = list(Settle("together").apply(battles))
        assert [type(row).__name__ for row in rows] == ["Battle", "Battle", "Dropped"]
        assert isinstance(rows[2], Dropped)
        assert rows[2].reason == "no battle in the other order"

    def test_positions_weigh_the_same_and_a_pair_counts_by_its_probability(self):
        rows = settle(list(both(0.8, 0.6)))
        weights = position_weights(rows)
        assert weights.first == pytest.approx(0.5)
        wins = battle_matrix([ONE.id, TWO.id], rows, weights)
        d = (log(4) - log(1.5)) / 2
        assert wins == pytest.approx(np.array([[0, expit(d)], [expit(-d), 0]]))

    def test_a_weak_margin_is_a_tie_and_gives_nothing(self):
        rows = settle(list(both(0.8, 0.6)), margin=0.6)
        assert [won(row) for row in rows] == [(0, 0), (0, 0)]
        assert not battle_matrix([ONE.id, TWO.id], rows, position_weights(rows)).any()

    @pytest.mark.parametrize(("p", "q"), [(0.8, 0.6), (0.6, 0.8)])
    def test_the_preferred_judgment_is_chosen(self, p, q):
        rows = settle(list(both(p, q)))
        (pair,) = pairs(JudgePairs().apply([a_prompt("p")], [RESPONSE], [ONE, TWO], rows))
        assert pair.chosen_id == (ONE.id if p > q else TWO.id)

    def test_an_iterator_is_refused(self):
        with pytest.raises(TypeError, match="twice"):
            list(Settle("together").apply(iter(both(0.8, 0.6))))

    def test_probabilities_of_0_and_1_are_finite(self):
        rows = settle(list(both(1.0, 0.0)))
        assert rows[0].outcome is F
        assert 0.999 < (rows[0].p_first or 0) <= 1


class TestCalibration:
    def test_the_rank_by_hand(self):
        """19 pairs with c = -9 .. 9 about a lean of 3: at 10 % the ceil(20 x .9) = 18th of |c| is 9."""
        battles = a_field([(3 + c, 3 + c) for c in range(-9, 10)])
        assert calibrated_margin(battles, 0.1) == pytest.approx(9)
        assert calibrated_margin(battles, 0.5) == pytest.approx(5), "the 10th of 0 1 1 2 2 3 3 4 4 5 5 .."
        assert calibrated_margin(battles, None) == 0

    def test_a_preference_does_not_widen_it(self):
        noise = np.random.default_rng(0).normal(size=(60, 2))
        preferred = noise + np.array([4.0, -4.0])
        plain, strong = (calibrated_margin(a_field(rows), 0.1) for rows in (noise, preferred))
        assert strong == pytest.approx(plain, abs=1e-6)

    @pytest.mark.parametrize(("pairs_", "finite"), [(18, False), (19, True)])
    def test_too_few_pairs_decide_nothing(self, pairs_, finite):
        battles = a_field(np.random.default_rng(1).normal(size=(pairs_, 2)))
        assert (calibrated_margin(battles, 0.05) < inf) is finite
        if not finite:
            assert decided(settle(battles, false_decisions=0.05)) == 0

    def test_pairs_without_probabilities_do_not_count(self):
        battles = [a_battle(ONE, TWO, F), a_battle(TWO, ONE, S)]
        assert calibrated_margin(battles, 0.5) == inf

    @pytest.mark.parametrize("rate", [0.05, 0.2])
    @pytest.mark.parametrize("noise", ["normal", "laplace", "uniform"])
    @pytest.mark.parametrize("lean", [0.0, 2.5])
    def test_noise_alone_decides_at_the_stated_rate(self, rate, noise, lean):
        """Nothing is preferred, whatever the noise and the lean: the share decided is the rate."""
        wrong = total = 0
        for seed in range(10):
            generator = np.random.default_rng(seed)
            battles = a_field(lean + getattr(generator, noise)(size=(150, 2)))
            rows = settle(battles, false_decisions=rate)
            wrong += sum(row.outcome in (F, S) for row in rows[::2])
            total += len(rows) // 2
        # The margin is itself drawn from 150 pairs: a rate of r varies by sqrt(2 r (1 - r) / 150) a seed.
        error = np.sqrt(2 * rate * (1 - rate) / 150 / 10)
        assert abs(wrong / total - rate) < 4 * error
        assert wrong < binom.ppf(1 - 1e-9, total, rate + 2 * error), "and is not above it by chance alone"

    def test_a_lean_that_differs_from_pair_to_pair_only_widens_the_margin(self):
        generator = np.random.default_rng(3)
        rows = generator.normal(size=(400, 2)) + generator.normal(0, 2, size=(400, 1))
        assert decided(settle(a_field(rows), false_decisions=0.1)) < 0.1

    def test_what_is_clearly_preferred_is_decided_rightly(self):
        generator = np.random.default_rng(4)
        theta = generator.choice([-3.0, 3.0], size=200)
        rows = 2 + generator.normal(size=(200, 2)) + np.stack([theta, -theta], axis=1)
        found = settle(a_field(rows), false_decisions=0.05)[::2]
        assert decided(found) > 0.9
        for row, preferred in zip(found, theta, strict=True):
            if row.outcome in (F, S):
                assert (row.outcome is F) == (preferred > 0)

    def test_the_larger_margin_holds(self):
        battles = a_field([(c, c) for c in range(-9, 10)] + [(6.0, -6.0)])
        assert decided(settle(battles, margin=5.0, false_decisions=0.5)) == 0.05
        assert decided(settle(battles, margin=7.0, false_decisions=0.5)) == 0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"orders": "both"}, r"settle\.orders must be 'apart' or 'together'"),
        ({"orders": "together", "margin": -1.0}, r"settle\.margin"),
        ({"orders": "together", "margin": inf}, r"settle\.margin"),
        ({"orders": "together", "false_decisions": 0.0}, r"settle\.false_decisions"),
        ({"orders": "together", "false_decisions": 1.0}, r"settle\.false_decisions"),
        ({"margin": 0.5}, r"'together' to set a margin"),
        ({"false_decisions": 0.5}, r"'together' to set a margin"),
    ],
)
def test_mistakes_are_named(settings, message):
    with pytest.raises(ConfigError, match=message):
        Settle(**settings)


def test_the_paper_takes_each_order_by_itself():
    assert Settle().orders == "apart"
    assert not Settle().together
    assert not Settle().needs_probabilities
    assert Outcome.TIE is T
