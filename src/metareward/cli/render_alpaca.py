"""What a person sees of AlpacaEval 2."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from metareward.cli.render import out


def alpaca(result: Mapping[str, Any]) -> None:
    """A table of the win rates with their intervals, and notes below it."""
    table = Table(title=Text(f"AlpacaEval 2: {result['model']}"))
    for column in ("", "n", "win rate %", "standard error", "95 % interval"):
        table.add_column(column, justify="right" if column else "left")
    table.add_row("all", *_cells(result["n"], result, ""))
    if result["lc_win_rate"] is not None:
        table.add_row("at equal lengths", *_cells(result["n"], result, "lc_"))
    for dataset, part in result["datasets"].items():
        table.add_row(Text(f"  {dataset}"), *_cells(part["n"], part, ""))
    out.print(table)
    for note in _notes(result):
        out.print(Text(note), soft_wrap=True)


def _cells(count: int, part: Mapping[str, Any], prefix: str) -> list[str]:
    error = part[f"{prefix}standard_error"]
    interval = part["lc_interval" if prefix else "win_rate_interval"]
    shown = "" if interval is None else f"[{interval[0]:.2f}, {interval[1]:.2f}]"
    return [str(count), f"{part[f'{prefix}win_rate']:.2f}", "" if error is None else f"{error:.2f}", shown]


def _notes(result: Mapping[str, Any]) -> list[str]:
    lengths = f"mean length {result['avg_length']} characters, the baseline's {result['avg_length_baseline']}"
    notes = [
        f"{result['n_wins']} wins, {result['n_wins_baseline']} losses, {result['n_ties']} ties; {lengths}"
    ]
    if result["lc_win_rate"] is None:
        notes.append(f"no length-controlled win rate: {result['lc_reason']}")
    else:
        notes.append(
            f"length control: {result['lc_method']}, difficulties {result['lc_difficulty']}. Its standard "
            "error is the published one, which leaves out that the weights are fitted; the interval, where "
            "there is one, is a bootstrap that fits them anew"
        )
        if "judge" in result:
            notes.append(
                "the baseline's rows and the difficulties come from another judge's verdicts, so the length-"
                "controlled rate says less of this one's: see docs/evaluate-alpaca.md"
            )
    if result.get("sampled_from"):
        notes.append(f"a sample of a set of {result['sampled_from']} instructions")
    for kind, meaning in (("missing", "have no annotation"), ("unread", "have no readable preference")):
        if result[kind]:
            notes.append(f"{result[kind]} instructions {meaning}, and are not in the win rate")
    return notes
