"""Questions on their way to an engine and answers on their way to the disk, each exactly once."""

import dataclasses
import hashlib
import traceback
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from typing import Any

import numpy as np

from metareward.engines.base import Completion, Request
from metareward.errors import MetarewardError, StepError
from metareward.models.base import Model
from metareward.records import Finish
from metareward.secrets import scrub
from metareward.stages.base import Question, Stage
from metareward.store import Writer
from metareward.unread import Watch

Numbered = tuple[int, Question]


class Asking:
    """The bookkeeping of one `ask`: positions done, questions out, failures to be asked once more."""

    def __init__(
        self, stage: Stage, model: Model, writer: Writer, done: set[int], watch: Watch | None = None
    ) -> None:
        self.stage, self.model, self.done, self.tokens = stage, model, done, 0
        self.watch = watch or Watch(stage, "", 0)
        self._writer = writer
        self._out: dict[str, Numbered] = {}
        self._failed: list[tuple[Numbered, Completion]] = []
        self._tried: dict[int, Completion] = {}  # first tries that failed, by position

    def reuse(self, answered: Iterator[Any], questions: Iterable[Question]) -> None:
        """Take over rows that another artifact already paid for, known by their ids."""
        first = next(answered, None)
        if first is None:
            return
        wanted = _Places(question.request.id for question in questions)
        for row in chain([first], answered):
            position = wanted.find(row.id)
            if position is not None and position not in self.done:
                self._writer.add(position, row, reused=1)
                self.done.add(position)

    def requests(self, questions: Iterable[Numbered]) -> Iterator[Request]:
        """What is still to be asked. Lazy: the engine decides how far ahead it reads."""
        for position, question in questions:
            if position not in self.done:
                self._out[question.request.id] = (position, question)
                yield question.request

    def take(self, completion: Completion) -> None:
        """Read one answer and hand the record to the writer; a failure is kept for a second try."""
        numbered = self._out.pop(completion.request_id, None)
        if numbered is None:
            raise StepError(
                f"{self.stage.name}: the engine answered {completion.request_id!r}, which was not asked "
                "or was answered before; this is a fault of the engine"
            )
        self.tokens += completion.output_tokens
        if completion.finish is Finish.FAILED:
            error = completion.error and scrub(completion.error)  # texts of libraries and of servers
            self._failed.append((numbered, dataclasses.replace(completion, error=error)))
        else:
            self._keep(numbered, completion)

    def take_failures(self) -> list[Numbered]:
        """The questions that failed, to be asked once more."""
        failed, self._failed = self._failed, []
        self._tried = {position: completion for (position, _), completion in failed}
        return [numbered for numbered, _ in failed]

    def keep_failures(self) -> None:
        """Record what failed twice as failed. If nothing else came of the step, say so and stop."""
        if self._failed and not self.done:
            raise StepError(
                f"{self.stage.name}: every one of {len(self._failed)} requests failed; the first said: "
                f"{self._failed[0][1].error}"
            )
        for numbered, completion in self._failed:
            self._keep(numbered, completion)

    def check_all_answered(self) -> None:
        """An engine that leaves a request unanswered broke its promise."""
        if self._out:
            raise StepError(f"{self.stage.name}: the engine left {len(self._out)} requests unanswered")

    def _keep(self, numbered: Numbered, completion: Completion) -> None:
        position, question = numbered
        record = self.stage.read(question, completion, self.model)
        tries = [completion, *(first for first in [self._tried.pop(position, None)] if first)]
        self._writer.add(
            position,
            record,
            sum(each.prompt_tokens for each in tries),
            sum(each.output_tokens for each in tries),
            calls=len(tries),
            failures=sum(each.finish is Finish.FAILED for each in tries),
        )
        self.done.add(position)
        self.watch.put(record)


class _Places:
    """Where each id stands in a long sequence, in 12 bytes an id: a run has a million of them."""

    def __init__(self, ids: Iterable[str]) -> None:
        hashes = array("Q", (_short(one) for one in ids))
        found_N = np.frombuffer(hashes, dtype=np.uint64)
        self._order_N = np.argsort(found_N, kind="stable").astype(np.uint32)
        self._hashes_N = found_N[self._order_N]

    def find(self, one: str) -> int | None:
        """The place of an id, None if it is not there."""
        wanted = np.uint64(_short(one))
        at = int(np.searchsorted(self._hashes_N, wanted))
        there = at < len(self._hashes_N) and self._hashes_N[at] == wanted
        return int(self._order_N[at]) if there else None


def _short(one: str) -> int:
    return int.from_bytes(hashlib.blake2b(one.encode(), digest_size=8).digest())


@contextmanager
def one_message(step: str) -> Iterator[None]:
    """What breaks down in an engine (or a stage) stops the run with one message that says where."""
    try:
        yield
    except MetarewardError:
        raise
    except Exception as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        memory = isinstance(error, MemoryError)
        advice = "free memory, or lower batch_tokens or max_rows in [machine]; then run" if memory else "run"
        raise StepError(
            f"{step} broke down: {type(error).__name__}: {scrub(str(error))} ({place.filename}, line "
            f"{place.lineno}). What was answered is stored; {advice} the same command again to go on."
        ) from error
