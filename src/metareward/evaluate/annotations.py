"""Annotations of AlpacaEval: which of two outputs a judge preferred, read from files and checked.

Two forms are read: the benchmark's own (`instruction`, `output_1` of the baseline, `output_2` of the model,
`preference`), and a short one without texts (`i`, `preference`, `len_baseline`, `len_model`).
"""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from metareward.errors import DataError
from metareward.evaluate.jsonrows import Row, complain, read_rows, require_fields

ALLOWED_MISSING = 0.01  # the leaderboard's models lack up to 4 of 805 rows
_DIGITS = 10  # of the SHA-256 of an instruction
_SHORT = ("i", "preference", "len_baseline", "len_model")
_FULL = ("instruction", "preference", "output_1", "output_2")
_WANTED = (
    f"AlpacaEval annotations have {', '.join(_FULL)} (output_1 is the baseline's), or {', '.join(_SHORT)}; "
    "preference is 1 for the baseline to 2 for the model, 1.5 (or 0, in old files) for a tie"
)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One instruction's verdict.

    number: of the instruction in its set, from 0; None if the file does not say. preference: 0 if the
    baseline's output is surely better .. 1 if the model's is, 0.5 a tie; NaN if no verdict could be read.
    Lengths are in characters (Unicode code points). dataset: the part of the set, "" if not known.
    """

    number: int | None
    preference: float
    len_baseline: int
    len_model: int
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction of the set, by its place in it."""

    number: int
    text: str
    dataset: str = ""


@dataclass(frozen=True, slots=True)
class Annotations:
    """A file's annotations in the order of the set, and the names of both sides where it gives them."""

    rows: tuple[Annotation, ...]
    model: str = ""
    baseline: str = ""


def read_instructions(path: Path) -> tuple[Instruction, ...]:
    """The set: rows with `instruction` and, if they have them, `i` and `dataset`. DataError if unusable."""
    rows = read_rows(path)
    wanted = "an instruction set has rows with instruction (a text), and may have i and dataset"
    require_fields(path, rows, lambda row: isinstance(row.get("instruction"), str), wanted)
    found = [
        Instruction(_number(row.get("i", place)), row["instruction"], str(row.get("dataset", "")))
        for place, row in enumerate(rows)
    ]
    found.sort(key=lambda instruction: instruction.number)
    if [instruction.number for instruction in found] != list(range(len(found))):
        raise DataError(f"{path}: i must number the {len(found)} instructions from 0 without gaps. {wanted}")
    repeated = len(found) - len({instruction.text for instruction in found})
    if repeated:
        raise DataError(f"{path}: {repeated} of {len(found)} instructions occur more than once")
    return tuple(found)


def read_annotations(path: Path, instructions: Sequence[Instruction] = ()) -> Annotations:
    """Read either form. Numbered rows are put in the order of the set, and so are rows whose instructions are
    all AlpacaEval's; others keep the file's order.

    instructions: the set, to number rows by their text and to name their datasets. DataError counts what
    cannot be used: another form, a preference off the scale, an output that is not a text, an instruction
    that is not in the set or comes twice. A missing preference is no fault here: it is NaN.
    """
    rows = read_rows(path)
    require_fields(path, rows, lambda row: _has(row, _SHORT) or _has(row, _FULL), _WANTED)
    numbers = {instruction.text: instruction.number for instruction in instructions}
    placed = [_placed(row, numbers) for row in rows]
    complain(path, _faults(rows, placed, len(instructions)), len(rows), _WANTED)
    names = [_only(path, rows, side) for side in ("generator_2", "generator_1")]
    datasets = {instruction.number: instruction.dataset for instruction in instructions}
    read = [_annotation(row, number, datasets) for row, number in zip(rows, placed, strict=True)]
    if all(annotation.number is not None for annotation in read):
        read.sort(key=lambda annotation: annotation.number or 0)
    elif (order := _published_order(rows)) is not None:
        read = [read[place] for place in order]
    return Annotations(tuple(read), *names)


