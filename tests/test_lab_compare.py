"""Cells side by side: nothing is done twice, a cell that fails harms no other, and stopping keeps all."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from lab_runs import planted, tries, world
from metareward.errors import ConfigError, StepError, UserError
from metareward.events import Noticed, StepStarted
from metareward.lab.compare import TRACE, compare
from metareward.lab.conditions import CONDITIONS, Budget, Condition
from metareward.lab.pool import LOG
from metareward.recipes.self_rewarding import SelfRewarding

SMALL = Budget(prompts=4, iterations=2)
ORACLE = CONDITIONS["oracle"]


def own_recipe(run, model, batches, recipe, held_out=None, dev=None) -> Any:
    """Of a user's; never called here."""


class Comparing:
    """Compares below a directory of its own, with planted results; `heard` is what was said."""

    def __init__(self, folder: Path) -> None:
        self.root, self.world = folder / "lab", world(folder / "world", 0, 1)
        self.heard: list[Any] = []

    def __call__(self, *names: str, **changes: Any) -> list[dict[str, Any]]:
        return self.of({name: CONDITIONS.get(name, ORACLE) for name in names}, **{"jobs": 0, **changes})

    def of(self, conditions: dict[str, Condition], **changes: Any) -> list[dict[str, Any]]:
        given = {"root": self.root, "world": self.world, "run": planted, "listen": self.heard.append}
        return compare(conditions, SMALL, **{**given, **changes})


@pytest.fixture
def run(tmp_path):
    return Comparing(tmp_path)


def states(run):
    return [heard.state for heard in run.heard if heard.state != "working"]


def test_every_condition_from_every_base_with_every_seed(run):
    found = run("oracle", "self_rewarding", bases=(0, 1), seeds=(0, 3))
    places = [(cell["base"], cell["seed"], cell["condition"]) for cell in found]
    assert places == [
        (base, seed, name) for base in (0, 1) for seed in (0, 3) for name in ("oracle", "self_rewarding")
    ]
    assert {cell["process"] for cell in found} == {os.getpid()}


def test_what_is_heard_counts_up_and_names_the_cell(run):
    run("oracle", "self_rewarding")
    assert states(run) == ["begun", "ended"] * 2
    assert [heard.ended for heard in run.heard if heard.state == "ended"] == [1, 2]
    steps = [heard.event.section for heard in run.heard if isinstance(heard.event, StepStarted)]
    assert steps == ["iteration 0", "iteration 1"] * 2
    assert {heard.cells for heard in run.heard} == {2}


def test_what_has_ended_is_found_again_and_other_settings_make_it_anew(run):
    first = run("oracle")
    run.heard.clear()
    assert run("oracle") == first
    assert states(run) == ["found"]
    other = Condition("", ORACLE.recipe, lambda budget, seed: _with_beta(ORACLE.settings(budget, seed)))
    assert run.of({"oracle": other}, jobs=0)[0]["key"] != first[0]["key"]
    assert tries(run.root, "base-0/seed-0/oracle") == 2


def _with_beta(settings):
    return replace(settings, dpo=replace(settings.dpo, beta=0.7))


def test_another_base_model_of_the_same_number_is_another_cell(run):
    run("oracle")
    (run.root.parent / "world/base-0/model.safetensors").write_text("trained again")
    run("oracle")
    assert tries(run.root, "base-0/seed-0/oracle") == 2


def test_a_recipe_from_elsewhere_is_gone_through_again(run):
    mine = {"mine": Condition("", own_recipe, ORACLE.settings)}
    run.of(mine, jobs=0)
    run.of(mine, jobs=0)
    assert tries(run.root, "base-0/seed-0/mine") == 2, "its code may be another, whatever its settings say"


class TestFailures:
    def test_it_is_named_after_the_others_have_ended_and_what_they_came_to_is_kept(self, run):
        with pytest.raises(StepError) as error:
            run("fails", "oracle", "mistakes")
        said = str(error.value)
        assert "2 of 3 cells failed. 1 have ended" in said
        assert "base-0/seed-0/fails: ZeroDivisionError: three divided by nothing" in said
        assert "base-0/seed-0/mistakes: the prompts are in another castle" in said
        assert states(run) == ["begun", "failed", "begun", "ended", "begun", "failed"]
        trace = (run.root / "base-0/seed-0/fails" / TRACE).read_text()
        assert "in _fails" in trace
        assert str(run.root / "base-0/seed-0/fails" / TRACE) in said

    def test_mended_only_what_failed_is_done_again(self, run):
        with pytest.raises(StepError):
            run("fails", "oracle")
        (run.root / "base-0/seed-0/fails/mended").touch()
        assert len(run("fails", "oracle")) == 2
        assert tries(run.root, "base-0/seed-0/oracle") == 1
        assert tries(run.root, "base-0/seed-0/fails") == 2

    def test_where_all_are_a_users_mistakes_so_is_the_whole(self, run):
        with pytest.raises(UserError, match="another castle"):
            run("mistakes", "oracle")


