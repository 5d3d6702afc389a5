"""Rows on their way to the disk: flushed by count and by time, so that a kill loses only seconds."""

import threading
import time
from collections import Counter
from dataclasses import asdict
from typing import Any

from metareward.records import Dropped
from metareward.store import columns, parts
from metareward.store.artifact import Artifact, Cost, Manifest, by_session, read
from metareward.store.parts import Part

ROWS = 2000
SECONDS = 5.0


class Writer:
    """Appends rows to an artifact that is not yet whole; use as a context.

    Rows are flushed after `rows` rows, and by a timer at most `seconds` after they came; leaving the
    context flushes what is left, whatever the reason for leaving. session: the number of the run's session,
    written beside the rows.
    """

    def __init__(
        self, artifact: Artifact[Any], rows: int = ROWS, seconds: float = SECONDS, session: int | None = None
    ) -> None:
        self.artifact, self._session = artifact, session
        self._limit, self._seconds = rows, seconds
        self._pending: list[tuple[int, Any]] = []
        self._dropped: list[tuple[int, Dropped]] = []
        self._cost = Cost()
        self._clock = time.monotonic()
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._failure: Exception | None = None
        self._timer = threading.Thread(target=self._flush_by_time, daemon=True)

    def __enter__(self) -> "Writer":
        self.artifact.directory.mkdir(parents=True, exist_ok=True)
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
            self._check()
            (self._dropped if isinstance(row, Dropped) else self._pending).append((position, row))
            self._cost += Cost(0.0, prompt_tokens, output_tokens, **counts)
            if len(self._pending) + len(self._dropped) >= self._limit:
                self.flush()

    def flush(self) -> None:
        """Write what is pending as one part of each table."""
        with self._lock:
            now = time.monotonic()
            self._cost += Cost(now - self._clock)
            self._clock = now
            self._write("rows", self.artifact.record, self._pending)
            self._write("dropped", Dropped, self._dropped)

    def seal(self, manifest: dict[str, Any]) -> None:
        """Write the manifest, which makes the artifact whole. `manifest` says what it depends on."""
        self.flush()
        found = parts.find(self.artifact.directory)
        reasons = Counter(
            row.reason for part in found if part.table == "dropped" for _, row in read(part, Dropped)
        )
        Manifest(
            **manifest,
            key=self.artifact.key,
            record=self.artifact.record.__name__,
            rows=sum(part.count() for part in found if part.table == "rows"),
            parts={part.path.name: part.digest for part in found},
            dropped=dict(sorted(reasons.items())),
            cost=asdict(sum((Cost(**part.cost()) for part in found), self._cost)),
            extra={"sessions": self._by_session(found)},
        ).save(self.artifact.manifest_path)

    def _by_session(self, found: list[Part]) -> dict[str, Any]:
        """What each session that had a number paid."""
        spent = by_session(found)
        if self._session is not None and self._cost != Cost():
            spent[self._session] = spent.get(self._session, Cost()) + self._cost
        return {str(number): asdict(cost) for number, cost in spent.items()}

    def _write(self, table: str, record: type[Any], rows: list[tuple[int, Any]]) -> None:
        if not rows:
            return
        rows.sort(key=lambda item: item[0])
        span = (rows[0][0], rows[-1][0])
        content = columns.to_table(record, rows)
        parts.write(self.artifact.directory, table, content, span, asdict(self._cost), self._session)
        self._cost = Cost()
        rows.clear()

    def _flush_by_time(self) -> None:
        while not self._stopped.wait(self._seconds):
            try:
                self.flush()
            except Exception as failure:  # noqa: BLE001 - raised again in the thread that adds rows
                self._failure = failure
                return

    def _check(self) -> None:
        if self._failure is not None:
            raise self._failure
