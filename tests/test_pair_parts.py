"""The parts of pairing, one at a time: ties, weights, reasons, refusals, settings."""

import dataclasses
from collections import Counter
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError, StoreError
from metareward.records import (
    Battle,
    Dropped,
    Finish,
    Outcome,
    PreferencePair,
    Response,
)
from metareward.stages.base import Rule, Shape
from metareward.stages.pair import ActorPairs, KeepDistinct, choose_response
from metareward.stages.pair_judge import JudgePairs, PositionWeights, battle_matrix, position_weights
from pairing_worlds import (
    F,
    S,
    T,
    U,
    a_battle,
    a_judgment,
    a_prompt,
    a_response,
    pairs,
    planted,
    quick,
    seeds,
)


def test_length_ties_go_to_the_better_then_to_the_earlier_sample():
    prompt = a_prompt("p")
    responses = [a_response("p", sample, f"twelve {sample}") for sample in range(6)]
    judgments = [a_judgment(r, 0, s) for r, s in zip(responses, [4.0, 4.5, 4.5, 1.5, 1.0, 1.0], strict=True)]
    (pair,) = pairs(ActorPairs(0.4).apply([prompt], responses, judgments))
    assert (pair.chosen_id, pair.rejected_id) == ("p-1", "p-4")


def test_no_tolerance_lets_a_tier_reach_past_the_middle():
    responses = [a_response("p", n, "x" * length) for n, length in enumerate([5, 1, 9, 5])]
    scores = [3 + 1.5e-9, 3 + 0.6e-9, 3 + 0.9e-9, 3.0]  # the short and the long are within 1e-9 of both ends
    judgments = [a_judgment(r, 0, s) for r, s in zip(responses, scores, strict=True)]
    (pair,) = pairs(ActorPairs().apply([a_prompt("p")], responses, judgments))
    assert (pair.chosen_id, pair.rejected_id) == ("p-0", "p-3")


def test_length_is_in_characters_not_bytes():
    responses = [a_response("p", 0, "éééé"), a_response("p", 1, "eeeee"), a_response("p", 2, "x")]
    judgments = [a_judgment(r, 0, s) for r, s in zip(responses, [5, 5, 0], strict=True)]
    rule = ActorPairs(max_chosen_characters=4)
    (pair,) = pairs(rule.apply([a_prompt("p")], responses, judgments))
    assert pair.chosen_id == "p-0"


def test_a_partial_text_of_a_failure_is_no_original():
    rows = list(KeepDistinct().apply([a_response("p", 0, "a", Finish.FAILED), a_response("p", 1, "a")]))
    assert rows == [Dropped("p-0", "engine failure"), a_response("p", 1, "a")]


def test_the_same_text_to_another_prompt_is_no_duplicate():
    rows = [a_response("p", 0, "a"), a_response("q", 0, "a"), a_response("q", 1, "a ")]
    assert list(KeepDistinct().apply(rows)) == rows


def test_judgments_of_answers_that_were_left_out_do_not_count():
    left, right, gone = (a_response("p", sample) for sample in range(3))
    judgments = [a_judgment(left, 0, 2), a_judgment(right, 0, 1), a_judgment(gone, 0, 5)]
    (pair,) = pairs(ActorPairs().apply([a_prompt("p")], [left, right], judgments))
    assert (pair.chosen_id, pair.rejected_id) == (left.id, right.id)


@pytest.mark.parametrize("gap", [0.0, 1e-10])
def test_scores_that_differ_by_rounding_alone_are_equal(gap: float):
    responses = [a_response("p", 0), a_response("p", 1)]
    judgments = [a_judgment(responses[0], 0, 3.0), a_judgment(responses[1], 0, 3.0 + gap)]
    assert list(ActorPairs().apply([a_prompt("p")], responses, judgments)) == [Dropped("p", "equal scores")]


@quick
@given(st.lists(st.lists(st.one_of(st.none(), st.integers(0, 5)), max_size=5), max_size=5), seeds)
def test_the_chosen_response_has_the_highest_variance_in_any_order(table: list[list[int | None]], seed: int):
    responses = [a_response("p", sample) for sample in range(len(table))]
    judgments = [
        a_judgment(r, n, s) for r, row in zip(responses, table, strict=True) for n, s in enumerate(row)
    ]
    read = {
        r.id: [s for s in row if s is not None] for r, row in zip(responses, table, strict=True)
    }  # fmt: skip
    variances = {name: float(np.var(scores)) for name, scores in read.items() if len(scores) > 1}
    chosen = choose_response(responses, judgments, seed)
    if chosen is None:
        assert not variances
        return
    assert variances[chosen.id] == pytest.approx(max(variances.values()), abs=1e-12)
    assert choose_response(responses[::-1], judgments[::-1], seed) == chosen


