"""Pairs from whole iterations: every subject is accounted for, and a planted truth wins."""

import dataclasses
from collections import Counter
from itertools import combinations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.records import (
    Dropped,
    Finish,
    PreferencePair,
    Response,
    Role,
)
from metareward.stages.pair import ActorPairs, KeepDistinct, mean_scores
from metareward.stages.pair_judge import JudgePairs, position_weights
from pairing_worlds import (
    FLIPPED,
    World,
    pairs,
    planted,
    quick,
    seeds,
    worlds,
)

# Counts add up


REASONS = {
    KeepDistinct: {"duplicate response", "engine failure", "empty response"},
    ActorPairs: {
        "fewer than two scored responses",
        "equal scores",
        "chosen response over the length limit",
    },
    JudgePairs: {
        "no response with two readable judgments",
        "no decided battle",
        "equal Elo",
        "identical judgments",
        "chosen judgment over the length limit",
    },
}


@quick
@given(worlds())
def test_every_response_is_kept_or_dropped_for_a_known_reason(world: World):
    rows = list(KeepDistinct().apply(world.responses))
    named = [row.subject_id if isinstance(row, Dropped) else row.id for row in rows]
    assert named == [response.id for response in world.responses]
    assert {row.reason for row in rows if isinstance(row, Dropped)} <= REASONS[KeepDistinct]
    kept = [(row.prompt_id, row.text) for row in rows if isinstance(row, Response)]
    usable = [
        (r.prompt_id, r.text) for r in world.responses if r.finish is not Finish.FAILED and r.text.strip()
    ]
    assert kept == list(dict.fromkeys(usable))


@settings(max_examples=100, deadline=None)
@given(worlds(), st.sampled_from([None, 5, 15]), st.sampled_from([0, 0.32, 0.49]))
def test_every_prompt_gives_a_pair_or_a_known_reason(world: World, limit: int | None, rho: float):
    for rule, inputs in (
        (ActorPairs(rho, limit), world.actor_inputs),
        (JudgePairs(max_chosen_characters=limit), world.judge_inputs),
    ):
        rows = list(rule.apply(*inputs))
        dropped = Counter(row.reason for row in rows if isinstance(row, Dropped))
        assert len(pairs(rows)) + sum(dropped.values()) == len(world.prompts)
        named = [row.prompt_id if isinstance(row, PreferencePair) else row.subject_id for row in rows]
        assert named == [prompt.id for prompt in world.prompts]
        assert set(dropped) <= REASONS[type(rule)]
        assert "chosen response over the length limit" not in dropped or limit is not None


@settings(max_examples=100, deadline=None)
@given(worlds(), st.sampled_from([0, 0.1, 0.32, 0.4, 0.49, 0.4999999999999]))
def test_an_actor_pair_is_never_upside_down_and_obeys_its_tiers(world: World, rho: float):
    scores = {r.id: score for r, score in mean_scores(world.responses, world.judgments)}
    for pair in pairs(ActorPairs(rho).apply(*world.actor_inputs)):
        own = [scores[r.id] for r in world.responses if r.prompt_id == pair.prompt_id and r.id in scores]
        best, worst = max(own), min(own)
        assert pair.chosen_score == scores[pair.chosen_id] > scores[pair.rejected_id] == pair.rejected_score
        assert best - rho * (best - worst) - 2e-9 <= pair.chosen_score <= best
        assert worst <= pair.rejected_score <= worst + rho * (best - worst) + 2e-9
        good = [r for r in world.responses if scores.get(r.id) == best and r.prompt_id == pair.prompt_id]
        bad = [r for r in world.responses if scores.get(r.id) == worst and r.prompt_id == pair.prompt_id]
        assert len(pair.chosen) <= min(len(r.text) for r in good)
        assert len(pair.rejected) >= max(len(r.text) for r in bad)


