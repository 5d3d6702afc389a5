"""Anchored rejection and future-guided choice: worked examples, a planted truth, whole loops."""

import dataclasses
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loops
import planted
from metareward import summary
from metareward.cli import render_summary
from metareward.errors import ConfigError
from metareward.recipes.settings import Iteration
from metareward.recipes.temporal import Temporal
from metareward.records import Dropped, PreferencePair, Role
from metareward.show import explain
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.pair import ActorPairs
from pairing_worlds import World, a_judgment, a_prompt, a_response, pairs, worlds

PROMPT = a_prompt("p")


def rows(who: str, *scores: float | None, text: str | None = None) -> tuple[list, list]:
    """One model's responses to the prompt and a judgment of each."""
    responses = [
        dataclasses.replace(a_response("p", n), id=f"{who}{n}", text=text or f"{who} {n}", model=who)
        for n in range(len(scores))
    ]
    return responses, [a_judgment(r, 0, s) for r, s in zip(responses, scores, strict=True)]


def only(*inputs: Any, rule: AnchoredPairs | None = None) -> Any:
    (row,) = (rule or AnchoredPairs()).apply([PROMPT], *inputs)
    return row


NOW, WORSE, BETTER = rows("now", 2, 4, 3), rows("past", 1, 5, 3), rows("ahead", 4.5, 0)


def test_the_pasts_worst_is_rejected_when_it_is_worse():
    pair = only(*NOW, *WORSE)
    assert (pair.chosen_id, pair.rejected_id) == ("now1", "past0")
    assert (pair.chosen_score, pair.rejected_score) == (4, 1)
    assert (pair.role, pair.prompt_id) == (Role.ACTOR, "p")
    assert pair.messages == PROMPT.messages


@pytest.mark.parametrize("worst", [2, 2.5, 5])
def test_the_presents_worst_is_rejected_otherwise(worst):
    pair = only(*NOW, *rows("past", worst, 5))
    assert (pair.chosen_id, pair.rejected_id) == ("now1", "now0")


def test_the_pasts_best_is_never_chosen_and_the_futures_worst_never_rejected():
    pair = only(*NOW, *WORSE, *BETTER)
    assert (pair.chosen_id, pair.rejected_id) == ("ahead0", "past0")


@pytest.mark.parametrize("best", [4, 3.9, 0])
def test_a_future_that_is_not_better_is_not_chosen(best):
    assert only(*NOW, *WORSE, *rows("ahead", best)).chosen_id == "now1"


def test_without_past_and_future_it_is_best_against_worst():
    assert only(*NOW, *NOW).rejected_id == "now0"
    assert only(*NOW, [], []).chosen_id == "now1"


@pytest.mark.parametrize(
    ("inputs", "reason"),
    [
        ((*rows("now"), *WORSE), "fewer than two scored responses"),
        ((*rows("now", None, None), *WORSE, *BETTER), "fewer than two scored responses"),
        ((*rows("now", 3), *rows("past", 3)), "fewer than two scored responses"),
        ((*rows("now", 3, 3), *rows("past", 3)), "equal scores"),
        ((*rows("now", 3, text="same"), *rows("past", 1, text="same")), "identical responses"),
    ],
)
def test_why_there_is_no_pair(inputs, reason):
    assert only(*inputs) == Dropped("p", reason)


def test_one_present_response_is_enough_if_the_past_is_worse():
    pair = only(*rows("now", 3), *rows("past", 1))
    assert (pair.chosen_id, pair.rejected_id) == ("now0", "past0")


def test_the_limit_is_of_the_chosen_response():
    long = rows("ahead", 5, text="x" * 30)
    rule = AnchoredPairs(max_chosen_characters=10)
    assert only(*NOW, *WORSE, *long, rule=rule) == Dropped("p", "chosen response over the length limit")
    assert isinstance(only(*NOW, *rows("past", 1, text="x" * 30), rule=rule), PreferencePair)


