"""One suite that every recipe passes: a planted truth comes through, and flips when the truth does."""

import dataclasses

import numpy as np
import pytest

import loops
import planted
from metareward.events import Noticed, StepFinished
from metareward.paper import Paper
from metareward.records import Outcome, Role
from metareward.stages.pair_judge import battle_matrix, position_weights
from metareward.stats.bradley_terry import strengths

RECIPES = loops.RECIPES | loops.GATED
NAMES = sorted(RECIPES)
pytestmark = pytest.mark.parametrize("name", NAMES)


def pairs_of(run, role):
    return [
        pair for round in run.history.rounds for rows in round.pairs for pair in rows if pair.role is role
    ]


@pytest.mark.parametrize("reading", ["free", "forced"])
@pytest.mark.parametrize("flipped", [False, True])
def test_chosen_is_the_one_the_judge_was_told_to_prefer(tmp_path, name, reading, flipped):
    world = planted.World(flipped=flipped)
    run, _ = loops.loop(tmp_path, loops.Asked(world), name, RECIPES[name][1](reading), prompts=12)
    sign = -1 if flipped else 1
    actor = pairs_of(run, Role.ACTOR)
    assert len(actor) >= 12
    qualities: dict[str, set[int]] = {}
    for round in run.history.rounds:
        for response in round.responses:
            qualities.setdefault(response.prompt_id, set()).add(planted.quality_of(response.text))
    for pair in actor:
        better, worse = planted.quality_of(pair.chosen), planted.quality_of(pair.rejected)
        assert sign * (better - worse) > 0 or len(qualities[pair.prompt_id]) == 1
        assert pair.chosen_score > pair.rejected_score
    assert np.mean([planted.quality_of(p.chosen) - planted.quality_of(p.rejected) for p in actor]) * sign > 1


@pytest.mark.parametrize("reading", ["free", "forced"])
@pytest.mark.parametrize("flipped", [False, True])
def test_the_judgment_the_meta_judge_prefers_is_chosen(tmp_path, name, reading, flipped):
    world = planted.World(flipped=flipped)
    run, _ = loops.loop(tmp_path, loops.Asked(world), name, RECIPES[name][1](reading), prompts=12)
    judge = pairs_of(run, Role.JUDGE)
    if not RECIPES[name][1]().iterations[0].trains_judge:
        assert not judge
        return
    assert len(judge) >= 8
    for pair in judge:
        chosen, rejected = planted.error_of(pair.chosen), planted.error_of(pair.rejected)
        assert (chosen > rejected) if flipped else (chosen < rejected)
        assert pair.chosen_score > 0 > pair.rejected_score, "Elo is centred, and its sign is the truth's"


def test_every_statistic_of_the_battles_flips_with_the_truth(tmp_path, name):
    def elo(flipped):
        run, _ = loops.loop(tmp_path / str(flipped), loops.Asked(planted.World(flipped)), name)
        battles = [b for round in run.history.rounds for b in (round.battles or ())]
        weights = position_weights(battles)
        found = {}
        for response in dict.fromkeys(battle.response_id for battle in battles):
            fought = [battle for battle in battles if battle.response_id == response]
            ids = sorted({battle.first_id for battle in fought})
            texts = {j.id: j.text for round in run.history.rounds for j in round.judgments}
            values = strengths(battle_matrix(ids, fought, weights))
            found |= {
                planted.error_of(texts[i]): v for i, v in zip(ids, values, strict=True) if abs(v) > 1e-9
            }
        return found

    if not RECIPES[name][1]().iterations[0].trains_judge:
        return
    straight, flipped = elo(False), elo(True)
    assert straight[0] > 0 > straight[2]
    assert flipped[0] < 0 < flipped[2]


def test_a_position_bias_is_weighed_away(tmp_path, name):
    """A meta-judge that names the first in half of its battles still does not swap a pair."""
    world = planted.World(first_bias=0.5)
    run, _ = loops.loop(tmp_path, loops.Asked(world), name, prompts=12)
    battles = [b for round in run.history.rounds for b in (round.battles or ())]
    if battles:
        first = sum(b.outcome is Outcome.FIRST for b in battles)
        second = sum(b.outcome is Outcome.SECOND for b in battles)
        assert first > 1.3 * second
        weights = position_weights(battles)
        assert weights.first < 0.5 < weights.second
    for pair in pairs_of(run, Role.JUDGE):
        assert planted.error_of(pair.chosen) <= planted.error_of(pair.rejected)


