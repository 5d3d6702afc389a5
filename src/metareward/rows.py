"""Rows of prompts as they lie in files and datasets, each with its place; nothing of them is believed yet."""

import json
import re
from collections.abc import Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metareward import files
from metareward.errors import DataError
from metareward.ids import file_digest
from metareward.problems import ARITHMETIC, FOR_TRAINING, arithmetic
from metareward.provenance.data import hub_revision
from metareward.settings import shown

SHIPPED = "shipped"
SHIPPED_SETS = (SHIPPED, ARITHMETIC)
SUFFIXES = (".jsonl", ".json", ".parquet")
_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_BATCH = 512  # rows of a Parquet file in memory at a time
_LONGEST_LINE = 64 * 2**20
_LARGEST_ARRAY = 2**30

Row = tuple[str, Any]
"""Where a row stands ("prompts.jsonl:12"), and the row."""


def rows_of(source: str, split: str, base: Path, about: dict[str, Any] | None = None) -> Iterator[Row]:
    """The rows of a set that ships, a file or a hub dataset; DataError names what cannot be read.

    about: is told the `sha256` of a file, or the `revision` of a hub dataset, once its rows were read.
    """
    about = {} if about is None else about
    if source == SHIPPED:
        with resources.as_file(resources.files("metareward").joinpath("prompts", "shipped.jsonl")) as path:
            yield from _json_lines(path, SHIPPED)
            about["sha256"] = file_digest(path)
        return
    if source == ARITHMETIC:
        for number, problem in enumerate(arithmetic()[:FOR_TRAINING], 1):
            yield f"{ARITHMETIC}:{number}", {"prompt": problem.question}
        return
    path = _path(source, base)
    if _suffix(path) in SUFFIXES or not _HUB_ID.fullmatch(source) or path.exists():
        yield from _file_rows(path)
        about["sha256"] = file_digest(path)
    else:
        yield from _hub_rows(source, split, about)


def _path(source: str, base: Path) -> Path:
    if "://" in source:
        raise DataError(f"prompts.source: {shown(source)} is an address; download it and name the file")
    try:
        return base / Path(source).expanduser()
    except RuntimeError:
        raise DataError(f"prompts.source: there is no home directory for {shown(source)}") from None


def _suffix(path: Path) -> str:
    return path.suffix.lower()


def _file_rows(path: Path) -> Iterator[Row]:
    read = {".jsonl": _json_lines, ".json": _json_array, ".parquet": _parquet_rows}.get(_suffix(path))
    try:
        files.check_plain(path)
    except files.UnreadableError as error:
        wanted = "'shipped', a file" if "no such" in str(error) else "a file"
        raise DataError(
            f"{path}: {error} (prompts.source takes {wanted} that ends in {', '.join(SUFFIXES)}, or the id "
            "of a hub dataset)"
        ) from None
    if read is None:
        packed = " Unpack it first." if _suffix(path) in _PACKED else ""
        raise DataError(
            f"{path}: a file of prompts must end in {', '.join(SUFFIXES)}, not {path.suffix!r}.{packed}"
        )
    try:
        yield from read(path, path.name)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _json_lines(path: Path, name: str) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(iter(lambda: lines.readline(_LONGEST_LINE + 1), b""), 1):
            where = f"{name}:{number}"
            if len(line) > _LONGEST_LINE:
                raise DataError(
                    f"{where}: the line has more than {_LONGEST_LINE:,} bytes; split or remove it"
                )
            text = _decoded(line, where)
            if text.strip():
                yield where, _parsed(text, where, _line_hint(text))


def _json_array(path: Path, name: str) -> Iterator[Row]:
    try:
        text = files.read_text(path, _LARGEST_ARRAY)
    except files.UnreadableError as error:
        raise DataError(f"{name}: {error}") from None
    rows = _parsed(text, name, "; the file must be one array [row, row, ...]; one row a line is .jsonl")
    if not isinstance(rows, list):
        raise DataError(f"{name}: must be a JSON array of rows, not {kind(rows)}; one row a line is .jsonl")
    yield from ((f"{name}:{number}", row) for number, row in enumerate(rows, 1))


def _parquet_rows(path: Path, name: str) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            _check_columns(file.schema_arrow.names, name)
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{name}:{number}", row
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: a text after row {number} is not UTF-8 ({error.reason})") from None
    except pa.ArrowException as error:
        raise DataError(
            f"{name}: cannot be read as Parquet: {error} (after row {number}); copy or write it again"
        ) from None


def _check_columns(names: Sequence[str], where: str) -> None:
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{where}: two columns are called {shown(twice[0])}; rename or remove one")


def _hub_rows(source: str, split: str, about: dict[str, Any]) -> Iterator[Row]:
    try:
        import datasets
    except ImportError:
        raise DataError(
            f"{source!r} is no file, and reading hub datasets needs `datasets`: install metareward[train], "
            "or give a .jsonl, .json or .parquet file"
        ) from None
    try:
        rows = datasets.load_dataset(source, split=split)
    except Exception as error:  # noqa: BLE001 - the hub client raises what its many layers raise
        raise DataError(
            f"{source!r} is no file here, and as a hub dataset it cannot be loaded (split {split!r}): "
            f"{type(error).__name__}: {error}. Check the spelling and the network, or download it elsewhere "
            "and give it as a .jsonl or .parquet file."
        ) from None
    about["revision"] = hub_revision(rows)
    yield from ((f"{source}:{number}", row) for number, row in enumerate(rows, 1))


def _decoded(data: bytes, where: str) -> str:
    try:
        return files.decode(data)
    except files.UnreadableError as error:
        raise DataError(f"{where}: {error}") from None


def _parsed(text: str, where: str, hint: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_object)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError(f"{where}: not JSON: {error.msg} ({place}column {error.colno}){hint}") from None
    except RecursionError:
        raise DataError(f"{where}: not usable JSON: nested too deeply; mend or remove the row") from None
    except ValueError as error:
        told = str(error).partition(";")[0]
        raise DataError(f"{where}: not usable JSON: {told}; mend or remove the row") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Of a name given twice JSON keeps the last, which the writer of the row may not know."""
    row = dict(pairs)
    if len(row) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"{shown(next(name for name in row if names.count(name) > 1))} is given twice")
    return row


def _line_hint(text: str) -> str:
    if text.lstrip().startswith("["):
        return "; this looks like a JSON array, whose file must end in .json"
    comma = ", and no comma after it" if text.rstrip().endswith(",") else ""
    return f"; each line must be one JSON object{comma}"


def kind(value: Any) -> str:
    """What a value of JSON or Parquet is called."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    names |= {int: "a number", float: "a number", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")
