"""An exported dataset is what the run holds, row for row, and its card says where it is from."""

import dataclasses
import json
import os
import subprocess
import sys
from typing import Any

import pyarrow.parquet as pq
import pytest

import exported
import loops
import planted
from exported import rows
from metareward.errors import UserError
from metareward.export import export_run
from metareward.recipes.settings import Iteration
from metareward.records import Role
from metareward.run import Run

run = exported.run
folder = exported.folder

SECTIONS = {"iteration 0": 0, "iteration 1": 1, "held-out M0": None, "held-out M1": None, "held-out M2": None}


def asked(run: Run, name: str) -> dict[str, Any]:
    """The rows a run's history knows of, by id: in all rounds and looks."""
    found: dict[str, Any] = {}
    for part in (*run.history.rounds, *run.history.looks):
        found |= {row.id: row for artifact in (getattr(part, name, None) or (),) for row in artifact}
    return found


def looked_back(run: Run) -> dict[str, Any]:
    """What the newest model said of the answers of all."""
    return {row.id: row for artifact in run.history.newest.values() for row in artifact}


def plain(row: Any) -> dict[str, Any]:
    return json.loads(json.dumps(dataclasses.asdict(row)))


def place_off(row: dict[str, Any]) -> dict[str, Any]:
    """A row without where it stands, which must be right."""
    assert row["iteration"] == SECTIONS[row["section"]]
    return {name: value for name, value in row.items() if name not in ("section", "iteration", "step_key")}


def test_every_row_a_model_gave_is_there_once_and_unchanged(run, folder):
    expected = {
        "responses": asked(run, "answers"),
        "judgments": asked(run, "judgments") | asked(run, "refereed") | looked_back(run),
        "battles": asked(run, "battles"),
    }
    for config, by_id in expected.items():
        found = [place_off(row) for row in rows(folder, config)]
        assert len(found) == len(by_id) > 0
        assert {row["id"]: row for row in found} == {name: plain(row) for name, row in by_id.items()}


def test_pairs_are_conversations_with_the_better_answer_chosen(run, folder):
    for config, role in (("actor_pairs", Role.ACTOR), ("judge_pairs", Role.JUDGE)):
        expected = {
            pair.id: (number, pair)
            for number, round in enumerate(run.history.rounds)
            for artifact in round.pairs
            for pair in artifact
            if pair.role is role
        }
        found = rows(folder, config)
        assert len(found) == len(expected) > 0
        for row in found:
            number, pair = expected[row["pair_id"]]
            assert row["prompt"] == plain(pair)["messages"]
            assert row["chosen"] == [{"role": "assistant", "content": pair.chosen}]
            assert row["rejected"] == [{"role": "assistant", "content": pair.rejected}]
            assert (row["iteration"], row["section"]) == (number, f"iteration {number}")
            for name in (
                "role",
                "chosen_score",
                "rejected_score",
                "chosen_id",
                "rejected_id",
                "prompt_id",
                "response_id",
            ):
                assert row[name] == plain(pair)[name]
            assert row["chosen_score"] > row["rejected_score"]


@pytest.mark.parametrize("by", ["sampling", "weight"])
def test_judge_pairs_are_there_once_and_weighed_ones_with_their_weight(tmp_path, by):
    settings = loops.small_meta(iterations=(Iteration(max_judge_share=0.2, judge_share_by=by),))
    made, _ = loops.loop(tmp_path / "run", loops.Asked(planted.World()), settings=settings, prompts=12)
    export_run(made.store.root, tmp_path / "data")
    found = rows(tmp_path / "data", "judge_pairs")
    (round,) = made.history.rounds
    assert round.training is not None
    plain_pairs = {pair.chosen_id: pair for pair in round.pairs[1]}
    assert sorted(row["chosen_id"] for row in found) == sorted(plain_pairs)
    if by == "weight":
        (weighed,) = round.training.capped
        assert {row["pair_id"]: row["weight"] for row in found} == {pair.id: pair.weight for pair in weighed}
        assert all(0 < row["weight"] < 1 for row in found)
    else:
        assert {row["pair_id"] for row in found} == {pair.id for pair in plain_pairs.values()}
        assert {row["weight"] for row in found} == {1.0}


def test_planted_truth_survives_the_export(folder):
    """A single mean of noisy judgments may err by little; over all pairs the planted order must show."""
    for config, measure, sign in (
        ("actor_pairs", planted.quality_of, 1),
        ("judge_pairs", planted.error_of, -1),
    ):
        gaps = [
            measure(row["chosen"][0]["content"]) - measure(row["rejected"][0]["content"])
            for row in rows(folder, config)
        ]
        assert sum(gap * sign > 0 for gap in gaps) > 0.8 * len(gaps)


