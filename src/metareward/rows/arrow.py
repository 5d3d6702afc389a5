"""Rows of Parquet files and of folders that `save_to_disk` wrote: the columns that are needed, bit by bit."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet as pq

from metareward import files
from metareward.errors import DataError
from metareward.rows.base import BadRow, Row
from metareward.rows.lines import check_columns
from metareward.settings import shown

DATASET = ("state.json", "dataset_info.json")
_SPLITS = "dataset_dict.json"
_BATCH = 64  # rows in memory at a time: one text that a dictionary repeats is whole in each of them
_BATCH_BYTES = 32 * 2**20
_LONGEST = 64 * 2**20  # bytes of the prompt of a row, as of a line of JSON
_BOMB_BYTES, _BOMB_RATIO = 256 * 2**20, 500
_ODD = "a value that cannot be read"


def parquet_rows(path: Path, name: str, wanted: Sequence[str] | None = None) -> Iterator[Row]:
    """The `wanted` columns (None: all) of each row; of a file with none of them a row of names alone."""
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            names = file.schema_arrow.names
            check_columns(names, name)
            wanted = names if wanted is None else wanted
            if not set(names) & set(wanted):
                yield from [(f"{name}:1", dict.fromkeys(names))] if file.metadata.num_rows else []
                return
            leaves = _leaves(file.schema, wanted)
            _check_size(file.metadata, leaves, path, name)
            for group in range(file.metadata.num_row_groups):
                size = _batch_size(file.metadata.row_group(group), leaves)
                for batch in file.iter_batches(size, row_groups=[group], columns=leaves, use_threads=False):
                    yield from _plain(batch, name, number)
                    number += batch.num_rows
    except pa.ArrowException as error:
        raise DataError(
            f"{name}: cannot be read as Parquet: {error} (after row {number}); copy or write it again"
        ) from None


def _leaves(schema: pq.ParquetSchema, wanted: Sequence[str]) -> list[str]:
    """The stored columns below the `wanted` ones; within messages no dates and no bytes, as of pictures."""
    found = []
    for number in range(len(schema.names)):
        column = schema.column(number)
        root, nested, _ = column.path.partition(".")
        odd = column.physical_type in ("BYTE_ARRAY", "FIXED_LEN_BYTE_ARRAY", "INT96")
        odd = odd and column.logical_type.type not in ("STRING", "JSON", "ENUM")
        odd = odd or column.logical_type.type in ("TIMESTAMP", "DATE", "TIME")
        if root in wanted and not (nested and odd):
            found.append(column.path)
    return found


def _check_size(metadata: pq.FileMetaData, leaves: Iterable[str], path: Path, name: str) -> None:
    """Refuse what would fill the memory before it is unpacked."""
    total = 0
    for number in range(metadata.num_row_groups):
        group = metadata.row_group(number)
        size = _unpacked(group, leaves)
        total += size
        if size > _LONGEST * max(group.num_rows, 1):
            raise DataError(
                f"{name}: rows of more than {_LONGEST:,} bytes each ({size:,} in {group.num_rows}); split or "
                "remove them"
            )
    packed = path.stat().st_size
    if total > _BOMB_BYTES and total > _BOMB_RATIO * packed:
        raise DataError(
            f"{name}: its {packed:,} bytes unpack to {total:,} bytes of prompts; is it the right file?"
        )


def _unpacked(group: pq.RowGroupMetaData, leaves: Iterable[str]) -> int:
    chosen = set(leaves)
    columns = (group.column(number) for number in range(group.num_columns))
    return sum(column.total_uncompressed_size for column in columns if column.path_in_schema in chosen)


def _batch_size(group: pq.RowGroupMetaData, leaves: Iterable[str]) -> int:
    each = _unpacked(group, leaves) // max(group.num_rows, 1)
    return max(1, min(_BATCH, _BATCH_BYTES // max(each, 1)))


def _plain(batch: pa.RecordBatch, name: str, before: int) -> Iterator[Row]:
    """One row after the other, so that a value that Python cannot hold harms its own row alone."""
    for number in range(batch.num_rows):
        where = f"{name}:{before + number + 1}"
        try:
            yield where, batch.slice(number, 1).to_pylist()[0]
        except UnicodeDecodeError as error:
            told = f"{where}: a text is not UTF-8 ({error.reason}); mend or remove it"
            yield where, BadRow("not UTF-8", told)
        except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:
            told = f"{where}: a value in it cannot be read ({str(error)[:80]}); mend or remove it"
            yield where, BadRow(_ODD, told)


def is_saved(path: Path) -> bool:
    """Whether a directory is one that `save_to_disk` of `datasets` wrote."""
    return (path / _SPLITS).is_file() or all((path / name).is_file() for name in DATASET)


def saved_parts(path: Path, split: str) -> list[Path]:
    """The Arrow files of a saved dataset, or of one split of several, in order. DataError if damaged."""
    if (path / _SPLITS).is_file():
        splits = _json(path / _SPLITS).get("splits")
        if not isinstance(splits, list) or split not in splits or Path(split).name != split:
            known = ", ".join(map(shown, splits)) if isinstance(splits, list) else "none"
            raise DataError(f"{path}: has no split {shown(split)}; there are {known} (prompts.split)")
        path = path / split
    named = _json(path / "state.json").get("_data_files")
    try:
        names = [entry["filename"] for entry in named]  # type: ignore[union-attr]
    except (TypeError, KeyError):
        names = []
    if not names or not all(isinstance(name, str) and Path(name).name == name for name in names):
        raise DataError(f"{path}: state.json does not name the files of the dataset; save it again")
    return [path / name for name in names]


def saved_rows(parts: Iterable[Path], name: str, wanted: Sequence[str]) -> Iterator[Row]:
    """The `wanted` columns of each row of a saved dataset."""
    number = 0
    for part in parts:
        try:
            files.check_plain(part)
            with pa.memory_map(str(part)) as source:
                schema = pa.ipc.open_stream(source).schema
                check_columns(schema.names, name)
                kept = [place for place, column in enumerate(schema.names) if column in wanted]
                if not kept:
                    yield f"{name}:1", dict.fromkeys(schema.names)
                    return
                source.seek(0)
                options = pa.ipc.IpcReadOptions(included_fields=kept)
                for batch in pa.ipc.open_stream(source, options=options):
                    yield from _plain(batch, name, number)
                    number += batch.num_rows
        except files.UnreadableError as error:
            raise DataError(f"{part}: {error}") from None
        except pa.ArrowException as error:
            raise DataError(f"{part}: cannot be read as Arrow: {error} (after row {number})") from None


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(files.read_text(file))
    except (files.UnreadableError, ValueError, RecursionError) as error:
        raise DataError(f"{file}: cannot be used: {error}; save the dataset again") from None
    return content if isinstance(content, dict) else {}
