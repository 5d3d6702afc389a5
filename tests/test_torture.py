"""A small sample of `make torture`: real kills on a real model with real training, and its table."""

import random

import pytest

from torture.kills import Arena, Victim, scripts, zygote
from torture.points import Bench
from torture.table import Book, Outcome, report, summed

SCRIPT = [
    ("generate", "SIGKILL the run"),
    ("training", "SIGKILL the training child"),
    ("publish", "SIGKILL all"),
]


@pytest.mark.model
def test_three_real_kills_change_nothing(tmp_path):
    pytest.importorskip("trl")
    arena = Arena(tmp_path)
    with zygote() as forks:
        victim = Victim(arena, forks, "victim-0", random.Random(0))
        outcomes = [outcome for step in SCRIPT if (outcome := victim.kill(*step))]
        wrong = victim.finish()
    assert not wrong
    assert len(outcomes) >= 2, "the last phase may be over before it can be hit"
    assert not [outcome for outcome in outcomes if outcome.wrong or outcome.lost or outcome.duplicated]


def test_points_of_every_kind_come_first_in_a_sample(tmp_path):
    bench = Bench(tmp_path)
    points = bench.points()
    assert len(points) > 2000
    kinds = {kind for kind, _ in points}
    assert {kind for kind, _ in bench.sample(len(kinds), 1)} == kinds
    assert bench.sample(50, 1) == bench.sample(50, 1) != bench.sample(50, 2)
    outcomes = [bench.outcome(point) for point in bench.sample(len(kinds), 3)]
    assert not [outcome for outcome in outcomes if outcome.wrong]


def test_scripts_hit_every_phase_and_end():
    drawn = list(scripts(20, random.Random(1)))
    assert sum(map(len, drawn)) == 20
    assert {phase for phase, _ in drawn[0]} == {phase for phase, _ in drawn[1]} | {"publish"}


def test_the_table_adds_up_and_tells_violations(tmp_path):
    book = Book(tmp_path / "outcomes.jsonl")
    book.add(
        Outcome("full", "judge", "a", again=3), Outcome("full", "judge", "b", lost=2, wrong="rows differ")
    )
    with (tmp_path / "outcomes.jsonl").open("a") as cut:
        cut.write('{"kind": "cut sho')
    again = Book(tmp_path / "outcomes.jsonl")
    assert again.points == {"a", "b"}
    row = summed(again.outcomes)["full", "judge"]
    assert (row.injected, row.resumed, row.wrong_resumes, row.rows_lost) == (2, 1, 1, 2)
    assert row.asked_again_in_flight == 3
    plain, table = report(again.outcomes, {"seed": 1})
    assert [violation["point"] for violation in plain["violations"]] == ["b"]
    assert "| full | judge | 2 | 1 | 3 | 2 | 0 | 0 | 1 |" in table
