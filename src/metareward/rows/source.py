"""Which reader a source of prompts needs: the shipped set, a file, a saved folder, or a hub dataset."""

import hashlib
import re
from collections.abc import Callable, Iterator, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from metareward import files
from metareward.errors import DataError
from metareward.ids import file_digest
from metareward.problems import ARITHMETIC, FOR_TRAINING, arithmetic
from metareward.provenance.data import hub_revision
from metareward.rows import arrow, lines
from metareward.rows.base import Row
from metareward.settings import shown

SHIPPED = "shipped"
_SETS = (SHIPPED, ARITHMETIC)
_TEXTS: dict[str, Callable[[Path, str], Iterator[Row]]] = {
    ".jsonl": lines.json_lines,
    ".json": lines.json_array,
    ".csv": lines.table,
    ".tsv": lines.table,
    ".txt": lines.plain_lines,
}
SUFFIXES = (*_TEXTS, ".parquet")
_PACKED = (".gz", ".zst", ".bz2", ".xz", ".zip", ".tar", ".tgz", ".7z")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


def rows_of(
    source: str,
    split: str,
    base: Path,
    about: dict[str, Any] | None = None,
    wanted: Sequence[str] = (),
) -> Iterator[Row]:
    """The rows of a set that ships, a file or a hub dataset; DataError names what cannot be read.

    about: is told the `sha256` of a file, or the `revision` of a hub dataset, once its rows were read.
    wanted: the columns that are needed; of a file that keeps columns apart no other one is read.
    """
    about = {} if about is None else about
    if source == SHIPPED:
        with resources.as_file(resources.files("metareward").joinpath("prompts", "shipped.jsonl")) as path:
            yield from lines.json_lines(path, SHIPPED)
            about["sha256"] = file_digest(path)
        return
    if source == ARITHMETIC:
        for number, problem in enumerate(arithmetic()[:FOR_TRAINING], 1):
            yield f"{ARITHMETIC}:{number}", {"prompt": problem.question}
        return
    path = _path(source, base)
    if not at_hand(source, base):
        yield from _hub_rows(source, split, about, wanted)
    elif path.is_dir() and arrow.is_saved(path):
        parts = arrow.saved_parts(path, split)
        yield from arrow.saved_rows(parts, path.name, wanted)
        digests = [file_digest(part) for part in parts]
        about["sha256"] = hashlib.sha256("".join(digests).encode()).hexdigest()
    else:
        yield from _file_rows(path, split, wanted)
        about["sha256"] = file_digest(path)


def at_hand(source: str, base: Path) -> bool:
    """Whether a source lies on this machine; if not, it is the id of a hub dataset. DataError if neither."""
    if source in _SETS:
        return True
    path = _path(source, base)
    return _form(path) in SUFFIXES or not _HUB_ID.fullmatch(source) or path.exists()


def _path(source: str, base: Path) -> Path:
    if "://" in source:
        hub = " (of a hub dataset give the id alone: owner/name)" if source.startswith("hf:") else ""
        raise DataError(f"prompts.source: {shown(source)} is an address; download it and name the file{hub}")
    try:
        return base / Path(source).expanduser()
    except RuntimeError:
        raise DataError(f"prompts.source: there is no home directory for {shown(source)}") from None


def _form(path: Path) -> str:
    """The end of a file's name, without that of gzip where what is in it is a known text."""
    inner = Path(path.stem).suffix.lower()
    return inner if path.suffix.lower() == ".gz" and inner in _TEXTS else path.suffix.lower()


def _file_rows(path: Path, split: str, wanted: Sequence[str]) -> Iterator[Row]:
    try:
        files.check_plain(path)
    except files.UnreadableError as error:
        raise DataError(f"{path}: {error} ({_takes(path, str(error))})") from None
    form = _form(path)
    if form not in SUFFIXES:
        packed = " Unpack it first." if form in _PACKED else ""
        raise DataError(
            f"{path}: a file of prompts must end in {', '.join(SUFFIXES)}, not {path.suffix!r}.{packed}"
        )
    if split != "train":
        raise DataError(
            f"prompts.split: {path} is one file and has no split {shown(split)}; leave split out, or name "
            "the file of that split"
        )
    try:
        if form == ".parquet":
            yield from arrow.parquet_rows(path, path.name, wanted)
        else:
            yield from _TEXTS[form](path, path.name)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _takes(path: Path, error: str) -> str:
    wanted = "'shipped', a file" if "no such" in error else "a file"
    return f"prompts.source takes {wanted} that ends in {', '.join(SUFFIXES)}, or the id of a hub dataset"


def _hub_rows(source: str, split: str, about: dict[str, Any], wanted: Sequence[str]) -> Iterator[Row]:
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
    names = getattr(rows, "column_names", None) or []
    if kept := [name for name in names if name in wanted]:
        rows = rows.select_columns(kept)  # pictures elsewhere are not even decoded
    yield from ((f"{source}:{number}", row) for number, row in enumerate(rows, 1))
