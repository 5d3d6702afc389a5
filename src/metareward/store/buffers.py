"""Python values as Arrow arrays without pandas, which `pyarrow.array` loads: 45 MB and half a second."""

from array import array
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import pyarrow as pa

_MOST = 2**31 - 1  # bytes or items of a column whose offsets have 32 bits
_CODES = {pa.int64(): "q", pa.int32(): "i", pa.float64(): "d"}


def array_of(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """The values, None for a missing one, as an array of this type; the buffers are those of `pyarrow.array`.

    kind: int32, int64, float64, bool, string, or lists and structs of these. Raises TypeError or
    AttributeError for a value of another kind, OverflowError for more than fits.
    """
    validity, count = _validity(values)
    if pa.types.is_string(kind):
        data = [b"" if value is None else value.encode("utf-8") for value in values]
        buffers = [validity, _offsets(map(len, data)), pa.py_buffer(b"".join(data))]
        return pa.Array.from_buffers(kind, len(values), buffers, count)
    if pa.types.is_list(kind):
        offsets = _offsets(0 if value is None else len(value) for value in values)
        child = array_of([item for value in values if value is not None for item in value], kind.value_type)
        return pa.Array.from_buffers(kind, len(values), [validity, offsets], count, children=[child])
    if pa.types.is_struct(kind):
        children = [array_of([_of(value, field.name) for value in values], field.type) for field in kind]
        return pa.Array.from_buffers(kind, len(values), [validity], count, children=children)
    return pa.Array.from_buffers(kind, len(values), [validity, _flat(values, kind)], count)


def _flat(values: Sequence[Any], kind: pa.DataType) -> pa.Buffer:
    filled = [0 if value is None else value for value in values]
    if pa.types.is_boolean(kind):
        if not all(value is None or isinstance(value, bool) for value in values):
            raise TypeError("a column of true and false holds something else")
        return _bits(filled)
    return pa.py_buffer(array(_CODES[kind], filled).tobytes())


def _of(value: Any, name: str) -> Any:
    return None if value is None else value[name]


def _validity(values: Sequence[Any]) -> tuple[pa.Buffer | None, int]:
    missing = sum(value is None for value in values)
    return (_bits([value is not None for value in values]) if missing else None), missing


def _bits(values: Sequence[Any]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(np.array(values, dtype=bool), bitorder="little").tobytes())


def _offsets(lengths: Any) -> pa.Buffer:
    ends = list(accumulate(lengths, initial=0))
    if ends[-1] > _MOST:
        raise OverflowError(f"{ends[-1]:,} bytes in one column of a part")
    return pa.py_buffer(array("i", ends).tobytes())