def test_counts_add_up(tmp_path, name):
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), name)
    for round in run.history.rounds:
        assert len(round.responses) + sum(round.responses.manifest.dropped.values()) == len(round.answers)
        for pairs in (*round.pairs, *(rows for other in round.beside for rows in other.pairs)):
            assert len(pairs) + sum(pairs.manifest.dropped.values()) == len(round.prompts)
        for other in round.beside:
            given = len(round.responses) if other.answers is None else len(other.answers)
            left_out = 0 if other.answers is None else sum(other.responses.manifest.dropped.values())
            assert len(other.responses) + left_out == given


def test_a_second_run_asks_nothing_and_trains_nothing(tmp_path, name):
    run, model = loops.loop(tmp_path, loops.Asked(planted.World()), name)
    again = loops.Asked(planted.World())
    heard = loops.Heard()
    run_again, model_again = loops.loop(tmp_path, again, name, listen=heard)
    assert not again.opened, "no model is even loaded"
    assert model_again == model
    assert loops.everything(run_again) == loops.everything(run)
    steps = [event for event in heard if not isinstance(event, Noticed)]
    assert steps
    assert all(isinstance(event, StepFinished) and event.reused for event in steps)


def test_every_iteration_trains_from_its_own_model_against_it(tmp_path, name):
    from metareward.train.fake import FakeTrainer

    trainer = FakeTrainer()
    run, last = loops.loop(tmp_path, loops.Asked(planted.World()), name, trainer=trainer)
    assert [job.start for job in trainer.jobs] == [job.reference for job in trainer.jobs]
    assert trainer.jobs[0].start == loops.START.path
    starts = [loops.START.path, *(round.trained.path for round in run.history.rounds)]
    assert list(dict.fromkeys(job.start for job in trainer.jobs)) == starts[:-1]
    made = [job.key for job in trainer.jobs]
    assert [key for key in made if key in {round.trained.fingerprint for round in run.history.rounds}] == [
        round.trained.fingerprint for round in run.history.rounds
    ]
    assert last.fingerprint == run.history.rounds[-1].trained.fingerprint
    assert [look.model.name for look in run.history.looks] == [
        f"M{t}" for t in range(len(run.history.rounds) + 1)
    ]


def test_the_referee_is_the_first_model_throughout(tmp_path, name):
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), name)
    for look in run.history.looks:
        assert {j.model for j in look.refereed} == {loops.START.fingerprint}
        assert {j.model for j in look.judgments} == {look.model.fingerprint}


def test_held_out_prompts_are_never_trained_on(tmp_path, name):
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), name)
    seen = {answer.prompt_id for look in run.history.looks for answer in look.answers}
    trained = {pair.prompt_id for round in run.history.rounds for rows in round.pairs for pair in rows}
    assert seen
    assert trained
    assert not seen & trained


def test_on_paper_every_step_has_the_key_it_will_have(tmp_path, name):
    """The plan before a run names the same training; after it, everything is done."""
    recipe, small = RECIPES[name]
    settings = small()
    many = planted.prompts(14)

    def plan():
        paper = Paper(tmp_path)
        held_out = paper.prompts(many[:2])
        recipe(paper, loops.START, [paper.prompts(many[2:8]), paper.prompts(many[8:])], settings, held_out)
        return paper.steps

    before = plan()
    run, _model = loops.loop(tmp_path, loops.Asked(planted.World()), name, settings)
    after = plan()
    assert [step.key for step in before] == [step.key for step in after]
    assert {step.state for step in before} == {"to do"}
    assert {step.state for step in after} == {"done"}
    trained = {round.trained.fingerprint for round in run.history.rounds}
    assert trained <= {step.key for step in before if step.step == "train"}
    for early, late in zip(before, after, strict=True):
        assert early.calls >= late.calls, "a plan is an upper bound"


def test_settings_are_frozen_and_hashable(name):
    settings = RECIPES[name][1]()
    with pytest.raises(dataclasses.FrozenInstanceError):
        settings.watch = None
    hash(settings)
