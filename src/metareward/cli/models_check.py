"""`metareward models check`: what would spoil a run, said before one is begun."""

import json
from typing import Annotated, Any

import typer

from metareward.cli.screen import Screen
from metareward.display import one_line
from metareward.errors import ModelError

_LINES = (
    ("ends", "a turn ends in"),
    ("generation_prompt", "told that its turn begins"),
    ("keeps_every_turn", "every turn is kept"),
    ("refuses", "conversations refused"),
    ("uses_date", "the date is in every prompt"),
    ("opens_reasoning", "answers begin inside reasoning"),
    ("drops_reasoning", "earlier reasoning left out"),
    ("tied", "head and embeddings are one"),
    ("context", "context in tokens"),
    ("finite", "all weights finite"),
)


def check_model(
    model: Annotated[str, typer.Argument(help="A catalogue name, a directory, or a hub id.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Look at a model's template, tokenizer, config and weights before anything is paid for. Exit 1 if
    something is wrong.
    """
    from metareward import models
    from metareward.engines.audit import audit, refusal
    from metareward.models import memo

    screen = Screen(stderr=True)
    with memo.anew():
        audit.cache_clear()
        try:
            found = audit(models.resolve(model, listen=lambda line: screen.print(line, markup=False)))
        except ModelError as error:
            found = refusal(model, error)
    if as_json:
        typer.echo(json.dumps(found.as_dict(), indent=2))
    else:
        _show(found.as_dict())
    if found.problems:
        raise typer.Exit(1)


def _show(found: dict[str, Any]) -> None:
    screen = Screen()
    for name, said in _LINES:
        if found[name] is not None:
            screen.print(f"{said:32} {_value(found[name])}", markup=False, highlight=False, soft_wrap=True)
    for kind, sign in (("problems", "problem:"), ("notes", "note:")):
        for sentence in found[kind]:
            screen.print(f"{sign} {sentence}", markup=False, highlight=False, soft_wrap=True)
    if not found["problems"]:
        screen.print("nothing is wrong", markup=False)


def _value(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(one_line(str(item)) for item in value) or "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
