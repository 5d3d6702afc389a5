"""The epochs that were looked at before one was taken, a table for each iteration that selected."""

from collections.abc import Iterator, Mapping
from typing import Any

from rich.table import Table

from metareward.cli import render


def tables(iterations: list[dict[str, Any]]) -> Iterator[Table]:
    """A table for each iteration with a selection; the epoch that was taken has a mark."""
    for entry in iterations:
        if entry.get("selection"):
            yield _table(entry["iteration"], entry["selection"])


def _table(iteration: int, selection: Mapping[str, Any]) -> Table:
    title = f"Iteration {iteration}: epoch {selection['epoch']} is taken, {selection['reason']} (dev prompts)"
    table = Table(title=title)
    columns = (
        "epoch",
        "mean score by the first model",
        "length",
        "right on known pairs",
        "minus the start's",
        "",
    )
    for name in columns:
        table.add_column(name, justify="right")
    for seen in selection["epochs"]:
        table.add_row(*render.cells(*_row(seen, selection["epoch"])))
    return table


def _row(seen: Mapping[str, Any], taken: int) -> tuple[str, ...]:
    holds = "" if seen["judge_holds"] else "judge worse than at the start"
    return (
        str(seen["epoch"]),
        _with_error(seen["actor_score"], seen["actor_error"], 1, ".2f", ""),
        "-" if seen["mean_length"] is None else f"{seen['mean_length']:.0f}",
        "-" if seen["judge_accuracy"] is None else f"{100 * seen['judge_accuracy']:.1f} %",
        _with_error(seen["judge_change"], seen["judge_error"], 100, "+.1f", " %"),
        "taken" if seen["epoch"] == taken else holds,
    )


def _with_error(value: float | None, error: float | None, times: float, form: str, unit: str) -> str:
    if value is None:
        return "-"
    return (
        format(times * value, form) + unit + (f" ± {1.96 * times * error:.2f}" if error is not None else "")
    )
