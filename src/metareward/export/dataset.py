"""A run's data as a dataset folder that `datasets.load_dataset` and TRL's DPOTrainer take as it is.

Rows are streamed from the run's parts into Parquet files; the folder appears whole or not at all.
"""

import errno
import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from enum import Enum
from itertools import chain, islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from metareward.errors import StoreError, UserError
from metareward.export.card import SPLITS, iteration_of, split_of, write_card
from metareward.ids import file_digest
from metareward.records import Battle, Judgment, Message, PreferencePair, Prompt, Response, Role
from metareward.settings import path_of
from metareward.show.archive import KINDS, ids_of
from metareward.stages.cap import WeighJudgePairs
from metareward.store import Artifact, Ids, Manifest, Store, columns

_BATCH = 512  # rows in memory, and in a row group
_FILE_ROWS = 100_000
_NO_PLACE = (errno.ENOENT, errno.ENOTDIR, errno.EEXIST)
_SURROGATE = re.compile("[\ud800-\udfff]")
_PLACE = [("section", pa.string()), ("iteration", pa.int64()), ("step_key", pa.string())]
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_SCORES = [(name, pa.float64()) for name in ("chosen_score", "rejected_score", "weight", "certainty")]
_IDS = [(name, pa.string()) for name in ("chosen_id", "rejected_id", "pair_id", "prompt_id", "response_id")]
_PAIR = pa.schema(
    [
        *[(name, _MESSAGES) for name in ("prompt", "chosen", "rejected")],
        ("role", pa.string()),
        *_PLACE,
        *_SCORES,
        *_IDS,
    ]
)

Step = tuple[Path, Manifest]


@dataclass(frozen=True)
class Exported:
    """The files that were written, and the rows of each config that has any."""

    files: tuple[Path, ...]
    counts: Mapping[str, int]


def export_run(run_directory: Path | str, target: Path | str) -> Exported:
    """Write the finished steps of a run as a dataset folder.

    Configs: `pairs` (the default; TRL's conversational preference format), `actor_pairs`, `judge_pairs`,
    `responses`, `judgments`, `battles`, `prompts`; one without rows is left out. What was asked about
    held-out prompts is in the split `held_out`, all else in `train`. Lone surrogates become U+FFFD.
    Raises UserError if `target` is not empty or the run has nothing to export, StoreError if a file of
    the run is damaged or the target cannot be written.
    """
    run_directory = path_of(run_directory, "a run's directory")
    target = path_of(target, "a dataset's folder")
    inside = target.absolute()
    if any(
        (run_directory / name).absolute() in (inside, *inside.parents) for name in ("artifacts", "models")
    ):
        raise UserError(f"{target} lies among the files of the run; name a directory outside {run_directory}")
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty; name a directory that is empty or does not exist")
    found = [
        (path, step) for path, step in Store(run_directory).manifests(current=True) if step.record in KINDS
    ]
    steps = sorted(found, key=lambda item: _order(item[1]))
    if not any(step.rows for _, step in steps if step.record != "Prompt"):
        raise UserError(f"{run_directory} holds no finished step of a run, so there is nothing to export")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        _sweep(target)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=_aside(target)) as aside:
            folder = Path(aside) / "dataset"
            counts = _write_tables(steps, folder)
            write_card(folder, run_directory, [step for _, step in steps], counts)
            folder.replace(target)
    except OSError as error:
        if error.errno in _NO_PLACE:
            raise UserError(f"{target}: cannot be made: {error.strerror}; name another directory") from error
        raise StoreError(
            f"{target}: cannot write: {error.strerror or error}; mend that and export again"
        ) from error
    return Exported(tuple(sorted(path for path in target.rglob("*") if path.is_file())), counts)


def _aside(target: Path) -> str:
    return f".{target.name}.export-{os.getpid()}-"


