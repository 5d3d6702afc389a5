"""Judge first: the judge alone is trained before its judgments choose responses, in each recipe with one."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import loops
import planted
from metareward import config, summary
from metareward.engines.fake import Reply
from metareward.paper import Paper
from metareward.recipes.settings import Iteration
from metareward.records import Role
from metareward.train.fake import FakeTrainer

ROOT = Path(__file__).parent.parent
WARM_UP = Iteration(roles=(Role.JUDGE,))
FIRST = (WARM_UP, Iteration(rho=0.2), Iteration(rho=0.2))
RECIPES = ("meta_rewarding", "combined")


@dataclasses.dataclass(frozen=True)
class LearnsToJudge(planted.World):
    """The first model's judge prefers the worse response; a model that was trained judges rightly."""

    def __call__(self, request, model) -> Reply | str:
        wrong = request.step == "judge" and model.fingerprint == loops.START.fingerprint
        return planted.World.__call__(planted.World(flipped=wrong), request, model)


def settings(name: str, iterations: tuple[Iteration, ...] = FIRST, reading: str = "free") -> Any:
    return dataclasses.replace(loops.RECIPES[name][1](reading), iterations=iterations)


def plan(directory: Path, name: str, wanted: Any) -> list[Any]:
    many, paper = planted.prompts(38), Paper(directory)
    batches = [paper.prompts(many[2 + t * 12 :][:12]) for t in range(len(wanted.iterations))]
    loops.RECIPES[name][0](paper, loops.START, batches, wanted, paper.prompts(many[:2]))
    return paper.steps


@dataclasses.dataclass
class Whole:
    """A finished loop that began with the judge, and what was planned before it."""

    name: str
    wanted: Any
    directory: Path
    planned: list[Any]
    run: Any
    trainer: FakeTrainer

    @property
    def rounds(self) -> list[Any]:
        return self.run.history.rounds


@pytest.fixture(
    scope="module", params=[(name, reading) for name in RECIPES for reading in ("free", "forced")]
)
def whole(request, tmp_path_factory) -> Whole:
    name, reading = request.param
    directory, trainer = tmp_path_factory.mktemp("first"), FakeTrainer()
    wanted = settings(name, reading=reading)
    planned = plan(directory, name, wanted)
    run, _ = loops.loop(directory, loops.Asked(planted.World()), name, wanted, prompts=12, trainer=trainer)
    return Whole(name, wanted, directory, planned, run, trainer)


def margins(rounds: list[Any]) -> list[float]:
    """By how much better, in truth, the chosen responses of each iteration are; NaN without actor pairs."""
    pairs = [[p for rows in one.pairs for p in rows if p.role is Role.ACTOR] for one in rounds]
    return [
        float(
            np.mean([planted.quality_of(p.chosen) - planted.quality_of(p.rejected) for p in own] or [np.nan])
        )
        for own in pairs
    ]


def test_the_warm_up_trains_on_judge_pairs_alone_in_the_order_of_the_truth(whole):
    names = [[rows.manifest.name for rows in round.pairs] for round in whole.rounds]
    assert names[0] == ["judge_pairs"]
    assert [own[-1] for own in names] == ["judge_pairs"] * 3
    assert [len(own) for own in names] == [1, 2, 2]
    first = [pair for rows in whole.rounds[0].pairs for pair in rows]
    assert len(first) >= 8
    for pair in first:
        assert planted.error_of(pair.chosen) < planted.error_of(pair.rejected)
    assert not any(round.skipped for round in whole.rounds)


def test_each_iteration_goes_on_from_the_one_before(whole):
    starts = [loops.START.path, *(round.trained.path for round in whole.rounds)]
    assert list(dict.fromkeys(job.start for job in whole.trainer.jobs)) == starts[:-1]
    assert len(set(starts)) == 4
    for before, after in zip(whole.rounds, whole.rounds[1:], strict=False):
        trained = before.trained.fingerprint
        assert {answer.model for answer in after.answers} == {trained}
        assert {judgment.model for judgment in after.judgments} == {trained}


