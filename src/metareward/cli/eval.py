"""`metareward eval NAME`: one command for each evaluation, each in a file of its own beside this one."""

import json
import re
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperGroup

from metareward import session
from metareward.cli import render
from metareward.cli.stopping import Stopping
from metareward.errors import UserError
from metareward.evaluate.base import Evaluation
from metareward.options import Machine


class Evaluations(TyperGroup):
    """Says which evaluations there are when a name is not one of them."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As usual, for a known name. Raises UserError with near matches and the list for any other."""
        names = sorted(self.commands)
        if args and args[0] not in self.commands:
            near = get_close_matches(args[0], names, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"no evaluation named {args[0]!r}; {hint}there are: {', '.join(names)}")
        return super().resolve_command(ctx, args)


eval_app = typer.Typer(
    cls=Evaluations,
    help="Score a model, a judge, or existing files by a published measure.",
    no_args_is_help=True,
    subcommand_metavar="NAME [OPTIONS]",
)


def print_json(content: Any) -> None:
    """Plain data for a program to read. A NaN is a fault of ours and raises ValueError: it is not JSON."""
    typer.echo(json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False))


def place_of(evaluation: str, named: str) -> Path:
    """The directory that keeps an evaluation's answers where none is given; any name makes a safe one."""
    plain = re.sub(r"[^A-Za-z0-9._-]+", "-", named).strip("-.") or "model"
    return Path("runs", f"eval-{evaluation}-{plain}")


def measured(
    evaluation: Evaluation,
    model: str | None,
    judge: str | None,
    directory: Path | None,
    machine: Machine,
    quiet: bool,
    named: str = "",
) -> dict[str, Any]:
    """Ask what an evaluation asks, resumably, with progress; its score. Ctrl-C keeps what was answered.

    named: of the model, for the directory where none is given; its model's name if not given.
    """
    place = directory or place_of(evaluation.name, named or model or "")
    stopping = Stopping()
    with render.progress(quiet=quiet) as listen:
        hear = stopping.before(listen)
        return session.measure(evaluation, model or judge or "", place, machine, hear, judge or "")
