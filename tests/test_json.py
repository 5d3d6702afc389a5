"""JSON that every reader takes: no NaN and no infinity is ever written, whatever a measure came to."""

import json
from math import inf, nan

import pytest

from metareward import disk
from metareward.history import History
from metareward.summary import save
from metareward.train.job import RESULT, TrainResult, read_result, write_result

STRANGE = {"a": nan, "b": [1.5, inf, (-inf, "NaN")], "c": {"d": nan, "e": None}, "f": True, "g": 10**20}
PLAIN = {"a": None, "b": [1.5, None, [None, "NaN"]], "c": {"d": None, "e": None}, "f": True, "g": 10**20}


def strictly(text):
    def refuse(name):
        raise AssertionError(f"{name} is no JSON")

    return json.loads(text, parse_constant=refuse)


def test_what_is_no_number_becomes_null():
    assert disk.finite(STRANGE) == PLAIN
    assert strictly(disk.json_text(STRANGE)) == PLAIN
    assert disk.json_text("ü") == '"ü"'
    assert disk.json_text("ü", ascii_only=True) == '"\\u00fc"'


def test_files_hold_nothing_else(tmp_path):
    disk.write_json(tmp_path / "plain.json", STRANGE)
    disk.write_checked(tmp_path / "checked.json", STRANGE)
    assert strictly((tmp_path / "plain.json").read_text()) == PLAIN
    strictly((tmp_path / "checked.json").read_text())
    assert disk.read_checked(tmp_path / "checked.json") == PLAIN


def test_a_diverged_training_is_told_as_such(tmp_path):
    done = TrainResult(
        key="k", output_dir=tmp_path, loss_first=0.7, loss_last=nan, steps=1, pairs_used=2, dropped={},
        reencoded=0, tokens=3, seconds=0.5, versions={},
    )  # fmt: skip
    write_result(tmp_path, done)
    assert strictly((tmp_path / RESULT).read_text())["loss_last"] is None
    again = read_result(tmp_path / RESULT)
    assert again.loss_last != again.loss_last
    assert again.loss_first == pytest.approx(0.7)


def test_a_summary_holds_nothing_else(tmp_path):
    history = History()
    history.rhos[0] = None
    save(history, tmp_path)
    strictly((tmp_path / "summary.json").read_text())