def test_what_was_written_is_what_is_said(run, folder, tmp_path):
    done = export_run(run.store.root, tmp_path / "new" / "data")
    assert sorted(done.files) == sorted(p for p in (tmp_path / "new" / "data").rglob("*") if p.is_file())
    names = ["pairs", "actor_pairs", "judge_pairs", "responses", "judgments", "battles", "prompts"]
    assert list(done.counts) == names
    for config, count in done.counts.items():
        configs = ("actor_pairs", "judge_pairs") if config == "pairs" else (config,)
        assert sum(len(rows(folder, name)) for name in configs) == count
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["data"], "nothing is left beside it"
    again = {p.relative_to(tmp_path / "new" / "data"): p.read_bytes() for p in done.files}
    assert again == {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_was_held_out_is_in_a_split_of_its_own_and_prompts_are_there(run, folder):
    held_out, trained = (
        {
            name
            for file in (folder / "prompts").glob(f"{split}-*")
            for name in pq.read_table(file)["id"].to_pylist()
        }
        for split in ("held_out", "train")
    )
    rounds = {prompt.id for round in run.history.rounds for prompt in round.prompts}
    assert trained == rounds
    assert held_out
    assert held_out.isdisjoint(trained)
    for config in ("responses", "judgments", "battles"):
        for file in (folder / config).glob("*.parquet"):
            split = "held_out" if file.name.startswith("held_out-") else "train"
            sections = set(pq.read_table(file)["section"].to_pylist())
            assert all(section.startswith("held-out ") == (split == "held_out") for section in sections)
    assert not list((folder / "actor_pairs").glob("held_out-*"))
    texts = {row["id"]: row["messages"] for row in rows(folder, "prompts")}
    assert {row["prompt_id"] for row in rows(folder, "responses")} <= texts.keys()


def test_what_a_killed_export_left_behind_is_removed_by_the_next(run, tmp_path):
    dead = subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True
    )
    left = tmp_path / f".data.export-{int(dead.stdout)}-abc12345"
    alive = tmp_path / f".data.export-{os.getpid()}-abc12345"
    for folder in (
        left / "dataset",
        alive,
        tmp_path / ".data.mine",
        tmp_path / f".other.export-{int(dead.stdout)}-x",
    ):
        folder.mkdir(parents=True)
    export_run(run.store.root, tmp_path / "data")
    assert not left.exists()
    assert sorted(path.name for path in tmp_path.iterdir() if path.name[0] == ".")[0] == alive.name
    assert (tmp_path / ".data.mine").is_dir()
    assert (tmp_path / f".other.export-{int(dead.stdout)}-x").is_dir()


def test_the_card_states_models_counts_and_reasons(run, folder):
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "written by language models" in card
    for _, manifest in run.store.manifests():
        if manifest.model:
            assert f"| `{manifest.model}` |" in card
        assert f"| {manifest.section or '-'} | {manifest.name} | {manifest.rows} |" in card
        for reason, count in manifest.dropped.items():
            assert f"| {manifest.section} | {manifest.name} | {reason} | {count} |" in card
    assert '"rho": 0.2' in card
    assert "done more than once" not in card
    assert str(run.store.root) not in card


def test_only_what_the_last_run_used_is_exported(tmp_path):
    open_engine = loops.Asked(planted.World())
    loops.loop(tmp_path / "run", open_engine)
    changed = (loops.Iteration(rho=0.4), loops.Iteration(rho=0.4))
    run, _ = loops.loop(tmp_path / "run", open_engine, settings=loops.small_meta(iterations=changed))
    done = export_run(tmp_path / "run", tmp_path / "out")
    assert done.counts["pairs"] == sum(len(rows) for round in run.history.rounds for rows in round.pairs)
    (tmp_path / "run" / "current.json").unlink()  # a run that does not say what it used is exported whole
    export_run(tmp_path / "run", tmp_path / "all")
    card = (tmp_path / "all" / "README.md").read_text()
    assert "were done more than once: iteration 0, actor_pairs;" in card
    keys = {row["step_key"] for row in rows(tmp_path / "all", "actor_pairs") if row["iteration"] == 0}
    assert len(keys) == 2


def test_a_target_that_is_not_empty_is_left_alone(run, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("x")
    (tmp_path / "file").write_text("x")
    for name in ("full", "file"):
        with pytest.raises(UserError, match=f"{name} exists and is not empty"):
            export_run(run.store.root, tmp_path / name)
    assert (tmp_path / "full" / "mine.txt").read_text() == "x"
    (tmp_path / "empty").mkdir()
    export_run(run.store.root, tmp_path / "empty")
    assert (tmp_path / "empty" / "README.md").is_file()
