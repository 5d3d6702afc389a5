"""`metareward attack` as a user meets it."""

import json

import pytest

from test_cli import metareward


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
        "beauty (flawed)",
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
