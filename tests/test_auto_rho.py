"""The automatic rho: against brute force, against worked examples, and through a whole loop."""

import dataclasses
import json
import math
from statistics import fmean

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loops
import planted
from metareward import config, summary
from metareward.cli import render_summary
from metareward.errors import ConfigError
from metareward.events import Noticed
from metareward.recipes.pairing import length_controlled
from metareward.recipes.settings import Iteration
from metareward.records import PreferencePair
from metareward.stages.anchors import AnchoredPairs
from metareward.stages.auto_rho import AutoRho, rho_curve
from metareward.stages.base import step_key
from metareward.stages.pair import ActorPairs
from pairing_worlds import World, a_judgment, a_prompt, a_response, pairs, worlds

GRID = [step / 50 for step in range(25)]


def a_world(*prompts: list[tuple[float, int]]) -> World:
    """Prompts whose responses have these (score, characters)."""
    world = World([], [], [], [])
    for number, rows in enumerate(prompts):
        prompt = a_prompt(f"p{number}")
        world.prompts.append(prompt)
        for sample, (score, length) in enumerate(rows):
            response = a_response(prompt.id, sample, f"{sample}" * length)
            world.responses.append(response)
            world.judgments.append(a_judgment(response, 0, score))
    return world


def mean_difference(found: list[PreferencePair]) -> float:
    return fmean(len(pair.chosen) - len(pair.rejected) for pair in found) if found else math.nan


def brute_force(rule, rhos, *inputs) -> list[tuple[int, float, float]]:
    """The curve by making all pairs at each rho."""
    curve = []
    for rho in rhos:
        found = pairs(dataclasses.replace(rule, rho=rho).apply(*inputs))
        margin = fmean(pair.chosen_score - pair.rejected_score for pair in found) if found else math.nan
        curve.append((len(found), margin, mean_difference(found)))
    return curve


@settings(max_examples=80, deadline=None)
@given(worlds(), st.sampled_from([None, 8]))
def test_the_curve_is_that_of_all_pairs_made_at_each_rho(world: World, limit: int | None):
    rule = ActorPairs(max_chosen_characters=limit)
    curve = rho_curve(rule, GRID, *world.actor_inputs)
    expected = brute_force(rule, GRID, *world.actor_inputs)
    assert [point.rho for point in curve] == GRID
    for point, (count, margin, difference) in zip(curve, expected, strict=True):
        assert point.pairs == count
        assert (point.score_margin, point.length_difference) == pytest.approx(
            (margin, difference), nan_ok=True
        )


@settings(max_examples=40, deadline=None)
@given(worlds(), worlds())
def test_the_curve_of_anchored_pairs_is_theirs(world: World, past: World):
    prompts = [*world.prompts, *past.prompts[len(world.prompts) :]]
    past_responses = [dataclasses.replace(r, id=f"past {r.id}") for r in past.responses]
    past_judgments = [dataclasses.replace(j, response_id=f"past {j.response_id}") for j in past.judgments]
    inputs = (prompts, world.responses, world.judgments, past_responses, past_judgments)
    expected = brute_force(AnchoredPairs(), GRID, *inputs)
    curve = rho_curve(AnchoredPairs(), GRID, *inputs)
    assert [(p.pairs, p.length_difference) for p in curve] == [
        (count, pytest.approx(difference, nan_ok=True)) for count, _, difference in expected
    ]


@settings(max_examples=60, deadline=None)
@given(worlds(), st.sampled_from([-5.0, 0.0, 3.0]), st.sampled_from([(0.0, 0.45), (0.1, 0.3), (0.2, 0.2)]))
def test_the_smallest_rho_that_reaches_the_target_is_taken(world: World, target: float, bounds):
    rule = AutoRho(ActorPairs(), target, *bounds)
    found = rule.search(*world.actor_inputs)
    rhos = [point.rho for point in found.curve]
    forced = brute_force(ActorPairs(), rhos, *world.actor_inputs)
    tried = [(rho, row[2]) for rho, row in zip(rhos, forced, strict=True)]
    good = [rho for rho, difference in tried if difference <= target]
    assert found.reached == bool(good)
    if good:
        assert found.rho == min(good)
    elif any(not math.isnan(difference) for _, difference in tried):
        least = min(difference for _, difference in tried if not math.isnan(difference))
        assert found.rho == next(rho for rho, difference in tried if difference == least)
    assert list(rule.apply(*world.actor_inputs)) == list(ActorPairs(found.rho).apply(*world.actor_inputs)), (
        "the pairs of that fixed rho, ids included"
    )


