"""One session of a run: a process at work on it, from its start to its end, as a file that says so.

`sessions/0001.json` is written when the session starts, again as steps are finished, and once more when it
ends. A session that is killed has no end in its file; no later session touches it.
"""

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any

from metareward import disk
from metareward.errors import MetarewardError, StoreError
from metareward.events import Listener, Noticed, ignore
from metareward.provenance.machine import environment, gpus
from metareward.provenance.records import FOLDER, Record, at_home, records
from metareward.secrets import scrub
from metareward.supervision import Supervision, SupervisionLevel

_SECONDS = 5.0  # at most so much of the list of steps is lost when a session is killed
_LONGEST = 2000  # characters of an error's message
_SHOWN = 6
FAKE = "fake"
MADE_UP = "fake: answers are made up and nothing is trained, so no number here says anything of a model"


class Session:
    """A context that keeps the record of this session; how it is left is the session's outcome.

    config: names of the config as given and as resolved among the run's configs, None for a run without.
    engine: the name of what answers.
    A session whose packages, Python or code differ from the one before says so to `listen`.
    """

    def __init__(
        self,
        root: Path,
        listen: Listener = ignore,
        config: Mapping[str, str] | None = None,
        supervision: Supervision | None = None,
        engine: str = "",
    ) -> None:
        self.root, self.number = root, 0
        self._listen = listen
        self._steps: list[dict[str, Any]] = []
        self._facts: dict[str, Any] = {
            "command": command(sys.argv),
            "config": dict(config) if config else None,
            "supervision": asdict(supervision or Supervision()),
            "engine": engine,
        }

    def __enter__(self) -> "Session":
        before = records(self.root)
        self._began = self._saved = time.monotonic()
        started = {"started": _now(), "ended": None, "outcome": None, "message": None, "seconds": 0.0}
        self._facts = {**started, **self._facts, "environment": environment()}
        self.number = _next(self.root, before)
        self._save()
        earlier = next((record for record in reversed(before) if record.facts.get("environment")), None)
        if earlier and (changed := changes(earlier.facts["environment"], self._facts["environment"])):
            self._listen(Noticed("", f"numbers may change: since session {earlier.number} {changed}"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._facts.setdefault("gpus", gpus())
        self._facts |= {"ended": _now(), "outcome": _outcome(error), "message": _message(error)}
        try:
            self._save()
        except StoreError as failure:
            if error is None:
                raise
            error.add_note(f"And the record of this session could not be completed: {failure}")

    def note(self, **facts: Any) -> None:
        """Add facts that became known (the model, the data, the GPUs)."""
        self._facts |= facts
        self._save()

    def step(self, section: str, step: str, key: str, rows: int, seconds: float, reused: bool) -> None:
        """Note a step that is finished, by this session or (`reused`) before it."""
        entry = {"section": section, "step": step, "key": key, "rows": rows}
        self._steps.append({**entry, "seconds": round(seconds, 3), "reused": reused})
        if time.monotonic() - self._saved > _SECONDS:
            self._save()

    def _save(self) -> None:
        self._saved = time.monotonic()
        facts = {**self._facts, "seconds": round(self._saved - self._began, 3), "steps": self._steps}
        disk.write_checked(self.root / FOLDER / f"{self.number:04d}.json", {"session": self.number, **facts})


def supervision_of(root: Path) -> str:
    """The supervision of a run in words: the strongest that any of its sessions had."""
    said = [_supervision(record.facts["supervision"]) for record in records(root) if record.facts]
    if not said:
        return "not recorded"
    strongest = said[-1]
    for earlier in reversed(said[:-1]):
        strongest = strongest.at_least(earlier)
    return str(strongest)


def engine_of(root: Path) -> str:
    """What answered in a run's sessions, in words (see `engine_said`)."""
    told = [record for record in records(root) if record.facts]
    said = [FAKE if is_fake(record) else record.facts.get("engine", "") for record in told]
    return engine_said(*said) if said else "not recorded"


def engine_said(*names: str) -> str:
    """Engines by name, in words that let nobody take made-up answers for a model's."""
    every = [MADE_UP if name == FAKE else name for name in dict.fromkeys(filter(None, names))]
    return "; ".join(every) or "not recorded"


def is_fake(record: Record) -> bool:
    """Whether a session's answers were made up, also one of before engines were recorded."""
    return record.facts.get("engine") == FAKE or (record.facts.get("model") or {}).get("from") == FAKE


def command(arguments: Sequence[str]) -> list[str]:
    """The command line without the place of the program, the user's directory, or secrets."""
    program = Path(arguments[0]).name if arguments and arguments[0] else "python"
    program = "metareward" if program == "__main__.py" else program
    return [program, *(at_home(scrub(argument)) for argument in arguments[1:])]


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """What of two environments may change numbers: Python, packages, code; empty if nothing does."""
    said = [] if before["python"] == now["python"] else [f"python {before['python']} -> {now['python']}"]
    old, new = before["versions"], now["versions"]
    for name in sorted({*old, *new}):
        if old.get(name) != new.get(name):
            said.append(f"{name} {old.get(name, 'absent')} -> {new.get(name, 'absent')}")
    if before.get("code") != now.get("code"):
        said.append(f"code {_code(before.get('code'))} -> {_code(now.get('code'))}")
    more = [f"and {len(said) - _SHOWN} more"] if len(said) > _SHOWN else []
    return ", ".join([*said[:_SHOWN], *more])


def _code(code: Mapping[str, str | None] | None) -> str:
    if not code:
        return "of no checkout"
    changed = f" with changes {code['changes'][:8]}" if code["changes"] else ""
    return f"{(code['revision'] or '')[:8]}{changed}"


def _next(root: Path, before: Sequence[Record]) -> int:
    """The first number that no session has; its empty file is ours from here on."""
    number = before[-1].number + 1 if before else 1
    try:
        (root / FOLDER).mkdir(parents=True, exist_ok=True)
        while True:
            try:
                (root / FOLDER / f"{number:04d}.json").touch(exist_ok=False)
            except FileExistsError:
                number += 1
            else:
                return number
    except OSError as error:
        raise StoreError(f"{root / FOLDER}: cannot write: {error.strerror or error}") from error


def _supervision(plain: Mapping[str, str]) -> Supervision:
    return Supervision(SupervisionLevel(plain["level"]), plain["detail"])


def _outcome(error: BaseException | None) -> str:
    if error is None:
        return "finished"
    return "error" if isinstance(error, Exception) else "interrupted"


def _message(error: BaseException | None) -> str | None:
    if not isinstance(error, Exception):
        return None
    text = str(error) if isinstance(error, MetarewardError) else f"{type(error).__name__}: {error}"
    return at_home(scrub(text))[:_LONGEST]


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
