"""What an iteration trains from, what it stays near, and on how many judge pairs."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
from metareward import summary
from metareward.config import load
from metareward.errors import ConfigError, NoPairsError
from metareward.paper import Paper
from metareward.recipes.meta_rewarding import PAPER_ITERATIONS
from metareward.recipes.settings import Iteration
from metareward.records import Role
from metareward.stages.cap import OVER
from metareward.train.fake import FakeTrainer
from metareward.train.lineage import model_names, trainings

RECIPES = ("meta_rewarding", "self_rewarding")  # one training an iteration, so that its jobs can be counted


def run(folder: Path, name: str, iterations: Sequence[Iteration], **more: Any):
    recipe = loops.RECIPES[name][1]()
    if name == "self_rewarding":
        iterations = [replace(one, roles=(Role.ACTOR,)) for one in iterations]
    trainer = FakeTrainer()
    settings = replace(recipe, iterations=tuple(iterations))
    done, last = loops.loop(folder, loops.Asked(planted.World()), name, settings, trainer=trainer, **more)
    return done, last, trainer.jobs


def places(jobs: Sequence[Any], run: Any) -> list[tuple[str, str]]:
    """Start and reference of each training, as the names of models."""
    names = {loops.START.path: "M0"} | {
        round.trained.path: f"M{number + 1}" for number, round in enumerate(run.history.rounds)
    }
    return [(names[job.start], names[job.reference]) for job in jobs]


@pytest.mark.parametrize("name", RECIPES)
@pytest.mark.parametrize(
    ("start", "reference", "expected"),
    [
        ("previous", "start", [("M0", "M0"), ("M1", "M1"), ("M2", "M2")]),
        ("previous", "previous", [("M0", "M0"), ("M1", "M1"), ("M2", "M2")]),
        ("previous", "first", [("M0", "M0"), ("M1", "M0"), ("M2", "M0")]),
        ("first", "start", [("M0", "M0"), ("M0", "M0"), ("M0", "M0")]),
        ("first", "previous", [("M0", "M0"), ("M0", "M1"), ("M0", "M2")]),
        ("first", "first", [("M0", "M0"), ("M0", "M0"), ("M0", "M0")]),
    ],
)
def test_training_begins_and_stays_where_the_iteration_says(
    tmp_path: Path, name: str, start: Any, reference: Any, expected: list[tuple[str, str]]
):
    done, last, jobs = run(tmp_path, name, [Iteration(start=start, reference=reference)] * 3)
    assert places(jobs, done) == expected
    told = summary.summarise(done.history, tmp_path)["iterations"]
    of = {
        model.fingerprint: f"M{t}"
        for t, model in enumerate([loops.START, *(r.trained for r in done.history.rounds)])
    }
    assert [(of[entry["start"]], of[entry["reference"]]) for entry in told] == expected
    assert [of[entry["asked"]] for entry in told] == ["M0", "M1", "M2"], (
        "whoever is trained, the newest is asked"
    )
    assert last.name == "M3"
    names = model_names(trainings(tmp_path).values())
    assert {names[model.fingerprint] for model in (r.trained for r in done.history.rounds)} == {
        "M1",
        "M2",
        "M3",
    }


def test_the_papers_iterations_begin_with_the_last_model_and_stay_near_it():
    for iteration in PAPER_ITERATIONS:
        assert (iteration.start, iteration.reference, iteration.max_judge_share) == (
            "previous",
            "start",
            None,
        )


def test_the_cap_leaves_judge_pairs_out_and_counts_them(tmp_path: Path):
    free, _, _ = run(tmp_path / "free", "meta_rewarding", [Iteration()], prompts=12)
    capped, _, _ = run(tmp_path / "capped", "meta_rewarding", [Iteration(max_judge_share=0.2)], prompts=12)
    (entry,) = summary.summarise(capped.history, tmp_path / "capped")["iterations"]
    (plain,) = summary.summarise(free.history, tmp_path / "free")["iterations"]
    assert plain["judge_pairs"] > 3
    kept = plain["actor_pairs"] // 4
    assert entry["trained_pairs"] == plain["actor_pairs"] + kept
    assert entry["dropped"].pop(OVER) == plain["judge_pairs"] - kept
    assert entry["dropped"] == plain["dropped"]
    (round,) = capped.history.rounds
    assert round.training is not None
    roles = [pair.role for part in round.training.pairs for pair in part]
    assert roles.count(Role.JUDGE) == kept
    assert list(map(len, round.training.capped)) == [kept]
    again, _, jobs = run(tmp_path / "capped", "meta_rewarding", [Iteration(max_judge_share=0.2)], prompts=12)
    assert not jobs
    assert again.history.rounds[0].trained == round.trained


def test_by_weight_all_judge_pairs_stay_and_weigh_no_more_than_the_share(tmp_path: Path):
    iteration = Iteration(max_judge_share=0.2, judge_share_by="weight")
    done, _, _ = run(tmp_path, "meta_rewarding", [iteration], prompts=12)
    (entry,) = summary.summarise(done.history, tmp_path)["iterations"]
    assert entry["judge_pairs"] > 3
    assert entry["trained_pairs"] == entry["actor_pairs"] + entry["judge_pairs"]
    assert OVER not in entry["dropped"]
    assert entry["judge_share_of_weight"] == pytest.approx(0.2)
    assert done.history.rounds[0].training is not None
    given = [pair for part in done.history.rounds[0].training.pairs for pair in part]
    weights = {role: {pair.weight for pair in given if pair.role is role} for role in Role}
    assert weights[Role.ACTOR] == {1.0}
    assert list(weights[Role.JUDGE]) == pytest.approx([entry["actor_pairs"] / 4 / entry["judge_pairs"]])
    (account,) = [one for one in entry["accounts"] if one["step"] == "weigh_judge_pairs"]
    assert account["given"] == account["kept"] == entry["judge_pairs"]
    assert account["left_out"] == {}
    again, _, jobs = run(tmp_path, "meta_rewarding", [iteration], prompts=12)
    assert not jobs
    assert again.history.rounds[0].trained == done.history.rounds[0].trained


def test_the_share_of_the_weight_is_told_however_it_came_about(tmp_path: Path):
    shares = {
        "free": Iteration(),
        "sampled": Iteration(max_judge_share=0.2),
        "no judge": Iteration(roles=(Role.ACTOR,)),
        "judge alone": Iteration(roles=(Role.JUDGE,)),
    }
    told = {}
    for name, iteration in shares.items():
        done, _, _ = run(tmp_path / name, "meta_rewarding", [iteration], prompts=12)
        (entry,) = summary.summarise(done.history, tmp_path / name)["iterations"]
        told[name] = (entry["judge_share_of_weight"], entry["judge_pairs"] / entry["trained_pairs"])
    assert told["free"][0] == told["free"][1]
    assert 0.1 < told["sampled"][0] <= 0.2
    assert told["no judge"][0] == 0
    assert told["judge alone"][0] == 1


def test_sampling_and_weight_are_different_trainings(tmp_path: Path):
    trained = set()
    for by in ("sampling", "weight"):
        done, last, _ = run(
            tmp_path, "meta_rewarding", [Iteration(max_judge_share=0.2, judge_share_by=by)], prompts=12
        )
        trained.add(last.fingerprint)
        assert done.history.rounds[0].battles is not None
    assert len(trained) == 2


@pytest.mark.parametrize("by", ["sampling", "weight"])
def test_on_paper_the_capped_training_has_its_key(tmp_path: Path, by: Any):
    iterations = [
        Iteration(max_judge_share=0.2, judge_share_by=by, reference="first"),
        Iteration(start="first"),
    ]
    done, _, _ = run(tmp_path, "meta_rewarding", iterations)
    recipe, small = loops.RECIPES["meta_rewarding"]
    many, paper = planted.prompts(14), Paper(tmp_path)
    batches = [paper.prompts(many[2:8]), paper.prompts(many[8:])]
    recipe(
        paper, loops.START, batches, replace(small(), iterations=tuple(iterations)), paper.prompts(many[:2])
    )
    planned = [step.key for step in paper.steps if step.step == "train"]
    assert planned == [round.trained.fingerprint for round in done.history.rounds]


@pytest.mark.parametrize(("by", "step"), [("sampling", "cap"), ("weight", "weigh")])
def test_a_cap_without_an_actor_pair_leaves_nothing_to_train_on(tmp_path: Path, by: Any, step: str):
    iteration = Iteration(max_judge_share=0.9, judge_share_by=by, max_response_characters=1)
    with pytest.raises(NoPairsError, match=f"{step}_judge_pairs: [0-9]+ {OVER}"):
        run(tmp_path, "meta_rewarding", [iteration])


def test_a_share_that_is_held_in_no_known_way_is_refused():
    unknown: Any = "loss"
    with pytest.raises(ConfigError, match="judge_share_by must be 'sampling' or 'weight', not 'loss'"):
        Iteration(max_judge_share=0.2, judge_share_by=unknown)


@pytest.mark.parametrize(
    ("written", "message"),
    [
        ("start = 'second'", r"iterations\[0\]\.start must be 'previous' or 'first'"),
        ("reference = 'next'", r"iterations\[0\]\.reference must be 'start', 'previous' or 'first'"),
        ("max_judge_share = 0.0", r"iterations\[0\]\.max_judge_share must be above 0 and below 1"),
        ("max_judge_share = 1.0", r"iterations\[0\]\.max_judge_share must be above 0 and below 1"),
        ("max_judge_share = 0.2\nroles = ['judge']", r"max_judge_share must be unset unless roles"),
        (
            "max_judge_share = 0.2\njudge_share_by = 'loss'",
            r"iterations\[0\]\.judge_share_by must be 'sampling' or 'weight'",
        ),
        (
            "judge_share_by = 'weight'",
            r"iterations\[0\]\.max_judge_share must be set, a share below 1, for judge_share_by = 'weight', "
            r"not unset",
        ),
    ],
)
def test_what_an_iteration_cannot_be_is_refused(tmp_path: Path, written: str, message: str):
    file = tmp_path / "config.toml"
    file.write_text(f"[[iterations]]\n{written}\n")
    with pytest.raises(ConfigError, match=message):
        load(file)


def test_a_config_says_where_training_begins(tmp_path: Path):
    file = tmp_path / "config.toml"
    file.write_text("[[iterations]]\nstart = 'first'\nreference = 'previous'\nmax_judge_share = 0.15\n")
    (iteration,) = load(file).method.iterations
    assert iteration.judge_share_by == "sampling", "the default"
    assert (iteration.start, iteration.reference, iteration.max_judge_share) == ("first", "previous", 0.15)


@pytest.mark.parametrize("recipe", ["meta_rewarding", "combined"])
def test_a_config_weighs_judge_pairs(tmp_path: Path, recipe: str):
    file = tmp_path / "config.toml"
    file.write_text(
        f"recipe = '{recipe}'\n[[iterations]]\nmax_judge_share = 0.15\njudge_share_by = 'weight'\n"
    )
    (iteration,) = load(file).method.iterations
    assert (iteration.max_judge_share, iteration.judge_share_by) == (0.15, "weight")
