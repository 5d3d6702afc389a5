"""Where prompts come from: the shipped set, a file, or a hub dataset; each bad row named by its line.

Prompts are data: their text is kept as it is, and equal conversations have equal ids.
"""

import json
import random
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from metareward.errors import DataError
from metareward.ids import file_digest, fingerprint
from metareward.provenance.data import hub_revision
from metareward.records import Message, Prompt
from metareward.settings import require

SHIPPED = "shipped"
_SUFFIXES = (".jsonl", ".json", ".parquet")
_COLUMNS = ("prompt", "messages", "instruction")
_ROLES = ("system", "user", "assistant")
_HUB_ID = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")
_BATCH = 512  # rows of a Parquet file in memory at a time
_DUPLICATE = "duplicate prompt"
_FORMS = (
    'a row is {"prompt": text or messages}, {"messages": [...]}, {"instruction": text, "input": text}, '
    "or a text alone"
)

Row = tuple[str, Any]
"""Where a row stands ("prompts.jsonl:12"), and the row."""


@dataclass(frozen=True)
class Loaded:
    """The distinct prompts of a source, in its order; len(prompts) + sum of `dropped` is its rows.

    about: what names the content: `sha256` of a file, or the `revision` of a hub dataset where known.
    """

    prompts: list[Prompt]
    dropped: dict[str, int]
    about: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Split:
    """Prompts shared out: every prompt is in one batch, held out, or one of the `unused`."""

    batches: list[list[Prompt]]
    held_out: list[Prompt]
    unused: int


def load_prompts(
    source: str, *, split: str = "train", column: str | None = None, base: Path | None = None
) -> Loaded:
    """Read all prompts of `source`; DataError names the file and line of what cannot be used.

    source: "shipped", a .jsonl, .json or .parquet file (relative to `base`, by default the working
        directory), or the id of a hub dataset. split: of a hub dataset. column: where a row keeps its
        prompt (a text or a list of messages), if not in `prompt`, `messages` or `instruction`.
    """
    seen: dict[str, Prompt] = {}
    rows, about = 0, {}
    for where, row in _rows(source, split, base or Path(), about):
        prompt = prompt_of(_conversation(row, column, where), where)
        seen.setdefault(prompt.id, prompt)
        rows += 1
    if not rows:
        raise DataError(f"{source}: there are no prompts in it; {_FORMS}")
    duplicates = rows - len(seen)
    return Loaded(list(seen.values()), {_DUPLICATE: duplicates} if duplicates else {}, about)


def prompt_of(conversation: str | Sequence[Message], source: str = "") -> Prompt:
    """A prompt from one text or from messages; equal conversations have equal ids.

    source: where it came from. Raises DataError if a turn is blank or the last is not the user's.
    """
    turns = [Message("user", conversation)] if isinstance(conversation, str) else list(conversation)
    messages = _checked(turns, source or "prompt")
    return Prompt(fingerprint("prompt", messages), messages, source)


def split_prompts(
    prompts: Sequence[Prompt], iterations: int, per_iteration: int | None, held_out: int, seed: int
) -> Split:
    """Shuffle by `seed`, set `held_out` prompts apart, and cut the rest into disjoint batches in turn.

    per_iteration: None shares the rest out equally. A larger number extends the first batch at its end
    and leaves the held-out prompts as they are. Raises DataError when there are too few prompts.
    """
    require(iterations >= 1, "iterations", "at least 1", iterations)
    require(per_iteration is None or per_iteration >= 1, "prompts.per_iteration", "at least 1", per_iteration)
    require(held_out >= 0, "prompts.held_out", "0 or more", held_out)
    needed = held_out + iterations * (per_iteration or 1)
    if needed > len(prompts):
        raise DataError(
            f"{iterations} iterations of {per_iteration or 'at least 1'} prompts and {held_out} held out "
            f"need {needed} prompts, and there are {len(prompts)}; lower per_iteration or held_out in "
            "[prompts], or give more prompts"
        )
    shuffled = list(prompts)
    random.Random(seed).shuffle(shuffled)
    size = per_iteration or (len(shuffled) - held_out) // iterations
    starts = range(held_out, held_out + iterations * size, size)
    batches = [shuffled[start : start + size] for start in starts]
    return Split(batches, shuffled[:held_out], len(shuffled) - held_out - iterations * size)


def _rows(source: str, split: str, base: Path, about: dict[str, Any]) -> Iterator[Row]:
    if source == SHIPPED:
        with resources.as_file(resources.files("metareward").joinpath("prompts", "shipped.jsonl")) as path:
            about["sha256"] = file_digest(path)
            yield from _json_lines(path, SHIPPED)
        return
    path = base / Path(source).expanduser()
    if path.suffix in _SUFFIXES or path.exists() or not _HUB_ID.fullmatch(source):
        yield from _file_rows(path)
        about["sha256"] = file_digest(path)
    else:
        yield from _hub_rows(source, split, about)


