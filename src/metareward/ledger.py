"""What a run cost: calls, tokens and seconds of every step, and what was taken over for nothing.

Every number comes from what lies on the disk beside the rows it paid for, so it outlives any kill. Only work
that was in flight when a session was killed, and rows that were damaged since, are not in it.
"""

from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from metareward.provenance import Record, engine_of, records, steps_of, supervision_of
from metareward.store import Cost, Manifest, Store, parts
from metareward.store.artifact import by_session
from metareward.train.lineage import Training, model_names, trainings

TRAIN = "train"
WHOLE, UNFINISHED, NOT_USED = "whole", "unfinished", "not used"


@dataclass(frozen=True)
class Line:
    """What one step cost. The fields of `cost` are those of the rows on the disk.

    model: fingerprint of the model that was asked or trained; None for a rule, which asks none.
    state: `whole`, `unfinished`, or `not used`: whole, but the settings were changed since and the run as it
        is now does without. rows: on the disk; for a training the pairs it used.
    trained_tokens: of a training, over all its epochs; `cost.seconds` are then those of its optimiser steps.
    sessions: what each session paid of it, by number, where known.
    """

    section: str
    step: str
    key: str
    model: str | None
    state: str
    rows: int
    cost: Cost
    trained_tokens: int = 0
    sessions: dict[int, Cost] | None = None


@dataclass(frozen=True)
class Ledger:
    """All lines of a run in the order of its steps, its sessions, and names of models by fingerprint."""

    lines: tuple[Line, ...]
    sessions: tuple[Record, ...]
    supervision: str
    engine: str
    names: dict[str, str]

    @property
    def total(self) -> Cost:
        """Of every step, those included that are not used any more: they were paid for."""
        return add(self.lines)

    def by_model(self) -> dict[str, tuple[Cost, int]]:
        """Cost, and trained tokens, by the fingerprint of the model."""
        names = dict.fromkeys(line.model for line in self.lines if line.model)
        each = {name: [line for line in self.lines if line.model == name] for name in names}
        return {name: (add(lines), trained_tokens(lines)) for name, lines in each.items()}

    def by_session(self) -> dict[int, Cost]:
        """What each session paid in calls, tokens and engine seconds. Trainings are not in it."""
        spent: dict[int, Cost] = {}
        for line in self.lines:
            for number, cost in (line.sessions or {}).items():
                spent[number] = spent.get(number, Cost()) + cost
        return dict(sorted(spent.items()))

    def another_iteration(self) -> tuple[str, Cost, int] | None:
        """What an iteration like the last whole one would cost if nothing were taken over.

        (its section, cost, tokens to train); None before an iteration is whole. Taken-over rows are priced
        like the rows of the same step that were paid for; where none was paid for they cannot be priced.
        """
        sections = [line.section for line in self.lines if line.step == TRAIN and line.state == WHOLE]
        if not sections:
            return None
        own = [line for line in self.lines if line.section == sections[-1] and line.state == WHOLE]
        cost = sum((_unshared(line) for line in own), Cost())
        return sections[-1], cost, trained_tokens(own)

    def as_dict(self) -> dict[str, Any]:
        """The ledger as plain data."""
        another, paid = self.another_iteration(), self.by_session()
        return {
            "supervision": self.supervision,
            "engine": self.engine,
            "steps": [_plain(line) for line in self.lines],
            "models": {
                name: {"name": self.names.get(name), **asdict(cost), "trained_tokens": trained}
                for name, (cost, trained) in self.by_model().items()
            },
            "sessions": [_session(record, paid.get(record.number)) for record in self.sessions],
            "total": {
                **asdict(self.total),
                "trained_tokens": trained_tokens(self.lines),
            },
            "another_iteration": another
            and {"like": another[0], **asdict(another[1]), "trained_tokens": another[2]},
        }


def ledger(root: Path) -> Ledger:
    """Read what the run in `root` cost. Raises StoreError if a file it needs is damaged."""
    known, trained = records(root), trainings(root)
    used = [step["key"] for step in steps_of(root, known[-1])] if known else []
    lines = [*_steps(root), *(_training(training) for training in trained.values())]
    if used:
        lines = [line if line.key in used else _unused(line) for line in lines]
    order = {key: number for number, key in enumerate(used)}
    lines.sort(key=lambda line: (order.get(line.key, len(order)), line.section, line.step))
    return Ledger(
        tuple(lines), tuple(known), supervision_of(root), engine_of(root), model_names(trained.values())
    )


def add(lines: Iterable[Line]) -> Cost:
    """The sum of what lines cost."""
    return sum((line.cost for line in lines), Cost())


def trained_tokens(lines: Iterable[Line]) -> int:
    """Tokens trained on in all epochs of the trainings among lines."""
    return sum(line.trained_tokens for line in lines)


def _steps(root: Path) -> Iterator[Line]:
    whole = dict(Store(root).manifests())
    for manifest in whole.values():
        if manifest.question_key is not None:
            yield _whole(manifest)
    for directory in sorted((root / "artifacts").glob("*/")):
        if directory not in whole and (directory / "question").is_file():
            yield _unfinished(directory)


def _whole(manifest: Manifest) -> Line:
    sessions = {int(number): Cost(**cost) for number, cost in manifest.extra.get("sessions", {}).items()}
    place = (manifest.section, manifest.name, manifest.key, manifest.model)
    return Line(*place, WHOLE, manifest.rows, Cost(**manifest.cost), 0, sessions)


def _unfinished(directory: Path) -> Line:
    """A step without a manifest: its parts say what was paid. Its section is known once it is whole."""
    found = [part for part in parts.find(directory) if part.is_whole()]
    name, _, key = directory.name.rpartition("-")
    cost = sum((Cost(**part.cost()) for part in found), Cost())
    rows = sum(part.count() for part in found if part.table == "rows")
    return Line("", name, key, None, UNFINISHED, rows, cost, 0, by_session(found))


def _training(training: Training) -> Line:
    place, result = (training.section, TRAIN, training.key, training.key), training.result
    if result is None:
        return Line(*place, UNFINISHED, 0, Cost())
    if result.part_of is not None:  # what it took is told of the training that passed it
        return Line(*place, WHOLE, result.pairs_used, Cost())
    return Line(*place, WHOLE, result.pairs_used, Cost(seconds=result.seconds), result.tokens)


def _unused(line: Line) -> Line:
    return replace(line, state=NOT_USED) if line.state == WHOLE else line


def _unshared(line: Line) -> Cost:
    """What a step would have cost had no row been taken over."""
    paid = line.rows - line.cost.reused
    if line.step == TRAIN or paid <= 0:
        return line.cost
    share = line.rows / paid
    tokens = (round(line.cost.prompt_tokens * share), round(line.cost.output_tokens * share))
    return Cost(line.cost.seconds * share, *tokens, round(line.cost.calls * share))


def _plain(line: Line) -> dict[str, Any]:
    sessions = {number: asdict(cost) for number, cost in (line.sessions or {}).items()}
    own = {name: getattr(line, name) for name in ("section", "step", "key", "model", "state", "rows")}
    return {**own, **asdict(line.cost), "trained_tokens": line.trained_tokens, "sessions": sessions}


def _session(record: Record, cost: Cost | None) -> dict[str, Any]:
    """`seconds` are wall seconds; of a session without an end, those of which is known."""
    names = ("started", "ended", "seconds")
    own = {"session": record.number, "outcome": record.outcome}
    own |= {name: record.facts.get(name) for name in names}
    return {**own, "paid": asdict(cost or Cost())}
