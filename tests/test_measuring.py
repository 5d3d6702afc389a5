"""Which rows the judge gate measures, and which rule makes the pairs: each told apart from its neighbour."""

import dataclasses

import pytest

import loops
from biased_judges import Biased, gated, looped, settings
from metareward.evaluate.bank import CONSTANT, KINDS
from metareward.stages.settle import Settle

FAIR = Biased()


class Rising(Biased):
    """The first model's judge is modest; every later one adds two points."""

    def __call__(self, request, model):
        world = FAIR if model.fingerprint == loops.START.fingerprint else Biased(points=2)
        return Biased.__call__(world, request, model)


@pytest.fixture(scope="module")
def risen(tmp_path_factory):
    run = looped(tmp_path_factory.mktemp("risen"), Rising(), gated("warn", iterations=3), prompts=12)
    return run.history


def test_a_change_is_from_the_iteration_before_and_not_from_the_first(risen):
    """The judge changes once, between the first and the second model."""
    first, second, third = (gate.report.as_dict() for gate in risen.judge_gates)
    assert "mean_change" not in first, "there is nothing before"
    assert second["mean_change"]["value"] > 1
    assert abs(third["mean_change"]["value"]) < 0.5


def test_a_gate_names_the_judge_that_was_to_be_trained(risen):
    starts = [round.start.fingerprint for round in risen.rounds]
    assert [gate.model.fingerprint for gate in risen.judge_gates] == starts
    assert [gate.iteration for gate in risen.judge_gates] == [0, 1, 2]
    assert len(set(starts)) == 3


def test_preferences_are_of_the_battles_as_they_count_and_positions_as_they_were_held(tmp_path):
    """Both orders for one is a log-odds of log 4 = 1.39, under the margin: every pair is a tie."""
    wanted = settings(reading="forced", settle=Settle("together", margin=1.5))
    (gate,) = looped(tmp_path, FAIR, wanted, prompts=12).history.judge_gates
    signals = gate.report.as_dict()
    assert signals["score_preference"]["value"] is None
    assert signals["flips"]["value"] is not None
    assert signals["position"]["value"] is not None


def test_a_bank_of_the_gates_own_has_its_prompts_and_its_judgments(tmp_path):
    asked = loops.Asked(FAIR)
    wanted = gated("warn", bank_prompts=5, bank_judgments=2)
    assert wanted.judge.samples != 2
    run, _ = loops.loop(tmp_path, asked, settings=wanted, prompts=12)
    signals = run.history.judge_gates[0].report.as_dict()
    assert signals["bank"]["n"] == 5
    assert set(signals) >= {f"bank: {kind}" for kind in KINDS[3:]}
    constant = [r for r in asked.requests if r.step == "judge" and CONSTANT in r.messages[-1].content]
    assert len(constant) == 5 * 2


def test_judge_pairs_are_made_with_the_settings_of_the_recipe(tmp_path):
    wanted = settings(seed=7, prior=0.5)
    (iteration,) = wanted.iterations
    iteration = dataclasses.replace(iteration, max_judgment_characters=4000)
    run = looped(tmp_path, FAIR, dataclasses.replace(wanted, iterations=(iteration,)), prompts=4)
    (step,) = (
        rows.manifest.step for rows in run.history.rounds[0].pairs if rows.manifest.name == "judge_pairs"
    )
    told = {name: step[name] for name in ("prior", "max_chosen_characters", "seed")}
    assert told == {"prior": 0.5, "max_chosen_characters": 4000, "seed": 7}
