"""`metareward cost`: what a run cost, where the time went, and what another iteration would cost."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.text import Text

from metareward import session
from metareward.cli.render import out
from metareward.disk import json_text
from metareward.ledger import TRAIN, WHOLE, Ledger, add, ledger, trained_tokens
from metareward.provenance import Record
from metareward.store import Cost

_COSTS = ("calls", "failed", "reused", "prompt tokens", "output tokens", "trained tokens", "time", "tokens/s")
_LEFT = ("section", "step", "state", "model", "session", "outcome")


def cost(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """What a run cost: calls, tokens and time of every step, model and session, and what was reused."""
    read = ledger(session.open_store(run_directory).root)
    if as_json:
        typer.echo(json_text(read.as_dict()))
        return
    _table("Cost", ("section", "step", "model", "state", "rows", *_COSTS), list(_steps(read)), total=True)
    _table("By model", ("model", *_COSTS[:-1]), list(_models(read)))
    _table(
        "By session", ("session", "outcome", "wall time", *_COSTS[:5], "engine time"), list(_sessions(read))
    )
    for line in _closing(read):
        out.print(Text(line), soft_wrap=True)


def _steps(read: Ledger) -> Iterator[list[str]]:
    for line in read.lines:
        state = "" if line.state == WHOLE else line.state
        tokens = line.cost.output_tokens + line.trained_tokens
        speed = f"{tokens / line.cost.seconds:,.0f}" if line.cost.seconds and tokens else ""
        cells = _cells(line.cost, line.trained_tokens)
        model = read.names.get(line.model or "", "")
        yield [line.section, line.step, model, state, f"{line.rows:,}", *cells, speed]
    yield ["all", "", "", "", "", *_cells(read.total, trained_tokens(read.lines)), ""]


def _models(read: Ledger) -> Iterator[list[str]]:
    for fingerprint, (spent, tokens) in read.by_model().items():
        yield [f"{read.names.get(fingerprint, '')} {fingerprint}".strip(), *_cells(spent, tokens)]


def _sessions(read: Ledger) -> Iterator[list[str]]:
    paid = read.by_session()
    for record in read.sessions:
        cells = _cells(paid.get(record.number, Cost()), 0)
        yield [str(record.number), record.outcome, _wall(record), *cells[:5], cells[6]]


def _wall(record: Record) -> str:
    seconds = record.facts.get("seconds")
    if seconds is None:
        return "?"
    return duration(seconds) if record.facts.get("outcome") else f"at least {duration(seconds)}"


def _cells(spent: Cost, trained: int) -> list[str]:
    counts = (spent.calls, spent.failures, spent.reused, spent.prompt_tokens, spent.output_tokens, trained)
    return [*(f"{count:,}" if count else "" for count in counts), duration(spent.seconds)]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]], total: bool = False) -> None:
    """A table without the columns in which nothing stands."""
    table = Table(title=title)
    kept = [number for number in range(len(columns)) if any(row[number] for row in rows)]
    for number in kept:
        left = columns[number] in _LEFT
        table.add_column(columns[number], justify="left" if left else "right", no_wrap=True)
    for number, row in enumerate(rows):
        if total and number == len(rows) - 1:
            table.add_section()
        table.add_row(*(Text(row[column]) for column in kept))
    out.print(table)


def _closing(read: Ledger) -> Iterator[str]:
    wall = sum(record.facts.get("seconds") or 0.0 for record in read.sessions)
    training = add(line for line in read.lines if line.step == TRAIN).seconds
    asking = read.total.seconds - training
    rest = duration(max(0.0, wall - asking - training))
    yield (
        f"time: {duration(wall)} in {len(read.sessions)} session(s): asking {duration(asking)}, training "
        f"{duration(training)}, everything else (loading models, building pairs, reports) {rest}"
    )
    another = read.another_iteration()
    if another:
        like, spent, trained = another
        yield (
            f"another iteration, if like {like}: {spent.calls:,} calls, {spent.prompt_tokens:,} prompt and "
            f"{spent.output_tokens:,} output tokens, {trained:,} trained tokens, {duration(spent.seconds)}"
        )
    yield f"supervision: {read.supervision}"
    yield f"engine: {read.engine}"


def duration(seconds: float) -> str:
    """Seconds as a person reads them."""
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
