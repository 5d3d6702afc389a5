"""Both ends of the way to a worker process: what goes through it, and what happens when one end is gone."""

import pickle
from functools import partial
from multiprocessing import Pipe

import pytest

from lab_runs import planted, world
from metareward.errors import DataError, StoreError
from metareward.events import Noticed, StepFinished, StepProgress, StepStarted
from metareward.lab import worker
from metareward.lab.cell import Cell
from metareward.lab.conditions import CONDITIONS, Budget
from metareward.lab.pool import LOG, here, in_workers
from metareward.lab.worker import Failure, failure

EVENTS = (
    StepStarted("iteration 0", "judge", 9, 0),
    StepFinished("iteration 0", "judge", 9, 1.0, False),
    Noticed("iteration 0", "a file was set aside"),
)


@pytest.fixture
def ends():
    ours, theirs = Pipe()
    yield ours, theirs
    ours.close()
    theirs.close()


def cells(tmp_path, *names):
    where = world(tmp_path / "world", 0)
    return [Cell(name, CONDITIONS["oracle"], Budget(prompts=4, iterations=1), 0, 0, where) for name in names]


def raising(error, cell, root, listen):
    raise error


class TestFailure:
    def test_an_error_of_ours_is_complete(self):
        assert failure(DataError("bad prompts")) == Failure("bad prompts", own=True)
        assert failure(StoreError("a full disk")) == Failure("a full disk")

    def test_of_any_other_the_place_is_kept(self):
        with pytest.raises(KeyError) as caught:
            raising(KeyError("lab"), None, None, None)
        told = failure(caught.value)
        assert told.said == "KeyError: 'lab'"
        assert "in raising" in told.trace
        assert not told.own


class TestTelling:
    def test_steps_and_notices_are_passed_on_but_not_every_row(self, ends):
        ours, theirs = ends
        telling = worker._Telling(theirs)
        for event in (EVENTS[0], StepProgress("iteration 0", "judge", 3, 9, 100), *EVENTS[1:]):
            telling(event)
        theirs.close()
        heard = []
        with pytest.raises(EOFError):
            while True:
                heard.append(ours.recv())
        assert heard == list(EVENTS)

    def test_without_a_parent_it_stops(self, ends):
        ours, theirs = ends
        ours.close()
        with pytest.raises(KeyboardInterrupt):
            worker._Telling(theirs)(EVENTS[0])

    def test_told_to_stop_it_stops_at_once_and_again_at_the_next_event(self, ends):
        """Python loses an exception that comes while something is finalised."""
        telling = worker._Telling(ends[1])
        with pytest.raises(KeyboardInterrupt):
            telling.stop()
        with pytest.raises(KeyboardInterrupt):
            telling(EVENTS[0])
        assert not ends[0].poll()


class TestCarriedOut:
    def test_a_result_and_what_the_run_said(self, ends, tmp_path):
        (cell,) = cells(tmp_path, "oracle")
        task = pickle.dumps((planted, _made(cell), tmp_path))
        told = worker._carried_out(task, worker._Telling(ends[1]))
        assert isinstance(told, dict)
        assert told["condition"] == "oracle"
        assert ends[0].recv() == StepStarted("iteration 0", "generate", 4, 0)

    def test_a_task_that_cannot_be_read_is_a_failure_and_no_end(self, ends):
        told = worker._carried_out(b"no pickle", worker._Telling(ends[1]))
        assert isinstance(told, Failure)
        assert "UnpicklingError" in told.said


def _made(cell):
    """A cell whose settings can be sent."""
    from metareward.lab.compare import _made as made

    return made(cell.name, cell.condition, cell.budget, cell.base, cell.seed, cell.world)


class TestHere:
    def test_outcomes_come_one_by_one(self, tmp_path):
        heard = []
        outcomes = here(
            cells(tmp_path, "a", "b"), tmp_path, planted, lambda cell, event: heard.append(cell.name)
        )
        first, told = next(outcomes)
        assert isinstance(told, dict)
        assert (first.name, set(heard)) == ("a", {"a"}), "the second is not begun before it is asked for"
        assert [cell.name for cell, _ in outcomes] == ["b"]

    def test_a_failure_is_an_outcome(self, tmp_path):
        run = partial(raising, DataError("bad"))
        assert [told for _, told in here(cells(tmp_path, "a"), tmp_path, run, _ignore)] == [
            Failure("bad", own=True)
        ]

    @pytest.mark.parametrize("error", [KeyboardInterrupt(), BrokenPipeError()])
    def test_being_told_to_stop_is_none(self, tmp_path, error):
        with pytest.raises(type(error)):
            list(here(cells(tmp_path, "a"), tmp_path, partial(raising, error), _ignore))


class TestInWorkers:
    def test_a_place_that_cannot_be_written_is_said_before_a_process_is_started(self, tmp_path):
        (tmp_path / LOG).mkdir()
        outcomes = in_workers(cells(tmp_path, "a"), tmp_path, planted, 2, _ignore)
        with pytest.raises(StoreError, match=LOG):
            next(outcomes)

    def test_nothing_to_do_starts_nothing(self, tmp_path):
        assert list(in_workers([], tmp_path, planted, 2, _ignore)) == []


def _ignore(cell: Cell, event: object) -> None:
    """Hears nothing."""
