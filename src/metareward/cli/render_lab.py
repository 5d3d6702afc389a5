"""What a person sees of the lab: which loops are at work, and the tables that they come to."""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich import box
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from metareward.cli import render
from metareward.display import one_line, plain
from metareward.events import Noticed
from metareward.lab import picture, tables
from metareward.lab.compare import Heard
from metareward.lab.conditions import Condition
from metareward.lab.reading import JUDGE, TRUTH

_PLAIN_SECONDS = 15.0  # between lines on one loop where there is no terminal
_NUMBER = re.compile(r"(?:iteration |M)([0-9]+)$")
_EVERY_ITERATION = "the judge gate failed"  # stands in the table of alarms
_LEVELS = "▁▂▃▄▅▆▇█"
_DIFFER = (TRUTH, JUDGE)

Listen = Callable[[Heard], None]


@contextmanager
def progress(quiet: bool = False) -> Iterator[Listen]:
    """A listener that draws a bar for each loop at work on a terminal, and prints plain lines elsewhere."""
    if quiet:
        yield lambda _: None
    elif render.out.is_terminal:
        columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn())
        note = TextColumn("{task.fields[note]}", markup=False)
        with Progress(*columns, TimeRemainingColumn(), note, console=render.out) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars, self._tasks, self._all = bars, dict[str, TaskID](), None

    def __call__(self, heard: Heard) -> None:
        if self._all is None:
            self._all = self._bars.add_task("loops", total=heard.cells, note="")
        self._bars.update(self._all, completed=heard.ended)
        if isinstance(heard.event, Noticed) and _worth_a_line(heard.event):
            self._bars.console.print(Text(plain(_noticed(heard, heard.event))), soft_wrap=True)
        place = heard.cell.place
        if heard.state in ("ended", "failed") and place in self._tasks:
            self._bars.remove_task(self._tasks.pop(place))
            if heard.state == "failed":
                self._bars.console.print(Text(plain(f"{_named(heard)}: failed")))
        elif heard.state == "begun":
            total = heard.cell.budget.iterations
            self._tasks[place] = self._bars.add_task(one_line(f"  {_named(heard)}"), total=total, note="")
        elif heard.event is not None and (done := _iteration(heard)) is not None and place in self._tasks:
            step = getattr(heard.event, "step", "")
            self._bars.update(self._tasks[place], completed=done, note=one_line(step))


class _Lines:
    def __init__(self) -> None:
        self._told: dict[str, tuple[float, int]] = {}

    def __call__(self, heard: Heard) -> None:
        if heard.state in ("begun", "ended", "failed"):
            self._told[heard.cell.place] = (time.monotonic(), 0)
            count = "" if heard.state == "begun" else f" ({heard.ended} of {heard.cells} loops have ended)"
            render.say(f"{_named(heard)}: {heard.state}{count}")
        elif isinstance(heard.event, Noticed) and _worth_a_line(heard.event):
            render.say(_noticed(heard, heard.event))
        elif heard.state == "working":
            self._iteration(heard)

    def _iteration(self, heard: Heard) -> None:
        when, before = self._told.get(heard.cell.place, (0.0, 0))
        now, done = time.monotonic(), _iteration(heard)
        if done is not None and done != before and now - when >= _PLAIN_SECONDS:
            self._told[heard.cell.place] = (now, done)
            render.say(f"{_named(heard)}: {done} of {heard.cell.budget.iterations} iterations done")


def _named(heard: Heard) -> str:
    return f"{heard.cell.name}, base {heard.cell.base}, seed {heard.cell.seed}"


def _noticed(heard: Heard, event: Noticed) -> str:
    return f"{_named(heard)}, {event.section}: {event.message}" if event.section else event.message


def _worth_a_line(event: Noticed) -> bool:
    return not event.message.startswith(_EVERY_ITERATION)


def _iteration(heard: Heard) -> int | None:
    """How many iterations are done, by the name of what is at work."""
    found = _NUMBER.search(getattr(heard.event, "section", ""))
    return int(found[1]) if found else None


def listed(conditions: Mapping[str, Condition], chosen: Sequence[str]) -> None:
    """What can be run side by side."""
    table = _table("Conditions (* if none are named)", ["", "name", "what it is"], left=3)
    for name, condition in conditions.items():
        table.add_row(*render.cells("*" if name in chosen else "", name, condition.about))
    render.out.print(table)


def summary(report: Mapping[str, Any], folder: Path, drawn: Sequence[Path]) -> None:
    """The tables, where everything lies, and what the intervals are worth. Fits 80 columns."""
    render.out.print(_truths(report))
    if len(report["conditions"]) > 1:
        render.out.print(_rich(tables.differences(report, _DIFFER)))
    if (alarms := tables.alarms(report))[2]:
        render.out.print(_rich(alarms))
    for path in drawn[:1]:
        render.say(f"picture      {path}")
    if not drawn:
        render.say(picture.MISSING)
    render.say(f"all tables   {folder / 'report.md'}")
    render.say(f"all numbers  {folder / 'report.json'}")
    for note in tables.notes_of(report):
        render.say(note)


def _truths(report: Mapping[str, Any]) -> Table:
    low, high = _span(report)
    title = f"Truth of answers, 0 to 5 (course: {_LEVELS[0]} is {low:.1f}, {_LEVELS[-1]} is {high:.1f})"
    table = _table(title, ["condition", "course", "M0", "end", "greedy", "judge", "words"], left=2)
    for name, own in report["conditions"].items():
        found = own["measures"]
        numbers = [
            tables.number(found[TRUTH]["start"], interval=False),
            tables.number(found[TRUTH]["end"]),
            tables.number(found["truth_greedy"]["end"], interval=False),
            tables.percent(found[JUDGE]["end"], False),
            tables.number(found["words"]["end"], ".1f", False),
        ]
        table.add_row(*render.cells(name, spark(found[TRUTH]["mean"], low, high), *numbers))
    return table


def _span(report: Mapping[str, Any]) -> tuple[float, float]:
    """One scale for all courses."""
    values = [value for own in report["conditions"].values() for value in own["measures"][TRUTH]["mean"]]
    return min(values), max(values)


def spark(values: Sequence[float | None], low: float, high: float) -> str:
    """A character for each value, as high as it lies between `low` and `high`; a space for none."""
    width = (high - low) or 1.0
    steps = len(_LEVELS) - 1
    return "".join(
        " " if value is None else _LEVELS[round(max(0.0, min(1.0, (value - low) / width)) * steps)]
        for value in values
    )


def _rich(table: tables.Table) -> Table:
    title, heads, rows = table
    drawn = _table(title, heads)
    for row in rows:
        drawn.add_row(*render.cells(*row))
    return drawn


def _table(title: str, heads: Sequence[str], left: int = 1) -> Table:
    plainly = {"box": box.SIMPLE, "padding": (0, 1, 0, 0), "pad_edge": False, "show_edge": False}
    table = Table(title=title, title_justify="left", **plainly)
    for number, head in enumerate(heads):
        table.add_column(head, justify="left" if number < left else "right", overflow="fold")
    return table
