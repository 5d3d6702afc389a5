"""Faults at the n-th change of the disk or the n-th answer of an engine, and what must hold after each.

A `Session` is one process's work on a run, as far as it came. Two make a trial: one that is disturbed and
one that goes on. A dead process is modelled by `Dead`, after which the disk takes nothing more.
"""

import dataclasses
import errno
import json
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import loops
import planted
from metareward import disk, summary
from metareward.engines.base import Completion, Engine, Request, failed
from metareward.engines.fake import fake
from metareward.errors import MetarewardError
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.recipes.settings import Iteration
from metareward.run import Run
from metareward.stages.generate import Generate
from metareward.stages.pair import KeepDistinct
from metareward.store import parts
from metareward.store import writer as writers
from metareward.train.fake import FakeTrainer

SETTINGS = loops.small_meta(samples=3, iterations=(Iteration(rho=0.2),))
PROMPTS = 3
PART_ROWS = 7  # small parts, so that a small run has many


class Dead(BaseException):
    """The process is gone."""


DISK_KINDS = {
    "full once": errno.ENOSPC,
    "full for good": errno.ENOSPC,
    "full, half written": errno.ENOSPC,
    "read-only for good": errno.EROFS,
    "I/O error once": errno.EIO,
    "killed before": None,
    "killed after": None,
    "killed, half written": None,
    "interrupted after": None,
    "out of memory": None,
}
LIVING = {
    "full once",
    "full, half written",
    "I/O error once",
    "interrupted after",
    "out of memory",
    "raises",
    "runs out of memory",
}
ENGINE_KINDS = ("raises", "killed", "fails once", "runs out of memory", "interrupted", "cannot be opened")


