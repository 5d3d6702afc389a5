"""The disk or the engine fails at the n-th operation, for every n: nothing is lost, nothing is paid twice.

`make torture` does the same over a whole loop at every n, with real kills besides.
"""

import random
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

import faults
import loops
import planted
from faults import DISK_KINDS, ENGINE_KINDS, Dead, FaultyDisk, FaultyEngine, judge, one_step, session
from metareward.errors import ModelError, StepError
from metareward.train.fake import FakeTrainer

SEED = 20261125


@pytest.fixture(scope="module")
def place():
    """Memory, where there is such a disk: thousands of syncs."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(dir=memory if memory.is_dir() else None))
    yield made
    shutil.rmtree(made)


@pytest.fixture(scope="module")
def step(place):
    """An undisturbed step: what came of it, and how many changes of the disk it took."""
    counting = FaultyDisk("none", -1)
    session(place / "counted step", guard=counting, work=one_step)
    done = session(place / "whole step", work=one_step)
    return done, counting.count


@pytest.fixture(scope="module")
def loop(place):
    counting = FaultyDisk("none", -1)
    session(place / "counted loop", guard=counting)
    return session(place / "whole loop"), counting.count


def trial(folder, kind, at, expected, work=None):
    """One fault of the disk or the engine, and what came of it after going on."""
    if kind in DISK_KINDS:
        guard = FaultyDisk(kind, at)
        first = session(folder, guard=guard, work=work)
    else:
        guard = FaultyDisk("killed before", -1)  # fails nothing of itself; a killed engine kills it
        first = session(folder, FaultyEngine(kind, at, guard.die), guard, work)
    verdict = judge(folder, first, expected, kind, guard if kind in DISK_KINDS else None, work)
    shutil.rmtree(folder)
    return verdict


@pytest.mark.parametrize("kind", DISK_KINDS)
def test_the_disk_fails_at_every_change_of_a_step(place, step, kind):
    done, changes = step
    for at in range(1, changes + 1):
        verdict = trial(place / "trial", kind, at, done.outcome, one_step)
        assert verdict.struck, f"{kind} at {at}"
        assert not verdict.faults, f"{kind} at {at}: {verdict.faults}"


@pytest.mark.parametrize("kind", ENGINE_KINDS)
def test_the_engine_fails_at_every_answer_of_a_step(place, step, kind):
    done, _ = step
    last = 1 if kind == "cannot be opened" else len(done.engine.answered)
    for at in range(1, last + 1):
        verdict = trial(place / "trial", kind, at, done.outcome, one_step)
        assert verdict.struck, f"{kind} at {at}"
        assert not verdict.faults, f"{kind} at {at}: {verdict.faults}"


def test_a_sample_of_faults_over_a_whole_loop(place, loop):
    done, changes = loop
    points = [(kind, at) for kind in DISK_KINDS for at in range(1, changes + 1)]
    answers = len(done.engine.answered)
    points += [(kind, at) for kind in ENGINE_KINDS[:-1] for at in range(1, answers + 1)]
    phases = set()
    for kind, at in random.Random(SEED).sample(points, 24):
        verdict = trial(place / "trial", kind, at, done.outcome)
        assert not verdict.faults, f"{kind} at {at}: {verdict.faults}"
        phases.add(verdict.phase)
    assert {"generate", "judge"} <= phases


def test_a_file_gets_its_name_only_when_it_is_on_the_disk(place):
    """What a power cut needs, and no kill can show: synced, renamed, and then its directory synced."""
    done = []

    def noting(operation, path, act):
        done.append((operation, path))
        return act()

    session(place / "ordered", guard=noting, work=one_step)
    renamed = [at for at, (operation, _) in enumerate(done) if operation == "rename"]
    assert len(renamed) > 8
    for at in renamed:
        path = done[at][1]
        assert done[at - 2 : at] == [("write", path), ("sync", path)]
        assert done[at + 1] == ("sync", path.parent)


def test_requests_in_flight_are_all_that_is_asked_again(place, step):
    """Killed at its 10th answer the engine had been handed a window of 12; 7 answers were on the disk."""
    done, _ = step
    assert len(done.engine.handed) == 12
    verdict = trial(place / "trial", "killed", 10, done.outcome, one_step)
    assert verdict.again == 12 - faults.PART_ROWS
    assert verdict.beyond == 0


def test_an_error_that_has_its_message_keeps_it(place):
    """What a user can mend stays a user's mistake: the command line exits with 2."""

    @contextmanager
    def open_engine(model):
        raise ModelError("the model is not there")
        yield

    with pytest.raises(ModelError, match=r"^the model is not there$"):
        one_step(place / "message", open_engine)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("error", [Dead, StepError("made to fail"), KeyboardInterrupt])
def test_a_training_that_fails_is_done_again_or_found(place, loop, when, error):
    done, _ = loop

    class Failing(FakeTrainer):
        def __call__(self, job, listener=print):
            if when == "after":
                super().__call__(job, lambda event: None)
            raise error

    folder = place / "training"
    with pytest.raises(type(error) if isinstance(error, StepError) else error):
        loops.loop(
            folder, loops.Asked(planted.World()), settings=faults.SETTINGS, prompts=3, trainer=Failing()
        )
    before = {id for _, id in faults.stored_ids(folder)}
    second = session(folder)
    assert second.outcome == done.outcome
    assert not before & {request.id for request in second.engine.handed}
    shutil.rmtree(folder)