def test_length_control_chooses_within_who_may_be_chosen():
    """Of the future the shorter in the top tier, of the past the longer in the bottom tier."""
    future, judged = rows("ahead", 5, 4.5)
    future = [dataclasses.replace(future[0], text="x" * 20), dataclasses.replace(future[1], text="x" * 5)]
    past, past_judged = rows("past", 0, 1)
    past = [dataclasses.replace(past[0], text="y" * 3), dataclasses.replace(past[1], text="y" * 30)]
    inputs = (*NOW, past, past_judged, future, judged)
    assert (only(*inputs).chosen_id, only(*inputs).rejected_id) == ("ahead0", "past0")
    controlled = only(*inputs, rule=AnchoredPairs(rho=0.3))
    assert (controlled.chosen_id, controlled.rejected_id) == ("ahead1", "past1")


@pytest.mark.parametrize("changes", [{"rho": 0.5}, {"rho": -0.1}, {"max_chosen_characters": 0}])
def test_settings_that_make_no_sense(changes):
    with pytest.raises(ConfigError, match="anchored_pairs"):
        AnchoredPairs(**changes)


def as_of(world: World, who: str, prompts: list) -> tuple[list, list]:
    """A world's rows as another model's, for those of the prompts that it has."""
    known = {prompt.id for prompt in prompts}
    responses = [dataclasses.replace(r, id=f"{who} {r.id}") for r in world.responses if r.prompt_id in known]
    judgments = [
        dataclasses.replace(j, id=f"{who} {j.id}", response_id=f"{who} {j.response_id}")
        for j in world.judgments
        if j.prompt_id in known
    ]
    return responses, judgments


@settings(max_examples=80, deadline=None)
@given(worlds(), worlds(), worlds(), st.sampled_from([0.0, 0.32, 0.49]))
def test_a_pair_is_never_upside_down_and_the_gap_never_smaller(now, before, after, rho):
    """Chosen scores above rejected, and at rho 0 the gap is at least that of the present alone."""
    past, future = as_of(before, "past", now.prompts), as_of(after, "ahead", now.prompts)
    rule = AnchoredPairs(rho)
    inputs: tuple[Any, ...] = (*now.actor_inputs, *past, *future)
    made = list(rule.apply(*inputs))
    named = [row.subject_id if isinstance(row, Dropped) else row.prompt_id for row in made]
    assert named == [prompt.id for prompt in now.prompts]
    alone = {pair.prompt_id: pair for pair in pairs(ActorPairs(rho).apply(*now.actor_inputs))}
    for pair in pairs(made):
        assert pair.chosen_score > pair.rejected_score
        assert not pair.chosen_id.startswith("past")
        assert not pair.rejected_id.startswith("ahead")
        if rho == 0 and pair.prompt_id in alone:
            plain = alone[pair.prompt_id]
            assert pair.chosen_score >= plain.chosen_score
            assert pair.rejected_score <= plain.rejected_score


# Whole loops


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    directory = tmp_path_factory.mktemp("temporal")
    run, _ = loops.loop(directory, loops.Asked(planted.World()), "temporal", prompts=8)
    return run, summary.save(run.history, directory)


def test_all_responses_of_an_iteration_are_judged_by_its_own_model(finished):
    run, _ = finished
    for number, round in enumerate(run.history.rounds):
        assert [other.name for other in round.beside] == (["past", "future"] if number else ["future"])
        for other in round.beside:
            assert {row.model for row in other.judgments} == {round.start.fingerprint}
            assert {row.model for row in other.answers} == {other.model.fingerprint}
        past = [other.model for other in round.beside if other.name == "past"]
        assert all(model.fingerprint == loops.START.fingerprint for model in past)


