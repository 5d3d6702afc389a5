"""The simulated model: its texts say what they are worth, its training is DPO, its numbers are true."""

import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.engines.base import Forced, Request, Sampling
from metareward.errors import DataError
from metareward.evaluate.bank import GENUINE, Bank
from metareward.ids import seed_of
from metareward.records import Finish, Message, Response
from metareward.simulate import Abilities, MetaJudging, World, questions, simulated, truth
from metareward.simulate.texts import (
    MOST_PADDING,
    POINTS,
    Answer,
    Remarks,
    question,
    read_answer,
    read_judgments,
    write_answer,
    write_judgment,
)
from metareward.simulate.world import chances, granting
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge

ANSWERS = st.builds(Answer, st.tuples(*[st.booleans()] * 5), st.integers(0, MOST_PADDING))
VERDICTS = st.tuples(*[st.booleans()] * 5)
WEIGHTS = st.tuples(st.floats(0, 3), st.floats(0, 1))
GOOD, BAD = Answer((True,) * 5, 0), Answer((False,) * 5, 0)


@settings(deadline=None)
@given(ANSWERS, st.integers(0, 10**12))
def test_an_answer_is_read_back_even_from_a_judge_prompt(answer, number):
    text = write_answer(number, answer)
    assert read_answer(text, number) == answer
    (prompt,) = questions([number])
    response = Response("r", prompt.id, 0, "m", text, None, Finish.STOP)
    assert read_answer(Judge().ask(prompt, response)[0].content, number) == answer


@settings(deadline=None)
@given(ANSWERS)
def test_an_answer_to_another_question_meets_nothing(answer):
    assert read_answer(write_answer(3, answer), 4).quality == 0
    assert read_answer("Thank you for your question.", 4) == BAD


@settings(deadline=None)
@given(VERDICTS, VERDICTS)
def test_judgments_are_read_back_in_order_with_and_without_their_totals(first, second):
    shown = "\n\n".join(write_judgment(verdicts, with_score=True) for verdicts in (first, second))
    assert [(r.verdicts, r.score) for r in read_judgments(shown)] == [
        (first, sum(first)),
        (second, sum(second)),
    ]
    hidden = "\n\n".join(write_judgment(verdicts, with_score=False) for verdicts in (first, second))
    assert [(r.verdicts, r.score) for r in read_judgments(hidden)] == [(first, None), (second, None)]


def test_every_constructed_response_of_a_bank_is_worth_less_than_a_good_one():
    prompts = questions(range(20))
    rows = [
        Response(f"r{n}", prompt.id, 0, "m", write_answer(n, Answer((True,) * 5, n % 4)), None, Finish.STOP)
        for n, prompt in enumerate(prompts)
    ]
    numbers = {prompt.id: n for n, prompt in enumerate(prompts)}
    bank = [row for row in Bank().apply(prompts, rows) if isinstance(row, Response)]
    assert len({row.model for row in bank}) == 6
    for row in bank:
        worth = read_answer(row.text, numbers[row.prompt_id]).quality
        assert worth == 5 if row.model == f"bank: {GENUINE}" else worth == 0


# --- what it says follows from its abilities ---


def ask(world, own, step, text, seeds, forced=None):
    sampling = Sampling()
    return [
        world.reply(Request(str(s), (Message("user", text),), sampling, seed_of(s), forced, step), own)
        for s in seeds
    ]


def test_answers_meet_points_as_often_as_their_chances_say():
    own = Abilities(quality=-1.0, length=0.7)
    said = ask(World(), own, "generate", question(5), range(4000))
    found = [read_answer(one.text, 5) for one in said]
    met = np.mean([answer.met for answer in found], axis=0)
    assert met == pytest.approx(chances(own, 5), abs=0.03)
    padding = np.bincount([answer.padding for answer in found]) / len(found)
    assert np.log(padding[3] / padding[0]) == pytest.approx(3 * 0.7, abs=0.25)


@pytest.mark.parametrize("forced", [None, Forced("\nScore: ", tuple("012345"))])
def test_judgments_grant_points_as_often_as_they_should(forced):
    own, answer = Abilities(insight=0.8, leniency=0.5, halo=0.4), Answer((True, False, True, False, True), 3)
    text = f"{question(2)}\n{write_answer(2, answer)}"
    said = ask(World(), own, "judge", text, range(4000), forced)
    texts = [one.text for one in said]
    verdicts = np.array([read_judgments(text)[0].verdicts for text in texts])
    expected = [1 / (1 + math.exp(-(0.8 * t + 0.5 + 0.4 * 1.5))) for t in (1, -1, 1, -1, 1)]
    assert verdicts.mean(axis=0) == pytest.approx(expected, abs=0.03)
    assert granting(own, answer) == pytest.approx(expected)
    if forced:
        assert [one.choice_probabilities for one in said] == [{str(sum(v)): 1.0} for v in verdicts]
    else:
        assert all(text.endswith(f"Score: {sum(v)}") for text, v in zip(texts, verdicts, strict=True))


def battles(meta, first, second, met, hidden=False, own=None, forced=None, count=4000):
    """What a meta-judge says of two judgments, many times."""
    (prompt,) = questions([1])
    response = Response("r", prompt.id, 0, "m", write_answer(1, Answer(met, 0)), None, Finish.STOP)
    shown = [
        Judge().read(
            next(iter(Judge().questions(model(), [prompt], [response]))),
            completion(write_judgment(verdicts, with_score=not hidden)),
            model(),
        )
        for verdicts in (first, second)
    ]
    text = MetaJudge().ask(prompt, response, *shown)[0].content
    return ask(World(meta), own or Abilities(), "meta_judge", text, range(count), forced)


def battle(*given, **named):
    """How often it names the first."""
    return np.mean([one.text.endswith("Winner: A") for one in battles(*given, **named)])


