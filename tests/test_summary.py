"""The summary, against numbers worked out by hand."""

import json

import pytest

import loops
import planted
from metareward.readers import Scale
from metareward.records import Battle, Finish, Judgment, Message, Outcome, Response
from metareward.summary import _battle_rates, _lengths, _readability, mean_score, save


def judgment(prompt, response, score, unread=None):
    messages = (Message("user", "q"),)
    return Judgment("j", prompt, response, 0, "m", messages, "t", None, Finish.STOP, score, unread)


def test_mean_score_by_hand():
    """Responses r1: (1 + 3) / 2 = 2, r2: 4, r3: 5. Mean 11/3. By prompt: 3 and 5; error = 1."""
    rows = [
        judgment("p1", "r1", 1.0),
        judgment("p1", "r1", 3.0),
        judgment("p1", "r1", None, "cut off"),
        judgment("p1", "r2", 4.0),
        judgment("p2", "r3", 5.0),
    ]
    mean, error, responses = mean_score(rows)
    assert mean == pytest.approx(11 / 3)
    assert error == pytest.approx(1.0)
    assert responses == 3


def test_unreadable_is_never_zero():
    rows = [judgment("p1", "r1", None, "off the scale"), judgment("p2", "r2", None, "no verdict line")]
    assert mean_score(rows) == (None, None, 0)
    said = _readability([*rows, judgment("p3", "r3", 2.4), judgment("p3", "r3", 0.0)], Scale())
    assert said["unreadable_rate"] == 0.5
    assert said["unreadable"] == {"off the scale": 1, "no verdict line": 1}
    assert said["score_histogram"] == [1, 0, 1, 0, 0, 0]


def test_battle_rates_by_hand():
    """6 first, 2 second, 1 tie, 1 unreadable: first wins 6/8, ties 1/9, unreadable 1/10."""
    outcomes = [Outcome.FIRST] * 6 + [Outcome.SECOND] * 2 + [Outcome.TIE, Outcome.UNREADABLE]
    said = _battle_rates(
        [Battle("b", "p", "r", "1", "2", "m", "t", Finish.STOP, outcome) for outcome in outcomes]
    )
    assert said["first_position_win_rate"] == 0.75
    assert said["tie_rate"] == pytest.approx(1 / 9)
    assert said["unreadable_battle_rate"] == 0.1
    assert said["battles"] == 10


def test_nothing_is_said_of_nothing():
    assert _battle_rates([]) == {
        "battles": 0,
        "tie_rate": None,
        "unreadable_battle_rate": None,
        "first_position_win_rate": None,
    }
    assert _lengths([])["mean_length"] is None


def test_failures_have_no_length():
    rows = [
        Response("a", "p", 0, "m", "four", None, Finish.STOP),
        Response("b", "p", 1, "m", "sixsix", None, Finish.LENGTH),
        Response("c", "p", 2, "m", "", None, Finish.FAILED, "broken"),
    ]
    assert _lengths(rows) == {"mean_length": 5.0, "cut_off_rate": 0.5}


def test_the_whole_summary_of_a_planted_run(tmp_path):
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()), prompts=8)
    said = save(run.history, tmp_path)
    assert said == json.loads((tmp_path / "summary.json").read_text())
    assert [entry["model"] for entry in said["models"]] == ["M0", "M1", "M2"]
    for entry in said["models"]:
        answers = [
            row for look in run.history.looks if look.model.name == entry["model"] for row in look.answers
        ]
        qualities = [planted.quality_of(row.text) for row in answers]
        assert entry["mean_score"] == pytest.approx(sum(qualities) / len(qualities), abs=0.21)
        assert entry["referee_score"] == pytest.approx(sum(qualities) / len(qualities), abs=0.21)
        assert entry["unreadable_rate"] == 0
    for entry, round in zip(said["iterations"], run.history.rounds, strict=True):
        assert entry["responses"] == 32
        assert entry["judgments"] == 3 * entry["distinct_responses"]
        assert entry["actor_pairs"] + entry["judge_pairs"] == entry["trained_pairs"]
        left_out = (
            2 * entry["prompts"] - entry["trained_pairs"] + entry["responses"] - entry["distinct_responses"]
        )
        assert sum(entry["dropped"].values()) == left_out
        assert entry["start"] == entry["reference"] == round.start.fingerprint
    assert (tmp_path / said["checkpoint"]).is_dir()


def test_a_run_that_stops_early_has_a_summary_of_what_was_done(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        loops.loop(tmp_path, loops.Asked(planted.World(), break_at=60))
    from metareward.history import History

    said = save(History(), tmp_path)
    empty = {
        "models": [],
        "iterations": [],
        "attacks": [],
        "judge_gates": [],
        "judge_stopped": None,
        "ladders": None,
        "contaminated": [],
        "checkpoint": None,
        "supervision": "none",
        "engine": "",
        "eft": None,
        "samples": {"answers": [], "pairs": []},
        "judge_scale": {"label": "Score", "low": 0, "high": 5},
    }
    assert said == empty
