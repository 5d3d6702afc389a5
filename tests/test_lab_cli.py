"""`metareward lab` as a user meets it: what it prints and leaves, and one clear message for each mistake."""

import io
import json
import signal
import subprocess
import sys
from functools import partial

import pytest
from typer.testing import CliRunner

from lab_cells import cell as planted_cell
from lab_runs import planted, tries, world
from metareward.cli import lab, render, render_lab
from metareward.cli.app import app
from metareward.cli.screen import Screen
from metareward.errors import ConfigError, StepError, UserError
from metareward.events import Noticed, StepStarted
from metareward.lab import picture
from metareward.lab.cell import Cell
from metareward.lab.compare import Heard, compare
from metareward.lab.conditions import CONDITIONS, DEFAULT, Budget
from metareward.lab.report import report


@pytest.fixture
def screen(monkeypatch):
    shown = io.StringIO()
    monkeypatch.setattr(render, "out", Screen(file=shown, width=80, highlight=False))
    return shown


@pytest.fixture
def command(tmp_path, monkeypatch, screen):
    """Run the command in a directory with two base models; loops have planted results."""
    world(tmp_path / "world", 0, 2)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(lab, "compare", partial(_compare, run=planted))
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}

    def run(*arguments):
        done = CliRunner().invoke(app, ["lab", "--world", "world", "--jobs", "0", *map(str, arguments)])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return done.stdout + screen.getvalue()

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def _compare(*given, run):
    return compare(*given, run=run)


def test_a_table_a_picture_and_all_numbers(command, tmp_path):
    said = command("--iterations", 2, "--seeds", 2, "--bases", "0,2", "--recipes", "meta_rewarding,oracle")
    assert "meta_rewarding, base 0, seed 0: begun" in said
    assert "oracle, base 2, seed 1: ended (8 of 8 loops have ended)" in said
    assert "Truth of answers, 0 to 5 (course: ▁ is 3.1, █ is 3.3)" in said
    assert "Differences from meta_rewarding at the end" in said
    assert "2 base models and 2 seeds: 95 % intervals by bootstrap" in said
    assert "the judge gate failed (planted)" not in said, "it stands in the table of alarms"
    folder = tmp_path / "runs/lab"
    found = json.loads((folder / "report.json").read_text())
    assert (found["bases"], found["seeds"], len(found["cells"])) == ([0, 2], [0, 1], 8)
    assert found["conditions"]["oracle"]["about"] == CONDITIONS["oracle"].about
    assert "| oracle |" in (folder / "report.md").read_text()
    assert (folder / "picture.png").is_file()
    assert "picture      runs/lab/picture.png" in said


def test_everything_fits_eighty_columns(command):
    said = command("--iterations", 6, "--seeds", 2, "--recipes", ",".join(CONDITIONS))
    drawn = [line for line in said.splitlines() if "───" in line or "▁" in line or "[" in line]
    assert len(drawn) > 2 * len(CONDITIONS)
    assert max(len(line.rstrip()) for line in drawn if "Intervals" not in line) <= 80
    for name in CONDITIONS:
        assert f"{name} " in said


def test_one_seed_claims_nothing(command):
    said = command("--iterations", 1, "--recipes", "oracle,self_rewarding")
    assert "One base model and one seed: no difference is claimed." in said
    table = said[said.index("Differences") : said.index("picture ")]
    assert "[" not in table


def test_the_same_command_finds_it_and_another_setting_does_it_anew(command, tmp_path):
    arguments = ("--iterations", 1, "--recipes", "oracle,meta_rewarding", "-d", "here")
    command(*arguments)
    said = command(*arguments)
    assert tries(tmp_path / "here", "base-0/seed-0/oracle") == 1
    assert said.count("begun") == 2
    command(*arguments, "--set", "meta_rewarding:dpo.beta=0.3")
    assert tries(tmp_path / "here", "base-0/seed-0/oracle") == 1
    assert tries(tmp_path / "here", "base-0/seed-0/meta_rewarding") == 2


def test_json_alone(command, screen):
    said = json.loads(command("--iterations", 1, "--recipes", "oracle", "--json"))
    assert said["end"] == ["M1"]
    assert screen.getvalue() == ""


def test_without_matplotlib_a_line_says_how_to_get_it(command, monkeypatch, tmp_path):
    monkeypatch.setattr(picture, "can_draw", lambda: False)
    said = command("--iterations", 1, "--recipes", "oracle")
    assert picture.MISSING in said
    assert (tmp_path / "runs/lab/report.md").is_file()


def test_the_list_says_what_every_condition_is(command, screen):
    said = command("--list")
    for name, condition in CONDITIONS.items():
        assert name in said
        assert condition.about in said
    marked = [line.split()[1] for line in said.splitlines() if line.startswith("*")]
    assert marked == list(lab.CHOSEN)
    assert marked[-1] == DEFAULT


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--recipes", "orcale"), "there is no condition 'orcale'; did you mean 'oracle'?"),
        (("--recipes", ","), "--recipes must name at least one condition"),
        (("--seeds", "0"), "--seeds must be at least 1, or a list"),
        (("--seeds", "a"), "--seeds must be whole numbers separated by commas, not 'a'"),
        (("--seeds", ""), "--seeds must be whole numbers"),
        (("--bases", "1"), "--bases: world has no base model 1; it has 0, 2"),
        (("--iterations", 0), "iterations must be at least 1"),
        (("--prompts", 0), "prompts must be at least 1"),
        (("--meta-judge", "god"), "meta_judge must be 'good', 'noisy'"),
        (("--set", "dpo.betta=1"), "did you mean 'dpo.beta'?"),
        (("--set", "judge_gate.max_flips=1", "--recipes", "oracle"), "none of oracle has such a setting"),
        (("--jobs", -1), "jobs must be 0 or more"),
        (("--world", "elsewhere"), "elsewhere: no such directory"),
    ],
)
def test_mistakes_are_said_before_anything_begins(command, tmp_path, arguments, message):
    with pytest.raises(UserError) as error:
        command(*arguments)
    assert message in str(error.value)
    assert not list(tmp_path.rglob("tries"))