def _sweep(target: Path) -> None:
    """Remove what exports to this place left behind that were killed."""
    left = re.compile(rf"\.{re.escape(target.name)}\.export-(\d+)-[a-z0-9_]+")
    for path in target.parent.iterdir():
        match = left.fullmatch(path.name)
        if match and path.is_dir() and not path.is_symlink() and not _lives(int(match[1])):
            shutil.rmtree(path, ignore_errors=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:
        pass  # it is somebody else's
    return True


def _order(step: Manifest) -> tuple[Any, ...]:
    """Iterations first, then what was held out; in each the steps as the recipe takes them."""
    kind = list(KINDS).index(step.record)
    return iteration_of(step, last=True), step.section, kind, step.model is None, step.key


def _write_tables(steps: Sequence[Step], folder: Path) -> dict[str, int]:
    tables: dict[str, tuple[type[Any], Role | None]] = {
        "actor_pairs": (PreferencePair, Role.ACTOR),
        "judge_pairs": (PreferencePair, Role.JUDGE),
        "responses": (Response, None),
        "judgments": (Judgment, None),
        "battles": (Battle, None),
    }
    counts = {}
    for name, (record, role) in tables.items():
        schema = _PAIR if record is PreferencePair else _schema(record)
        counts[name] = sum(
            _write_files(folder / name, split, schema, _rows(steps, record, role, split)) for split in SPLITS
        )
    counts["prompts"] = sum(
        _write_files(folder / "prompts", split, _schema(Prompt), _prompts(steps, split)) for split in SPLITS
    )
    pairs = counts["actor_pairs"] + counts["judge_pairs"]
    return {name: count for name, count in {"pairs": pairs, **counts}.items() if count}


def _write_files(folder: Path, split: str, schema: pa.Schema, rows: Iterator[dict[str, Any]]) -> int:
    """Write all rows with one batch of them in memory; returns their number."""
    total = 0
    for number, first in enumerate(iter(lambda: list(islice(rows, 1)), [])):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{split}-{number:05d}.parquet"
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            total += _fill(writer, schema, chain(first, islice(rows, _FILE_ROWS - 1)))
    return total


def _fill(writer: pq.ParquetWriter, schema: pa.Schema, rows: Iterable[dict[str, Any]]) -> int:
    rows, written = iter(rows), 0
    while batch := list(islice(rows, _BATCH)):
        writer.write_table(pa.Table.from_pylist(batch, schema=schema))
        written += len(batch)
    return written


def _prompts(steps: Sequence[Step], split: str) -> Iterator[dict[str, Any]]:
    """The prompts of a split, each once, with the first section that asked about them."""
    given: set[str] = set()
    for directory, step in (item for item in steps if item[1].record == Prompt.__name__):
        users = [user for _, user in steps if step.key in user.inputs]
        if not users or split_of(users[0]) != split:
            continue
        _require_whole(directory, step)
        place = {"section": users[0].section, "iteration": iteration_of(users[0]), "step_key": step.key}
        for row in Artifact(directory, step.key, Prompt):
            if row.id not in given:
                given.add(row.id)
                yield {**_plain(row), **place}


def _rows(
    steps: Sequence[Step], record: type[Any], role: Role | None, split: str
) -> Iterator[dict[str, Any]]:
    """The rows of a kind that models or pair rules gave, each id once (steps may share rows).

    Pairs that were weighed for a training are given with that weight, and not a second time without it.
    """
    plain: Callable[[Any], dict[str, Any]] = _plain_pair if record is PreferencePair else _plain
    given = [s for s in steps if s[1].record == record.__name__]
    given = [s for s in given if s[1].model is not None or record is PreferencePair]
    weighed = {key for _, s in given if s.name == WeighJudgePairs.name for key in s.inputs[:1]}
    given = [s for s in given if s[1].key not in weighed]
    for number, (directory, step) in enumerate(given):
        if split_of(step) != split:
            continue
        _require_whole(directory, step)
        place = {"section": step.section, "iteration": iteration_of(step), "step_key": step.key}
        repeated = _repeated((directory, step), given[:number])
        for row in Artifact(directory, step.key, record):
            if row.id not in repeated and (role is None or row.role is role):
                yield {**plain(row), **place}


def _repeated(step: Step, earlier: Sequence[Step]) -> Ids:
    """Ids of a step's rows that were already given by an earlier step which asked the same."""
    siblings = [ids_of(*other) for other in earlier if other[1].question_key == step[1].question_key]
    if not siblings:
        return Ids(())
    ids = ids_of(*step)
    again = pc.is_in(ids, value_set=pa.concat_arrays(siblings))  # type: ignore[attr-defined]
    return Ids(one.as_py() for one in ids.filter(again))


def _require_whole(directory: Path, step: Manifest) -> None:
    for name, digest in step.parts.items():
        path = directory / name
        if not path.is_file() or not file_digest(path).startswith(digest):
            raise StoreError(f"{path}: damaged or missing; run the config again to mend it, then export")


def _schema(record: type[Any]) -> pa.Schema:
    own = [item for item in columns.schema_of(record) if item.name != columns.POSITION]
    return pa.schema([*[item.with_nullable(True) for item in own], *[pa.field(*place) for place in _PLACE]])


def _plain_pair(pair: PreferencePair) -> dict[str, Any]:
    return {
        "prompt": _plain_value(pair.messages),
        "chosen": _plain_value((Message("assistant", pair.chosen),)),
        "rejected": _plain_value((Message("assistant", pair.rejected),)),
        "role": pair.role.value,
        "chosen_score": pair.chosen_score,
        "rejected_score": pair.rejected_score,
        "weight": pair.weight,
        "certainty": pair.certainty,
        "chosen_id": pair.chosen_id,
        "rejected_id": pair.rejected_id,
        "pair_id": pair.id,
        "prompt_id": pair.prompt_id,
        "response_id": pair.response_id,
    }


def _plain(row: Any) -> dict[str, Any]:
    return {item.name: _plain_value(getattr(row, item.name)) for item in fields(row)}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return _SURROGATE.sub("\ufffd", value)
    if isinstance(value, tuple) and value and isinstance(value[0], Message):
        return [{"role": turn.role, "content": _plain_value(turn.content)} for turn in value]
    return value
