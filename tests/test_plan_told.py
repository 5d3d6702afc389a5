"""A plan says what is paid for, who is asked and what `run` would refuse; a finished run needs no disk."""

import json
import os
from pathlib import Path

import pytest

from metareward import config as configs
from metareward import session
from metareward.events import ignore
from metareward.rundir import claimed

CONFIG = """
model = "fake"
directory = "{folder}/run"
[prompts]
source = "p.jsonl"
per_iteration = 6
held_out = 3
[generate]
samples = {samples}
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 1
[[iterations]]
rho = 0.3
[machine]
engine = "fake"
"""


def load(folder: Path, samples: int = 3) -> configs.Config:
    (folder / "c.toml").write_text(CONFIG.format(folder=folder, samples=samples))
    return configs.load(folder / "c.toml")


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    (folder / "p.jsonl").write_text(
        "".join(json.dumps({"prompt": f"Question {n}?"}) + "\n" for n in range(9))
    )
    config = load(folder)
    with claimed(config):
        session.execute(config, ignore)
    return folder


def test_what_other_counts_have_paid_for_is_done(folder):
    (more,) = [
        s for s in session.sketch(load(folder, 4)).steps if (s.section, s.step) == ("iteration 0", "generate")
    ]
    assert (more.calls, more.done, more.state) == (24, 18, "18 done")
    (same,) = [
        s for s in session.sketch(load(folder, 3)).steps if (s.section, s.step) == ("iteration 0", "generate")
    ]
    assert (same.calls, same.done, same.state) == (18, 18, "done")


def test_no_two_rows_of_a_plan_look_alike(folder):
    steps = session.sketch(load(folder)).steps
    told = [(step.section, step.step, step.by, step.about) for step in steps]
    assert len(set(told)) == len(told)
    assert ("held-out M1", "judge", "M0", "responses of M1") in told


def test_a_plan_says_what_a_run_would_refuse(folder, tmp_path):
    assert session.sketch(load(folder)).notes == []
    (note,) = session.sketch(load(folder, 4)).notes
    assert note.startswith("run would stop: ")
    assert "method.generate.samples: 3 -> 4" in note
    prompts = (folder / "p.jsonl").read_text()
    try:
        (folder / "p.jsonl").write_text(prompts.replace("Question 3?", "Another?"))
        (note,) = session.sketch(load(folder)).notes
        assert "was begun with other prompts: p.jsonl is no longer what it was" in note
    finally:
        (folder / "p.jsonl").write_text(prompts)


def test_a_finished_run_that_cannot_be_written_in_is_told_from_its_summary(folder, monkeypatch):
    config = load(folder)
    assert session.finished(config) is None, "it can be written in, so it is run as ever"
    real = os.access
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.W_OK and real(path, mode))
    assert session.finished(config) == json.loads((folder / "run" / "summary.json").read_text())
    assert session.finished(load(folder, 4)) is None


def test_a_plan_says_how_reasoning_is_asked_for(folder):
    text = (folder / "c.toml").read_text()
    said = "[reasoning]: reasoning stands between <plan> and </plan>; the template is asked for none; "
    for reasoning, notes in {
        "": [],
        "[reasoning]\nmarkers = ['<plan>', '</plan>']\nthinking = false\n": [
            f"{said}what was answered otherwise is not taken over"
        ],
    }.items():
        (folder / "other.toml").write_text(text.replace("/run", "/other") + reasoning)
        assert session.sketch(configs.load(folder / "other.toml")).notes == notes
