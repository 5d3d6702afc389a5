"""Faults on the fake engine: every change of the disk, every answer, every file of a finished run."""

import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import faults
from faults import DISK_KINDS, ENGINE_KINDS, FaultyDisk, FaultyEngine, Session, judge, phase_of, session
from torture.table import Outcome

_DIGEST = re.compile(r"-[0-9a-f]{16}(?=\.parquet)")  # of a part: its costs, so its digest, differ each time
HARMS = ("flipped", "cut", "emptied", "removed")
Point = tuple[str, str]  # what goes wrong, and where


class Bench:
    """An undisturbed run to hold others against, and the points at which to disturb them."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.whole = place / "whole"
        counting = FaultyDisk("none", -1)
        session(place / "counted", guard=counting)
        done = session(self.whole)
        assert done.error is None, done.error
        self.expected, self._changes = done.outcome, counting.count
        self._answers, self._opened = len(done.engine.answered), done.engine.opened

    def points(self) -> list[Point]:
        found = [(kind, str(at)) for kind in DISK_KINDS for at in range(1, self._changes + 1)]
        for kind in ENGINE_KINDS:
            last = self._opened if kind == "cannot be opened" else self._answers
            found += [(kind, str(at)) for at in range(1, last + 1)]
        files = [path for path in sorted(self.whole.rglob("*")) if path.is_file() and path.name != "lock"]
        names = sorted({_DIGEST.sub("-*", str(path.relative_to(self.whole))) for path in files})
        return found + [(how, name) for how in HARMS for name in names]

    def sample(self, count: int, seed: int) -> list[Point]:
        """So many points, every kind of fault in turn."""
        by_kind: dict[str, list[Point]] = {}
        for point in self.points():
            by_kind.setdefault(point[0], []).append(point)
        for points in by_kind.values():
            random.Random(seed).shuffle(points)
        return list(_in_turn(list(by_kind.values())))[:count]

    def outcome(self, point: Point) -> Outcome:
        kind, where = point
        folder = self.place / "trial"
        shutil.rmtree(folder, ignore_errors=True)
        if kind in HARMS:
            shutil.copytree(self.whole, folder)
            victim = next(folder.glob(where))
            harm(victim, kind)
            first, phase = Session(FaultyEngine()), phase_of(victim)
            verdict = judge(folder, first, self.expected, kind, None)
        else:
            verdict = self._disturbed(folder, kind, int(where))
            phase = verdict.phase
        wrong = "; ".join(verdict.faults) + (
            "" if verdict.struck or kind in HARMS else "the fault never struck"
        )
        return Outcome(
            kind,
            phase,
            f"{kind} {where}",
            verdict.again,
            verdict.lost,
            verdict.duplicated,
            verdict.beyond,
            wrong,
        )

    def _disturbed(self, folder: Path, kind: str, at: int) -> faults.Verdict:
        if kind in DISK_KINDS:
            guard = FaultyDisk(kind, at)
            return judge(folder, session(folder, guard=guard), self.expected, kind, guard)
        guard = FaultyDisk("killed before", -1)
        first = session(folder, FaultyEngine(kind, at, guard.die), guard)
        return judge(folder, first, self.expected, kind, None)


def harm(path: Path, how: str) -> None:
    """Flip a bit, cut the last bytes off, empty or remove a file."""
    content = bytearray(path.read_bytes())
    if how == "removed":
        path.unlink()
        return
    content[len(content) // 2] ^= 1
    path.write_bytes({"flipped": bytes(content), "cut": bytes(content[:-3]), "emptied": b""}[how])


def _in_turn(piles: list[list[Point]]) -> Iterator[Point]:
    while piles := [pile for pile in piles if pile]:
        for pile in piles:
            yield pile.pop()