@settings(max_examples=60, deadline=None)
@given(worlds())
def test_without_a_limit_more_rho_never_makes_the_chosen_longer(world: World):
    curve = [p for p in rho_curve(ActorPairs(), GRID, *world.actor_inputs) if p.pairs]
    differences = [point.length_difference for point in curve]
    assert differences == sorted(differences, reverse=True)


def test_a_worked_example():
    """Score 5 has 30 characters, 4 has 10, 1 has 20: at rho .25 the 4 enters, and is shorter."""
    world = a_world([(5, 30), (4, 10), (1, 20)])
    found = AutoRho(ActorPairs()).search(*world.actor_inputs)
    assert (found.rho, found.reached) == (0.25, True)
    assert found.point.length_difference == -10
    assert found.point.score_margin == 3
    assert found.curve[0].length_difference == 10
    assert [len(found.curve), found.curve[-1].rho] == [451, 0.45]


def test_a_target_is_a_difference_of_chosen_less_rejected():
    """Long chosen responses are what it works against: a positive target lets them be so much longer."""
    world = a_world([(5, 30), (4, 10), (1, 20)])
    assert AutoRho(ActorPairs(), target=10).search(*world.actor_inputs).rho == 0
    assert AutoRho(ActorPairs(), target=9.9).search(*world.actor_inputs).rho == 0.25
    assert AutoRho(ActorPairs(), target=-10).search(*world.actor_inputs).rho == 0.25
    missed = AutoRho(ActorPairs(), target=-10.1).search(*world.actor_inputs)
    assert (missed.rho, missed.reached) == (0.25, False), "-10 is nearer to it than 10"


def test_short_winners_need_no_length_control():
    found = AutoRho(ActorPairs()).search(*a_world([(5, 3), (1, 20)]).actor_inputs)
    assert (found.rho, found.reached) == (0.0, True)


def test_where_nothing_helps_the_nearest_is_taken_and_of_several_the_least():
    world = a_world([(5, 90), (4, 50), (1, 1)], [(5, 40), (0, 10)])
    found = AutoRho(ActorPairs()).search(*world.actor_inputs)
    assert (found.rho, found.reached) == (0.25, False)
    assert found.point.length_difference == (49 + 30) / 2


def test_without_any_pair_the_least_rho_is_said_and_nothing_is_reached():
    found = AutoRho(ActorPairs(), least=0.1).search(*a_world([(3, 5), (3, 9)]).actor_inputs)
    assert (found.rho, found.reached, found.point.pairs) == (0.1, False, 0)
    assert found.as_dict()["curve"][0]["length_difference"] is None
    json.dumps(found.as_dict(), allow_nan=False)


def test_the_limit_of_characters_is_part_of_the_search():
    """At rho 0 the only chosen response is over the limit, so there is no pair whose difference counts."""
    world = a_world([(5, 30), (4, 10), (1, 20)])
    found = AutoRho(ActorPairs(max_chosen_characters=15), target=50).search(*world.actor_inputs)
    assert (found.rho, found.curve[0].pairs) == (0.25, 0)
    missed = AutoRho(ActorPairs(max_chosen_characters=15), target=-50).search(*world.actor_inputs)
    assert (missed.rho, missed.reached) == (0.25, False), "a rho without pairs is not the nearest"


def test_a_mean_is_over_the_pairs_of_its_own_rho():
    """At rho 0 the first prompt's chosen response is over the limit; from .25 on there are two pairs."""
    world = a_world([(5, 30), (4, 10), (1, 20)], [(5, 3), (1, 20)])
    curve = rho_curve(ActorPairs(max_chosen_characters=15), [0.0, 0.25], *world.actor_inputs)
    assert [(point.pairs, point.length_difference) for point in curve] == [(1, -17), (2, -13.5)]
    assert [point.score_margin for point in curve] == [4, 3.5]


