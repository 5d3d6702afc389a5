"""A rehearsal runs the real recipe: it resumes, ends where a run would end, and counts battles rightly."""

from dataclasses import replace

import pytest

from metareward.errors import ConfigError
from metareward.events import Noticed, StepFinished
from metareward.recipes.meta_rewarding import PAPER_ITERATIONS, MetaRewarding, meta_rewarding
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.records import Battle, Finish, Judgment, Outcome
from metareward.simulate import PAPER_FIRST, PAPER_SECOND, UNBIASED, Abilities, World, rehearse, truth
from metareward.simulate.rehearsal import rates
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.train.dpo import DPO

SMALL = MetaRewarding(
    Generate(samples=3), Judge(samples=4), dpo=DPO(learning_rate=1.0), iterations=PAPER_ITERATIONS[:2]
)


def judgment(name, score):
    return Judgment(
        name, "p", "r", 0, "m", (), name, None, Finish.STOP, score, None if score is not None else "x"
    )


def battle(first, second, outcome):
    return Battle(first + second, "p", "r", first, second, "m", "", Finish.STOP, outcome)


def test_rates_are_of_decided_battles_with_readable_scores():
    judgments = [judgment("a", 5.0), judgment("b", 3.0), judgment("c", 3.0), judgment("d", None)]
    battles = [
        battle("a", "b", Outcome.FIRST),
        battle("b", "a", Outcome.SECOND),
        battle("c", "a", Outcome.FIRST),
        battle("a", "c", Outcome.TIE),
        battle("b", "c", Outcome.FIRST),
        battle("c", "b", Outcome.FIRST),
        battle("c", "b", Outcome.UNREADABLE),
        battle("a", "d", Outcome.FIRST),
    ]
    assert rates(judgments, battles) == (pytest.approx(2 / 3), 1.0)
    assert rates(judgments, battles[5:6]) == (None, 1.0)
    assert rates(judgments, []) == (None, None)


def test_a_rehearsal_goes_on_where_it_was_and_does_nothing_twice(tmp_path):
    heard = []
    found = rehearse(meta_rewarding, SMALL, World(), tmp_path, 6, seed=1)
    again = rehearse(meta_rewarding, SMALL, World(), tmp_path, 6, seed=1, listen=heard.append)
    assert again == found
    assert heard
    steps = [event for event in heard if not isinstance(event, Noticed)]
    assert steps
    assert all(isinstance(event, StepFinished) and event.reused for event in steps)


def test_a_rehearsal_follows_from_its_seed_alone(tmp_path):
    found = [
        rehearse(meta_rewarding, SMALL, World(), tmp_path / str(n), 6, seed=seed)
        for n, seed in enumerate((1, 1, 2))
    ]
    assert found[0] == found[1]
    assert found[0].models[1:] != found[2].models[1:]
    assert found[0].models[0].truth == found[2].models[0].truth


def test_models_are_seen_in_order_with_what_their_iteration_did(tmp_path):
    found = rehearse(meta_rewarding, SMALL, World(), tmp_path, 6)
    assert [seen.name for seen in found.models] == ["M0", "M1", "M2"]
    assert [seen.trained_judge for seen in found.models] == [True, True, False]
    assert found.models[0].abilities == Abilities()
    assert found.models[2].higher_wins is None
    assert [seen.gate is not None for seen in found.models] == [True, True, False]
    measured = [seen.gate.as_dict() for seen in found.models[:2] if seen.gate]
    assert [each["score_preference"]["value"] for each in measured] == [
        seen.higher_wins for seen in found.models[:2]
    ]
    assert found.models[1].abilities != found.models[2].abilities
    for seen in found.models:
        assert seen.truth == truth(seen.abilities, World().first), "held against the first model's answers"


def test_every_iteration_and_every_seed_asks_other_questions(tmp_path):
    asked = []

    def listening(run, model, batches, settings):
        asked.extend(prompt.messages[0].content for batch in batches for prompt in batch)
        return model

    for seed in (1, 2):
        rehearse(listening, SMALL, World(), tmp_path / str(seed), 6, seed=seed)
    assert len(set(asked)) == len(asked) == 2 * 2 * 6


def test_a_recipe_without_battles_trains_no_judge(tmp_path):
    found = rehearse(self_rewarding, SelfRewarding(dpo=DPO(learning_rate=1.0)), World(), tmp_path, 8)
    last = found.models[-1].abilities
    assert not any(seen.trained_judge or seen.higher_wins or seen.gate for seen in found.models)
    assert (last.insight, last.leniency, last.halo) == (1.0, 1.1, 0.15)
    assert found.models[-1].truth.quality > found.models[0].truth.quality


def test_a_loop_that_runs_out_of_pairs_says_where_it_ended(tmp_path):
    always_five = Abilities(insight=0.0, leniency=40.0)
    found = rehearse(meta_rewarding, SMALL, World(first=always_five), tmp_path, 4)
    assert [seen.name for seen in found.models] == ["M0"]
    assert found.ended == "iteration 0: no preference pair is left to train on."
    assert found.models[0].truth.at_most == pytest.approx(1)
    assert found.models[0].truth.accuracy == pytest.approx(0.5)


def test_prompts_are_at_least_one(tmp_path):
    with pytest.raises(ConfigError, match="prompts must be at least 1"):
        rehearse(meta_rewarding, SMALL, World(), tmp_path, 0)


@pytest.mark.parametrize(
    ("meta", "higher", "first"),
    [(PAPER_FIRST, 0.630, 0.478), (PAPER_SECOND, 0.977, 0.878), (UNBIASED, None, 0.5)],
    ids=["iteration 1", "iteration 2", "unbiased"],
)
def test_the_papers_rates_come_out_of_the_calibrated_meta_judges(tmp_path, meta, higher, first):
    settings = replace(SMALL, generate=Generate(samples=4), judge=Judge(samples=5))
    settings = replace(settings, iterations=settings.iterations[:1])
    (seen, _) = rehearse(meta_rewarding, settings, World(meta), tmp_path, 120, seed=7).models
    assert seen.higher_wins is not None
    assert seen.first_wins is not None
    assert seen.first_wins == pytest.approx(first, abs=0.06)
    if higher is not None:
        assert seen.higher_wins == pytest.approx(higher, abs=0.03)
    else:
        assert 0.45 < seen.higher_wins < 0.65
