"""Every kind of bad input in docs/bad-input.md gets the message and the exit status that the page says."""

import os
import re
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from bad_input import ALL, GROUPS
from bad_input.case import Case
from bad_input.document import FILE, page
from metareward.cli.app import app
from metareward.cli.failures import guarded

SECONDS = 60  # far more than any of them takes: what takes longer hangs


def parameter(group: str, case: Case):
    marks = [getattr(pytest.mark, case.mark)] if case.mark else []
    return pytest.param(case, marks=marks, id=re.sub(r"[^\w.-]+", "-", f"{group[:12]}-{case.what}")[:70])


CASES = [parameter(group, case) for group, cases in GROUPS.items() for case in cases]


@pytest.mark.parametrize("case", CASES)
def test_it_gets_its_message(case, tmp_path, monkeypatch, capsys):
    case.prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    if case.patch is not None:
        case.patch(monkeypatch)
    status, said = carry_out(case, tmp_path, capsys)
    assert case.matches(said), said
    assert status == case.code, said
    assert ("Traceback" in said) == ("Traceback" in case.says), said
    assert not re.search(r"<[\w.]+ object at 0x|\x1b", said), "internals or escape codes in a message"


def carry_out(case: Case, directory: Path, capsys) -> tuple[int, str]:
    if case.act is not None:
        return case.act(directory)
    if case.process:
        command = re.sub(r"\bmetareward\b", f"{sys.executable} -m metareward", case.command, count=1)
        done = subprocess.run(
            ["bash", "-c", command], capture_output=True, text=True, timeout=SECONDS, check=False
        )
        return done.returncode, done.stdout + done.stderr
    return in_process(case, capsys)


def in_process(case: Case, capsys) -> tuple[int, str]:
    """The entry point without the start of an interpreter; what waits for ever is ended."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    before = signal.signal(signal.SIGALRM, hang)
    signal.alarm(SECONDS)
    try:
        status = guarded(lambda: app(case.arguments, prog_name="metareward"))
    finally:
        signal.alarm(0)
        for number, handler in {**handlers, signal.SIGALRM: before}.items():
            signal.signal(number, handler)
    told = capsys.readouterr()
    return status, told.out + told.err


def hang(*_: object) -> None:
    raise KeyboardInterrupt


def test_the_page_is_the_list():
    assert FILE.read_text(encoding="utf-8") == page(), (
        "PYTHONPATH=tests python -m bad_input.document writes it"
    )


def test_the_list_is_long_and_says_each_thing_once():
    assert len(ALL) >= 150
    for group, cases in GROUPS.items():
        twice = [what for what, count in Counter(case.what for case in cases).items() if count > 1]
        assert not twice, (group, twice)


def test_a_message_says_more_than_that_something_is_wrong():
    for case in ALL:
        assert len(case.says) >= 20, case
        assert case.code in (1, 2, 130), case


def test_a_wrong_message_would_be_noticed():
    case = Case("x", "metareward plan c.toml", "c.toml: seed must be … not -1")
    assert case.matches("metareward: c.toml: seed\n must be 0 or more, not -1")
    assert not case.matches("metareward: c.toml: seed must be 0 or more")
    assert not case.matches("c.toml: not -1, seed must be")


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_while_libraries_load_leaves_no_traceback():
    stop = "class Stop:\n    def find_spec(self, name, path=None, target=None):\n"
    stop += "        if name == 'typer': os.kill(os.getpid(), signal.SIGINT)\n"
    code = f"import os, signal, sys\n{stop}sys.meta_path.insert(0, Stop())\nimport metareward.cli\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == -signal.SIGINT
    assert "Traceback" not in done.stderr
