"""Records of sessions: one each, however it ends, what changed since, and the one that stands for the run."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

import fake_run
import loops
import planted
from fake_run import FAKE, facts
from metareward import disk, session
from metareward.config import load
from metareward.errors import DataError, StoreError
from metareward.events import Noticed, ignore
from metareward.provenance import Session, packages, records, sessions, steps_of, supervision_of
from metareward.provenance.sessions import changes

loaded = fake_run.loaded


def test_each_session_has_a_record_of_its_own_that_no_later_one_touches(tmp_path, loaded):
    session.execute(loaded, ignore)
    first = (tmp_path / "run/sessions/0001.json").read_bytes()
    session.execute(loaded, ignore)
    assert (tmp_path / "run/sessions/0001.json").read_bytes() == first
    assert [record.number for record in records(tmp_path / "run")] == [1, 2]
    assert all(step["reused"] for step in facts(tmp_path / "run", 2)["steps"])
    assert [s["key"] for s in facts(tmp_path / "run", 2)["steps"]] == [
        s["key"] for s in facts(tmp_path / "run")["steps"]
    ]


@pytest.mark.parametrize(
    ("error", "outcome", "message"),
    [
        (KeyboardInterrupt(), "interrupted", None),
        (SystemExit(3), "interrupted", None),
        (DataError("line 3 is bad"), "error", "line 3 is bad"),
        (ValueError("odd"), "error", "ValueError: odd"),
        (DataError(f"{Path.home()}/x: sk-abcdefghijklmnopqrstuv"), "error", "~/x: [secret]"),
    ],
)
def test_how_a_session_ends_is_its_outcome(tmp_path, error, outcome, message):
    with pytest.raises(type(error)), Session(tmp_path):
        raise error
    assert (facts(tmp_path)["outcome"], facts(tmp_path)["message"]) == (outcome, message)
    assert facts(tmp_path)["ended"]


def test_a_killed_session_has_no_end(tmp_path):
    code = "import os, sys; from pathlib import Path; from metareward.provenance import Session\n"
    code += "with Session(Path(sys.argv[1])) as s:\n    s.note(model={'name': 'm'}); os.kill(os.getpid(), 9)"
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == -9
    with Session(tmp_path) as second:
        assert second.number == 2
    first, last = records(tmp_path)
    assert first.outcome == "no end: killed, or at work still"
    assert first.facts["model"] == {"name": "m"}
    assert last.outcome == "finished"


def test_a_session_killed_before_it_wrote_a_word_or_damaged_is_passed_over(tmp_path):
    with Session(tmp_path):
        pass
    (tmp_path / "sessions/0002.json").touch()
    (tmp_path / "sessions/0003.json").write_text("[1]")
    with Session(tmp_path) as fourth:
        assert fourth.number == 4
    assert [bool(record.facts) for record in records(tmp_path)] == [True, False, False, True]
    assert supervision_of(tmp_path) == "none"


def write_record(file, facts):
    disk.write_checked(file, {name: value for name, value in facts.items() if name != "checksum"})


def test_a_full_disk_at_the_end_hides_no_other_error(tmp_path, monkeypatch):
    def full(*_):
        raise StoreError("no room")

    with pytest.raises(StoreError, match="no room"), Session(tmp_path):
        monkeypatch.setattr(sessions.disk, "write_checked", full)
    monkeypatch.undo()
    with pytest.raises(DataError, match="bad") as caught, Session(tmp_path):
        monkeypatch.setattr(sessions.disk, "write_checked", full)
        raise DataError("bad")
    assert "could not be completed: no room" in caught.value.__notes__[0]


def test_other_packages_than_before_are_noticed_at_the_start(tmp_path, loaded, monkeypatch):
    heard = loops.Heard()
    session.execute(loaded, heard)
    session.execute(loaded, heard)
    changed = [event for event in heard if isinstance(event, Noticed) and "may change" in event.message]
    assert not changed
    other = {**packages.versions(), "torch": "99.0"}
    monkeypatch.setattr(packages, "versions", lambda: other)
    session.execute(loaded, heard)
    (event,) = [event for event in heard if isinstance(event, Noticed) and "may change" in event.message]
    now = importlib.metadata.version("torch")
    assert event.message == f"numbers may change: since session 2 torch {now} -> 99.0"


def test_changes_of_an_environment_by_hand():
    code = {"revision": "a" * 40, "changes": None}
    before = {"python": "3.11.7", "versions": {"a": "1", "b": "1"}, "code": code}
    after = {"python": "3.12.0", "versions": {"b": "2", "c": "1"}, "code": {**code, "changes": "f" * 20}}
    assert changes(before, after) == (
        "python 3.11.7 -> 3.12.0, a 1 -> absent, b 1 -> 2, c absent -> 1, "
        "code aaaaaaaa -> aaaaaaaa with changes ffffffff"
    )
    assert changes(before, before) == ""
    many = {**before, "versions": {f"p{n}": "1" for n in range(9)}, "code": None}
    assert changes({**many, "versions": {}}, many).endswith("p5 absent -> 1, and 3 more")


def test_a_run_from_python_keeps_a_record_too(tmp_path):
    loops.loop(tmp_path, loops.Asked(planted.World()))
    assert facts(tmp_path)["outcome"] == "finished"
    assert "gpus" in facts(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        loops.loop(tmp_path, loops.Asked(planted.World(), break_at=0), settings=loops.small_meta(samples=7))
    assert facts(tmp_path, 2)["outcome"] == "interrupted"


def test_a_session_that_was_stopped_stands_for_the_whole_run(tmp_path, loaded):
    """Its own steps first, then those it did not come to; sessions with other settings do not count."""
    root = tmp_path / "run"
    session.execute(loaded, ignore)
    whole = [step["key"] for step in facts(root)["steps"]]
    stopped = facts(root)
    file = root / "sessions/0002.json"
    write_record(file, {**stopped, "session": 2, "steps": stopped["steps"][:3]})
    first, second = records(root)
    assert [step["key"] for step in steps_of(root, second)] == whole
    (tmp_path / "tiny.toml").write_text(FAKE.replace("rho = 0.3", "rho = 0.1"))
    session.execute(load(tmp_path / "tiny.toml", root), ignore)
    third = records(root)[2]
    assert [step["key"] for step in steps_of(root, third)] == [step["key"] for step in third.steps] != whole
    assert [step["key"] for step in steps_of(root, first)] == whole
    file = root / "sessions/0003.json"
    write_record(file, {**facts(root, 3), "steps": facts(root, 3)["steps"][:3]})
    assert len(steps_of(root, records(root)[2])) == 3, "what others had is not its own"