def test_ties_between_disputed_answers_are_drawn_evenly_by_seed_and_prompt():
    def drawn(prompt: str, seed: int) -> int:
        responses = [a_response(prompt, sample) for sample in range(3)]
        # Equal variances of unequal scores: 2/9 each.
        rows = [(1, 1, 2), (3, 4, 4), (5, 5, 4)]
        judgments = [
            a_judgment(r, n, s) for r, row in zip(responses, rows, strict=True) for n, s in enumerate(row)
        ]
        chosen = choose_response(responses, judgments, seed)
        assert chosen == choose_response(responses, judgments, seed)
        assert chosen is not None
        return chosen.sample

    by_prompt = Counter(drawn(f"p{number}", 0) for number in range(600))
    by_seed = Counter(drawn("p", seed) for seed in range(600))
    assert all(150 < count[sample] < 250 for count in (by_prompt, by_seed) for sample in range(3))


def test_weights_without_a_decided_battle_are_even():
    one, two = (a_judgment(a_response("p"), sample, 1) for sample in range(2))
    assert position_weights([]) == PositionWeights(0.5, 0.5)
    assert position_weights([a_battle(one, two, T), a_battle(two, one, U)]) == PositionWeights(0.5, 0.5)


def test_weights_count_decided_battles_only():
    one, two = (a_judgment(a_response("p"), sample, 1) for sample in range(2))
    battles = [a_battle(one, two, outcome) for outcome in (F, F, F, S, T, U, U)]
    assert position_weights(battles) == PositionWeights(first=0.25, second=0.75)


def test_a_row_of_the_matrix_is_what_the_winner_won():
    one, two = (a_judgment(a_response("p"), sample, 1) for sample in range(2))
    weights = PositionWeights(first=0.25, second=0.75)

    def entry(*battles: Battle) -> list[list[float]]:
        return battle_matrix([one.id, two.id], battles, weights).tolist()

    assert entry(a_battle(one, two, F)) == [[0, 0.25], [0, 0]]
    assert entry(a_battle(one, two, S)) == [[0, 0], [0.75, 0]]
    assert entry(a_battle(two, one, F)) == [[0, 0], [0.25, 0]]
    assert entry(a_battle(two, one, S)) == [[0, 0.75], [0, 0]]
    assert entry(a_battle(two, one, T), a_battle(one, two, U)) == [[0, 0], [0, 0]]
    assert entry(a_battle(one, two, F), a_battle(two, one, S)) == [[0, 1], [0, 0]]


def two_judgments(first: str | None = None, second: str | None = None) -> tuple[Any, ...]:
    response = a_response("p")
    return (
        [a_prompt("p")],
        [response],
        [a_judgment(response, 0, 1, first), a_judgment(response, 1, 4, second)],
    )


@pytest.mark.parametrize(
    ("texts", "outcomes", "reason"),
    [
        ((None, None), (T, U), "no decided battle"),
        ((None, None), (F, F), "no decided battle"),  # the first always wins: its wins weigh nothing
        ((None, None), (), "no decided battle"),
        (("same", "same"), (F, S), "identical judgments"),
        (("long enough to go", "short"), (F, S), "chosen judgment over the length limit"),
    ],
)
def test_why_a_prompt_has_no_judge_pair(texts: tuple[Any, Any], outcomes: tuple[Outcome, ...], reason: str):
    prompts, responses, judgments = two_judgments(*texts)
    orders = [(judgments[0], judgments[1]), (judgments[1], judgments[0])]
    battles = [a_battle(*order, outcome) for order, outcome in zip(orders, outcomes, strict=False)]
    rows = list(JudgePairs(max_chosen_characters=16).apply(prompts, responses, judgments, battles))
    assert rows == [Dropped("p", reason)]


def test_only_the_chosen_judgment_has_a_length_limit():
    prompts, responses, (one, two) = two_judgments("short", "long enough to go")
    battles = [a_battle(one, two, F), a_battle(two, one, S)]
    rows = JudgePairs(max_chosen_characters=16).apply(prompts, responses, [one, two], battles)
    assert [pair.chosen for pair in pairs(rows)] == ["short"]


def test_judgments_as_strong_as_each_other_are_drawn_by_seed():
    response = a_response("p")
    judgments = [a_judgment(response, sample, sample) for sample in range(4)]
    battles = [
        a_battle(first, second, (T if (a < 2) == (b < 2) else F if a < b else S))
        for (a, first), (b, second) in permutations(enumerate(judgments), 2)
    ]
    drawn = Counter()
    for seed in range(200):
        rows = JudgePairs(seed=seed).apply([a_prompt("p")], [response], judgments, battles)
        (pair,) = pairs(rows)
        drawn[pair.chosen_id, pair.rejected_id] += 1
    assert set(drawn) == {(f"p-0-{best}", f"p-0-{worst}") for best in (0, 1) for worst in (2, 3)}
    assert min(drawn.values()) > 25