class FaultyDisk:
    """A guard that lets the n-th change fail. `phase` is the step whose directory was being changed."""

    def __init__(self, kind: str, at: int) -> None:
        self.kind, self.at, self.count, self.struck, self.phase = kind, at, 0, False, ""
        self._dead = False

    def __call__(self, operation: str, path: Path, act: Callable[[], object]) -> object:
        self.count += 1
        if self._dead:
            raise Dead
        again = self.struck and self.kind.endswith("for good")
        if self.count != self.at and not again:
            return act()
        self.struck, self.phase = True, self.phase or phase_of(path)
        return self._strike(operation, path, act)

    def die(self) -> None:
        """From here on the disk takes nothing more."""
        self._dead = True

    def _strike(self, operation: str, path: Path, act: Callable[[], object]) -> object:
        if self.kind.endswith("half written") and operation == "write":
            act()
            os.truncate(path, path.stat().st_size // 2)
        if self.kind in ("killed after", "interrupted after"):
            act()
        if self.kind.startswith("killed"):
            self._dead = True
            raise Dead
        if self.kind == "interrupted after":
            raise KeyboardInterrupt
        if self.kind == "out of memory":
            raise MemoryError
        number = DISK_KINDS[self.kind]
        assert number is not None
        raise OSError(number, os.strerror(number))


class FaultyEngine:
    """Opens an engine that breaks at its n-th answer, and notes what was handed to it and answered."""

    def __init__(self, kind: str = "", at: int = 0, die: Callable[[], object] = lambda: None) -> None:
        self.kind, self.at, self.die = kind, at, die
        self.handed: list[Request] = []
        self.answered: list[str] = []
        self.opened, self.struck, self.phase = 0, False, ""

    @contextmanager
    def __call__(self, model: Model) -> Iterator[Engine]:
        self.opened += 1
        if self.kind == "cannot be opened" and self.opened == self.at:
            self.struck, self.phase = True, "open"
            raise RuntimeError("made not to open")
        with fake(planted.World())(model) as engine:
            yield _Breaking(self, engine)

    def note(self, requests: Iterable[Request]) -> Iterator[Request]:
        for request in requests:
            self.handed.append(request)
            yield request

    def strike(self, request: Request) -> Completion:
        self.struck, self.phase = True, request.step
        if self.kind == "fails once":
            return failed(request, "made to fail")
        if self.kind == "killed":
            self.die()
            raise Dead
        raise {"raises": RuntimeError("made to break"), "runs out of memory": MemoryError()}.get(
            self.kind, KeyboardInterrupt()
        )


class _Breaking:
    def __init__(self, faulty: FaultyEngine, engine: Engine) -> None:
        self._faulty, self._engine = faulty, engine

    def complete(self, requests: Iterable[Request], /) -> Iterator[Completion]:
        faulty, by_id = self._faulty, {}
        for completion in self._engine.complete(faulty.note(requests)):
            by_id.update({request.id: request for request in faulty.handed[-64:]})
            if (
                faulty.kind in ENGINE_KINDS[:-1]
                and not faulty.struck
                and len(faulty.answered) + 1 == faulty.at
            ):
                yield faulty.strike(by_id[completion.request_id])
                continue
            faulty.answered.append(completion.request_id)
            yield completion


@dataclass
class Session:
    """What one session was asked, and how it ended (`error` is None if it came to the end)."""

    engine: FaultyEngine
    error: BaseException | None = None
    outcome: dict[str, Any] = field(default_factory=dict)


Tell = Callable[[], dict[str, Any]]
Work = Callable[[Path, "FaultyEngine"], Tell]
"""Does the work in a directory; what it returns tells all that came of it."""


def a_loop(directory: Path, engine: "FaultyEngine") -> Tell:
    """One iteration of Meta-Rewarding with a look at both models."""
    run, _ = loops.loop(directory, engine, settings=SETTINGS, prompts=PROMPTS)
    result = summary.save(run.history, directory)
    return lambda: {"rows": loops.everything(run), "summary": untimed(result), "plan": plan(directory)}


def one_step(directory: Path, engine: Any) -> Tell:
    """One stage and one rule, for trials in milliseconds."""
    with Run(directory, engine, FakeTrainer()) as run:
        answers = run.ask(Generate(samples=3), run.prompts(planted.prompts(4)), of=loops.START)
        distinct = run.derive(KeepDistinct(), answers)
    return lambda: {"rows": {a.key: [dataclasses.asdict(r) for r in a] for a in (answers, distinct)}}


def session(
    directory: Path,
    engine: FaultyEngine | None = None,
    guard: Any = None,
    work: Work | None = None,
) -> Session:
    """Work in a directory until it is done or the fault ends it."""
    done = Session(engine or FaultyEngine())
    before, writers.ROWS = writers.ROWS, PART_ROWS
    try:
        with disk.guarded(guard) if guard else nullcontext():
            tell = (work or a_loop)(directory, done.engine)
        done.outcome = {} if guard else tell()
    except (Dead, KeyboardInterrupt, MemoryError, MetarewardError, RuntimeError) as error:
        done.error = error
    finally:
        writers.ROWS = before
    return done


def plan(directory: Path) -> list[dict[str, Any]]:
    """Every step of the small run on paper, without times."""
    paper = Paper(directory)
    many, count = planted.prompts(PROMPTS + 2), 2
    batches = [paper.prompts(many[count:])]
    loops.RECIPES["meta_rewarding"][0](paper, loops.START, batches, SETTINGS, paper.prompts(many[:count]))
    return [{k: v for k, v in step.items() if k != "seconds"} for step in paper.as_dict()["steps"]]


def untimed(value: Any) -> Any:
    """The same without seconds, which differ from run to run."""
    if isinstance(value, dict):
        return {key: untimed(item) for key, item in value.items() if key != "seconds"}
    return [untimed(item) for item in value] if isinstance(value, list) else value


def stored_ids(directory: Path) -> Counter[tuple[str, str]]:
    """How often each row lies in whole parts, by (artifact, id)."""
    import pyarrow.parquet as pq

    found: Counter[tuple[str, str]] = Counter()
    for folder in (directory / "artifacts").glob("*"):
        for part in parts.find(folder):
            if part.table == "rows" and part.is_whole():
                found.update(
                    (folder.name, id) for id in pq.read_table(part.path, columns=["id"])["id"].to_pylist()
                )
    return found


@dataclass
class Verdict:
    """What a trial came to. `faults` lists every violated promise; empty is what must be."""

    phase: str
    struck: bool
    faults: list[str]
    again: int = 0  # requests asked again: in flight at the fault
    beyond: int = 0  # of these, asked though their answers were stored
    lost: int = 0
    duplicated: int = 0


def judge(
    directory: Path,
    first: Session,
    expected: dict[str, Any],
    kind: str,
    guard: FaultyDisk | None,
    work: Work | None = None,
) -> Verdict:
    """Go on after a disturbed session and hold the end against that of an undisturbed run."""
    stored = {
        id for folder, id in stored_ids(directory) if (directory / "artifacts" / folder / "question").exists()
    }
    second = session(directory, work=work)
    answered = set(first.engine.answered)
    handed, struck = {request.id for request in second.engine.handed}, guard or first.engine
    verdict = Verdict(struck.phase, struck.struck, message_faults(kind, first.error))
    if kind in LIVING and not answered <= stored:
        verdict.faults.append(
            f"{len(answered - stored)} answers were lost though there was time to store them"
        )
    verdict.again = len(handed & {request.id for request in first.engine.handed})
    verdict.beyond = len(handed & stored)
    if verdict.beyond:
        verdict.faults.append(f"{verdict.beyond} requests were paid twice though their answers were stored")
    if second.error is not None:
        verdict.faults.append(f"the second session stopped: {second.error!r}")
        return verdict
    rows = stored_ids(directory)
    verdict.duplicated = sum(count - 1 for count in rows.values())
    verdict.lost = _missing(second.outcome["rows"], expected["rows"])
    if verdict.duplicated:
        verdict.faults.append(f"{verdict.duplicated} rows lie there twice")
    verdict.faults += [f"{name} differ" for name in expected if second.outcome[name] != expected[name]]
    if strays := [str(path) for path in directory.rglob(".*.tmp")]:
        verdict.faults.append(f"left lying: {strays}")
    return verdict


def message_faults(kind: str, error: BaseException | None) -> list[str]:
    """What is wrong with what the user is told."""
    if kind in DISK_KINDS and DISK_KINDS[kind] is not None and error is not None:
        text = str(error)
        wanted = [os.strerror(DISK_KINDS[kind] or 0), "is kept", "run the same command again"]
        return [f"the message lacks {part!r}: {error!r}" for part in wanted if part not in text]
    if kind in ("raises", "cannot be opened") and not isinstance(error, MetarewardError):
        return [f"no clear message: {error!r}"]
    return []


def _missing(found: dict[str, Any], expected: dict[str, Any]) -> int:
    def ids(rows: dict[str, Any]) -> set[str]:
        return {json.dumps(row, sort_keys=True, default=str) for part in rows.values() for row in part}

    return len(ids(expected) - ids(found))


def phase_of(path: Path) -> str:
    """The step, or the other thing, that a file belongs to."""
    for folder, name in ((path, path.name), (path.parent, path.parent.name), (path.parent.parent, "")):
        if folder.parent.name == "artifacts":
            return name.rpartition("-")[0] or folder.name.rpartition("-")[0]
        if folder.parent.name == "models" or folder.name == "models":
            return "train"
    return "run"
