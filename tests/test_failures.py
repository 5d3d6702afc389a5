"""One place maps what stops a command to a message and an exit status."""

import errno
import io
import sys

import pytest
import typer

from metareward.cli.failures import guarded, told
from metareward.errors import (
    ConfigError,
    DataError,
    ModelError,
    NoPairsError,
    StepError,
    StoreError,
)

MISTAKES = (ConfigError, DataError, ModelError, NoPairsError)


@pytest.mark.parametrize("kind", [*MISTAKES, StepError, StoreError])
def test_our_own_errors_are_their_message_alone(kind, capsys):
    assert told(kind("here: this; do that")) == (2 if kind in MISTAKES else 1)
    assert capsys.readouterr().err == "metareward: here: this; do that\n"


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "make room"),
        (errno.EROFS, "make the disk writable"),
        (errno.EACCES, "give yourself permission"),
        (errno.EIO, "look after the disk"),
        (errno.EMFILE, "ulimit -n"),
    ],
)
def test_what_the_system_refuses_names_the_place_and_the_remedy(number, advice, capsys):
    assert told(OSError(number, "refused", "a/b")) == 1
    said = capsys.readouterr().err
    assert said.startswith("metareward: a/b: refused. What was stored before is kept; ")
    assert advice in said
    assert "Traceback" not in said


def test_a_name_that_no_file_can_have_is_the_users_mistake(capsys):
    assert told(OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000)) == 2
    assert len(capsys.readouterr().err) < 300


def raising(error: BaseException):
    def command() -> None:
        raise error

    return command


@pytest.mark.parametrize("error", [ValueError("a slip"), FileNotFoundError(errno.ENOENT, "gone", "x")])
def test_a_fault_of_ours_shows_where_and_how_to_report_it(error, capsys):
    assert guarded(raising(error)) == 1
    said = capsys.readouterr().err
    assert said.startswith("Traceback (most recent call last)")
    assert "in command" in said
    last = said[said.index("metareward: ") :]
    for part in (
        "fault of metareward",
        type(error).__name__,
        "is kept",
        "report",
        "metareward 0",
        "Python 3",
    ):
        assert part in last, part


def test_the_end_that_a_command_chose_is_kept():
    assert guarded(lambda: None) == 0
    assert guarded(raising(SystemExit(3))) == 3
    assert guarded(raising(SystemExit(None))) == 0
    assert guarded(raising(SystemExit("message"))) == 1


def test_an_interruption_is_130(capsys):
    assert guarded(raising(KeyboardInterrupt())) == 130
    assert "everything answered so far is kept" in capsys.readouterr().err


def test_names_cannot_steer_a_terminal(capsys):
    told(DataError("\x1b[2J\x07\u202e: bad"))
    assert capsys.readouterr().err == "metareward: \\x1b[2J\\x07\\u202e: bad\n"


def test_a_character_that_cannot_be_shown_is_written_out(monkeypatch):
    output = io.TextIOWrapper(io.BytesIO(), "ascii")
    monkeypatch.setattr(sys, "stdout", output)
    assert guarded(lambda: print("± \ud800")) == 0
    assert output.buffer.getvalue() == b"\\xb1 \\ud800\n"  # pyright: ignore[reportAttributeAccessIssue]


def test_a_closed_standard_output_takes_what_comes(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    assert guarded(lambda: typer.echo("x")) == 0