def model():
    from metareward.models.base import Model

    return Model("m", "m", "m")


def completion(text):
    from metareward.engines.base import Completion

    return Completion("c", text, Finish.STOP)


YES, NO = (True,) * 5, (False,) * 5
HALF, OTHER = (True, True, False, False, False), (False, False, True, True, False)


def logistic(x):
    return pytest.approx(1 / (1 + math.exp(-x)), abs=0.03)


def test_a_discerning_meta_judge_prefers_the_truth_whichever_is_first_and_whichever_is_higher():
    meta = MetaJudging(discernment=0.5)
    assert battle(meta, YES, HALF, YES) == logistic(0.5 * 3)
    assert battle(meta, HALF, YES, YES) == logistic(-0.5 * 3)
    assert battle(meta, YES, HALF, NO) == logistic(-0.5 * 3), "here the higher score is wrong"
    assert battle(meta, HALF, OTHER, HALF) == logistic(0.5 * 4), "equal scores are told apart by the remarks"


def test_biases_for_the_score_and_for_the_first_are_what_they_say():
    meta = MetaJudging(discernment=0, score_bias=0.3, position_bias=0.4, seen=0.75)
    assert battle(meta, YES, HALF, NO) == logistic(0.3 * 3 + 0.4)
    assert battle(meta, HALF, YES, NO) == logistic(-0.3 * 3 + 0.4)
    assert battle(meta, HALF, OTHER, NO) == logistic(0.4)
    assert battle(meta, YES, HALF, NO, hidden=True) == logistic(0.25 * 0.3 * 3 + 0.4), "praise still counts"


def test_biases_follow_the_leniency_of_the_same_model():
    meta = MetaJudging(discernment=0, score_follows=2.0, position_follows=1.0)
    lenient = replace(Abilities(), leniency=Abilities().leniency + 0.2)
    assert battle(meta, YES, HALF, NO, own=Abilities()) == logistic(0)
    assert battle(meta, YES, HALF, NO, own=lenient) == logistic(2 * 0.2 * 3 + 0.2)


def test_a_forced_battle_agrees_with_a_free_one_of_the_same_seed():
    meta = MetaJudging(position_bias=0.4)
    free = battles(meta, YES, HALF, YES, count=300)
    forced = battles(meta, YES, HALF, YES, forced=Forced("\nWinner: ", ("A", "B")), count=300)
    assert [(one.choice_probabilities or {})["A"] > 0.5 for one in forced] == [
        one.text.endswith("Winner: A") for one in free
    ]


def test_a_directory_without_a_simulated_model_is_named():
    with pytest.raises(DataError, match="no simulated model"):
        with simulated(World())(model()):
            pass


def test_a_total_that_only_one_of_two_judgments_shows_is_no_total_to_go_by():
    meta = MetaJudging(discernment=0, score_bias=1.0, seen=0.75)
    five, three = Remarks(YES, 5), Remarks((True,) * 3 + (False,) * 2, 3)
    assert meta.log_odds(five, three, NO, 0) == pytest.approx(2)
    for first, second in ((replace(five, score=None), three), (five, replace(three, score=None))):
        assert meta.log_odds(first, second, NO, 0) == pytest.approx(0.25 * 2)


# --- what is true of it ---


def test_truth_is_what_sampling_comes_to():
    own, first = Abilities(0.4, -0.3, 0.9, 1.4, 0.2), Abilities()
    found = truth(own, first)
    draw, scores = random.Random(1), []
    from metareward.simulate.measure import _bank

    for better, worse in _bank(first):
        assert better.quality > worse.quality
        for _ in range(10):
            scores.append([sum(draw.random() < p for p in granting(own, side)) for side in (better, worse)])
    scores = np.array(scores)
    right = np.where(scores[:, 0] == scores[:, 1], 0.5, scores[:, 0] > scores[:, 1])
    assert found.accuracy == pytest.approx(right.mean(), abs=0.02)
    assert found.score == pytest.approx(scores.mean(), abs=0.03)
    assert found.at_most == pytest.approx((scores == 5).mean(), abs=0.02)
    assert found.quality == pytest.approx(
        np.mean([sum(chances(own, number)) for number in range(300)]), abs=0.1
    )


def test_truth_knows_a_better_judge_from_a_lenient_one():
    base = truth(Abilities(), Abilities())
    sharper = truth(replace(Abilities(), insight=2.0), Abilities())
    lenient = truth(replace(Abilities(), leniency=3.0), Abilities())
    better = truth(replace(Abilities(), quality=1.0), Abilities())
    assert sharper.accuracy > base.accuracy > lenient.accuracy > 0.5
    assert sharper.error < base.error < lenient.error
    assert lenient.score > base.score
    assert lenient.at_most > base.at_most
    assert better.quality > base.quality
    assert better.accuracy == base.accuracy, "judged are always the first model's answers"
    assert truth(replace(Abilities(), insight=9.0, leniency=0.0), Abilities()).accuracy > 0.99


def test_padding_is_the_mean_of_its_log_linear_policy():
    assert truth(Abilities(), Abilities()).padding == pytest.approx((0 + 1 + 2 + 3) / 4)
    weights = [math.exp(0.7 * padding) for padding in range(4)]
    mean = sum(padding * weight for padding, weight in enumerate(weights)) / sum(weights)
    assert truth(Abilities(length=0.7), Abilities()).padding == pytest.approx(mean)


def test_the_first_model_starts_where_the_paper_does():
    found = truth(Abilities(), Abilities())
    assert found.score == pytest.approx(4.1, abs=0.05)
    assert found.score == pytest.approx(found.merit, abs=0.1), "as generous as is right: no built-in leniency"
    assert len(POINTS) == 5