def _file_rows(path: Path) -> Iterator[Row]:
    read = {".jsonl": _json_lines, ".json": _json_array, ".parquet": _parquet_rows}.get(path.suffix)
    if path.is_dir():
        raise DataError(f"{path} is a directory; name one file in it ({', '.join(_SUFFIXES)})")
    if not path.exists():
        raise DataError(f"{path}: there is no such file; give 'shipped', a file, or the id of a hub dataset")
    if read is None:
        raise DataError(f"{path}: a file of prompts must end in {', '.join(_SUFFIXES)}, not {path.suffix!r}")
    try:
        yield from read(path, path.name)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror or error}") from None


def _json_lines(path: Path, name: str) -> Iterator[Row]:
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            where = f"{name}:{number}"
            text = _decoded(line, where)
            if text.strip():
                yield where, _parsed(text, where)


def _json_array(path: Path, name: str) -> Iterator[Row]:
    rows = _parsed(_decoded(path.read_bytes(), name), name)
    if not isinstance(rows, list):
        raise DataError(f"{name}: must be a JSON array of rows, not {_kind(rows)}; one row a line is .jsonl")
    yield from ((f"{name}:{number}", row) for number, row in enumerate(rows, 1))


def _parquet_rows(path: Path, name: str) -> Iterator[Row]:
    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(_BATCH):
                for row in batch.to_pylist():
                    number += 1
                    yield f"{name}:{number}", row
    except UnicodeDecodeError as error:
        raise DataError(f"{name}: a text after row {number} is not UTF-8 ({error.reason})") from None
    except pa.ArrowException as error:
        raise DataError(f"{name}: cannot be read as Parquet: {error}") from None


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
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{where}: not UTF-8 (byte {error.start + 1}: {error.reason}); convert the file"
        ) from None


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, " if error.lineno > 1 else ""
        raise DataError(f"{where}: not JSON: {error.msg} ({place}column {error.colno})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not usable JSON: {error}") from None


def _conversation(row: Any, column: str | None, where: str) -> list[Message]:
    if isinstance(row, str) and column is None:
        return [Message("user", row)]
    if not isinstance(row, Mapping):
        wanted = _FORMS if column is None else f"a row must be an object with a column {column!r}"
        raise DataError(f"{where}: {_kind(row)} is not a prompt; {wanted}")
    known = sorted((name for name in _COLUMNS if name in row), key=lambda name: row[name] is None)
    name = column or next(iter(known), None)
    if name is None or name not in row:
        raise DataError(f"{where}: {_missing(column, list(row))}")
    if name == "instruction" and column is None:
        return [Message("user", _instruction(row, where))]
    return _turns(row[name], name, where)


def _missing(column: str | None, names: Iterable[str]) -> str:
    names = list(names)
    has = f"; there is {', '.join(map(repr, names)) or 'nothing'}"
    near = [n for known in ([column] if column else _COLUMNS) for n in get_close_matches(known, names, n=1)]
    hint = f"; did you mean {near[0]!r}?" if near else ""
    if column:
        return f"no column {column!r}{has}{hint}"
    return f"no column 'prompt', 'messages' or 'instruction'{has}{hint} Name yours with [prompts] column."


def _instruction(row: Mapping[str, Any], where: str) -> str:
    texts = [row["instruction"], row.get("input") or ""]
    for name, text in zip(("instruction", "input"), texts, strict=True):
        if not isinstance(text, str):
            raise DataError(f"{where}: {name!r} must be a text, not {_kind(text)}")
    instruction, given = texts
    return f"{instruction}\n\n{given}" if instruction.strip() and given.strip() else instruction


def _turns(value: Any, name: str, where: str) -> list[Message]:
    if isinstance(value, str):
        return [Message("user", value)]
    if not isinstance(value, list):
        raise DataError(f"{where}: {name!r} must be a text or a list of messages, not {_kind(value)}")
    turns = [_turn(turn, f"{where}: message {number}") for number, turn in enumerate(value, 1)]
    while turns and turns[-1].role == "assistant":  # an answer that the dataset brings along
        turns.pop()
    return turns


def _turn(turn: Any, where: str) -> Message:
    if not isinstance(turn, Mapping):
        raise DataError(f'{where}: must be {{"role": ..., "content": ...}}, not {_kind(turn)}')
    for name in ("role", "content"):
        if not isinstance(turn.get(name), str):
            raise DataError(f"{where}: {name!r} must be a text, not {_kind(turn.get(name))}")
    if turn["role"] not in _ROLES:
        raise DataError(f"{where}: unknown role {turn['role']!r}; a role is one of {', '.join(_ROLES)}")
    return Message(turn["role"], turn["content"])


def _checked(turns: list[Message], where: str) -> tuple[Message, ...]:
    if not turns or turns[-1].role != "user":
        last = f"ends with the {turns[-1].role}" if turns else "has no turn that waits for an answer"
        raise DataError(f"{where}: the conversation {last}; a prompt must end in a turn of the user")
    for turn in turns:
        if not turn.content.strip():
            raise DataError(
                f"{where}: empty prompt: the {turn.role}'s turn is blank; fill it or remove the row"
            )
    return tuple(turns)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    names |= {int: "a number", float: "a number"}
    return names.get(type(value), f"a {type(value).__name__}")
