"""Consistency of two judges: against scipy and counting by hand, through CREAM and the combined recipe."""

import dataclasses
import json
import random
from itertools import combinations
from statistics import fmean, stdev
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import kendalltau

import loops
import planted
from metareward import summary
from metareward.cli import render_summary
from metareward.engines.base import Request
from metareward.errors import ConfigError
from metareward.recipes.cream import Cream
from metareward.recipes.settings import Iteration
from metareward.records import Dropped, Judgment, PreferencePair, Role
from metareward.show import explain
from metareward.stages.auto_rho import AutoRho
from metareward.stages.consistency import Consistent, consistency, tau_a, taus
from metareward.stages.pair import ActorPairs
from pairing_worlds import World, pairs, worlds

scores = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=7)


@settings(max_examples=200, deadline=None)
@given(scores)
def test_tau_counts_pairs_in_the_same_and_in_opposite_order(rows):
    ours, theirs = [a for a, _ in rows], [b for _, b in rows]
    same = sum((a - c) * (b - d) > 0 for (a, b), (c, d) in combinations(rows, 2))
    opposite = sum((a - c) * (b - d) < 0 for (a, b), (c, d) in combinations(rows, 2))
    pairs_of_rows = len(rows) * (len(rows) - 1) // 2
    expected = (same - opposite) / pairs_of_rows if pairs_of_rows else None
    assert tau_a(ours, theirs) == (None if expected is None else pytest.approx(expected))


@settings(max_examples=100, deadline=None)
@given(st.permutations(range(6)), st.permutations(range(6)))
def test_without_ties_it_is_scipys_tau(ours, theirs):
    tau, _ = kendalltau(ours, theirs)
    assert tau_a(ours, theirs) == pytest.approx(tau)


def test_the_ends_of_the_scale():
    assert tau_a([1, 2, 3], [4, 4.5, 5]) == 1
    assert tau_a([1, 2, 3], [5, 4, 3]) == -1
    assert tau_a([3, 3, 3], [1, 2, 3]) == 0, "a judge that tells nothing apart agrees with nobody"
    assert tau_a([1], [1]) is None
    with pytest.raises(ValueError, match="zip"):
        tau_a([1, 2], [1])


def rejudged(world: World, change: Any) -> list[Judgment]:
    """The same judgments by another model, each score changed."""
    return [
        dataclasses.replace(
            j, id=f"before {j.id}", model="before", score=None if j.score is None else change(j.score)
        )
        for j in world.judgments
    ]


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_the_same_order_makes_certain_and_the_opposite_order_the_contrary(world: World):
    same = consistency(rejudged(world, lambda s: s / 2 + 1), *world.actor_inputs)
    opposite = consistency(rejudged(world, lambda s: 5 - s), *world.actor_inputs)
    assert same.prompts == opposite.prompts == len(world.prompts)
    if same.tau is None:
        assert same.known == 0
        assert same.certainty is None
        return
    assert opposite.tau is not None
    assert same.tau == pytest.approx(-opposite.tau)
    assert same.tau >= 0
    assert same.certainty == pytest.approx((same.tau + 1) / 2)


@settings(max_examples=80, deadline=None)
@given(worlds(), st.integers(0, 99), st.sampled_from(["iteration", "prompt"]))
def test_pairs_are_those_of_the_rule_with_a_certainty(world: World, seed: int, per):
    rng = random.Random(seed)
    before = rejudged(world, lambda s: rng.uniform(0, 5))
    plain = list(ActorPairs(0.2).apply(*world.actor_inputs))
    weighed = list(Consistent(ActorPairs(0.2), per).apply(before, *world.actor_inputs))
    mean = consistency(before, *world.actor_inputs).certainty
    each = list(taus(before, *world.actor_inputs))
    for row, other, tau in zip(plain, weighed, each, strict=True):
        if isinstance(row, Dropped):
            assert other == row
        elif mean is None:
            assert other == Dropped(row.prompt_id, "no two responses scored by both judges")
        else:
            assert isinstance(other, PreferencePair)
            own = mean if per == "iteration" or tau is None else (tau + 1) / 2
            assert other.certainty == pytest.approx(own)
            assert 0 <= other.certainty <= 1
            assert dataclasses.replace(other, id=row.id, certainty=1.0) == row
            assert other.id != row.id