class TestWorkers:
    def test_several_cells_at_once_and_one_that_dies_takes_none_along(self, run, monkeypatch):
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        names = ("dies", "oracle", "fails", "self_rewarding")
        with pytest.raises(StepError) as error:
            run(*names, jobs=2)
        assert "base-0/seed-0/dies: its process ended (status 3)" in str(error.value)
        assert "base-0/seed-0/fails: ZeroDivisionError: three divided by nothing" in str(error.value)
        assert (run.root / LOG).read_text() == "famous last words\n"
        assert sorted(states(run)) == ["begun"] * 4 + ["ended"] * 2 + ["failed"] * 2
        assert any(isinstance(heard.event, StepStarted) for heard in run.heard)
        found = run("oracle", "self_rewarding")
        assert os.getpid() not in {cell["process"] for cell in found}
        assert {cell["threads"] for cell in found} == {"1"}, "two side by side share the cores"

    def test_after_one_that_died_the_next_has_a_process_of_its_own_and_alone_all_threads(
        self, run, monkeypatch
    ):
        monkeypatch.setenv("OMP_NUM_THREADS", "7")
        with pytest.raises(StepError, match="1 of 2 cells failed"):
            run("dies", "oracle", jobs=1)
        assert run("oracle")[0]["threads"] == "7"

    def test_interrupted_they_put_away_what_they_were_doing(self, run):
        def stop_when_it_waits(heard):
            if isinstance(heard.event, Noticed):
                waiting = run.root / heard.cell.place / "waiting"
                while not waiting.exists():
                    time.sleep(0.01)
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt, match="stopped; 0 of 1 cells have ended and are kept"):
            run("waits", jobs=1, listen=stop_when_it_waits)
        assert (run.root / "base-0/seed-0/waits/put away").exists()
        assert len(run("waits")) == 1

    def test_a_signal_to_the_whole_group_is_for_the_parent_alone(self, tmp_path):
        world(tmp_path / "world", 0)
        process = subprocess.Popen(
            [sys.executable, "-c", _PROGRAM],
            cwd=tmp_path,
            start_new_session=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        folder = tmp_path / "lab/base-0/seed-0/waits"
        while not (folder / "waiting").exists():
            assert process.poll() is None
            time.sleep(0.02)
        os.killpg(process.pid, signal.SIGINT)
        said, _ = process.communicate(timeout=30)
        assert said.startswith(
            "stopped; 0 of 1 cells have ended and are kept, and those that were begun go on"
        )
        assert (folder / "put away").exists()


_PROGRAM = """
from pathlib import Path
from lab_runs import planted
from metareward.lab.compare import compare
from metareward.lab.conditions import CONDITIONS, Budget
try:  # without a guard: worker processes do not run this program again
    compare({"waits": CONDITIONS["oracle"]}, Budget(prompts=4, iterations=1), root=Path("lab"), world="world",
        jobs=1, run=planted)
except KeyboardInterrupt as stop:
    print(stop, flush=True)
"""


class TestWhatCannotBeSent:
    def mine(self):
        def recipe(run, model, batches, settings) -> Any:
            """Within a function: no other process finds it."""

        return {"mine": Condition("", recipe, ORACLE.settings)}

    def test_it_is_carried_out_here_and_that_is_said(self, run):
        (found,) = run.of(self.mine())
        assert found["process"] == os.getpid()
        (notice,) = [h.event for h in run.heard if isinstance(h.event, Noticed) and "mine" in h.event.message]
        assert "All is carried out in this process" in notice.message

    def test_with_jobs_given_it_is_an_error_that_says_what_to_do(self, run):
        with pytest.raises(ConfigError, match=r"mine: .* cannot be sent .* set jobs to 0"):
            run.of(self.mine(), jobs=2)
        assert not list(run.root.rglob("tries"))

    def test_what_stands_in_the_program_itself_is_not_sent_either(self, run, monkeypatch):
        monkeypatch.setattr(own_recipe, "__module__", "__main__")
        monkeypatch.setattr(sys.modules["__main__"], "own_recipe", own_recipe, raising=False)
        with pytest.raises(ConfigError, match="cannot be sent"):
            run.of({"mine": Condition("", own_recipe, ORACLE.settings)}, jobs=1)


@dataclass(frozen=True)
class Bare:
    generate: int = 1


@dataclass(frozen=True)
class Odd(SelfRewarding):
    extra: object = None


def _not_plain(budget, seed):
    return Odd(**vars(ORACLE.settings(budget, seed)), extra={"a set"})


class TestMistakes:
    @pytest.mark.parametrize(
        ("changes", "said"),
        [
            ({"seeds": ()}, "seeds must be at least one"),
            ({"seeds": (1, 1)}, "seeds must be free of repeats"),
            ({"seeds": (-1,)}, "seeds must be in"),
            ({"bases": (7,)}, "there is no base model 7; there are 0, 1"),
            ({"jobs": -1}, "jobs must be 0 or more"),
            ({"world": "/nowhere"}, "no such directory"),
        ],
    )
    def test_before_anything_begins(self, run, changes, said):
        with pytest.raises(UserError, match=said):
            run("oracle", **changes)
        assert not list(run.root.rglob("tries"))

    def test_a_name_that_is_no_name(self, run):
        with pytest.raises(ConfigError, match="a condition's name must be letters"):
            run("../oracle")

    @pytest.mark.parametrize(
        ("settings", "said"),
        [
            (lambda budget, seed: Bare(), "mine: its settings lack judge, evaluate"),
            (lambda budget, seed: Budget(prompts=0), "mine: prompts must be at least 1"),
            (_not_plain, "mine: its settings must be plain data"),
        ],
    )
    def test_settings_that_cannot_be_used(self, run, settings, said):
        with pytest.raises(ConfigError, match=said):
            run.of({"mine": Condition("", own_recipe, settings)})

    def test_a_directory_at_work(self, run):
        def again(heard):
            if heard.state == "begun":
                code = "import sys; from pathlib import Path; from metareward.store.claim import claim\n"
                code += f"try:\n with claim(Path({str(run.root)!r})): pass\nexcept Exception as e: print(e)"
                done = subprocess.run(
                    [sys.executable, "-c", code], capture_output=True, text=True, check=True
                )
                run.heard.append(done.stdout)

        run("oracle", listen=again)
        assert "is in use by another process" in run.heard[-1]
