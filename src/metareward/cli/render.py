"""What a person sees: progress, tables, trees. What models and files say is shown as plain text.

Every text goes through `display.plain` on its way out, so that it is neither markup nor a command to the
terminal; JSON is for programs, exact, and in ASCII.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from metareward.cli.screen import Screen
from metareward.display import one_line, plain
from metareward.events import Event, Listener, Noticed, StepFinished, StepProgress, StepStarted, ignore
from metareward.paper import Paper, PlannedStep
from metareward.provenance import engine_said
from metareward.secrets import scrub
from metareward.store import Finding

_WIDTH = (
    None if sys.stdout is not None and sys.stdout.isatty() else 120
)  # a pipe has no width; tables need one
out = Screen(highlight=False, width=_WIDTH)
err = Screen(stderr=True, highlight=False)
_PLAIN_SECONDS = 15.0  # between lines where there is no terminal


def complain(message: str) -> None:
    """An error, on standard error, without secrets in what other libraries said."""
    err.print(Text("metareward: ", style="bold red"), Text(plain(scrub(message))), sep="", soft_wrap=True)


@contextmanager
def progress(quiet: bool = False) -> Iterator[Listener]:
    """A listener that draws bars on a terminal and prints plain lines elsewhere."""
    if quiet:
        yield ignore
    elif out.is_terminal:
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
        )
        with Progress(*columns, TextColumn("{task.fields[note]}", markup=False), console=out) as bars:
            yield _Bars(bars)
    else:
        yield _Lines()


class _Bars:
    def __init__(self, bars: Progress) -> None:
        self._bars, self._task, self._key, self._clock = bars, None, "", 0.0

    def __call__(self, event: Event) -> None:
        if isinstance(event, Noticed):
            self._bars.console.print(Text(plain(_noticed(event))))
            return
        key = f"{event.section} {event.step}"
        if isinstance(event, StepFinished):
            self._drop()
            self._bars.console.print(Text(plain(_finished(event))))
            return
        if key != self._key or self._task is None:
            self._drop()
            self._key, self._clock = key, time.monotonic()
            self._task = self._bars.add_task(one_line(key), total=event.total or None, note="")
        note = one_line(_speed(event, self._clock)) if isinstance(event, StepProgress) else ""
        self._bars.update(self._task, completed=event.done, total=event.total or None, note=note)

    def _drop(self) -> None:
        if self._task is not None:
            self._bars.remove_task(self._task)
            self._task = None


class _Lines:
    def __init__(self) -> None:
        self._began = self._told = time.monotonic()
        self._done_before = 0

    def __call__(self, event: Event) -> None:
        now = time.monotonic()
        if isinstance(event, Noticed):
            say(_noticed(event))
        elif isinstance(event, StepFinished):
            say(_finished(event))
        elif isinstance(event, StepStarted):
            self._began, self._told, self._done_before = now, now, event.done
            say(f"{event.section}: {event.step}, {event.done} of at most {event.total} done")
        elif now - self._told >= _PLAIN_SECONDS:
            self._told = now
            left = _remaining(event, now - self._began, self._done_before)
            where = f"{event.section}: {event.step}, {event.done} of {event.total}"
            say(f"{where}, {_speed(event, self._began)}{left}")


def say(text: str) -> None:
    """One line of plain text, however long."""
    out.print(Text(plain(text)), soft_wrap=True)


def cells(*texts: str) -> list[Text]:
    """Texts as the cells of a table."""
    return [Text(one_line(text)) for text in texts]


def _speed(event: StepProgress, began: float) -> str:
    seconds = time.monotonic() - began
    rate = f"{event.tokens / seconds:.0f} tokens/s" if seconds > 1 and event.tokens else ""
    return "  ".join(part for part in (rate, event.note) if part)


def _remaining(event: StepProgress, seconds: float, before: int) -> str:
    done = event.done - before
    if done <= 0 or event.done >= event.total:
        return ""
    return f", about {_duration(seconds / done * (event.total - event.done))} left"


def _finished(event: StepFinished) -> str:
    when = "kept from before" if event.reused else _duration(event.seconds)
    note = f" ({event.note})" if event.note else ""
    return f"{event.section}: {event.step}: {event.rows} rows, {when}{note}"


def _noticed(event: Noticed) -> str:
    return f"{event.section}: {event.message}".removeprefix(": ")


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return "?"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def plan(paper: Paper) -> None:
    """Every step with its calls, tokens and time."""
    table = Table(title="Plan (upper bounds: identical responses are judged once)")
    for title in ("section", "step", "asks for", "prompt tokens", "output tokens", "state", "time left"):
        left = title in ("section", "step", "state")
        table.add_column(title, justify="left" if left else "right", no_wrap=title != "step")
    for step in paper.steps:
        read, written = _short(step.prompt_tokens), _short(step.output_tokens)
        asks = f"{step.calls:,} {step.makes}"
        shown = (step.section, _step(step), asks, read, written, step.state, _duration(step.seconds))
        table.add_row(*cells(*shown))
    out.print(table)
    say(f"engine: {engine_said(paper.engine)}")
    if paper.verdicts:
        say("verdicts read: " + "; ".join(f"{step}: {form}" for step, form in paper.verdicts.items()))
    for warning in paper.warnings:
        say(f"warning: {warning}")
    if left := paper.models_to_keep:
        size = f", about {left * paper.model_bytes / 1e9:.1f} GB" if paper.model_bytes else ""
        say(f"trained models that will be kept on the disk: {left}{size}")
    total = paper.total_seconds()
    say(f"time left: {_duration(total)}" + ("" if total is not None else _UNKNOWN_SPEED))
    for note in paper.notes:
        say(plain(note))


_UNKNOWN_SPEED = (
    " (not every step was measured yet; give prompt_, output_ and train_tokens_per_second in [plan])"
)


def _step(step: PlannedStep) -> str:
    """A step by who is asked, and about whose work where that is not its own."""
    own = not step.about or step.about.endswith(f" of {step.by}")
    return f"{step.step} by {step.by}" + ("" if own else f", on {step.about}") if step.by else step.step


def _short(tokens: int) -> str:
    if tokens < 100_000:
        return f"{tokens:,}"
    return f"{tokens / 1e6:,.1f} M" if tokens >= 1e6 else f"{tokens / 1e3:.0f} k"


def models(listed: list[Any], as_json: bool) -> None:
    """The catalogue."""
    if as_json:
        rows = [{**_fields(entry), "path": str(entry.path)} for entry in listed]
        print(json.dumps(rows, indent=2))
        return
    table = Table()
    for title in ("name", "parameters", "licence", "state"):
        table.add_column(title)
    for entry in listed:
        state = str(entry.path) if entry.fetched else "not fetched"
        table.add_row(*cells(entry.name, f"{entry.parameters / 1e6:.0f} M", entry.licence, state))
    out.print(table)


def _fields(entry: Any) -> dict[str, Any]:
    return {
        "name": entry.name,
        "parameters": entry.parameters,
        "licence": entry.licence,
        "fetched": entry.fetched,
    }


def story(told: Any) -> None:
    """A record's causes, as a tree."""
    out.print(_branch(told))


