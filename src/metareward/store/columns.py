"""Records to Arrow columns and back, by their type hints. The only file that knows both."""

import re
import types
from collections.abc import Iterable, Iterator
from dataclasses import MISSING, fields
from enum import StrEnum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import pyarrow as pa

from metareward.records import Message
from metareward.store import buffers

POSITION = "position"
_MESSAGE = pa.struct([("role", pa.string()), ("content", pa.string())])
# Arrow text is UTF-8, which has no lone surrogates: those (and the escape sign) are written escaped.
_ESCAPE = "\x1a"
_UNSTORABLE = re.compile(f"[\ud800-\udfff{_ESCAPE}]")
_ESCAPED = re.compile(f"{_ESCAPE}([0-9a-f]{{4}})")


@cache
def schema_of(record: type[Any]) -> pa.Schema:
    """The Arrow schema of a record type, the row's position in its artifact first."""
    hints = get_type_hints(record)
    columns = [pa.field(f.name, *_arrow(hints[f.name])) for f in fields(record)]
    return pa.schema([pa.field(POSITION, pa.int64(), False), *columns])


def to_table(record: type[Any], rows: Iterable[tuple[int, Any]]) -> pa.Table:
    """Rows of (position, record) as an Arrow table."""
    taken, schema = list(rows), schema_of(record)
    values: dict[str, list[Any]] = {POSITION: [position for position, _ in taken]}
    values |= {f.name: [_store(getattr(row, f.name)) for _, row in taken] for f in fields(record)}
    columns = [buffers.array_of(values[column.name], column.type) for column in schema]
    return pa.Table.from_arrays(columns, schema=schema)


def from_batch(record: type[Any], batch: pa.RecordBatch) -> Iterator[tuple[int, Any]]:
    """(position, record) for each row of a batch.

    A column that the record type has a default for may be missing: parts of earlier versions lack the newer
    ones. ValueError if the columns differ otherwise, or if a word is none of an enum's.
    """
    if not _fits(record, batch.schema):
        raise ValueError(f"its columns are not those of a {record.__name__}")
    hints = get_type_hints(record)
    load = {f.name: _loader(hints[f.name]) for f in fields(record)}
    for row in batch.to_pylist():
        position = row.pop(POSITION)
        yield position, record(**{name: _load(load[name], value) for name, value in row.items()})


def _fits(record: type[Any], found: pa.Schema) -> bool:
    newer = {f.name for f in fields(record) if f.default is not MISSING}
    expected = [
        column for column in schema_of(record) if column.name in found.names or column.name not in newer
    ]
    return [(c.name, c.type) for c in found] == [(c.name, c.type) for c in expected]


def _arrow(hint: Any) -> tuple[pa.DataType, bool]:
    inner, nullable = _inner(hint)
    if inner == tuple[int, ...]:
        return pa.list_(pa.int32()), nullable
    if inner == tuple[Message, ...]:
        return pa.list_(_MESSAGE), nullable
    if get_origin(inner) is Literal or inner is str or issubclass(inner, StrEnum):
        return pa.string(), nullable
    return {int: pa.int64(), float: pa.float64(), bool: pa.bool_()}[inner], nullable


def _inner(hint: Any) -> tuple[Any, bool]:
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = [arm for arm in get_args(hint) if arm is not type(None)]
        return inner, True
    return hint, False


def _loader(hint: Any) -> Any:
    inner, _ = _inner(hint)
    if inner == tuple[int, ...]:
        return tuple
    if inner == tuple[Message, ...]:
        return lambda turns: tuple(Message(turn["role"], _unescape(turn["content"])) for turn in turns)
    if isinstance(inner, type) and issubclass(inner, StrEnum):
        return inner
    return _unescape if inner is str else lambda value: value


def _load(load: Any, value: Any) -> Any:
    return None if value is None else load(value)


def _store(value: Any) -> Any:
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, str):
        return _escape(value)
    if isinstance(value, tuple | list) and value and isinstance(value[0], Message):
        return [{"role": turn.role, "content": _escape(turn.content)} for turn in value]
    return value


def _escape(text: str) -> str:
    return _UNSTORABLE.sub(lambda found: f"{_ESCAPE}{ord(found[0]):04x}", text)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if _ESCAPE in text else text
