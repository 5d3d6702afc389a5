"""Export of steps that are written by hand: odd texts, many rows, shared ones, damage and full disks."""

import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from by_hand import write
from exported import rows
from metareward.errors import StoreError, UserError
from metareward.export import dataset as dataset_file
from metareward.export import export_run
from metareward.records import Dropped, Finish, Judgment, Message, PreferencePair, Prompt, Response, Role
from metareward.store import Store


def response(number: int, text: str = "Fine.") -> Response:
    return Response(f"response-{number:05}", "prompt-0", number, "m", text, (1, 2), Finish.STOP)


def small(root: Path, text: str, count: int = 1) -> None:
    given = [response(number, text) for number in range(count)]
    write(Store(root), "a", Response, given, model="m", question_key="q", section="iteration 0")


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
