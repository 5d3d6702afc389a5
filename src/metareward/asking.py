"""Questions on their way to an engine and answers on their way to the disk, each exactly once."""

import dataclasses
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import cached_property
from sys import intern
from typing import Any

from metareward.engines.base import Completion, Request
from metareward.errors import MetarewardError, StepError
from metareward.models.base import Model
from metareward.records import Finish
from metareward.secrets import scrub
from metareward.stages.base import Question, Stage
from metareward.store import Ids, Positions, Writer
from metareward.unread import Watch

Numbered = tuple[int, Question]


class Asking:
    """The bookkeeping of one `ask`: positions done, questions out, failures to be asked once more."""

    def __init__(
        self, stage: Stage, model: Model, writer: Writer, done: Positions, watch: Watch | None = None
    ) -> None:
        self.stage, self.model, self.done, self.tokens = stage, model, done, 0
        self.watch = watch or Watch(stage, "", 0)
        self.watch.remember(writer.artifact.so_far())
        self._writer = writer
        self._out: dict[str, Numbered] = {}
        self._failed: dict[int, Completion] = {}  # by position; never with their questions, which are large
        self._tried: dict[int, Completion] = {}  # first tries that failed

    def reuse(
        self, answered: Callable[[Callable[[str], bool]], Iterator[Any]], questions: Iterable[Question]
    ) -> None:
        """Take over rows that other artifacts already paid for.

        answered: the rows there whose ids are wanted. questions: read only if there is any row at all.
        """
        places = _Places(questions)

        def wanted(name: str) -> bool:
            position = places.known.find(name)
            return position is not None and position not in self.done

        for row in answered(wanted):
            position = places.known.find(row.id)
            if position is not None and position not in self.done:
                self._writer.add(position, row, reused=1)
                self.done.add(position)

    def requests(self, questions: Iterable[Numbered]) -> Iterator[Request]:
        """What is still to be asked. Lazy: the engine decides how far ahead it reads.

        StepError if verdicts that are there already are so unreadable that no more should be paid for.
        """
        for position, question in questions:
            if position not in self.done:
                self.watch.check()
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
            error = completion.error and intern(scrub(completion.error))  # of libraries and of servers
            self._failed[numbered[0]] = dataclasses.replace(completion, error=error)
        else:
            self._keep(numbered, completion)

    def take_failures(self, questions: Iterable[Numbered]) -> Iterator[Numbered]:
        """Of all questions those that failed, to be asked once more. Reads none where none did."""
        self._tried, self._failed = self._failed, {}
        return (numbered for numbered in questions if numbered[0] in self._tried) if self._tried else iter(())

    def keep_failures(self, questions: Iterable[Numbered]) -> None:
        """Record what failed twice as failed. If nothing else came of the step, say so and stop."""
        if self._failed and not self.done:
            raise StepError(
                f"{self.stage.name}: every one of {len(self._failed)} requests failed; the first said: "
                f"{next(iter(self._failed.values())).error}"
            )
        for numbered in questions if self._failed else ():
            if (completion := self._failed.get(numbered[0])) is not None:
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
    """Where the questions of a stage stand, worked out when that is first asked."""

    def __init__(self, questions: Iterable[Question]) -> None:
        self._questions = questions

    @cached_property
    def known(self) -> Ids:
        """By the ids of their rows."""
        return Ids(question.request.id for question in self._questions)


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
