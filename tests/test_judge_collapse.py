"""The benchmark of the judge's collapse: the direction of its conditions, and a page that cannot drift."""

import json
import re
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest

from metareward.recipes.meta_rewarding import MetaRewarding
from metareward.records import Role
from metareward.simulate import Abilities

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import collapse_conditions as conditions  # noqa: E402
import judge_collapse  # noqa: E402


def loop(name, bias):
    return judge_collapse.loop(conditions.condition(name, bias), seed=1).models


@pytest.mark.parametrize("bias", ["unbiased", conditions.SECOND])
@pytest.mark.parametrize("name", ["faithful", "gated, de-biased"])
def test_one_seed_of_each_condition_goes_the_way_the_page_says(name, bias):
    models = loop(name, bias)
    first, last = models[0].truth, models[-1].truth
    collapses = name == "faithful" and bias == conditions.SECOND
    assert (last.accuracy < first.accuracy - 0.02) == collapses
    assert (last.accuracy > first.accuracy + 0.005) == (not collapses)
    assert (last.score > 4.6) == collapses, "the paper: 4.1 to above 4.7"
    assert (last.at_most > 0.6) == collapses
    assert last.quality > first.quality, "the actor improves in all of them"
    assert all(seen.trained_judge for seen in models[:-1])


def test_the_gate_alone_leaves_a_biased_meta_judges_pairs_out_and_says_so():
    found = judge_collapse.loop(conditions.condition("gate", conditions.SECOND), seed=1)
    assert not any(seen.trained_judge for seen in found.models)
    assert found.models[-1].truth.accuracy == found.models[0].truth.accuracy
    assert found.models[-1].truth.quality > found.models[0].truth.quality
    gates = [warning for warning in found.warnings if "judge gate" in warning]
    assert len(gates) == 4
    assert all("go to the higher score" in warning for warning in gates)


def test_the_faithful_recipe_is_the_papers_but_for_sizes_and_who_is_trained():
    paper, own = MetaRewarding(), conditions.faithful()
    smaller = {"generate", "judge", "dpo", "iterations"}
    for field in fields(MetaRewarding):
        same = getattr(paper, field.name) == getattr(own, field.name)
        assert same == (field.name not in smaller), field.name
    assert replace(own.dpo, learning_rate=paper.dpo.learning_rate) == paper.dpo
    for theirs, ours in zip(paper.iterations, own.iterations, strict=True):
        assert replace(ours, roles=theirs.roles) == theirs
        assert set(ours.roles) == {Role.ACTOR, Role.JUDGE}


def test_every_variation_changes_what_it_says():
    every = [*conditions.MAIN, *conditions.ABLATIONS, *conditions.SENSITIVITY]
    assert len({(one.name, one.bias, one.varied) for one in every}) == len(every)
    assert len({(one.recipe, one.world) for one in every}) == len(every)


def test_a_measurement_has_every_model_of_every_seed(monkeypatch):
    two = tuple(one for one in conditions.MAIN if one.name == "faithful")[:1]
    for name in ("MAIN", "ABLATIONS", "SENSITIVITY"):
        monkeypatch.setattr(judge_collapse, name, two if name != "SENSITIVITY" else ())
    result = judge_collapse.measure(seeds=2, prompts=6)
    (row,) = result["main"]
    assert [model["judge accuracy"]["n"] for model in row["models"]] == [2] * 5
    assert row["models"][0]["judge accuracy"]["half"] == 0, "all loops begin alike"
    assert row["models"][4]["P(first wins, same score)"]["n"] == 0
    change = row["change"]["judge accuracy"]["value"]
    ends = [row["models"][n]["judge accuracy"]["value"] for n in (0, 4)]
    assert change == pytest.approx(ends[1] - ends[0])
    shown = judge_collapse.markdown(json.loads(json.dumps(result)))
    assert "**Judge accuracy**" in shown
    assert f"{change:+.3f}" in shown
    assert row["judge_trainings"] == 4
    assert "| 4.0 of 4 |" in shown
    assert "0 of the loops ran out of pairs" in shown


def test_a_loop_that_ended_keeps_its_last_model():
    always_five = Abilities(insight=0.0, leniency=40.0)
    (one, *_) = conditions.MAIN
    ended = conditions.beginning(one, "always 5", always_five)
    row = judge_collapse._measured(ended, seeds=1, prompts=3)
    assert row["ended_early"] == 1
    assert row["judge_trainings"] == 0
    assert [model["judge mean score"]["value"] for model in row["models"]] == [pytest.approx(5.0)] * 5


def test_an_estimate_is_the_mean_with_the_t_interval():
    found = judge_collapse.estimate([1.0, 2.0, 3.0, None])
    assert found["value"] == 2.0
    assert found["half"] == pytest.approx(4.302653 * 1.0 / 3**0.5, rel=1e-5)
    assert found["n"] == 3
    assert judge_collapse.estimate([0.5]) == {"value": 0.5, "half": None, "n": 1}
    assert judge_collapse.estimate([None]) == {"value": None, "half": None, "n": 0}


def test_a_verdict_is_what_the_interval_allows():
    assert judge_collapse.verdict({"value": 0.1, "half": 0.05}) == "better"
    assert judge_collapse.verdict({"value": -0.1, "half": 0.05}) == "worse"
    assert judge_collapse.verdict({"value": -0.1, "half": 0.2}) == "no change shown"
    assert judge_collapse.verdict({"value": 0.1, "half": None}) == "no change shown"


def test_the_page_shows_the_numbers_beside_it():
    page = judge_collapse.PAGE.read_text(encoding="utf-8")
    begin, end = judge_collapse.MARKS
    shown = page.partition(begin)[2].partition(end)[0]
    assert shown == judge_collapse.markdown(json.loads(judge_collapse.NUMBERS.read_text(encoding="utf-8")))


def test_the_pages_example_runs(tmp_path, monkeypatch, capsys):
    (example,) = re.findall(
        r"```python\n(.*?)```", judge_collapse.PAGE.read_text(encoding="utf-8"), re.DOTALL
    )
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "simulation.md", "exec"), {})  # noqa: S102 - our own page
    said = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in said[:3]] == ["M0", "M1", "M2"]
    assert any("the judge gate failed" in line for line in said[3:])