@settings(max_examples=100, deadline=None)
@given(worlds())
def test_a_judge_pair_is_never_upside_down_and_answers_the_prompt_it_was_asked(world: World):
    judgments = {judgment.id: judgment for judgment in world.judgments}
    met = {frozenset((battle.first_id, battle.second_id)) for battle in world.battles}
    for pair in pairs(JudgePairs().apply(*world.judge_inputs)):
        chosen, rejected = judgments[pair.chosen_id], judgments[pair.rejected_id]
        assert pair.chosen_score > pair.rejected_score
        fought = {name for names in met for name in names if judgments[name].response_id == pair.response_id}
        if all(frozenset(two) in met for two in combinations(fought, 2)):
            assert pair.chosen_score > 0 > pair.rejected_score, "strengths sum to 0: the ends are apart"
        assert pair.response_id == chosen.response_id == rejected.response_id
        assert pair.messages == chosen.messages == rejected.messages
        assert (pair.chosen, pair.rejected) == (chosen.text, rejected.text)
        assert pair.chosen != pair.rejected
        assert chosen.score is not None
        assert rejected.score is not None


# A planted truth


@quick
@given(seeds, st.sampled_from([0.0, 0.2, 0.4]))
def test_the_better_answer_is_chosen(seed: int, rho: float):
    world, truth = planted(seed)
    found = pairs(ActorPairs(rho).apply(*world.actor_inputs))
    assert len(found) == len(world.prompts)
    assert all(truth[pair.chosen_id] > truth[pair.rejected_id] for pair in found)
    if rho == 0:
        assert all((truth[pair.chosen_id], truth[pair.rejected_id]) == (4, 1) for pair in found)


@quick
@given(seeds)
def test_the_best_judgment_is_chosen_over_the_worst(seed: int):
    world, truth = planted(seed)
    found = pairs(JudgePairs().apply(*world.judge_inputs))
    assert len(found) == len(world.prompts)
    for pair in found:
        own = [truth[j.id] for j in world.judgments if j.response_id == pair.response_id]
        assert (truth[pair.chosen_id], truth[pair.rejected_id]) == (max(own), min(own))
        assert pair.role is Role.JUDGE


@quick
@given(seeds)
def test_when_the_truth_turns_over_every_judge_pair_turns_over(seed: int):
    world, _ = planted(seed)
    turned = [dataclasses.replace(battle, outcome=FLIPPED[battle.outcome]) for battle in world.battles]
    straight = pairs(JudgePairs().apply(*world.judge_inputs))
    reverse = pairs(JudgePairs().apply(world.prompts, world.responses, world.judgments, turned))
    assert len(straight) == len(reverse) == len(world.prompts)
    for one, other in zip(straight, reverse, strict=True):
        assert (one.chosen_id, one.rejected_id) == (other.rejected_id, other.chosen_id)
        assert (one.chosen, one.rejected_token_ids) == (other.rejected, other.chosen_token_ids)
        assert one.chosen_score == pytest.approx(-other.rejected_score, abs=1e-9)
        assert one.rejected_score == pytest.approx(-other.chosen_score, abs=1e-9)


@quick
@given(seeds)
def test_when_the_scores_turn_over_every_actor_pair_turns_over(seed: int):
    world, _ = planted(seed)
    turned = [dataclasses.replace(j, score=5 - (j.score or 0)) for j in world.judgments]
    straight = pairs(ActorPairs().apply(*world.actor_inputs))
    reverse = pairs(ActorPairs().apply(world.prompts, world.responses, turned))
    assert [(p.chosen_id, p.rejected_id) for p in straight] == [(p.rejected_id, p.chosen_id) for p in reverse]


@quick
@given(seeds, st.sampled_from([0.0, 0.3]))
def test_showing_every_battle_the_other_way_round_exchanges_the_weights_only(seed: int, noise: float):
    world, _ = planted(seed, noise=noise)
    swapped = [
        dataclasses.replace(b, first_id=b.second_id, second_id=b.first_id, outcome=FLIPPED[b.outcome])
        for b in world.battles
    ]
    weights, other = position_weights(world.battles), position_weights(swapped)
    assert (weights.first, weights.second) == (other.second, other.first)
    straight = list(JudgePairs().apply(*world.judge_inputs))
    assert straight == list(JudgePairs().apply(world.prompts, world.responses, world.judgments, swapped))


@quick
@given(seeds)
def test_a_biased_meta_judge_still_finds_the_best_judgment_most_of_the_time(seed: int):
    world, truth = planted(seed, prompts=20, noise=0.3)
    weights = position_weights(world.battles)
    assert weights.first < 0.5 < weights.second
    found = pairs(JudgePairs().apply(*world.judge_inputs))
    assert sum(truth[p.chosen_id] > truth[p.rejected_id] for p in found) >= 0.9 * len(found)
