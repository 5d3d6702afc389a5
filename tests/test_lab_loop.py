"""The real thing, small: a loop of a shipped base model in worker processes, stopped and gone on with."""

import shutil
from pathlib import Path

import pytest

from lab_runs import own_recipe
from metareward import disk
from metareward.errors import StoreError
from metareward.events import StepFinished
from metareward.lab import bases, tables
from metareward.lab.compare import compare
from metareward.lab.conditions import CONDITIONS, Budget, Condition
from metareward.lab.pool import LOG
from metareward.lab.report import report
from metareward.lab.words import CRITERIA

BUDGET = Budget(prompts=12, iterations=1, responses=4, judgments=2, epochs=1)


def stop_after(step):
    """A listener that interrupts when a step of the first iteration is whole."""

    def listen(heard):
        event = heard.event
        if isinstance(event, StepFinished) and (event.section, event.step) == ("iteration 0", step):
            raise KeyboardInterrupt

    return listen


def test_a_users_own_recipe_stopped_in_the_middle_and_gone_on_with(tmp_path):
    mine = {"mine": Condition("at temperature 1", own_recipe, CONDITIONS["meta_rewarding"].settings)}
    given = {"root": tmp_path, "jobs": 1}
    with pytest.raises(KeyboardInterrupt, match="0 of 1 cells have ended"):
        compare(mine, BUDGET, **given, listen=stop_after("judge"))
    heard = []
    (cell,) = compare(mine, BUDGET, **given, listen=heard.append)

    events = [one.event for one in heard if isinstance(one.event, StepFinished)]
    reused = {event.step for event in events if event.section == "iteration 0" and event.reused}
    assert {"generate", "judge"} <= reused
    assert "train" in {event.step for event in events} - reused
    assert len(cell["models"]) == 2
    assert cell["iterations"][0]["battles"] > 0
    assert (tmp_path / LOG).is_file()

    found = report([cell], BUDGET.iterations)
    told = found["conditions"]["mine"]["measures"]
    parts = [told[f"meets_sampled_{criterion}"]["end"]["value"] for criterion in CRITERIA]
    assert told["truth"]["end"]["value"] == pytest.approx(sum(parts))
    assert 0 < told["truth"]["start"]["value"] < len(CRITERIA)
    assert 0 < told["judge_fixed"]["end"]["value"] < 1
    assert found["predictions"]["signals"]["score_preference"]["iterations"] == 1
    assert "| mine |" in tables.markdown(found)


class TestUnpacking:
    def test_every_base_model_has_a_place_of_its_own_and_is_found_again(self, tmp_path):
        first, other = (bases.unpack(seed, tmp_path / "model") for seed in (0, 1))
        assert first.path != other.path
        assert first.fingerprint != other.fingerprint
        written = Path(first.path, "model.safetensors").stat().st_mtime_ns
        assert bases.unpack(0, tmp_path / "model") == first
        assert Path(first.path, "model.safetensors").stat().st_mtime_ns == written

    def test_another_process_that_was_faster_is_no_error(self, tmp_path, monkeypatch):
        def too_late(aside: Path, folder: Path) -> None:
            shutil.copytree(aside, folder)
            raise StoreError("there is something of this name")

        monkeypatch.setattr(disk, "rename", too_late)
        found = bases.unpack(0, tmp_path / "model")
        assert [path.name for path in tmp_path.iterdir()] == [Path(found.path).name], "nothing is left over"

    def test_a_disk_that_refuses_is(self, tmp_path, monkeypatch):
        def refuses(aside: Path, folder: Path) -> None:
            raise StoreError("the disk is full")

        monkeypatch.setattr(disk, "rename", refuses)
        with pytest.raises(StoreError, match="full"):
            bases.unpack(0, tmp_path / "model")
        assert not list(tmp_path.iterdir())
