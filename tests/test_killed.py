"""Real kills of real processes: what is lost at most, and who may go on."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

import faults
import loops
import planted
from metareward.errors import ConfigError, StoreError
from metareward.run import Run
from metareward.stages.generate import Generate
from metareward.store import Store
from metareward.train.fake import FakeTrainer

STEADY = """
    import os, sys, time
    from contextlib import nullcontext
    from pathlib import Path
    import loops, planted
    from metareward.engines.base import Completion
    from metareward.records import Finish
    from metareward.run import Run
    from metareward.stages.generate import Generate
    from metareward.train.fake import FakeTrainer

    class Steady:
        def complete(self, requests):
            log = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            for request in requests:
                time.sleep(0.02)
                os.write(log, f"{time.monotonic()} {request.id}\\n".encode())
                yield Completion(request.id, "x", Finish.STOP)

    with Run(Path(sys.argv[1]), lambda _: nullcontext(Steady()), FakeTrainer()) as run:
        run.ask(Generate(samples=1000), run.prompts(planted.prompts(5)), of=loops.START)
"""


def steady(folder: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", textwrap.dedent(STEADY), str(folder / "run"), str(folder / "log")]
    return subprocess.Popen(command, stderr=subprocess.PIPE)


def wait_for(path: Path, child: subprocess.Popen[bytes], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not path.exists():
        assert child.poll() is None, child.communicate()
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_hard_kill_loses_five_seconds_of_answers_at_most(tmp_path):
    """Killed 4.5 s after a flush, just before the next, which is the worst that can happen."""
    child = steady(tmp_path)
    wait_for(tmp_path / "log", child)
    began = time.monotonic()
    while not list(tmp_path.glob("run/artifacts/generate-*/rows-*")):
        time.sleep(0.01)
    assert time.monotonic() - began < 10, "the first flush comes by time, long before 2,000 answers"
    time.sleep(4.5)
    child.kill()
    ended = time.monotonic()
    child.communicate()
    answered = {line.split()[1]: line.split()[0] for line in (tmp_path / "log").read_text().splitlines()}
    stored = {id for name, id in faults.stored_ids(tmp_path / "run") if name.startswith("generate-")}
    lost = {id: ended - float(when) for id, when in answered.items() if id not in stored}
    assert stored <= set(answered)
    assert len(stored) > 20
    assert 50 < len(lost) < 300, "answers of 5 s at 50 a second"
    assert max(lost.values()) < 5.5
    asked = loops.Asked(planted.World())
    with Run(tmp_path / "run", asked, FakeTrainer()) as run:
        rows = run.ask(Generate(samples=1000), run.prompts(planted.prompts(5)), of=loops.START)
    assert len(rows) == 5000
    assert not {request.id for request in asked.requests} & stored, "nothing that was stored is asked again"


def test_two_processes_never_work_on_one_run_even_without_the_command_line(tmp_path):
    child = steady(tmp_path)
    wait_for(tmp_path / "log", child)
    with pytest.raises(ConfigError, match=rf"in use by another process \(number {child.pid}\)"):
        with Run(tmp_path / "run", loops.Asked(planted.World()), FakeTrainer()):
            pass
    child.kill()
    child.communicate()
    with Run(tmp_path / "run", loops.Asked(planted.World()), FakeTrainer()):
        pass


def test_two_threads_never_work_on_one_run(tmp_path):
    caught = []

    def other():
        try:
            with Run(tmp_path, loops.Asked(planted.World()), FakeTrainer()):
                pass
        except ConfigError as error:
            caught.append(str(error))

    with Run(tmp_path, loops.Asked(planted.World()), FakeTrainer()):
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()
    assert "another thread of this process" in caught[0]
    other()
    assert len(caught) == 1, "given back"


def test_a_plan_of_a_run_at_work_touches_nothing(tmp_path):
    """It reads the same directories in which another process has files in the making."""
    loops.loop(tmp_path, loops.Asked(planted.World()), settings=faults.SETTINGS, prompts=faults.PROMPTS)
    folder = next(tmp_path.glob("artifacts/judge-*"))
    making = folder / ".rows-x.parquet.4711.tmp"
    making.write_bytes(b"half")
    part = next(folder.glob("rows-*"))
    part.write_bytes(part.read_bytes()[:-5])
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    steps = faults.plan(tmp_path)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    (harmed,) = [step for step in steps if step["key"] == folder.name.rpartition("-")[2]]
    assert harmed["state"] != "done", "a plan counts what a run would do"


@pytest.mark.parametrize("years", [-30, 30])
def test_clocks_decide_nothing(tmp_path, monkeypatch, years):
    """The wall clock jumps, and every file is from another time; the run does not notice."""
    whole = loops.loop(tmp_path / "a", loops.Asked(planted.World()), settings=faults.SETTINGS, prompts=3)[0]
    with pytest.raises(KeyboardInterrupt):
        loops.loop(
            tmp_path / "b", loops.Asked(planted.World(), break_at=30), settings=faults.SETTINGS, prompts=3
        )
    then = time.time() + years * 365 * 86400
    for path in (tmp_path / "b").rglob("*"):
        os.utime(path, (then, then))
    before = {id for _, id in faults.stored_ids(tmp_path / "b")}
    plain, jumps = time.time, iter(range(10**9))
    monkeypatch.setattr(time, "time", lambda: plain() + years * 365 * 86400 * (next(jumps) % 2))
    asked = loops.Asked(planted.World())
    run, _ = loops.loop(tmp_path / "b", asked, settings=faults.SETTINGS, prompts=3)
    assert loops.everything(run) == loops.everything(whole)
    assert not before & {request.id for request in asked.requests}


def test_a_closed_terminal_is_a_request_to_stop(tmp_path):
    config = "recipe = 'self_rewarding'\n[prompts]\nper_iteration = 150\nheld_out = 2\n[[iterations]]\n"
    (tmp_path / "long.toml").write_text(config + "[machine]\nengine = 'fake'\n[generate]\nsamples = 30\n")
    command = [sys.executable, "-m", "metareward", "run", "long.toml"]
    child = subprocess.Popen(
        command,
        cwd=tmp_path,
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # these tests may run under nohup
    )
    wait_for(tmp_path / "runs/long/lock", child)
    while not list(tmp_path.glob("runs/long/artifacts/*/question")) and child.poll() is None:
        time.sleep(0.01)
    child.send_signal(signal.SIGHUP)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert b"everything answered so far is kept" in said


def test_a_run_killed_outright_says_what_it_last_used(tmp_path):
    """A damaged list of the steps used is said so, and the next run writes it anew."""
    loops.loop(tmp_path, loops.Asked(planted.World()), settings=faults.SETTINGS, prompts=3)
    current = tmp_path / "current.json"
    assert json.loads(current.read_text())["steps"]
    current.write_text(current.read_text().replace('"', "'", 1))
    with pytest.raises(StoreError, match=r"current\.json: damaged"):
        list(Store(tmp_path).manifests(current=True))
    loops.loop(tmp_path, loops.Asked(planted.World()), settings=faults.SETTINGS, prompts=3)
    assert list(Store(tmp_path).manifests(current=True))
