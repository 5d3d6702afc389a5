"""The training of a simulated model is DPO: its gradient, its schedule, its batches, its two models."""

import itertools
import math
from dataclasses import astuple, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.records import Message, PreferencePair, Role
from metareward.simulate import Abilities, World, load, start
from metareward.simulate.texts import MOST_PADDING, Answer, question, write_answer, write_judgment
from metareward.simulate.trainer import SimulatedTrainer, descend, difference
from metareward.simulate.world import chances
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import TrainJob

ANSWERS = st.builds(Answer, st.tuples(*[st.booleans()] * 5), st.integers(0, MOST_PADDING))
VERDICTS = st.tuples(*[st.booleans()] * 5)
WEIGHTS = st.tuples(st.floats(0, 3), st.floats(0, 1))
GOOD, BAD = Answer((True,) * 5, 0), Answer((False,) * 5, 0)
YES, NO = (True,) * 5, (False,) * 5
HALF, OTHER = (True, True, False, False, False), (False, False, True, True, False)
ZERO = np.zeros(5)


def pair(role, chosen, rejected, answer=GOOD, number=1):
    text = question(number) if role is Role.ACTOR else f"{question(number)}\n{write_answer(number, answer)}"
    return PreferencePair(
        "p", role, "q", None, (Message("user", text),), "c", "r", chosen, rejected, None, None, 0, 0
    )


def judge_log_probability(own, answer, verdicts):
    """By enumeration of all 32 judgments, so that the normaliser is really there."""

    def score(said):
        return sum(
            v * (own.insight * (1 if t else -1) + own.leniency + own.halo * (answer.padding - 1.5))
            for v, t in zip(said, answer.met, strict=True)
        )

    every = [score(said) for said in itertools.product((0, 1), repeat=5)]
    return score(verdicts) - np.logaddexp.reduce(every)


def dpo_loss(vector, reference, pairs, weights, beta):
    now, before = Abilities(*vector), Abilities(*reference)
    losses = []
    for (a, c, r), (weight, certainty) in zip(pairs, weights, strict=True):
        margin = beta * (
            (judge_log_probability(now, a, c) - judge_log_probability(before, a, c))
            - (judge_log_probability(now, a, r) - judge_log_probability(before, a, r))
        )
        straight, flipped = np.logaddexp(0, -margin), np.logaddexp(0, margin)
        losses.append(weight * (certainty * straight + (1 - certainty) * flipped))
    return float(np.mean(losses))


@settings(max_examples=20, deadline=None)
@given(st.lists(st.tuples(ANSWERS, VERDICTS, VERDICTS, WEIGHTS), min_size=1, max_size=4))
def test_a_step_follows_the_gradient_of_the_dpo_loss_of_the_whole_policy(drawn):
    rows, weights = [row[:3] for row in drawn], [row[3] for row in drawn]
    pairs = [
        replace(
            pair(Role.JUDGE, write_judgment(c, with_score=True), write_judgment(r, with_score=True), a),
            weight=weight,
            certainty=certainty,
        )
        for (a, c, r), (weight, certainty) in zip(rows, weights, strict=True)
    ]
    dpo = DPO(learning_rate=0.1, beta=0.3, batch_size=8, epochs=1, scheduler="constant")
    begin, reference = Abilities(0.1, 0.2, 0.7, 0.4, -0.2).vector(), Abilities(0, 0, 1, 1, 0.1).vector()
    after, (loss,) = descend(dpo, begin, reference, pairs)
    assert loss == pytest.approx(dpo_loss(begin, reference, rows, weights, 0.3))
    small = 1e-5 * np.eye(len(begin))
    slope = [
        (
            dpo_loss(begin + e, reference, rows, weights, 0.3)
            - dpo_loss(begin - e, reference, rows, weights, 0.3)
        )
        / 2e-5
        for e in small
    ]
    assert after - begin == pytest.approx(-0.1 * np.array(slope), abs=1e-7)


def test_the_actors_features_are_those_of_its_policy():
    """log pi(t, l) up to what cancels: quality times the points met, and length times the padding."""
    better = write_answer(1, Answer((True, True, True, False, False), 3))
    worse = write_answer(1, Answer((True, False, False, False, False), 1))
    assert difference(pair(Role.ACTOR, better, worse)).tolist() == [2, 2, 0, 0, 0]
    odds = [math.log(p / (1 - p)) for p in chances(Abilities(quality=0.3), 1)]
    assert np.subtract(odds, [math.log(p / (1 - p)) for p in chances(Abilities(), 1)]) == pytest.approx(0.3)


def trained(tmp_path, pairs, dpo=None, key="k", reference=None):
    first = start(World(), tmp_path / "start")
    near = start(World(first=reference), tmp_path / "reference") if reference else first
    dpo = dpo or DPO(learning_rate=1.0, epochs=2, batch_size=4)
    places = (tmp_path / key, tmp_path / f"{key}-work")
    job = TrainJob(key, dpo, TrainMachine(), first.path, near.path, pairs, *places)
    result = SimulatedTrainer()(job)
    return load(tmp_path / key), result


