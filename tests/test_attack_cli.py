"""`metareward attack` as a user meets it."""

import io
import json
import re
import signal
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path

import pytest

from metareward import config
from metareward.attack.families import SHIPPED
from metareward.attack.items import load_items
from metareward.attack.suite import graded
from metareward.cli import main
from metareward.stages.judge import Judge


@dataclass(frozen=True)
class Said:
    """What one call of the command line printed."""

    stdout: str
    stderr: str


def metareward(*arguments: object, cwd: Path, code: int = 0) -> Said:
    """`metareward ...` in this process: quicker than a child by the seconds it takes to load."""
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    out, err, left = io.StringIO(), io.StringIO(), 0
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(out), redirect_stderr(err):
        patch.chdir(cwd)
        patch.setattr(sys, "argv", ["metareward", *map(str, arguments)])
        try:
            main()
        except SystemExit as stopped:
            left = stopped.code
        finally:
            signal.signal(signal.SIGINT, before[0])
            signal.signal(signal.SIGTERM, before[1])
    assert left == code, out.getvalue() + err.getvalue()
    return Said(out.getvalue(), err.getvalue())


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A directory in which the made-up judge was attacked once, and what was said."""
    here = tmp_path_factory.mktemp("attack")
    arguments = ("attack", "--judge", "fake", "--limit", 8, "--families", "position,null,beauty")
    return here, arguments, metareward(*arguments, cwd=here).stdout


def test_tables_numbers_and_where_they_lie(attacked):
    here, _, said = attacked
    for part in (
        "pointwise: the good response of a clean pair is preferred",
        "no better than chance",
        "by chance 50 %; a judge that prefers the longer response",
        "unreadable: 0 of",
        "won by the response shown first",
        "false positive",
        "flawed  flip",
        "95 % intervals over prompts",
    ):
        assert part in said
    assert "alarm: pointwise, null:" in said
    stored = json.loads((here / "runs/attack-fake/attack.json").read_text())
    assert f"{stored['calls']} judgments in runs/attack-fake" in said
    assert stored["calls"] == 8 * (4 + 2 + 1) + 8 * 2 * (2 + 2 + 1)


def test_a_second_time_nothing_is_asked_and_json_says_the_same(attacked):
    here, arguments, _ = attacked
    stored = json.loads((here / "runs/attack-fake/attack.json").read_text())
    told = json.loads(metareward(*arguments, "--json", cwd=here).stdout)
    assert told == stored
    assert [row["family"] for row in told["rows"] if row["form"] == "pairwise"] == [
        "position",
        "beauty",
        "beauty",
        "null",
    ]
    assert "kept from before" in metareward(*arguments, cwd=here).stdout


def test_an_alarm_fails_the_command_only_where_asked(attacked):
    here, arguments, _ = attacked
    metareward(*arguments, "--fail-over", cwd=here, code=1)
    easy = ("--max-false-positives", 0.99, "--max-wins", 0.99)
    assert "no alarm" in metareward(*arguments, "--fail-over", *easy, cwd=here).stdout


def test_a_judge_of_which_nothing_can_be_read_does_not_pass(tmp_path):
    """Two tokens are too few for a verdict: no alarm fires, and yet the command fails."""
    arguments = ("attack", "--judge", "fake", "--limit", 2, "--families", "null", "--max-tokens", 2)
    said = metareward(*arguments, "--fail-over", cwd=tmp_path, code=1).stdout
    assert "in none that could be read" in said
    assert "no alarm, but not everything could be read" in said
    assert "3 of 3 rows are unreadable: that is no resistance" in said
    assert "(100 %): 6 cut off" in said


def test_own_pairs_and_one_form(attacked):
    here, _, _ = attacked
    (here / "mine.jsonl").write_text('{"prompt": "1 + 1?", "chosen": "2", "rejected": "3"}\n')
    arguments = ("attack", "--judge", "fake", "--items", "mine.jsonl", "--form", "pointwise", "-d", "own")
    told = json.loads(metareward(*arguments, "--reading", "forced", "--json", cwd=here).stdout)
    assert (told["items"], [b["form"] for b in told["baselines"]]) == (1, ["pointwise"])
    assert (here / "own" / "artifacts").is_dir()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--form", "both-ways"), "--form must be pointwise, pairwise or both"),
        (("--families", "nul"), "'nul' is not a family of attacks; known: position"),
        (("--items", "absent.jsonl"), "absent.jsonl: cannot be read as a file of pairs"),
        (("--samples", "0"), "judge.samples must be at least 1"),
        (("--reading", "loud"), "judge.reading"),
        (("--limit", "0"), "at least 1"),
        (("--form", "pointwise", "--families", "position"), "attack it with --form pairwise or both"),
        (("--threshold", "9"), "attack.threshold"),
    ],
)
def test_mistakes_are_said_in_one_line(tmp_path, arguments, message):
    said = metareward("attack", "--judge", "fake", *arguments, cwd=tmp_path, code=2)
    assert message in said.stderr
    assert "Traceback" not in said.stderr
    assert not (tmp_path / "runs").exists(), "nothing is begun"


def test_an_unknown_judge_is_named(tmp_path):
    said = metareward("attack", "--judge", "./nowhere", cwd=tmp_path, code=2)
    assert "nowhere" in said.stderr


class TestDocs:
    PAGE = (Path(__file__).parent.parent / "docs" / "attack.md").read_text()

    def blocks(self, language):
        return re.findall(rf"```{language}\n(.*?)```", self.PAGE, re.DOTALL)

    def test_the_example_runs(self, tmp_path, monkeypatch, capsys):
        monkeypatch.chdir(tmp_path)
        (example,) = self.blocks("python")
        exec(compile(example, "attack.md", "exec"), {})  # noqa: S102 - our own page
        assert "injection none wins" in capsys.readouterr().out

    def test_the_gates_settings_load_and_cost_what_is_said(self, tmp_path):
        (example,) = self.blocks("toml")
        (tmp_path / "c.toml").write_text(example)
        gate = config.load(tmp_path / "c.toml").method.attack
        assert (gate.enabled, gate.action) == (True, "drop judge")
        assert f"= {len(graded(gate.suite(Judge())).responses)} judgments an iteration" in self.PAGE

    def test_every_family_and_option_it_names_is_there(self, tmp_path):
        for family in SHIPPED:
            assert f"| {family.name} |" in self.PAGE
        known = metareward("attack", "--help", cwd=tmp_path).stdout
        for option in set(re.findall(r"--[a-z][a-z-]+", self.PAGE)) - {"--change"}:
            assert option in known, option
        assert '{"prompt": "What is 2 and 2?"' in self.PAGE

    def test_what_it_says_of_the_pairs(self):
        ratio = [len(item.good) / len(item.flawed) for item in load_items()]
        assert "In 24 both are of" in self.PAGE
        assert sum(min(each, 1 / each) >= 0.8 for each in ratio) == 24
        assert sum(each < 0.8 for each in ratio) == 10
        assert sum(each > 1.25 for each in ratio) == 6
