"""`metareward eval math-500`: competition problems, answers compared as mathematics."""

from pathlib import Path
from typing import Annotated, Any

from rich.table import Table
from rich.text import Text
from typer import Option

from metareward.cli import eval_objective as shared
from metareward.cli import render
from metareward.cli.eval import eval_app, measured, print_json
from metareward.evaluate import math500
from metareward.evaluate.responses import join
from metareward.options import Machine

Data = Annotated[Path, Option("--data", help="MATH-500's file: rows with problem, answer, subject, level.")]


@eval_app.command("math-500")
def math_500(
    data: Data,
    responses: shared.Responses = None,
    model: shared.ModelName = None,
    allow_missing: shared.Missing = False,
    details: shared.Details = False,
    limit: shared.Limit = None,
    seed: shared.Seed = 0,
    max_tokens: shared.MaxTokens = 2048,
    directory: shared.Directory = None,
    engine: shared.Engine = "transformers",
    device: shared.Device = "auto",
    dtype: shared.Dtype = "auto",
    as_json: shared.Json = False,
) -> None:
    """Competition mathematics (MATH-500): the last or boxed answer, compared by math-verify."""
    shared.one_of(responses, model, limit, directory)
    math500.require_checker()
    known = math500.load_problems(data)
    if responses:
        asked = [problem.problem for problem in known]
        given = math500.load_responses(responses)
        joined = join(given, asked, "MATH-500", allow_missing=allow_missing)
        result = math500.score_responses(known, joined.responses, details)
    else:
        evaluation = math500.Math500(
            known, limit, seed, max_tokens, allow_missing=allow_missing, details=details
        )
        machine = Machine(engine=engine, device=device, dtype=dtype)
        result = measured(evaluation, model, None, directory, machine, as_json)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _show(result: dict[str, Any]) -> None:
    table = Table(title=Text("MATH-500"))
    for title in ("", "accuracy"):
        table.add_column(title, justify="right" if title else "left")
    rows = [("all", result["accuracy"]), *result["by_subject"].items()]
    rows += [(f"level {name}", one) for name, one in result["by_level"].items()]
    for name, one in rows:
        table.add_row(*render.cells(name, shared.cell(one)))
    render.out.print(table)
    render.say(shared.notes(result))
