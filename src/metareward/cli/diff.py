"""`metareward diff`: what differs between two runs, and what that invalidated."""

import difflib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from metareward.cli.render import out
from metareward.diff import Change, Difference, StepChange, compare, side, two_sides
from metareward.diff.steps import SAME
from metareward.disk import json_text
from metareward.display import plain
from metareward.errors import DataError, StoreError

_LINES = 30  # of a template's difference
_SHOWN = 100  # characters of a value


def diff(
    before: Annotated[str, typer.Argument(metavar="RUN_A", help="A run's directory, or DIRECTORY@SESSION.")],
    after: Annotated[
        str | None, typer.Argument(metavar="RUN_B", help="Another; if left out, the sessions of RUN_A.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """What differs between two runs or sessions, and what that invalidated.

    Exits with 0 if nothing differs, 1 if something does, 2 in trouble. Given one run, its last session is
    compared with the latest one before it that differs.
    """
    try:
        found = _compared(before, after)
    except StoreError as error:
        raise DataError(str(error)) from error
    if as_json:
        typer.echo(json_text(found.as_dict()))
    else:
        _show(found)
    if not found.is_empty:
        raise typer.Exit(1)


def _compared(before: str, after: str | None) -> Difference:
    if after is not None:
        return compare(side(before), side(after))
    (one, last), *earlier = two_sides(Path(before))
    found = compare(one, last)
    while found.is_empty and earlier:
        found = compare(*earlier.pop(0))
    return found


def _show(found: Difference) -> None:
    out.print(Text(f"{found.before} -> {found.after}", style="bold"), soft_wrap=True)
    if found.is_empty:
        out.print("Nothing differs.")
        return
    parts = {
        "Settings": found.settings,
        "Settings that change only the speed": found.speed,
        "Environment (numbers may differ though every step is the same)": found.environment,
        "Model, data, supervision": found.content,
    }
    for title, changes in parts.items():
        if changes:
            out.print(Text(f"\n{title}"))
            for line in _lines(changes):
                out.print(Text(f"  {plain(line)}"), soft_wrap=True)
    out.print()
    _steps(found)


def _lines(changes: Sequence[Change]) -> Iterator[str]:
    for change in changes:
        if (
            isinstance(change.before, str)
            and isinstance(change.after, str)
            and "\n" in change.before + change.after
        ):
            yield f"{change.name}:"
            yield from _text(change.before, change.after)
        else:
            yield f"{change.name}: {_value(change.before)} -> {_value(change.after)}"


def _text(before: str, after: str) -> Iterator[str]:
    """A short unified difference of two texts."""
    lines = list(difflib.unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=1))[2:]
    yield from (f"  {line}" for line in lines[:_LINES])
    if len(lines) > _LINES:
        yield f"  ... and {len(lines) - _LINES} lines more"


def _value(value: Any) -> str:
    text = "unset" if value is None else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def _steps(found: Difference) -> None:
    changed = [step for step in found.steps if step.state != SAME]
    if changed:
        table = Table(title="What that invalidated")
        for name in ("section", "step", "state", "because of", "rows", "of them known"):
            table.add_column(name, justify="right" if name in ("rows", "of them known") else "left")
        for step in changed:
            rows, known = ("" if number is None else f"{number:,}" for number in (step.rows, step.reusable))
            cells = (step.section, step.step, step.state, "; ".join(step.because), rows, known)
            table.add_row(*(Text(plain(cell)) for cell in cells))
        out.print(table)
    for line in _closing(found, changed):
        out.print(Text(plain(line)), soft_wrap=True)


def _closing(found: Difference, changed: Sequence[StepChange]) -> Iterator[str]:
    if found.causes:
        yield "First causes: " + "; ".join(found.causes)
    asked = [step for step in changed if step.reusable is not None and step.step != "prompts"]
    if asked:
        rows, known = sum(step.rows or 0 for step in asked), sum(step.reusable or 0 for step in asked)
        yield f"Of {rows:,} rows of changed steps that ask a model, {known:,} were answered before."
    every = Counter(step.section for step in found.steps)
    same = Counter(step.section for step in found.steps if step.state == SAME)
    told = [f"{name} ({'all' if same[name] == n else f'{same[name]} of {n}'})" for name, n in every.items()]
    yield "The same steps: " + ", ".join(told)