def test_a_mistake_exits_with_two_and_one_line(tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "metareward", "lab", "--recipes", "orcale"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("metareward: --recipes: there is no condition 'orcale'")
    assert not list(tmp_path.iterdir())


def test_a_loop_that_fails_is_named_and_nothing_is_reported(command, monkeypatch, tmp_path):
    def only_the_oracle(cell, root, listen):
        if cell.name != "oracle":
            raise ZeroDivisionError("nothing")
        return planted(cell, root, listen)

    monkeypatch.setattr(lab, "compare", partial(_compare, run=only_the_oracle))
    with pytest.raises(StepError, match="1 of 2 cells failed"):
        command("--iterations", 1, "--recipes", "self_rewarding,oracle")
    assert not (tmp_path / "runs/lab/report.json").exists()
    assert tries(tmp_path / "runs/lab", "base-0/seed-0/oracle") == 1


def test_missing_packages_are_named(command, monkeypatch):
    monkeypatch.setattr(lab, "find_spec", lambda name: None if name == "trl" else name)
    with pytest.raises(
        ConfigError, match=r"needs trl, not installed here; pip install 'metareward\[train\]'"
    ):
        command()


def test_interrupted_it_says_what_is_kept(command, monkeypatch, capsys):
    def interrupted(cell, root, listen):
        if cell.seed:
            raise KeyboardInterrupt
        return planted(cell, root, listen)

    monkeypatch.setattr(lab, "compare", partial(_compare, run=interrupted))
    complaints = []
    monkeypatch.setattr(render, "complain", complaints.append)
    assert command("--iterations", 1, "--recipes", "oracle", "--seeds", 2)
    assert complaints[0].startswith("stopped; 1 of 2 cells have ended and are kept")


class TestNumbers:
    def test_seeds(self):
        assert lab.read_seeds("3") == [0, 1, 2]
        assert lab.read_seeds("0, 4,7") == [0, 4, 7]
        assert lab.read_seeds("4,") == [4]

    def test_bases(self, tmp_path):
        where = world(tmp_path, 3, 5)
        assert lab.read_bases(None, where) == [3]
        assert lab.read_bases("all", where) == [3, 5]
        assert lab.read_bases("5", where) == [5]


class TestProgress:
    def heard(self, state, ended=0, event=None, name="oracle"):
        cell = Cell(name, CONDITIONS["oracle"], Budget(prompts=4, iterations=3), 0, 1)
        return Heard(cell, state, ended, 2, event)

    def test_plain_lines_now_and_then(self, screen, monkeypatch):
        clock = [100.0]
        monkeypatch.setattr(render_lab.time, "monotonic", lambda: clock[0])
        with render_lab.progress() as listen:
            listen(self.heard("begun"))
            for number, seconds in ((0, 1.0), (1, 2.0), (2, 20.0), (3, 5.0)):
                clock[0] += seconds
                listen(self.heard("working", event=StepStarted(f"iteration {number}", "judge", 9, 0)))
            listen(self.heard("working", event=Noticed("iteration 2", "a damaged file was set aside")))
            listen(self.heard("working", event=Noticed("iteration 2", "the judge gate failed (flips)")))
            listen(self.heard("ended", 1))
        assert screen.getvalue().splitlines() == [
            "oracle, base 0, seed 1: begun",
            "oracle, base 0, seed 1: 2 of 3 iterations done",
            "oracle, base 0, seed 1, iteration 2: a damaged file was set aside",
            "oracle, base 0, seed 1: ended (1 of 2 loops have ended)",
        ]

    def test_on_a_terminal_a_bar_for_each_loop_at_work(self, monkeypatch):
        shown = io.StringIO()
        monkeypatch.setattr(render, "out", Screen(file=shown, width=100, force_terminal=True))
        with render_lab.progress() as listen:
            for name in ("oracle", "mine"):
                listen(self.heard("begun", name=name))
                listen(self.heard("working", event=StepStarted("held-out M2", "judge", 9, 0), name=name))
            listen(self.heard("failed", 1, name="mine"))
        last = shown.getvalue().split("\r")[-1]
        assert "mine, base 0, seed 1: failed" in shown.getvalue()
        assert "1/2" in last
        assert "2/3" in last
        assert "oracle, base 0, seed 1" in last
        assert "mine" not in last

    def test_quiet_is_quiet(self, screen):
        with render_lab.progress(quiet=True) as listen:
            listen(self.heard("begun"))
        assert screen.getvalue() == ""


class TestCourses:
    def test_one_character_a_model_on_one_scale(self):
        assert render_lab.spark([0.0, 2.5, 5.0, None, 7.0], 0.0, 5.0) == "▁▅█ █"
        assert render_lab.spark([3.0, 3.0], 3.0, 3.0) == "▁▁"

    def test_hostile_names_are_text(self, screen, tmp_path):
        found = report([planted_cell("[red]\x1b[2J", 0, 0, [3.0, 4.0])], 1)
        render_lab.summary(found, tmp_path, [])
        assert "[red]\\x1b" in screen.getvalue().replace("\n", "")
        assert "\x1b" not in screen.getvalue()
