"""One side of a comparison: a run as one of its sessions left it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.provenance import Record, config_of, is_fake, records, steps_of
from metareward.store import Manifest, Store
from metareward.train.lineage import Training, trainings

_NAMED = re.compile(r"(?P<run>.+)@(?P<session>\d+)")
Slot = tuple[str, str, int]
"""Where a step stands in a run: its section, its name, and the how manieth of that name there it is."""


@dataclass(frozen=True)
class Side:
    """A run in `root`, as the session of `record` left it (see `steps_of`)."""

    root: Path
    record: Record

    @property
    def label(self) -> str:
        """The run's name and the session's number; of made-up answers, that they are."""
        made_up = " (the fake engine)" if is_fake(self.record) else ""
        return f"{self.root.name}@{self.record.number}{made_up}"

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The session's config as resolved; empty for a run from Python."""
        return config_of(self.root, self.record) or {}

    @cached_property
    def manifests(self) -> dict[str, tuple[Path, Manifest]]:
        """Every whole artifact of the run, by key."""
        return {manifest.key: (directory, manifest) for directory, manifest in Store(self.root).manifests()}

    @cached_property
    def trainings(self) -> dict[str, Training]:
        """Every training of the run, by key."""
        return trainings(self.root)

    @cached_property
    def slots(self) -> dict[Slot, str]:
        """The key of each step, in the order of the run. Prompts stand with the first step that asks them."""
        found: dict[Slot, str] = {}
        count: dict[tuple[str, str], int] = {}
        seen: set[str] = set()
        for step in steps_of(self.root, self.record):
            if step["step"] == "prompts":
                continue
            for key in self._prompts_of(step["key"]):
                if key not in seen:
                    seen.add(key)
                    found[step["section"], "prompts", 0] = key
            place = (step["section"], step["step"])
            found[(*place, count.setdefault(place, 0))] = step["key"]
            count[place] += 1
        return found

    @cached_property
    def places(self) -> dict[str, Slot]:
        """Where a key stands; of several places the first."""
        return {key: slot for slot, key in reversed(self.slots.items())}

    def _prompts_of(self, key: str) -> list[str]:
        inputs = self.manifests[key][1].inputs if key in self.manifests else []
        return [one for one in inputs if one in self.manifests and self.manifests[one][1].name == "prompts"]


def side(name: str) -> Side:
    """The side that RUN or RUN@SESSION names; without a session the last one that wrote anything down.

    Raises DataError if there is no such run or session.
    """
    match = _NAMED.fullmatch(name)
    if match and not Path(name).exists():
        root, wanted = Path(match["run"]), int(match["session"])
    else:
        root, wanted = Path(name), None
    known = _told(root)
    if wanted is None:
        return Side(root, known[-1])
    for record in known:
        if record.number == wanted:
            return Side(root, record)
    raise DataError(f"{root} has no session {wanted}; it has {', '.join(str(r.number) for r in known)}")


def two_sides(root: Path) -> list[tuple[Side, Side]]:
    """Pairs of sessions of one run to compare: the last with each earlier one, the latest first.

    Raises DataError if there are not two.
    """
    known = _told(root)
    if len(known) < 2:
        raise DataError(
            f"{root} had one session only, so there is nothing to compare it with; give a second run"
        )
    last = Side(root, known[-1])
    return [(Side(root, record), last) for record in reversed(known[:-1])]


def _told(root: Path) -> list[Record]:
    if not (root / "artifacts").is_dir() and not (root / "sessions").is_dir():
        raise DataError(f"{root} holds no run; give the directory of one, or DIRECTORY@SESSION")
    known = [record for record in records(root) if record.facts]
    if not known:
        raise DataError(f"{root} has no record of any session, so what it ran with cannot be compared")
    return known
