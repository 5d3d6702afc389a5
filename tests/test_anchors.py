"""Anchors of a whole loop: the bank, the two ladders, and evaluations of every model, in the summary."""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import pytest

import loops
import planted
from metareward.engines.base import Request
from metareward.errors import DataError
from metareward.evaluate.base import Evaluations
from metareward.history import History
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.recipes.settings import Iteration, Watch
from metareward.stages.generate import Generate
from metareward.summary import summarise

ONE = (Iteration(rho=0.2),)


@dataclass(frozen=True)
class Length:
    """An evaluation for tests: the mean length of answers to two fixed prompts."""

    name: ClassVar[str] = "length"
    broken: bool = False

    def items(self) -> Any:
        return ()

    def ask(self, run: Any, of: Model, judge: Model) -> tuple[Any, ...]:
        return (run.ask(Generate(samples=1, temperature=0.0), run.prompts(planted.prompts(2)), of=of),)

    def score(self, *asked: Any) -> dict[str, Any]:
        if self.broken:
            raise DataError("no honest number: 2 of 2 answers are missing")
        lengths = [len(row.text) for row in asked[0]]
        return {"mean_length": sum(lengths) / len(lengths), "n": len(lengths)}


def settings(**changes: Any) -> Any:
    return replace(loops.small_meta(iterations=ONE), watch=Watch(2, 2, bank_prompts=2), **changes)


class Drifting(planted.World):
    """The trained model answers as before, but as a judge it adds points to whatever it wrote itself."""

    def __call__(self, request: Request, model: Model) -> Any:
        if request.step == "judge" and model.fingerprint != loops.START.fingerprint:
            return "Lovely. This is off by 0.\nScore: 5"
        return super().__call__(request, model)


@pytest.fixture(scope="module", params=[False, True], ids=["straight", "flipped"])
def run(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory):
    world = planted.World(flipped=request.param)
    directory = tmp_path_factory.mktemp("run")
    run, _ = loops.loop(directory, loops.Asked(world), settings=settings(evaluate=Evaluations((Length(),))))
    return request.param, run, summarise(run.history, directory)


def test_the_bank_says_whether_a_judge_knows_better_from_worse(run):
    flipped, _, said = run
    for model in said["models"]:
        for kind in ("constant answer", "master key"):
            entry = model["bank"]["kinds"][kind]
            assert entry["n"] + entry["unread"] == 2
            assert entry["value"] <= 0.5 if flipped else entry["value"] >= 0.5
        assert model["bank"]["overall"]["n"] == 2


def test_all_models_judge_the_same_bank(run):
    _, done, _ = run
    first, second = done.history.looks
    assert first.bank.key == second.bank.key
    assert first.banked.key != second.banked.key


def test_both_ladders_have_every_model(run):
    _, done, said = run
    for by in ("referee", "newest"):
        assert [entry["model"] for entry in said["ladders"][by]] == ["M0", "M1"]
        assert said["ladders"][by][0]["elo"] == 0.0
    assert set(done.history.newest) == {"M0", "M1"}


def test_the_same_judge_in_both_ladders_gives_the_same_ladder(run):
    """The planted judges of all models are one and the same, so the criterion has not moved."""
    _, _, said = run
    referee, newest = (said["ladders"][by][1]["elo"] for by in ("referee", "newest"))
    assert referee == pytest.approx(newest, abs=200)


def test_every_model_is_evaluated(run):
    _, _, said = run
    for model in said["models"]:
        assert model["evaluations"]["length"]["n"] == 2


def test_a_criterion_that_drifts_shows_in_the_newest_ladder_and_the_bank(tmp_path):
    run, _ = loops.loop(tmp_path, loops.Asked(Drifting()), settings=settings(), held_out=6)
    said = summarise(run.history, tmp_path)
    before, after = (model["bank"]["overall"] for model in said["models"])
    assert before["value"] > 0.5 == after["value"], "a judge that calls all answers perfect knows nothing"
    assert said["ladders"]["newest"][1]["elo"] == pytest.approx(0, abs=1)
    assert said["models"][1]["mean_score"] == 5.0 > said["models"][1]["referee_score"]


def test_an_evaluation_without_an_honest_number_says_why(tmp_path):
    run, _ = loops.loop(
        tmp_path, loops.Asked(planted.World()), settings=settings(evaluate=Evaluations((Length(True),)))
    )
    for model in summarise(run.history, tmp_path)["models"]:
        assert model["evaluations"] == {"length": {"error": "no honest number: 2 of 2 answers are missing"}}


def test_anchors_are_planned_and_cost_nothing_twice(tmp_path):
    recipe, _ = loops.RECIPES["meta_rewarding"]
    small = settings(evaluate=Evaluations((Length(),)))

    def plan() -> Paper:
        paper = Paper(tmp_path)
        many = planted.prompts(8)
        recipe(paper, loops.START, [paper.prompts(many[2:])], small, paper.prompts(many[:2]))
        return paper

    planned = sum(step.calls for step in plan().steps if step.step != "train")
    asked = loops.Asked(planted.World())
    loops.loop(tmp_path, asked, settings=small)
    assert len(asked.requests) <= planned
    again = loops.Asked(planted.World())
    loops.loop(tmp_path, again, settings=small)
    assert not again.requests
    assert all(step.state == "done" for step in plan().steps)


def test_evaluations_alone_need_no_held_out_prompts(tmp_path):
    from metareward.recipes.watching import Watcher
    from metareward.run import Run
    from metareward.stages.judge import Judge
    from metareward.train.fake import FakeTrainer

    with Run(tmp_path, loops.Asked(planted.World()), FakeTrainer()) as run:
        Watcher(Watch(), Generate(), Judge(), loops.START, None, evaluations=Evaluations((Length(),))).look(
            run, loops.START
        )
        Watcher(Watch(), Generate(), Judge(), loops.START, None).look_back(run, loops.START)
    (look,) = run.history.looks
    assert look.answers is None
    said = summarise(run.history, tmp_path)
    assert said["models"][0]["evaluations"]["length"]["n"] == 2
    assert said["models"][0]["bank"] is None
    assert said["models"][0]["held_out"] is False
    assert said["ladders"] is None
    assert isinstance(run.history, History)