def test_battles_of_another_seeds_choice_are_refused():
    prompts, responses, (one, two) = two_judgments()
    stray = dataclasses.replace(a_battle(one, two, F), response_id="p-9")
    with pytest.raises(
        ConfigError, match=r"about response p-9 of prompt p, but judge_pairs chooses p-0.*same seed"
    ):
        list(JudgePairs().apply(prompts, responses, [one, two], [stray]))
    with pytest.raises(ConfigError, match="chooses none"):
        list(JudgePairs().apply(prompts, responses, [one], [a_battle(one, two, F)]))


def test_battles_of_unknown_judgments_are_refused():
    prompts, responses, (one, two) = two_judgments()
    unknown = dataclasses.replace(a_battle(one, two, F), second_id="p-0-7")
    with pytest.raises(StoreError, match="between judgments p-0-0 and p-0-7"):
        list(JudgePairs().apply(prompts, responses, [one, two], [unknown]))
    silent = dataclasses.replace(two, score=None)
    third = a_judgment(responses[0], 2, 5)
    with pytest.raises(StoreError, match=r"between judgments p-0-0 and p-0-1, not both.*readable"):
        list(JudgePairs().apply(prompts, responses, [one, silent, third], [a_battle(one, two, F)]))


def test_the_prior_is_the_settings():
    prompts, responses, judgments = two_judgments()
    one, two = judgments
    battles = [a_battle(one, two, F), a_battle(two, one, S)]
    for prior in (0.01, 2.0):
        (pair,) = pairs(JudgePairs(prior=prior).apply(prompts, responses, judgments, battles))
        # sigmoid(-2e) = prior e, the stationary point of two rivals with one weighted win
        assert 1 / (1 + np.exp(2 * pair.chosen_score)) == pytest.approx(prior * pair.chosen_score, abs=1e-12)


def test_judgments_that_answer_different_questions_make_no_pair():
    prompts, (response,), (one, _) = two_judgments()
    other = a_judgment(response, 1, 4, asked="in another way")
    with pytest.raises(StoreError, match="different judge prompts"):
        list(
            JudgePairs().apply(
                prompts, [response], [one, other], [a_battle(other, one, S), a_battle(one, other, F)]
            )
        )


def test_battles_that_can_be_read_only_once_are_refused():
    prompts, responses, judgments = two_judgments()
    with pytest.raises(TypeError, match="twice"):
        list(JudgePairs().apply(prompts, responses, judgments, iter([])))


# Rules


@pytest.mark.parametrize("rho", [-0.1, 0.5, 1.0, float("nan")])
def test_tiers_that_meet_are_refused(rho: float):
    with pytest.raises(ConfigError, match=r"actor_pairs\.rho must be at least 0 and below 0\.5"):
        ActorPairs(rho)


def test_settings_without_sense_are_refused():
    for limit in (0, -1):
        with pytest.raises(ConfigError, match=r"actor_pairs\.max_chosen_characters"):
            ActorPairs(max_chosen_characters=limit)
        with pytest.raises(ConfigError, match=r"judge_pairs\.max_chosen_characters"):
            JudgePairs(max_chosen_characters=limit)
    for prior in (0.0, -1.0, float("inf"), float("nan")):
        with pytest.raises(ConfigError, match=r"judge_pairs\.prior"):
            JudgePairs(prior=prior)


def test_a_pairs_id_says_which_rule_made_it():
    world, _ = planted(1)
    for one, other, inputs in (
        (ActorPairs(), ActorPairs(max_chosen_characters=10**6), world.actor_inputs),
        (JudgePairs(), JudgePairs(max_chosen_characters=10**6), world.judge_inputs),
    ):
        ids = [pair.id for pair in pairs(one.apply(*inputs))]
        assert ids == [pair.id for pair in pairs(one.apply(*inputs))]
        assert len(set(ids)) == len(world.prompts)
        assert not set(ids) & {pair.id for pair in pairs(other.apply(*inputs))}


def test_rules_say_how_many_rows_they_can_give():
    rules: list[Rule] = [KeepDistinct(), ActorPairs(), JudgePairs()]
    inputs = Shape(10, 5), Shape(70, 20), Shape(770, 30), Shape(1100, 40)
    shapes = [rules[0].shape(inputs[1]), rules[1].shape(*inputs[:3]), rules[2].shape(*inputs)]
    assert shapes == [Shape(70, 20), Shape(10, 50), Shape(10, 110)]
    assert len({rule.name for rule in rules}) == 3
    assert [rule.record for rule in rules] == [Response, PreferencePair, PreferencePair]