def test_the_future_is_trained_from_the_first_phase_and_the_next_from_the_second(tmp_path):
    from metareward.train.fake import FakeTrainer

    trainer = FakeTrainer()
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), "temporal", trainer=trainer)
    made = [job.key for job in trainer.jobs]
    expected = []
    for round in run.history.rounds:
        ahead = round.beside[-1]
        expected += [ahead.model.fingerprint, round.trained.fingerprint]
        (first_phase,), (second_phase,) = ahead.pairs, round.pairs
        future = {row.id for row in ahead.responses}
        assert not future & {pair.chosen_id for pair in first_phase}
        assert future & {pair.chosen_id for pair in second_phase}, "some of the future's are better"
        assert [p.prompt_id for p in first_phase] == [p.prompt_id for p in second_phase]
    assert made == expected
    begun = [round.start.path for round in run.history.rounds for _ in ("future", "next")]
    assert [job.start for job in trainer.jobs] == begun, "both go on from the iteration's own model"
    assert [job.reference for job in trainer.jobs] == begun
    assert len(set(begun)) == 2


def test_the_summary_counts_whose_responses_are_in_the_pairs(finished):
    run, result = finished
    json.dumps(result, allow_nan=False)
    for round, entry in zip(run.history.rounds, result["iterations"], strict=True):
        (made,) = round.pairs
        for other, told in zip(round.beside, entry["beside"], strict=True):
            ids = {row.id for row in other.responses}
            assert told["chosen"] == sum(pair.chosen_id in ids for pair in made)
            assert told["rejected"] == sum(pair.rejected_id in ids for pair in made)
            assert (told["chosen"] == 0) if other.name == "past" else (told["rejected"] == 0)
        assert {"generate, future", "judge, future", "train, future"} <= set(entry["seconds"])
    table = dict(render_summary._iteration_rows(result["iterations"]))
    assert table["pairs with a past response rejected"][0] == "-"
    assert table["pairs with a future response chosen"] == [
        str(entry["beside"][-1]["chosen"]) for entry in result["iterations"]
    ]


def test_show_tells_a_pair_across_models(finished):
    run, _ = finished
    round = run.history.rounds[1]
    ids = {row.id for row in round.beside[0].responses}
    pair = next(pair for pair in round.pairs[0] if pair.rejected_id in ids)
    told = explain(run.store, pair.id).as_dict()
    rejected = next(child for child in told["children"] if child["title"].startswith("rejected response"))
    assert rejected["facts"]["model"] == loops.START.fingerprint
    assert rejected["facts"]["mean score"] == f"{pair.rejected_score:.3f}"


def test_without_the_future_the_first_phase_trains_the_next_model(tmp_path):
    small = loops.small_temporal(future_guided=False)
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), "temporal", small)
    assert [[other.name for other in round.beside] for round in run.history.rounds] == [[], ["past"]]


def test_anchors_can_be_length_controlled(tmp_path):
    small = loops.small_temporal(iterations=(Iteration(rho="auto"), Iteration(rho="auto")))
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), "temporal", small)
    assert [choice.reached for choice in run.history.rhos.values()] == [True, True]


def test_the_papers_numbers_are_the_defaults():
    recipe = Temporal()
    assert (recipe.generate.samples, recipe.generate.temperature) == (7, 1)
    dpo = recipe.dpo
    assert (dpo.learning_rate, dpo.beta, dpo.epochs, dpo.batch_size) == (5e-7, 0.1, 1, 32)
    assert [(i.rho, i.trains_actor, i.trains_judge) for i in recipe.iterations] == [(0, True, False)] * 2
    assert recipe.future_guided


def test_a_gate_cannot_drop_what_is_not_trained():
    from metareward.recipes.gate import Gate

    with pytest.raises(ConfigError, match="no judge is trained"):
        Temporal(attack=Gate(enabled=True, action="drop judge"))
    with pytest.raises(ConfigError, match="temporal trains no judge"):
        Temporal(attack=Gate(enabled=True, harden=True, samples=2))
