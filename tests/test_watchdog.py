"""An engine that hangs, in Python or in C, is given up with a message; one that is only slow is not."""

import subprocess
import sys
import textwrap
import time
from contextlib import nullcontext
from pathlib import Path

import pytest

import faults
import loops
import planted
from metareward.engines.base import Completion
from metareward.errors import ConfigError, StallError
from metareward.records import Finish
from metareward.run import Run
from metareward.stages.generate import Generate
from metareward.train.fake import FakeTrainer
from metareward.watchdog import Watchdog, beat

HANGING = """
    import ctypes, signal, sys, time
    from contextlib import contextmanager
    from metareward import session
    from metareward.cli import main
    from metareward.engines.fake import FakeEngine
    from metareward.train.fake import FakeTrainer

    def hang_here(how):
        if how == "C":
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while how == "busy":
            pass
        if how == "deaf":
            while True:
                try:
                    time.sleep(0.1)
                except Exception:  # as careless code does: what ends it must be no Exception
                    pass
        if how == "C":
            ctypes.CDLL(None).sleep(1000)
        if how == "C that holds the interpreter":
            ctypes.PyDLL(None).sleep(1000)
        time.sleep(1000)

    class Hanging(FakeEngine):
        def complete(self, requests):
            for number, completion in enumerate(super().complete(requests)):
                if number == 4:
                    hang_here(how)
                yield completion

    @contextmanager
    def open_engine(model):
        yield Hanging(model)

    how = sys.argv.pop()
    if how != "none":
        session.machinery = lambda machine: (open_engine, FakeTrainer())
    main()
"""
CONFIG = """
recipe = "self_rewarding"
[prompts]
per_iteration = 3
held_out = 2
[generate]
samples = 3
[[iterations]]
[machine]
engine = "fake"
stall_minutes = 0.03
"""


def metareward(folder: Path, how: str) -> subprocess.CompletedProcess[str]:
    (folder / "hang.toml").write_text(CONFIG)
    command = [sys.executable, "-c", textwrap.dedent(HANGING), "run", "hang.toml", how]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize("how", ["asleep", "busy", "deaf", "C"])
def test_it_ends_with_a_message_and_a_status_to_try_again(tmp_path, how):
    done = metareward(tmp_path, how)
    assert done.returncode == 75, done.stderr
    said = " ".join(done.stderr.split())
    for part in ("held-out M0: judge", "no sign of life for 0.03 minutes", "answered is stored"):
        assert part in said
    assert "Run the same command again" in said
    assert "Traceback" not in done.stderr
    assert "hang_here" in (tmp_path / "runs/hang/stalled.txt").read_text()
    stored = faults.stored_ids(tmp_path / "runs/hang")
    assert sum(name.startswith("judge-") for name, _ in stored) == 4, "all that was answered"
    if how == "C":
        assert metareward(tmp_path, "none").returncode == 0
        assert stored <= faults.stored_ids(tmp_path / "runs/hang")


def test_even_code_that_never_lets_go_of_the_interpreter_is_ended(tmp_path):
    done = metareward(tmp_path, "C that holds the interpreter")
    assert done.returncode == 1
    assert "Timeout" in done.stderr
    assert "hang_here" in done.stderr


class Busy:
    """Never comes back from its third answer, in Python; or, slow, says that it lives."""

    def __init__(self, slow: bool) -> None:
        self.slow = slow

    def complete(self, requests, /):
        for number, request in enumerate(requests):
            until = time.monotonic() + (1.5 if self.slow else 1000)
            while number == 2 and time.monotonic() < until:
                time.sleep(0.01)
                if self.slow:
                    beat()
            yield Completion(request.id, "x", Finish.STOP)


def ask(folder, slow, minutes):
    with Run(folder, lambda _: nullcontext(Busy(slow)), FakeTrainer(), watchdog=Watchdog(minutes)) as run:
        return list(run.ask(Generate(samples=2), run.prompts(planted.prompts(2)), of=loops.START))


def test_a_library_user_gets_an_exception_and_keeps_the_answers(tmp_path):
    began = time.monotonic()
    with pytest.raises(StallError, match=r"generate: the engine has given no sign of life.*stalled\.txt"):
        ask(tmp_path, slow=False, minutes=0.005)
    assert time.monotonic() - began < 20
    assert sum(name.startswith("generate-") for name, _ in faults.stored_ids(tmp_path)) == 2
    assert len(ask(tmp_path, slow=True, minutes=0)) == 4


def test_an_engine_that_is_slow_but_lives_is_waited_for(tmp_path):
    assert len(ask(tmp_path, slow=True, minutes=0.01)) == 4


def test_what_was_only_suspended_is_not_given_up(tmp_path, monkeypatch):
    """The machine slept: time has passed for the watchdog too, so it gives the engine its time anew."""
    from metareward import watchdog

    with Watchdog(0.02).over("step", tmp_path / "stacks", lambda: None):
        now = time.monotonic()
        watchdog._last = now
        monkeypatch.setattr(watchdog.time, "monotonic", lambda: time.perf_counter() - leap[0])
        leap = [time.perf_counter() - now]
        time.sleep(0.3)
        leap[0] -= 3600
        time.sleep(0.6)
    assert not (tmp_path / "stacks").exists()


def test_a_negative_patience_is_refused():
    with pytest.raises(ConfigError, match=r"machine\.stall_minutes must be 0 \(wait for ever\) or more"):
        Watchdog(-1)