def test_a_warm_up_has_neither_past_nor_future(whole):
    assert whole.rounds[0].beside == ()
    beside = [sorted(other.name for other in round.beside) for round in whole.rounds[1:]]
    expected = [["future", "past", "previous"]] * 2 if whole.name == "combined" else [[], []]
    assert beside == expected


def test_its_counts_add_up_and_the_judge_has_all_of_the_weight(whole):
    told = summary.save(whole.run.history, whole.directory)["iterations"]
    first = told[0]
    assert first["actor_pairs"] == 0
    assert first["trained_pairs"] == first["judge_pairs"] > 0
    assert first["judge_pairs"] + sum(whole.rounds[0].pairs[0].manifest.dropped.values()) == first["prompts"]
    for entry in told:
        for account in entry["accounts"]:
            assert account["given"] == account["kept"] + sum(account["left_out"].values())
    assert first["judge_share_of_weight"] == 1
    assert all(0 < entry["judge_share_of_weight"] < 1 for entry in told[1:])
    shares = [gate.report.as_dict().get("judge_share") for gate in whole.run.history.judge_gates]
    assert shares[0] is None, "there is nothing beside them to be a share of"
    assert all(0 < share["value"] < 1 for share in shares[1:])


def test_on_paper_every_step_has_the_key_it_will_have(whole):
    after = plan(whole.directory, whole.name, whole.wanted)
    assert [step.key for step in after] == [step.key for step in whole.planned]
    assert {step.state for step in whole.planned} == {"to do"}
    assert {step.state for step in after} == {"done"}
    first = [step.step for step in whole.planned if step.section == "iteration 0"]
    assert first == ["generate", "judge", "meta_judge", "train"]


def test_a_second_session_asks_and_trains_nothing(whole):
    asked, trainer = loops.Asked(planted.World()), FakeTrainer()
    given = {"settings": whole.wanted, "prompts": 12, "trainer": trainer}
    again, _ = loops.loop(whole.directory, asked, whole.name, **given)
    assert not asked.opened
    assert not trainer.jobs
    assert loops.everything(again) == loops.everything(whole.run)


@pytest.mark.parametrize("name", RECIPES)
def test_responses_are_chosen_only_once_the_judge_has_been_trained(tmp_path, name):
    """With a first judge that is wrong, beginning with both roles trains the actor on pairs turned round."""
    found = {}
    for place, iterations in (("first", FIRST[:2]), ("both", (FIRST[1], FIRST[1]))):
        asked = loops.Asked(LearnsToJudge())
        run, _ = loops.loop(tmp_path / place, asked, name, settings(name, iterations), prompts=12)
        found[place] = margins(run.history.rounds)
    assert np.isnan(found["first"][0])
    assert found["first"][1] > 1
    assert found["both"][0] < -1


@pytest.mark.parametrize("name", RECIPES)
def test_a_truth_that_is_turned_about_turns_the_warm_up_about(tmp_path, name):
    asked = loops.Asked(planted.World(flipped=True))
    run, _ = loops.loop(tmp_path, asked, name, settings(name, FIRST[:1]), prompts=12)
    pairs = [pair for rows in run.history.rounds[0].pairs for pair in rows]
    assert len(pairs) >= 8
    assert all(planted.error_of(pair.chosen) > planted.error_of(pair.rejected) for pair in pairs)


def test_several_warm_ups_follow_each_other(tmp_path):
    wanted = settings("meta_rewarding", (WARM_UP, WARM_UP, FIRST[1]))
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), "meta_rewarding", wanted, prompts=8)
    roles = [{pair.role for rows in round.pairs for pair in rows} for round in run.history.rounds]
    assert roles == [{Role.JUDGE}, {Role.JUDGE}, {Role.ACTOR, Role.JUDGE}]


def test_the_example_begins_with_the_judge_and_sets_every_option_of_judge_training():
    example = config.load(ROOT / "examples/judge-first.toml").method
    assert example.iterations[0].roles == (Role.JUDGE,)
    assert example.iterations[-1].trains_actor
    assert example.meta_judge_by == "first"
    gate = example.judge_gate
    assert "alike" in gate.stop_judge_when
    assert (gate.max_alike, gate.max_score_margin) == (0.8, 1.0)
    assert {one.judge_share_by for one in example.iterations if one.max_judge_share} == {"weight"}
