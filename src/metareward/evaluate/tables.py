"""The tables of numbers that a length-controlled win rate needs, read from CSV files the user points to."""

import csv
import io
import math
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path

import numpy as np

from metareward import files
from metareward.errors import DataError
from metareward.evaluate.length_control import Array, BaselineRows, Weights

_DIFFICULTY = "instruction_difficulty"
_GAMED = ("index", "preference", "std_delta_len", _DIFFICULTY, "not_gamed_baseline")
_WEIGHTS = ("np.tanh(std_delta_len)", _DIFFICULTY, "not_gamed_baseline.astype(float)")


def read_difficulty(path: Path) -> Array:
    """The difficulty of each instruction of the set, by its number, [N]. DataError if unusable.

    The file has the number in its first column, from 0 without gaps, and `instruction_difficulty`.
    """
    wanted = f"a difficulty table has the instruction's number first, and a column {_DIFFICULTY}"
    rows = _table(path, (_DIFFICULTY,), wanted)
    first = next(iter(rows[0]))
    numbers = [_finite(path, place, row, first) for place, row in enumerate(rows, 2)]
    if sorted(numbers) != list(range(len(rows))):
        raise DataError(f"{path}: the {len(rows)} rows are not numbered from 0 without gaps. {wanted}")
    difficulty = np.empty(len(rows))
    for place, (number, row) in enumerate(zip(numbers, rows, strict=True), 2):
        difficulty[int(number)] = _finite(path, place, row, _DIFFICULTY)
    return difficulty


def read_baseline_rows(path: Path) -> BaselineRows:
    """The gamed baselines' rows (`df_gamed.csv`). DataError if a number is missing or off its scale."""
    wanted = f"the baseline rows have the columns {', '.join(_GAMED)}"
    rows = _table(path, _GAMED, wanted)
    columns = {
        name: np.array([_finite(path, place, row, name) for place, row in enumerate(rows, 2)])
        for name in ("std_delta_len", _DIFFICULTY, "preference")
    }
    off = int(((columns["preference"] < 0) | (columns["preference"] > 1)).sum())
    true = sum(row["not_gamed_baseline"].strip().lower() not in ("false", "0", "0.0") for row in rows)
    if off or true:
        raise DataError(
            f"{path}: {off} of {len(rows)} preferences are outside 0..1, and {true} rows are not of a gamed "
            f"baseline (not_gamed_baseline must be False). {wanted}"
        )
    return BaselineRows(columns["std_delta_len"], columns[_DIFFICULTY], columns["preference"])


def difficulty_of(path: Path) -> Array:
    """The difficulties that the baseline rows bring along, by instruction number, [N]. DataError if gaps."""
    found: dict[float, float] = {}
    for place, row in enumerate(_table(path, _GAMED, ""), 2):
        found.setdefault(_finite(path, place, row, "index"), _finite(path, place, row, _DIFFICULTY))
    if sorted(found) != list(range(len(found))):
        raise DataError(f"{path}: the instructions are not numbered from 0 without gaps; give --difficulty")
    return np.array([found[number] for number in range(len(found))])


def read_weights(path: Path, model: str) -> Weights:
    """The published weights of one model. DataError names near matches if it is not in the table."""
    wanted = f"a table of weights has the model's name first, and the columns {', '.join(_WEIGHTS)}"
    rows = _table(path, _WEIGHTS, wanted)
    first = next(iter(rows[0]))
    found = [(place, row) for place, row in enumerate(rows, 2) if row[first] == model]
    if not found:
        near = get_close_matches(model, [row[first] for row in rows], n=3)
        hint = f"; near: {', '.join(near)}" if near else ""
        raise DataError(f"{path}: no weights of {model!r} among {len(rows)} models{hint}")
    place, row = found[-1]
    return Weights(*(_finite(path, place, row, name) for name in _WEIGHTS))


def _table(path: Path, columns: Sequence[str], wanted: str) -> list[dict[str, str]]:
    try:
        text = files.decode(files.read_bytes(path, unpack=True))
        rows = list(csv.DictReader(io.StringIO(text, newline=""), restval=""))
    except files.UnreadableError as error:
        raise DataError(f"{path}: {error}") from None
    except csv.Error as error:
        raise DataError(f"{path}: cannot be read as a table: {error}") from None
    missing = [name for name in columns if not rows or name not in rows[0]]
    if missing:
        raise DataError(f"{path}: {len(rows)} rows, without the columns {', '.join(missing)}. {wanted}")
    return rows


def _finite(path: Path, place: int, row: Mapping[str, str], name: str) -> float:
    try:
        value = float(row[name])
    except (TypeError, ValueError):
        value = math.nan
    if not math.isfinite(value):
        raise DataError(f"{path}:{place}: {name or 'the first column'} is {row[name]!r}, not a finite number")
    return value