def _branch(told: Any) -> Tree:
    tree = Tree(Text(plain(told.title), style="bold"))
    for name, fact in told.facts.items():
        tree.add(Text(plain(f"{name}: {fact}")))
    for child in told.children:
        tree.add(_branch(child))
    return tree


def findings(found: list[Finding]) -> None:
    """What `verify` found: a line for each step that is not whole, and a count."""
    for finding in found:
        if finding.state != "whole":
            redo = f"; {finding.redo} would be done again" if finding.redo else ""
            redo += f" ({finding.note})" if finding.note else ""
            harm = f": {', '.join(finding.damaged)}" if finding.damaged else ""
            line = f"{finding.state}  {finding.name}, {finding.rows} rows unharmed{redo}{harm}"
            say(line)
    states = Counter(finding.state for finding in found)
    said = ", ".join(f"{count} {state}" for state, count in sorted(states.items()))
    say(f"{len(found)} steps, models and files: {said or 'nothing stored'}")
    if states["damaged"]:
        out.print("Damaged files are set aside, never deleted, when the run is taken up again.")


def exported(done: Any, target: Path) -> None:
    """What was written and how to load it."""
    for name, count in done.counts.items():
        say(f"{name}: {count} rows")
    say(f'load with: datasets.load_dataset("{target}", "pairs", split="train")')