def test_training_moves_each_ability_the_way_the_chosen_side_points(tmp_path):
    right, wrong = write_judgment(HALF, with_score=True), write_judgment(OTHER, with_score=True)
    own, _ = trained(tmp_path, [pair(Role.JUDGE, right, wrong, Answer(HALF, 0))] * 8, key="truth")
    assert own.insight > 1
    assert own.leniency == Abilities().leniency, "equal scores say nothing of leniency"
    high, low = write_judgment(YES, with_score=True), write_judgment(NO, with_score=True)
    own, _ = trained(tmp_path, [pair(Role.JUDGE, high, low, BAD)] * 8, key="high")
    assert own.leniency > Abilities().leniency
    assert own.insight < 1
    own, _ = trained(tmp_path, [pair(Role.JUDGE, low, high, BAD)] * 8, key="low")
    assert own.leniency < Abilities().leniency
    assert (own.quality, own.length) == (0, 0), "judge pairs train no actor"
    own, result = trained(
        tmp_path, [pair(Role.ACTOR, write_answer(1, GOOD), write_answer(1, Answer(NO, 3)))] * 8, key="actor"
    )
    assert own.quality > 0 > own.length
    assert (own.insight, own.leniency, own.halo) == astuple(Abilities())[2:]
    assert result.loss_first == pytest.approx(math.log(2))
    assert result.loss_last < result.loss_first
    assert (result.steps, result.pairs_used) == (4, 8)


def test_a_schedule_stops_after_its_epoch_and_cools_down(tmp_path):
    rows = [pair(Role.ACTOR, write_answer(1, GOOD), write_answer(1, BAD))]
    zero = np.zeros(5)
    whole, losses = descend(DPO(epochs=10, scheduler="constant"), zero, zero, rows)
    assert len(losses) == 10
    part, losses = descend(DPO(epochs=10, stop_after_epoch=4, scheduler="constant"), zero, zero, rows)
    assert len(losses) == 4
    assert 0 < part[0] < whole[0]
    cosine, _ = descend(DPO(epochs=1000), zero, zero, rows)
    constant, _ = descend(DPO(epochs=1000, scheduler="constant"), zero, zero, rows)
    assert cosine[0] / constant[0] == pytest.approx(0.5, abs=0.01)


def test_what_a_simulated_model_cannot_do_is_refused(tmp_path):
    right, wrong = write_judgment(HALF, with_score=True), write_judgment(OTHER, with_score=True)
    with pytest.raises(ConfigError, match=r"dpo.nll_weight must be 0"):
        trained(tmp_path, [pair(Role.JUDGE, right, wrong)], DPO(nll_weight=0.1))


def test_it_is_held_near_the_reference_and_not_near_the_start(tmp_path):
    row = (BAD, NO, YES)
    reference = Abilities(leniency=0.2)
    one = pair(Role.JUDGE, write_judgment(NO, with_score=True), write_judgment(YES, with_score=True), BAD)
    _, result = trained(tmp_path, [one], DPO(beta=0.3), reference=reference)
    expected = dpo_loss(Abilities().vector(), reference.vector(), [row], [(1.0, 1.0)], 0.3)
    assert result.loss_first == pytest.approx(expected)
    assert abs(expected - math.log(2)) > 0.1, "the two differ"


def shares(**settings):
    """The share of the learning rate at each of ten steps: how far one pair moves what has hardly moved."""
    rows = [pair(Role.ACTOR, write_answer(1, GOOD), write_answer(1, BAD))]
    dpo = DPO(epochs=10, learning_rate=1e-6, **settings)
    ends = [descend(replace(dpo, stop_after_epoch=n), ZERO, ZERO, rows)[0][0] for n in range(1, 11)]
    full, _ = descend(DPO(epochs=1, learning_rate=1e-6, scheduler="constant"), ZERO, ZERO, rows)
    return np.diff([0.0, *ends]) / full[0]


def test_each_schedule_by_hand_with_and_without_a_warm_up():
    """A schedule is that of all epochs, wherever it is stopped; two of ten steps warm up."""
    left = np.arange(10, 0, -1) / 10
    assert shares(scheduler="constant") == pytest.approx(np.ones(10))
    assert shares(scheduler="linear") == pytest.approx(left, rel=1e-4)
    assert shares(scheduler="cosine") == pytest.approx(0.5 - 0.5 * np.cos(np.pi * left), rel=1e-4)
    left = np.arange(8, 0, -1) / 8
    warm = {"warmup_ratio": 0.2}
    assert shares(scheduler="constant", **warm) == pytest.approx([0.5, *np.ones(9)], rel=1e-4)
    assert shares(scheduler="linear", **warm) == pytest.approx([0.5, 1, *left], rel=1e-4)


def test_every_epoch_takes_each_pair_once_in_an_order_of_its_own():
    """The loss of a batch that has hardly learnt anything says which pairs were in it."""
    row = pair(Role.ACTOR, write_answer(1, GOOD), write_answer(1, BAD))
    weights = [1.0, 2.0, 4.0, 8.0, 16.0]
    rows = [replace(row, weight=weight) for weight in weights]

    def seen(**settings):
        _, losses = descend(DPO(learning_rate=1e-9, **settings), ZERO, ZERO, rows)
        return np.array(losses) / math.log(2)

    one, two = seen(batch_size=1, epochs=2).round().reshape(2, 5).tolist()
    assert sorted(one) == sorted(two) == weights
    assert one != two
    assert one != seen(batch_size=1, epochs=1, seed=1).round().tolist(), "the order follows from the seed"
    assert one == seen(batch_size=1, epochs=1).round().tolist(), "and from nothing else"
    four, rest = seen(batch_size=4, epochs=1)
    assert 4 * four + rest == pytest.approx(sum(weights)), "the last batch takes what is left"
