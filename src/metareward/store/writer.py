"""Rows on their way to the disk: flushed by count and by time, so that a kill loses only seconds."""

import threading
import time
from collections import Counter
from dataclasses import asdict
from typing import Any, NamedTuple

from metareward import disk
from metareward.errors import StoreError
from metareward.records import Dropped
from metareward.store import columns, parts
from metareward.store.artifact import Artifact, Cost, Manifest, by_session, read
from metareward.store.parts import Part
from metareward.store.places import Positions

ROWS = 2000
SECONDS = 5.0


class _Taken(NamedTuple):
    position: int
    row: Any
    cost: Cost


class _Held(NamedTuple):
    """All a writer holds. Replaced as a whole: an interruption finds either the old or the new."""

    pending: list[_Taken]
    ready: list[parts.Ready]
    since: float


class Writer:
    """Appends rows to an artifact that is not yet whole; use as a context.

    Rows are flushed after `rows` rows, and by a timer at most `seconds` after they came; leaving the
    context flushes what is left, whatever the reason for leaving. A flush that broke off anywhere may be
    repeated: no row is written twice. session: the number of the run's session, written beside the rows.
    """

    def __init__(
        self,
        artifact: Artifact[Any],
        rows: int | None = None,
        seconds: float | None = None,
        session: int | None = None,
    ) -> None:
        self.artifact, self._session = artifact, session
        self._limit = ROWS if rows is None else rows
        self._seconds = SECONDS if seconds is None else seconds
        self._held = _Held([], [], time.monotonic())
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._timer = threading.Thread(target=self._flush_by_time, daemon=True)

    def __enter__(self) -> "Writer":
        disk.make_directory(self.artifact.directory)
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopped.set()
        self._timer.join()
        self.flush()

    def add(
        self, position: int, row: Any, prompt_tokens: int = 0, output_tokens: int = 0, **counts: int
    ) -> None:
        """Take one row. Its position is its place in the canonical order; `counts` are those of a `Cost`."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            cost = Cost(0.0, prompt_tokens, output_tokens, **counts)
            self._held.pending.append(_Taken(position, row, cost))
            if len(self._held.pending) >= self._limit:
                self.flush()

    def flush(self) -> None:
        """Write what is pending as one part of each table."""
        with self._lock:
            self._prepare()
            while self._held.ready:
                parts.write(self.artifact.directory, self._held.ready[0])
                self._held.ready.pop(0)

    def seal(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, which makes the artifact whole. `manifest` says what it depends on."""
        self.flush()
        found = parts.find(self.artifact.directory)
        _require_distinct(self.artifact, found)
        reasons = Counter(
            row.reason for part in found if part.table == "dropped" for _, row in read(part, Dropped)
        )
        rest = Cost(time.monotonic() - self._held.since)
        Manifest(
            **manifest,
            key=self.artifact.key,
            record=self.artifact.record.__name__,
            rows=sum(part.count() for part in found if part.table == "rows"),
            parts={part.path.name: part.digest for part in found},
            dropped=dict(sorted(reasons.items())),
            cost=asdict(sum((Cost(**part.cost()) for part in found), rest)),
            extra={"sessions": self._by_session(found, rest)},
        ).save(self.artifact.manifest_path)

    def _by_session(self, found: list[Part], rest: Cost) -> dict[str, Any]:
        """What each session that had a number paid."""
        spent = by_session(found)
        if self._session is not None:
            spent[self._session] = spent.get(self._session, Cost()) + rest
        return {str(number): asdict(cost) for number, cost in spent.items()}

    def _prepare(self) -> None:
        """Make parts of what is pending. The first of them carries what all of it cost."""
        held, now = self._held, time.monotonic()
        if not held.pending:
            return
        cost, ready = sum((taken.cost for taken in held.pending), Cost(now - held.since)), list(held.ready)
        for table, record in (("rows", self.artifact.record), ("dropped", Dropped)):
            chosen = [
                (t.position, t.row) for t in held.pending if isinstance(t.row, Dropped) == (record is Dropped)
            ]
            if chosen:
                chosen.sort(key=lambda item: item[0])
                span, content = (chosen[0][0], chosen[-1][0]), columns.to_table(record, chosen)
                ready.append(parts.prepare(table, content, span, asdict(cost), self._session))
                cost = Cost()
        self._held = _Held([], ready, now)

    def _flush_by_time(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.flush()
            except Exception as failure:  # noqa: BLE001 - raised again in the thread that adds rows
                self._failure = failure
                return


def _require_distinct(artifact: Artifact[Any], found: list[parts.Part]) -> None:
    """Two rows at one place would be counted twice for ever; nothing may seal that."""
    positions = Positions()
    if twice := sum(positions.put(part.positions()) for part in found):
        raise StoreError(
            f"{artifact.directory}: {twice} rows lie there twice, so somebody else wrote there. Make "
            "sure that nobody does, then run the same command again."
        )
