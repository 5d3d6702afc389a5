"""`metareward parse`: what the reader makes of judgments that stand in a file."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from metareward import files, readers, templates
from metareward.cli import render
from metareward.errors import ConfigError, DataError
from metareward.evaluate.jsonrows import complain, numbered_rows
from metareward.readers import Reading, Scale
from metareward.reasoning import AUTO, DID_NOT_END
from metareward.records import Finish
from metareward.unread import ending

_WANTED = 'Wanted is {"text": "..."} a line, with "finish": "stop", "length" or "failed" if that is known.'
_MOST_READ = 0.9  # from here on nothing needs to be done
_REMEDIES = {
    "no verdict line": "let the template ask for a line '{label}: <number from {span}>'; if it asked for "
    "another label, say so with --label or --template",
    "off the scale": "if another scale than {span} was asked for, give it with --low and --high, or with "
    "--template",
    "several scores": "let the template ask for one line with the total, '{label}: <number from {span}>'",
    "contradictory verdicts": "let the template ask for the verdict once, on the last line",
    "verdict in doubt": "read one of them: the judge takes its verdict back, or quotes one",
    "cut off": "raise max_tokens of the judge, or ask for a shorter justification",
    DID_NOT_END: "raise max_tokens of the judge, or turn its reasoning off",
}
_FINISHES = frozenset(finish.value for finish in Finish)


@dataclass(frozen=True)
class _Row:
    text: str
    reading: Reading


def parse(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.jsonl", help='Judge outputs: {"text": ...} a line, "finish" if known.'),
    ],
    template: Annotated[
        Path | None,
        typer.Option("--template", help="A judge's template, for the label and the scale that it declares."),
    ] = None,
    label: Annotated[str, typer.Option("--label", help="What the verdict's line begins with.")] = "Score",
    low: Annotated[int, typer.Option("--low", help="The lowest score.")] = readers.LOWEST,
    high: Annotated[int, typer.Option("--high", help="The highest score.")] = readers.HIGHEST,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Read the verdicts of judgments in a file; say how many can be read, and why the others cannot."""
    scale = _scale(template, Scale(label, low, high))
    rows = [_Row(text, _read(text, finish, scale)) for text, finish in _judgments(file)]
    reasons = Counter(row.reading.unread for row in rows if row.reading.unread is not None)
    if as_json:
        said = {
            "rows": len(rows),
            "read": len(rows) - reasons.total(),
            "reasons": dict(reasons.most_common()),
        }
        typer.echo(json.dumps({**said, "scores": [row.reading.score for row in rows]}, indent=2))
    else:
        _show(rows, reasons, scale)


def _read(text: str, finish: Finish, scale: Scale) -> Reading:
    """What is read as in a run: the answer alone, not the reasoning before it."""
    split = AUTO.split(text)
    if not split.ended:
        return Reading(unread=DID_NOT_END)
    return readers.read_score(text[split.begin :], finish, scale)


def _scale(template: Path | None, given: Scale) -> Scale:
    if template is None:
        return given
    if given != Scale():
        raise ConfigError("--template says label and scale itself; leave --label, --low and --high out")
    try:
        text = files.read_text(template)
    except files.UnreadableError as error:
        raise ConfigError(f"{template}: {error}") from None
    templates.check(text, ("conversation", "response"), str(template), "score")
    return templates.scale_of(text)


def _judgments(file: Path) -> list[tuple[str, Finish]]:
    try:
        files.check_plain(file)
    except files.UnreadableError as error:
        raise DataError(f"{file}: {error}") from None
    rows = numbered_rows(file)
    if not rows:
        raise DataError(f"{file}: there are no rows in it. {_WANTED}")
    faults = [(fault, where) for where, row in rows if (fault := _fault(row))]
    complain(file, faults, len(rows), _WANTED)
    return [(row["text"], Finish(row.get("finish") or Finish.STOP)) for _, row in rows]


def _fault(row: Mapping[str, Any]) -> str | None:
    if not isinstance(row.get("text"), str):
        return 'have no "text" that is a text'
    finish = row.get("finish")
    known = finish is None or (isinstance(finish, str) and finish in _FINISHES)
    return None if known else 'have a "finish" that is none of stop, length and failed'


def _show(rows: list[_Row], reasons: Counter[str], scale: Scale) -> None:
    read = len(rows) - reasons.total()
    render.say(f"{read} of {len(rows)} read ({100 * read / len(rows):.1f} %), as {scale}")
    table = Table()
    for title in ("", "count", "one ends in"):
        table.add_column(title, justify="right" if title == "count" else "left")
    scores = Counter(row.reading.score for row in rows if row.reading.score is not None)
    for score, count in sorted(scores.items()):
        table.add_row(*render.cells(f"{scale.label} {score:g}", str(count), ""))
    for reason, count in reasons.most_common():
        example = next(row.text for row in rows if row.reading.unread == reason)
        table.add_row(*render.cells(f"unread: {reason}", str(count), ending(example)))
    render.out.print(table)
    if read < _MOST_READ * len(rows):
        common = next((reason for reason, _ in reasons.most_common() if reason in _REMEDIES), None)
        if common is not None:
            remedy = _REMEDIES[common].format(label=scale.label, span=scale.span)
            render.say(f"{reasons[common]} unread, {common}: {remedy}")