def _published_order(rows: Sequence[Row]) -> list[int] | None:
    """The places of rows in the order of AlpacaEval's 805 instructions; None if any is not one of them."""
    listed = resources.files("metareward").joinpath("evaluate", "alpaca_eval_order.txt").read_text().split()
    known = {digest: number for number, digest in enumerate(listed)}
    texts = [row["instruction"] if isinstance(row.get("instruction"), str) else "" for row in rows]
    digests = [hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()[:_DIGITS] for text in texts]
    if not all(digest in known for digest in digests):
        return None
    return sorted(range(len(rows)), key=lambda place: known[digests[place]])


def check_coverage(
    numbers: Sequence[int | None], size: int | None, allowed: float, where: str = "the annotations"
) -> int:
    """How many of the set's instructions have no annotation.

    size: of the set; None takes the highest number. allowed: the share that may be missing. DataError, with
    the counts, if more are missing or if there are annotations of instructions outside the set.
    """
    known = [number for number in numbers if number is not None]
    size = max(known, default=len(numbers) - 1) + 1 if size is None else size
    outside = sum(number >= size for number in known) or max(0, len(numbers) - size)
    if outside:
        raise DataError(
            f"{where}: {outside} of {len(numbers)} annotations are not of the set, which has {size} "
            "instructions; give the annotations and the difficulties of one set"
        )
    missing = size - len(numbers)
    if missing > allowed * size:
        raise DataError(
            f"{where}: {missing} of the set's {size} instructions have no annotation, and at most "
            f"{int(allowed * size)} may be missing for a score of the whole set; annotate the rest, or say "
            "that a subset is meant (--subset)"
        )
    return missing


def _faults(rows: Sequence[Row], placed: Sequence[int | None], size: int) -> list[tuple[str, str]]:
    faults = []
    seen: Counter[Any] = Counter()
    for place, (row, number) in enumerate(zip(rows, placed, strict=True), 1):
        where = f"row {place}"
        faults += [(fault, where) for fault in _row_faults(row)]
        if size and (number is None or not 0 <= number < size):
            faults.append(("have an instruction that is not in the set", where))
        key = row.get("instruction") if number is None else number
        seen[key] += 1
        if seen[key] > 1:
            faults.append(("repeat an instruction", where))
    return faults


def _row_faults(row: Row) -> list[str]:
    faults = []
    preference = row["preference"]
    if not _unread(preference):
        if isinstance(preference, bool) or not isinstance(preference, int | float):
            faults.append("have a preference that is no number")
        elif preference != 0 and not 1 <= preference <= 2:
            faults.append("have a preference that is neither in 1..2 nor 0")
    if _has(row, _SHORT):
        if any(not _count(row[name]) for name in ("i", "len_baseline", "len_model")):
            faults.append("have an i or a length that is no whole number of 0 or more")
    elif any(not isinstance(row[name], str) for name in ("instruction", "output_1", "output_2")):
        faults.append("have an instruction or an output that is no text")
    return faults


def _annotation(row: Row, number: int | None, datasets: Mapping[int, str]) -> Annotation:
    preference = math.nan if _unread(row["preference"]) else float(row["preference"])
    share = 0.5 if preference == 0 else preference - 1
    named = row.get("dataset")
    dataset = named if isinstance(named, str) else datasets.get(-1 if number is None else number, "")
    if _has(row, _SHORT):
        return Annotation(number, share, row["len_baseline"], row["len_model"], dataset)
    return Annotation(number, share, len(row["output_1"]), len(row["output_2"]), dataset)


def _placed(row: Row, numbers: Mapping[str, int]) -> int | None:
    if _has(row, _SHORT) or _count(row.get("i")):
        return _number(row["i"])
    instruction = row["instruction"]
    return numbers.get(instruction) if isinstance(instruction, str) else None


def _only(path: Path, rows: Sequence[Row], side: str) -> str:
    names = Counter(str(row[side]) for row in rows if side in row)
    if len(names) > 1:
        shown = ", ".join(f"{name[:40]!r} ({count})" for name, count in names.most_common(3))
        raise DataError(f"{path}: {side} names {len(names)} models, there must be one: {shown}")
    return next(iter(names), "")


def _has(row: Row, names: Sequence[str]) -> bool:
    return all(name in row for name in names)


def _unread(preference: Any) -> bool:
    return preference is None or (isinstance(preference, float) and math.isnan(preference))


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> int:
    return value if _count(value) else -1
