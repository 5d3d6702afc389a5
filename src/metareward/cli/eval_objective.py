"""`metareward eval ifeval` and `eval gsm8k`: scored by rule, from a file of responses or a model's own."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from metareward.cli import places, render
from metareward.cli.eval import eval_app, measured, print_json
from metareward.errors import ConfigError
from metareward.evaluate import gsm8k as problems
from metareward.evaluate import ifeval as tasks
from metareward.evaluate.language import require_packages
from metareward.evaluate.responses import join
from metareward.options import Machine

Responses = Annotated[
    Path | None, typer.Option("--responses", help="A JSON Lines file of responses to score; asks no model.")
]
ModelName = Annotated[
    str | None, typer.Option("--model", help="A model to ask: a catalogue name, a directory or a hub id.")
]
Data = Annotated[
    Path | None, typer.Option("--data", help="The benchmark's own file, instead of the shipped one.")
]
Missing = Annotated[
    bool, typer.Option("--allow-missing", help="Score what is there and count the rest, instead of stopping.")
]
Details = Annotated[bool, typer.Option("--verdicts", help="With --json: the verdict on every response, too.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Ask so many prompts, drawn by --seed.")]
Seed = Annotated[int, typer.Option("--seed", help="Draws the prompts of --limit.")]
MaxTokens = Annotated[int, typer.Option("--max-tokens", min=1, help="The longest answer of the model.")]
Directory = Annotated[
    Path | None,
    typer.Option(
        "--directory", "-d", parser=places.path, help="Keeps the answers; runs/eval-NAME-MODEL if not given."
    ),
]
Engine = Annotated[str, typer.Option("--engine", help="transformers, or fake to try a command out.")]
Device = Annotated[str, typer.Option("--device", help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option("--dtype", help="auto, float32, bfloat16 or float16.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@eval_app.command("ifeval")
def ifeval(
    responses: Responses = None,
    model: ModelName = None,
    data: Data = None,
    allow_missing: Missing = False,
    details: Details = False,
    limit: Limit = None,
    seed: Seed = 0,
    max_tokens: MaxTokens = 1280,
    directory: Directory = None,
    engine: Engine = "transformers",
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Json = False,
) -> None:
    """Instruction following that a program can check (IFEval), by prompt and by instruction."""
    one_of(responses, model, limit, directory)
    require_packages()
    known = tasks.load_tasks(data) if data else tasks.shipped_tasks()
    if responses:
        result = _score_ifeval(responses, known, allow_missing, details)
    else:
        asked = tasks.IFEval(limit, seed, max_tokens, allow_missing, details, known)
        machine = Machine(engine=engine, device=device, dtype=dtype)
        result = measured(asked, model, None, directory, machine, as_json)
    _print(result, as_json, _ifeval_table)


@eval_app.command("gsm8k")
def gsm8k(
    responses: Responses = None,
    model: ModelName = None,
    data: Data = None,
    allow_missing: Missing = False,
    details: Details = False,
    limit: Limit = None,
    seed: Seed = 0,
    max_tokens: MaxTokens = 512,
    directory: Directory = None,
    engine: Engine = "transformers",
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Json = False,
) -> None:
    """Grade-school arithmetic (GSM8K): exact match, in three readings of the answer."""
    one_of(responses, model, limit, directory)
    known = problems.load_problems(data) if data else problems.shipped_problems()
    if responses:
        result = _score_gsm8k(responses, known, allow_missing, details)
    else:
        asked = problems.GSM8K(
            limit, seed, max_tokens, allow_missing=allow_missing, details=details, problems=known
        )
        machine = Machine(engine=engine, device=device, dtype=dtype)
        result = measured(asked, model, None, directory, machine, as_json)
    _print(result, as_json, _gsm8k_table)


def one_of(responses: Path | None, model: str | None, limit: int | None, directory: Path | None) -> None:
    """ConfigError unless either a file is scored or a model is asked, with the options of that."""
    if (responses is None) == (model is None):
        raise ConfigError("give either --responses FILE, to score a file, or --model NAME, to ask a model")
    if responses is not None and (limit is not None or directory is not None):
        raise ConfigError("--limit and --directory go with --model; a file of responses is scored whole")


def _score_ifeval(
    path: Path, known: Iterable[tasks.Task], allow_missing: bool, details: bool
) -> dict[str, Any]:
    known = list(known)
    given, brought = tasks.load_responses(path, known)
    joined = join(given, [task.prompt for task in known], "IFEval", allow_missing=allow_missing)
    verdicts = tasks.judged(known, joined.responses)
    score = tasks.score_verdicts(verdicts, len(joined.missing), details)
    return score | _brought(tasks.agreement(verdicts, brought))


def _score_gsm8k(
    path: Path, known: Iterable[problems.Problem], allow_missing: bool, details: bool
) -> dict[str, Any]:
    known = list(known)
    questions, scores = [problem.question for problem in known], {}
    for answers in problems.load_responses(path):
        what = f"GSM8K ({answers.model})" if answers.model else "GSM8K"
        joined = join(answers.given, questions, what, allow_missing=allow_missing)
        verdicts = problems.judged(known, joined.responses, answers.mark)
        score = problems.score_verdicts(verdicts, len(joined.missing), details)
        scores[answers.model] = score | _brought(problems.agreement(verdicts, answers.verdicts))
    return scores.get("", {"benchmark": "gsm8k", "models": scores})


def _brought(agreement: Mapping[str, int] | None) -> dict[str, Any]:
    return {} if agreement is None else {"agreement_with_file": agreement}


def _print(result: dict[str, Any], as_json: bool, table: Any) -> None:
    if as_json:
        print_json(result)
        return
    for name, score in result.get("models", {result.get("model", ""): result}).items():
        render.out.print(table(score, name))
        render.out.print(Text(notes(score)), soft_wrap=True)


def _ifeval_table(score: Mapping[str, Any], name: str) -> Table:
    table = _table("IFEval", name, ("strict", "loose"))
    for level in ("prompt", "instruction"):
        table.add_row(level, *(cell(score[way][level]) for way in ("strict", "loose")))
    table.add_section()
    for category in score["strict"]["by_category"]:
        cells = [cell(score[way]["by_category"][category]) for way in ("strict", "loose")]
        table.add_row(Text(category), *cells)
    return table


def _gsm8k_table(score: Mapping[str, Any], name: str) -> Table:
    table = _table("GSM8K", name, problems.READINGS)
    table.add_row("accuracy", *(cell(score[reading]) for reading in problems.READINGS))
    return table


def _table(title: str, name: str, columns: Iterable[str]) -> Table:
    table = Table(title=Text(f"{title}: {name}" if name else title))
    table.add_column("")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def cell(share: Mapping[str, Any]) -> str:
    """An accuracy with its interval."""
    low, high = 100 * share["lower"], 100 * share["upper"]
    return f"{100 * share['accuracy']:.2f} % [{low:.1f}, {high:.1f}] of {share['n']}"


def notes(score: Mapping[str, Any]) -> str:
    """How many responses there are, and what is to be known of them."""
    notes = [f"{score['n']} responses"]
    if "sampled_from" in score:
        notes.append(f"a sample of {score['sampled_from']} by seed {score['seed']}")
    notes += [
        f"{score[name]} {name}" for name in ("missing", "empty", "unread", "truncated") if score.get(name)
    ]
    if agreement := score.get("agreement_with_file"):
        notes.append(f"{agreement['equal']} of {agreement['verdicts']} verdicts equal those in the file")
    return ", ".join(notes) + ". Intervals are of 95 %."