def test_the_mean_and_its_error_are_over_prompts_with_two_responses_scored_by_both():
    world, rng = planted_world(0), random.Random(0)
    before = rejudged(world, lambda s: rng.uniform(0, 5))
    before = [j for j in before if j.prompt_id != "p0"]
    before += [dataclasses.replace(before[0], id="one", response_id="p0-0", prompt_id="p0", score=1.0)]
    before.sort(key=lambda j: j.prompt_id)
    found, each = consistency(before, *world.actor_inputs), list(taus(before, *world.actor_inputs))
    assert each[0] is None
    known = [tau for tau in each if tau is not None]
    assert (found.prompts, found.known) == (6, 5)
    assert found.tau == pytest.approx(fmean(known))
    assert found.tau_standard_error == pytest.approx(stdev(known) / 5**0.5)
    assert stdev(known) > 0.1
    (first, *_) = Consistent(ActorPairs(), "prompt").apply(before, *world.actor_inputs)
    assert isinstance(first, PreferencePair)
    assert first.certainty == found.certainty, "an unknown prompt has the mean"


@pytest.mark.parametrize("per", ["iteration", "prompt"])
def test_where_the_judge_before_scored_nothing_no_pair_is_believed(per):
    world = planted_world(0)
    assert len(pairs(ActorPairs().apply(*world.actor_inputs))) == 6
    made = list(Consistent(ActorPairs(), per).apply([], *world.actor_inputs))
    reason = "no two responses scored by both judges"
    assert made == [Dropped(prompt.id, reason) for prompt in world.prompts]
    one_each = rejudged(world, lambda s: s)[::20]
    assert [j.prompt_id for j in one_each] == [prompt.id for prompt in world.prompts]
    assert list(Consistent(ActorPairs(), per).apply(one_each, *world.actor_inputs)) == made


def planted_world(seed: int) -> World:
    from pairing_worlds import planted as plant

    return plant(seed)[0]


def test_what_can_be_read_once_and_odd_settings_are_refused():
    world = planted_world(0)
    with pytest.raises(TypeError, match="reads its inputs twice"):
        list(Consistent(ActorPairs()).apply(iter(world.judgments), *world.actor_inputs))
    with pytest.raises(ConfigError, match=r"consistent\.per must be 'iteration' or 'prompt', not 'run'"):
        Consistent(ActorPairs(), "run")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="consistency must be 'iteration' or 'prompt'"):
        Cream(consistency="run")  # type: ignore[arg-type]


def test_rules_can_be_wrapped_in_one_another():
    world = planted_world(3)
    before = rejudged(world, lambda s: 5 - s)
    found = AutoRho(ActorPairs()).search(*world.actor_inputs)
    wrapped = pairs(Consistent(AutoRho(ActorPairs())).apply(before, *world.actor_inputs))
    fixed = pairs(ActorPairs(found.rho).apply(*world.actor_inputs))
    assert [(p.chosen_id, p.rejected_id) for p in wrapped] == [(p.chosen_id, p.rejected_id) for p in fixed]
    assert {p.certainty for p in wrapped} == {0.0}


# Whole loops: from the second iteration on, the world's judge has turned for one of the models or not.


def turning(request: Request, model) -> Any:
    """The first model prefers the best, its successors the worst."""
    return planted.World(flipped=model.fingerprint != loops.START.fingerprint)(request, model)