def test_inputs_that_can_be_read_once_are_refused():
    world = a_world([(5, 30), (1, 20)])
    with pytest.raises(TypeError, match="reads its inputs twice"):
        AutoRho(ActorPairs()).search(world.prompts, iter(world.responses), world.judgments)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rho_target": math.inf}, "rho_target must be a number of characters, not inf"),
        ({"rho_target": math.nan}, "rho_target must be a number of characters"),
        ({"rho_bounds": (0.3, 0.2)}, "rho_bounds must be two numbers in order, at least 0 and below 0.5"),
        ({"rho_bounds": (0.0, 0.5)}, "rho_bounds must be two numbers in order"),
        ({"rho_bounds": (-0.1, 0.4)}, "rho_bounds must be two numbers in order"),
        ({"rho": 0.5}, "rho must be at least 0 and below 0.5, or 'auto', not 0.5"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        Iteration(**changes)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("rho = 'automatic'", r"iterations\[0\]\.rho must be a number or 'auto', not 'automatic'"),
        ("rho = true", r"iterations\[0\]\.rho must be a number or 'auto', not true"),
        ("rho = [0.1]", r"iterations\[0\]\.rho must be a number or 'auto', not \[0.1\]"),
        ("rho = nan", r"iterations\[0\]\.rho must be at least 0 and below 0.5, or 'auto', not nan"),
        (
            "rho = 'auto'\nrho_bounds = [0.4, 0.1]",
            r"iterations\[0\]\.rho_bounds must be two numbers in order",
        ),
        ("rho = 'auto'\nrho_bounds = [0.1]", r"iterations\[0\]\.rho_bounds"),
        ("rho = 'auto'\nrho_target = 'short'", r"iterations\[0\]\.rho_target must be a number, not 'short'"),
    ],
)
def test_a_rho_that_cannot_be_read_is_one_clear_error(tmp_path, line, message):
    path = tmp_path / "config.toml"
    path.write_text(f"[[iterations]]\n{line}\n")
    with pytest.raises(ConfigError, match=message):
        config.load(path)


@pytest.mark.parametrize(("line", "rho"), [("rho = 'auto'", "auto"), ("rho = 0", 0), ("rho = 0.3", 0.3)])
def test_a_number_or_auto_is_read(tmp_path, line, rho):
    path = tmp_path / "config.toml"
    path.write_text(f"[[iterations]]\n{line}\nrho_target = 5\nrho_bounds = [0.1, 0.4]\n")
    (iteration,) = config.load(path).method.iterations
    assert (iteration.rho, iteration.rho_target, iteration.rho_bounds) == (rho, 5, (0.1, 0.4))


def test_a_fixed_rho_is_the_same_step_as_ever():
    """The key of the paper's rule is what earlier runs have on their disks."""
    rule = length_controlled(Iteration(rho=0.32, max_response_characters=2500), ActorPairs)
    assert rule == ActorPairs(0.32, 2500)
    assert step_key(rule, "a") == step_key(ActorPairs(0.32, 2500), "a")
    auto = length_controlled(Iteration(rho="auto", rho_target=3, rho_bounds=(0.1, 0.4)), ActorPairs)
    assert auto == AutoRho(ActorPairs(), 3, 0.1, 0.4)
    assert step_key(auto, "a") != step_key(length_controlled(Iteration(rho="auto"), ActorPairs), "a")


AUTO = (Iteration(rho="auto"), Iteration(rho="auto", rho_target=-1e6))


def test_a_loop_finds_its_rho_records_the_curve_and_resumes(tmp_path):
    heard, again = loops.Heard(), loops.Heard()
    small = loops.small_meta(iterations=AUTO)
    run, model = loops.loop(tmp_path, loops.Asked(planted.World()), settings=small, listen=heard)
    first, second = (entry["rho"] for entry in summary.summarise(run.history, tmp_path)["iterations"])
    assert (first["automatic"], first["reached"], first["target"]) == (True, True, 0)
    assert not second["reached"], "no rho makes the chosen shorter by a million characters"
    assert [point["rho"] for point in first["curve"]] == sorted({*(n / 20 for n in range(10)), first["rho"]})
    (made,) = (rows for rows in run.history.rounds[0].pairs if rows.manifest.step.get("target") is not None)
    assert mean_difference(list(made)) <= 0
    missed = [event.message for event in heard if isinstance(event, Noticed) and event.section]
    assert len(missed) == 1
    assert "no rho from 0 to 0.45 brings the mean length difference" in missed[0]
    engine = loops.Asked(planted.World())
    run_again, model_again = loops.loop(tmp_path, engine, settings=small, listen=again)
    assert not engine.opened
    assert (model_again, run_again.history.rhos) == (model, run.history.rhos)


def test_a_fixed_rho_is_noted_too_and_the_table_shows_it(tmp_path, capsys):
    mixed = loops.small_meta(iterations=(Iteration(rho=0.2), Iteration(rho="auto", rho_target=-1e6)))
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), settings=mixed)
    entries = summary.summarise(run.history, tmp_path)["iterations"]
    assert entries[0]["rho"] == {"rho": 0.2, "automatic": False}
    rows = dict(render_summary._iteration_rows(entries))
    assert rows["rho"][0] == "0.2"
    assert "target not reached" in rows["rho"][1]
    made = list(next(rows for rows in run.history.rounds[0].pairs if rows.manifest.name == "actor_pairs"))
    margin = fmean(pair.chosen_score - pair.rejected_score for pair in made)
    assert rows["chosen - rejected, score"][0] == f"{margin:+.2f}"
    assert rows["chosen - rejected, length"][0] == f"{mean_difference(made):+.2f}"
