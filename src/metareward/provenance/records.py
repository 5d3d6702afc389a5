"""The records that sessions left in a run's directory, and the configs they name."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.errors import StoreError
from metareward.ids import fingerprint

FOLDER = "sessions"
CONFIGS = "configs"
_NO_MEANING = ("machine", "plan", "supervision")


@dataclass(frozen=True)
class Record:
    """What one session wrote down; `facts` is empty where it was killed before it could, or damaged.

    steps: {"section", "step", "key", "rows", "seconds", "reused"} for each step it used, in order.
    """

    number: int
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def outcome(self) -> str:
        """`finished`, `interrupted`, `error`; or that there is no end: it was killed, or runs still."""
        return self.facts.get("outcome") or "no end: killed, or at work still"

    @property
    def steps(self) -> list[dict[str, Any]]:
        """The steps it used."""
        return self.facts.get("steps", [])

    @property
    def config(self) -> str | None:
        """The name of its resolved config among the run's configs."""
        return (self.facts.get("config") or {}).get("resolved")


def records(root: Path) -> list[Record]:
    """Every session of a run, in order. A record that cannot be read has no facts."""
    files = {int(file.stem): file for file in (root / FOLDER).glob("*.json") if file.stem.isdigit()}
    return [Record(number, _facts(files[number])) for number in sorted(files)]


def config_of(root: Path, record: Record) -> dict[str, Any] | None:
    """The config of a session as resolved; None if it had none (a run from Python).

    Raises StoreError if the file is missing or damaged.
    """
    if record.config is None:
        return None
    file = root / CONFIGS / f"{record.config}.json"
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
        if fingerprint("config", config) != record.config:
            raise ValueError("its content is not what its name says")
        return config
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{file}: damaged or missing ({error}); session {record.number} of this run cannot be told"
        ) from None


def meaning_of(root: Path, record: Record) -> dict[str, Any] | None:
    """Of a session's config what the results depend on: without the machine, the plan, the supervision."""
    config = config_of(root, record)
    return config and {name: value for name, value in config.items() if name not in _NO_MEANING}


def steps_of(root: Path, record: Record) -> list[dict[str, Any]]:
    """The steps of a run as a session left it: its own, and what it did not come to from sessions before.

    Of those, sessions with settings that mean the same count; where two used other steps in one place, the
    later. So a session that was stopped, or killed, still stands for the whole run.
    """
    meaning, found = meaning_of(root, record), list(record.steps)
    for earlier in reversed(records(root)):
        if earlier.number < record.number and meaning and meaning_of(root, earlier) == meaning:
            known = {(step["section"], step["step"]) for step in found}
            found += [step for step in earlier.steps if (step["section"], step["step"]) not in known]
    return found


def at_home(text: str) -> str:
    """A text in which the user's own directory is a tilde."""
    home = str(Path.home())
    if len(home) < 2:
        return text
    return text.replace(home + "/", "~/") if text != home else "~"


def _facts(file: Path) -> dict[str, Any]:
    try:
        return disk.read_checked(file)
    except StoreError:
        return {}
