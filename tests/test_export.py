"""An exported dataset is what the run holds, row for row, and what others' tools take as it is."""

import dataclasses
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import loops
import planted
from metareward.errors import StoreError, UserError
from metareward.export import dataset as dataset_file
from metareward.export import export_run
from metareward.recipes.settings import Iteration
from metareward.records import Dropped, Finish, Judgment, Message, PreferencePair, Prompt, Response, Role
from metareward.run import Run
from metareward.store import Store, Writer

SECTIONS = {"iteration 0": 0, "iteration 1": 1, "held-out M0": None, "held-out M1": None, "held-out M2": None}
ABOUT = {"name": "x", "question_key": None, "inputs": [], "step": {}, "model": None, "section": ""}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return loops.loop(tmp_path_factory.mktemp("run") / "run", loops.Asked(planted.World()))[0]


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("export") / "data"
    export_run(run.store.root, target)
    return target


def rows(folder: Path, config: str) -> list[dict[str, Any]]:
    return [
        row for file in sorted((folder / config).glob("*.parquet")) for row in pq.read_table(file).to_pylist()
    ]


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
    assert list(done.counts) == ["pairs", "actor_pairs", "judge_pairs", "responses", "judgments", "battles"]
    for config, count in done.counts.items():
        configs = ("actor_pairs", "judge_pairs") if config == "pairs" else (config,)
        assert sum(len(rows(folder, name)) for name in configs) == count
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["data"], "nothing is left beside it"
    again = {p.relative_to(tmp_path / "new" / "data"): p.read_bytes() for p in done.files}
    assert again == {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


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


def test_the_card_quotes_the_config_whatever_is_in_it(tmp_path):
    small(tmp_path / "run", "x")
    (tmp_path / "run" / "config.toml").write_text('model = "/home/me/secret/tiny"\n# ```` | fence\n')
    (tmp_path / "run" / "config.json").write_text(json.dumps({"model": "/home/me/secret/tiny"}))
    export_run(tmp_path / "run", tmp_path / "out")
    card = (tmp_path / "out" / "README.md").read_text()
    assert '`````toml\nmodel = "/home/me/secret/tiny"\n# ```` | fence\n`````' in card
    assert "the model this run began with, `tiny` |" in card
    (tmp_path / "run" / "config.json").write_text("{")
    with pytest.raises(StoreError, match=r"config\.json: damaged"):
        export_run(tmp_path / "run", tmp_path / "other")


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


def write(store: Store, key: str, kind: type[Any], given: list[Any], **about: Any) -> None:
    artifact = store.artifact("x", key, kind)
    with Writer(artifact, rows=100) as writer:
        for position, row in enumerate(given):
            writer.add(position, row)
        writer.seal({**ABOUT, **about})


def response(number: int, text: str = "Fine.") -> Response:
    return Response(f"response-{number:05}", "prompt-0", number, "m", text, (1, 2), Finish.STOP)


def small(root: Path, text: str, count: int = 1) -> None:
    given = [response(number, text) for number in range(count)]
    write(Store(root), "a", Response, given, model="m", question_key="q", section="iteration 0")


def test_lone_surrogates_become_the_replacement_character(tmp_path):
    small(tmp_path / "run", "a\ud800b\x1a")
    bad = Message("user", "\udfff?")
    judgment = Judgment("j", "p", "r", 0, "m", (bad,), "\ud83d", None, Finish.STOP, None, "off \udead")
    write(Store(tmp_path / "run"), "b", Judgment, [judgment], model="m")
    pair = PreferencePair(
        "p", Role.ACTOR, "p", None, (bad,), "c", "r", "\ud800", "x", None, None, 2.0, 1.0, 0.5, 0.25
    )
    write(Store(tmp_path / "run"), "c", PreferencePair, [pair])
    export_run(tmp_path / "run", tmp_path / "out")
    assert rows(tmp_path / "out", "responses")[0]["text"] == "a\ufffdb\x1a"
    (told,) = rows(tmp_path / "out", "judgments")
    assert (told["messages"][0]["content"], told["text"], told["unread"]) == (
        "\ufffd?",
        "\ufffd",
        "off \ufffd",
    )
    (told,) = rows(tmp_path / "out", "actor_pairs")
    assert (told["prompt"][0]["content"], told["chosen"][0]["content"]) == ("\ufffd?", "\ufffd")
    assert told["response_id"] is None
    assert (told["chosen_score"], told["weight"], told["certainty"]) == (2.0, 0.5, 0.25)


@pytest.mark.parametrize("count", [1, 6, 7, 8, 14, 15, 40])
def test_many_rows_go_into_several_files_and_few_batches_are_in_memory(tmp_path, monkeypatch, count):
    monkeypatch.setattr(dataset_file, "_FILE_ROWS", 7)
    monkeypatch.setattr(dataset_file, "_BATCH", 3)
    small(tmp_path / "run", "x", count)
    done = export_run(tmp_path / "run", tmp_path / "out")
    assert dict(done.counts) == {"responses": count}
    files = sorted((tmp_path / "out" / "responses").iterdir())
    assert [file.name for file in files] == [f"train-{n:05}.parquet" for n in range(-(-count // 7))]
    assert [row["sample"] for row in rows(tmp_path / "out", "responses")] == list(range(count))
    for file in files:
        groups = pq.read_metadata(file)
        assert all(groups.row_group(n).num_rows <= 3 for n in range(groups.num_row_groups))


def test_rows_that_two_steps_share_are_written_once(tmp_path):
    store = Store(tmp_path / "run")
    asked_same = {"model": "m", "question_key": "q"}
    write(store, "a", Response, [response(0), response(1)], section="iteration 1", **asked_same)
    write(store, "b", Response, [response(1), response(2)], section="iteration 0", **asked_same)
    write(store, "c", Response, [response(1)], section="iteration 0")
    export_run(tmp_path / "run", tmp_path / "out")
    found = [(row["sample"], row["iteration"]) for row in rows(tmp_path / "out", "responses")]
    assert found == [(1, 0), (2, 0), (0, 1)]


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


def test_a_directory_that_holds_no_run(tmp_path):
    for run_directory in (tmp_path, tmp_path / "none"):
        with pytest.raises(UserError, match="holds no finished step of a run"):
            export_run(run_directory, tmp_path / "out")
    write(Store(tmp_path / "run"), "a", Prompt, [Prompt("p", (Message("user", "x"),))])
    write(Store(tmp_path / "run"), "b", PreferencePair, [Dropped("p", "equal scores")])
    with pytest.raises(UserError, match="nothing to export"):
        export_run(tmp_path / "run", tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("harm", ["cut", "gone"])
def test_a_damaged_part_stops_the_export_and_leaves_nothing(tmp_path, harm):
    small(tmp_path / "run", "x", 250)
    last = sorted((tmp_path / "run").rglob("*.parquet"))[-1]
    last.write_bytes(last.read_bytes()[:-1]) if harm == "cut" else last.unlink()
    with pytest.raises(StoreError, match=f"{last.name}: damaged or missing"):
        export_run(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


def test_a_full_disk_is_a_store_error_and_leaves_nothing(tmp_path, monkeypatch):
    small(tmp_path / "run", "x")

    def full(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(dataset_file.pq.ParquetWriter, "write_table", full)
    with pytest.raises(StoreError, match="out: cannot write: No space left on device"):
        export_run(tmp_path / "run", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["run"]


LOAD = """
import json, sys, datasets
folder = sys.argv[1]
print(json.dumps({
    "default": datasets.load_dataset(folder, split="train").column_names,
    **{name: datasets.load_dataset(folder, name, split="train").to_list()
       for name in datasets.get_dataset_config_names(folder)},
}))
"""


def test_datasets_loads_every_config_as_it_is(folder, tmp_path):
    pytest.importorskip("datasets")
    loaded = json.loads(said(LOAD, folder, tmp_path))
    default = loaded.pop("default")
    assert default[:3] == ["prompt", "chosen", "rejected"]
    pairs = loaded.pop("pairs")
    assert pairs == rows(folder, "actor_pairs") + rows(folder, "judge_pairs")
    assert list(pairs[0]) == default
    assert loaded == {
        name: rows(folder, name)
        for name in ("actor_pairs", "judge_pairs", "responses", "judgments", "battles")
    }


def test_a_run_without_battles_loads_too(tmp_path):
    pytest.importorskip("datasets")
    loops.loop(tmp_path / "run", loops.Asked(planted.World()), "self_rewarding")
    done = export_run(tmp_path / "run", tmp_path / "out")
    assert list(done.counts) == ["pairs", "actor_pairs", "responses", "judgments"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert re.findall(r"config_name: (\w+)", card) == list(done.counts)
    loaded = json.loads(said(LOAD, tmp_path / "out", tmp_path))
    assert loaded["pairs"] == rows(tmp_path / "out", "actor_pairs")


TRAIN = """
import sys, datasets
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
folder, model, out = sys.argv[1:]
settings = DPOConfig(
    output_dir=out, max_steps=1, per_device_train_batch_size=2, report_to=[], bf16=False, use_cpu=True
)
trainer = DPOTrainer(
    AutoModelForCausalLM.from_pretrained(model), args=settings,
    train_dataset=datasets.load_dataset(folder, split="train"),
    processing_class=AutoTokenizer.from_pretrained(model),
)
row, tokenizer = trainer.train_dataset[0], trainer.processing_class
print("TOLD", tokenizer.decode(row["prompt_ids"]), tokenizer.decode(row["chosen_ids"]), sep="|")
print("STEPS", trainer.train().global_step)
"""


@pytest.mark.model
def test_the_stock_trainer_takes_the_loaded_dataset_and_trains_a_step(folder, tmp_path):
    pytest.importorskip("trl")
    from tiny_llama import write_tiny_llama

    model = write_tiny_llama(tmp_path / "model")
    told = said(TRAIN, folder, tmp_path, str(model), str(tmp_path / "trained"))
    assert "STEPS 1" in told
    first = rows(folder, "actor_pairs")[0]
    expected = f"<|im_start|>user\n{first['prompt'][0]['content']}<|im_end|>\n<|im_start|>assistant\n"
    assert f"TOLD|{expected}|{first['chosen'][0]['content']}<|im_end|>" in told


def said(code: str, folder: Path, home: Path, *arguments: str) -> str:
    """What a program of its own says, offline, with its caches in `home`."""
    own = {"HF_HOME": str(home / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *arguments],
        capture_output=True, text=True, check=False, cwd=home, env={**os.environ, **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
