"""A run's data as a dataset folder that `datasets.load_dataset` and TRL's DPOTrainer take as it is.

Rows are streamed from the run's parts into Parquet files; the folder appears whole or not at all.
"""

import re
import tempfile
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metareward.archive import KINDS
from metareward.card import card
from metareward.errors import StoreError, UserError
from metareward.ids import file_digest
from metareward.records import Message, PreferencePair, Role
from metareward.store import Artifact, Manifest, Store, columns

_BATCH = 512  # rows in memory, and in a row group
_FILE_ROWS = 100_000
_SURROGATE = re.compile("[\ud800-\udfff]")
_SECTION = [pa.field("section", pa.string()), pa.field("iteration", pa.int64())]
_ITERATION = re.compile(r"iteration (\d+)")
_MESSAGES = pa.list_(pa.struct([("role", pa.string()), ("content", pa.string())]))
_PAIR = pa.schema(
    [
        *((name, _MESSAGES) for name in ("prompt", "chosen", "rejected")),
        ("role", pa.string()),
        *_SECTION,
        *((name, pa.float64()) for name in ("chosen_score", "rejected_score")),
        *((name, pa.string()) for name in ("chosen_id", "rejected_id", "pair_id", "prompt_id", "response_id")),
    ]
)

Step = tuple[Path, Manifest]


@dataclass(frozen=True)
class Exported:
    """The files that were written, and the rows of each config."""

    files: tuple[Path, ...]
    counts: Mapping[str, int]


@dataclass(frozen=True)
class _Table:
    """One config: which rows it takes, and how a row looks in it."""

    name: str
    record: str
    schema: pa.Schema
    plain: Callable[[Any, str], dict[str, Any]]
    role: Role | None = None


@dataclass
class _Shards:
    """Files of one config, a new one every so many rows."""

    folder: Path
    schema: pa.Schema
    files: list[Path] = field(default_factory=list)
    rows: int = 0

    def write(self, rows: Iterable[dict[str, Any]]) -> None:
        """Write all rows, holding one batch in memory."""
        rows = iter(rows)
        while (batch := list(islice(rows, _BATCH))) and self._shard(batch, rows):
            pass

    def _shard(self, batch: list[dict[str, Any]], rows: Iterator[dict[str, Any]]) -> bool:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"train-{len(self.files):05d}.parquet"
        self.files.append(path)
        room = _FILE_ROWS
        with pq.ParquetWriter(path, self.schema, compression="zstd") as writer:
            while batch and room > 0:
                writer.write_table(pa.Table.from_pylist(batch, schema=self.schema))
                self.rows, room = self.rows + len(batch), room - len(batch)
                batch = list(islice(rows, min(_BATCH, room)))
        return True


def export(run_directory: Path, target: Path) -> Exported:
    """Write the finished steps of a run as a dataset folder.

    Configs: `pairs` (the default; TRL's conversational preference format), `actor_pairs`, `judge_pairs`,
    `responses`, `judgments`, `battles`; one without rows is left out. Lone surrogates become U+FFFD.
    Raises UserError if `target` is not empty or the run has nothing to export, StoreError if a file of
    the run is damaged or the target cannot be written.
    """
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UserError(f"{target} exists and is not empty; name a directory that is empty or does not exist")
    steps = [(path, step) for path, step in Store(run_directory).manifests() if step.record in KINDS]
    if not any(step.rows for _, step in steps if step.record != "Prompt"):
        raise UserError(f"{run_directory} holds no finished step of a run, so there is nothing to export")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.") as aside:
            folder = Path(aside) / "dataset"
            counts = _write(steps, folder)
            (folder / "README.md").write_text(card(run_directory, steps, counts), encoding="utf-8")
            folder.replace(target)
    except OSError as error:
        raise StoreError(f"{target}: cannot write: {error.strerror or error}") from error
    return Exported(tuple(sorted(path for path in target.rglob("*") if path.is_file())), counts)
