"""Every column of every table holds what its head says, for numbers that are all different."""

import pytest

from lab_cells import cell, gate
from metareward.lab import tables
from metareward.lab.report import report
from metareward.lab.words import CRITERIA

TRUTHS = [1.0, 2.0, 3.0, 4.0]
JUDGES = [0.1, 0.2, 0.3, 0.4]
OTHER = {"greedy": 4.5, "cold": 2.5, "own": 0.75, "score": 3.5, "merit": 2.25, "words": 7.5, "praised": 0.37}
BATTLES = {"meta": 0.81, "higher": 0.62, "first": 0.43}


@pytest.fixture(scope="module")
def found():
    gates = [gate(0, flips=(0.7, "failed"), position=(0.5, "passed")), gate(1, flips=(0.1, "passed"))]
    mine = cell("mine", 0, 0, TRUTHS, JUDGES, gates, None, [2, 0, 1], **OTHER, **BATTLES)
    theirs = cell("meta_rewarding", 0, 0, [1.0, 1.5, 2.0, 2.5], [0.1, 0.15, 0.2, 0.25], judge_pairs=[1])
    return report([mine, theirs], 3)


def row(table, name="mine"):
    """The cells of a row by their heads; heads that come twice by the one before them, too."""
    _, heads, rows = table
    named = [
        f"{heads[at - 1]}, {head}" if head == "end" and at > 2 else head for at, head in enumerate(heads)
    ]
    (cells,) = [cells for cells in rows if cells[0] == name]
    return dict(zip(named, cells, strict=True))


def test_what_answers_are_worth(found):
    assert row(tables.truths(found)) == {
        "condition": "mine",
        "M0": "1.00",
        "end": "3.00",
        "end, cold": "2.50",
        "end, greedy": "4.50",
        "M0, greedy": "4.50",
        "words": "7.5",
        "praised": "37 %",
    }


def test_how_right_the_judge_and_the_meta_judge_are(found):
    assert row(tables.judges(found)) == {
        "condition": "mine",
        "right, M0": "10 %",
        "right, end": "30 %",
        "on own, end": "75 %",
        "score - worth, M0": "+1.25",
        "score - worth, M0, end": "+1.25",
        "full marks on own, end": "10 %",
        "unreadable on own, end": "4 %",
        "meta-judge right, M0": "81 %",
        "meta-judge right, M0, end": "81 %",
        "higher score wins, end": "62 %",
        "first shown wins, end": "43 %",
        "iterations with judge pairs, of 3": "2",
    }


def test_by_criterion(found):
    told = row(tables.criteria(found))
    for name in CRITERIA:
        assert told[f"meets {name}"] == "60 %", "three of five at the end"
        assert told[f"judge on {name}"] == "30 %"


def test_differences(found):
    title, _, rows = tables.differences(found)
    assert title == "Differences from meta_rewarding at the end, paired by base model and seed"
    assert len(rows) == 1, "none from itself"
    assert row(tables.differences(found)) == {
        "condition": "mine",
        "truth": "+1.00",
        "truth, cold": "+0.40",
        "truth, greedy": "+2.30",
        "judge right, points": "+10",
        "on own, points": "+65",
        "meta-judge right, points": "+11",
        "words": "+1.50",
        "score - worth": "+0.75",
        "truth higher in": "1 of 1",
    }


def test_only_the_measures_that_are_asked_for(found):
    _, heads, _ = tables.differences(found, ("truth", "words"))
    assert heads == ["condition", "truth", "words", "truth higher in"]


def test_alarms(found):
    assert tables.alarms(found)[2] == [["mine", "flips", "1 of 1", "0"]]


def test_what_signals_said(found):
    told = row(tables.predictions(found), "flips")
    assert told == {
        "signal": "flips",
        "correlation": "-",
        "iterations": "2",
        "hits": "0",
        "false alarms": "1",
        "misses": "0",
        "rightly quiet": "1",
    }
    assert row(tables.predictions(found), "gate as a whole")["false alarms"] == "1"
    assert row(tables.predictions(found), "actor score margin")["hits"] == "-", "it is held to no limit"


def test_iterations_whose_pairs_were_left_out_are_counted_in_the_title():
    gates = [gate(0, 3, flips=(0.7, "failed")), gate(1, flips=(0.1, "passed"))]
    title, _, _ = tables.predictions(report([cell("a", 0, 0, TRUTHS, gates=gates)], 3))
    assert title.endswith("; 1 iterations whose judge pairs were left out are not among them")


def test_a_table_without_rows_is_not_shown():
    alone = report([cell("a", 0, 0, [3.0, 3.0])], 1)
    titles = [title for title, _, _ in tables.tables(alone)]
    assert not any("Alarms" in title or "Differences" in title for title in titles)
    assert titles[0] == "Truth of answers, 0 to 5"


def test_the_counts_of_several_loops_are_a_span():
    cells = [cell("a", 0, seed, TRUTHS, judge_pairs=pairs) for seed, pairs in enumerate(([1], [1, 1, 1]))]
    found = report(cells, 3)
    assert row(tables.judges(found), "a")["iterations with judge pairs, of 3"] == "1 to 3"
    assert "over 2 loops of each condition" in tables.notes_of(found)[0]


def test_the_markdown_has_every_table_and_note(found):
    page = tables.markdown(found)
    for title, heads, rows in tables.tables(found):
        assert f"**{title}**" in page
        assert f"| {' | '.join(heads)} |" in page
        for cells in rows:
            assert f"| {' | '.join(cells)} |" in page
    assert "- At the end: the mean of M1, M2, M3, over 1 loop of each condition." in page
    assert page.endswith("\n")
