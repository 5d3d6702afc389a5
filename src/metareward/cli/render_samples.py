"""What models wrote, for a person to read: answers before and after, and a pair of each kind with why."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table
from rich.text import Text

from metareward.cli import render
from metareward.display import one_line, plain

_LONGEST = 600  # characters of a text that are shown


def show(samples: Mapping[str, Any]) -> None:
    """Print the answers side by side, then the pairs."""
    answers, pairs = samples.get("answers") or (), samples.get("pairs") or ()
    if answers:
        render.out.print(_answers(answers))
    for pair in pairs:
        render.out.print(_pair(pair))


def _answers(answers: Any) -> Table:
    table = Table(title="What the models answer (prompts chosen by a hash, not by score)", show_lines=True)
    sides = ("first", "last") if answers[0]["first"]["model"] != answers[0]["last"]["model"] else ("first",)
    for name in ("prompt", *(answers[0][side]["model"] for side in sides)):
        table.add_column(Text(one_line(name)), ratio=1)
    for answer in answers:
        table.add_row(_cell(answer["prompt"]), *(_cell(_marked(answer[side])) for side in sides))
    return table


def _marked(side: Mapping[str, Any]) -> str:
    text = side["text"] or "(nothing)"
    if "right" not in side:
        return text
    return f"[right] {text}" if side["right"] else f"[wrong] {text}"


def _pair(pair: Mapping[str, Any]) -> Table:
    what = {"actor": "Two answers", "judge": "Two judgments"}[pair["role"]]
    table = Table(title=f"{what} that train the {pair['role']}", show_header=False, show_lines=True)
    table.add_column()
    table.add_column(ratio=1)
    for name in ("prompt", "chosen", "rejected", "why"):
        table.add_row(name, _cell(pair[name]))
    return table


def _cell(text: str) -> Text:
    return Text(plain(text, _LONGEST))