@pytest.mark.parametrize("name", ["cream", "combined"])
@pytest.mark.parametrize(("world", "low", "high"), [(planted.World(), 0.6, 1.0), (turning, 0.0, 0.4)])
def test_a_judge_that_turned_is_not_believed(tmp_path, name, world, low, high):
    """Certainty is high where the order stays and below one half where it turns over."""
    run, _ = loops.loop(tmp_path, loops.Asked(world), name, prompts=8)
    first, second = run.history.rounds
    assert {p.certainty for rows in first.pairs for p in rows} == {1.0}, "no model before the first"
    found = run.history.consistency
    assert list(found) == [1]
    actor = [p for rows in second.pairs for p in rows if p.role is Role.ACTOR]
    assert {p.certainty for p in actor} == {found[1].certainty}
    assert low <= found[1].certainty <= high
    assert all(p.certainty == 1.0 for rows in second.pairs for p in rows if p.role is Role.JUDGE)
    previous = next(other for other in second.beside if other.name == "previous")
    assert {row.model for row in previous.judgments} == {first.start.fingerprint}
    assert {row.response_id for row in previous.judgments} == {row.id for row in second.responses}


@pytest.mark.parametrize("name", ["cream", "combined"])
def test_the_judge_before_is_that_of_the_iteration_before(tmp_path, name):
    iterations = tuple(Iteration(roles=(Role.ACTOR,)) for _ in range(3))
    small = dataclasses.replace(loops.RECIPES[name][1](), iterations=iterations)
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), name, small, prompts=4)
    starts = [round.start.fingerprint for round in run.history.rounds]
    assert len(set(starts)) == 3
    before = [
        {row.model for other in round.beside if other.name == "previous" for row in other.judgments}
        for round in run.history.rounds
    ]
    assert before == [set(), {starts[0]}, {starts[1]}]


@pytest.mark.parametrize("name", ["cream", "combined"])
def test_each_prompt_can_be_believed_for_itself(tmp_path, name):
    small = dataclasses.replace(loops.RECIPES[name][1](), consistency="prompt")
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), name, small, prompts=8)
    second = run.history.rounds[1]
    inputs = (second.beside[0].judgments, second.prompts, second.responses, second.judgments)
    each = dict(zip([prompt.id for prompt in second.prompts], taus(*inputs), strict=True))
    assert len({p.certainty for p in second.pairs[0]}) > 1
    for pair in second.pairs[0]:
        tau = each[pair.prompt_id]
        assert tau is not None
        assert pair.certainty == pytest.approx((tau + 1) / 2)


def test_consistency_is_in_the_summary_the_table_and_the_story(tmp_path):
    run, _ = loops.loop(tmp_path, loops.Asked(turning), "cream", prompts=8)
    first, second = summary.save(run.history, tmp_path)["iterations"]
    json.dumps([first, second], allow_nan=False)
    assert first["consistency"] is None
    told = second["consistency"]
    assert (told["prompts"], told["certainty"]) == (8, pytest.approx((told["tau"] + 1) / 2))
    rows = dict(render_summary._iteration_rows([first, second]))
    assert rows["certainty of pairs, mean"] == ["-", f"{told['certainty']:.2f}"]
    assert rows["Kendall's tau with the judge before"][1].startswith(f"{told['tau']:.2f} ± ")
    (made,) = run.history.rounds[1].pairs
    pair = next(iter(made))
    story = explain(run.store, pair.id).as_dict()
    chosen = next(child for child in story["children"] if child["title"].startswith("chosen response"))
    assert chosen["facts"]["mean score"] == f"{pair.chosen_score:.3f}", (
        "not the judgments of the model before"
    )


def test_the_released_codes_numbers_are_the_defaults():
    recipe = Cream()
    generate, dpo = recipe.generate, recipe.dpo
    assert (generate.samples, generate.temperature, generate.top_p, generate.max_tokens) == (
        5,
        0.8,
        0.95,
        768,
    )
    assert (dpo.learning_rate, dpo.beta, dpo.epochs, dpo.scheduler) == (1e-6, 0.1, 1, "cosine")
    assert (dpo.warmup_ratio, dpo.weight_decay, dpo.max_grad_norm) == (0.1, 0.01, 1.0)
    assert recipe.consistency == "iteration"
    assert [(i.rho, i.trains_actor, i.trains_judge) for i in recipe.iterations] == [(0, True, False)] * 2
