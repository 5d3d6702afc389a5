"""The commands. A user's mistake exits with 2, a step that hung with 75, anything else with 1."""

import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from metareward import config as configs
from metareward import session
from metareward import store as stored
from metareward.cli import eval_alpaca as eval_alpaca
from metareward.cli import eval_arena as eval_arena
from metareward.cli import eval_judge as eval_judge
from metareward.cli import eval_math as eval_math
from metareward.cli import eval_mt as eval_mt
from metareward.cli import eval_objective as eval_objective
from metareward.cli import places, render, render_summary
from metareward.cli.attack import attack
from metareward.cli.cost import cost
from metareward.cli.diff import diff
from metareward.cli.eval import eval_app
from metareward.cli.failures import TRY_AGAIN, guarded, told
from metareward.cli.lab import lab
from metareward.cli.models_check import check_model
from metareward.cli.parse import parse
from metareward.cli.stopping import Stopping
from metareward.disk import json_text
from metareward.errors import UserError
from metareward.rundir import claimed

app = typer.Typer(
    help="Self-improving alignment with a co-evolving judge.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
models_app = typer.Typer(help="Models that can be had without a hub.", no_args_is_help=True)
models_app.command("check")(check_model)
app.add_typer(models_app, name="models")
app.command()(cost)
app.command()(diff)
app.add_typer(eval_app, name="eval")

Config = Annotated[Path, typer.Argument(metavar="CONFIG", help="A TOML file; see examples/.")]
Directory = Annotated[
    Path | None,
    typer.Option("--directory", "-d", parser=places.path, help="The run's directory, not the config's."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@app.command()
def run(
    config: Config,
    directory: Directory = None,
    change: Annotated[
        bool, typer.Option("--change", help="Go on in a directory that was made with other settings.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Carry a config out. Stopped anywhere, the same command goes on and repeats nothing."""
    stopping = Stopping()
    loaded = configs.load(config, directory)
    if (known := session.finished(loaded)) is not None:
        _show_run(known, loaded, as_json)
        return
    try:
        with claimed(loaded, change), render.progress(quiet=as_json) as listen:
            result = session.execute(loaded, stopping.before(listen), _end_at_once, change)
    except BrokenPipeError as stop:  # here, before typer hears of it
        raise typer.Exit(told(stop)) from None
    _show_run(result, loaded, as_json)


def _show_run(result: dict[str, Any], loaded: configs.Config, as_json: bool) -> None:
    if as_json:
        _print_json(result)
    else:
        render_summary.summary(result, loaded)


@app.command()
def plan(config: Config, directory: Directory = None, as_json: Json = False) -> None:
    """Name and price every step of a config without doing one."""
    loaded = configs.load(config, directory)
    paper = session.sketch(loaded)
    if as_json:
        _print_json(paper.as_dict())
    else:
        render.plan(paper)


@app.command()
def show(
    identifier: Annotated[str, typer.Argument(metavar="ID", help="An id, or the first 6 or more digits.")],
    run_directory: Annotated[
        Path | None, typer.Option("--run", help="The run's directory; all of runs/ if not given.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Say why a record is there: pair -> judgments and battles -> response -> prompt."""
    from metareward import show as shows

    story = shows.explain_in(_runs(run_directory), identifier)
    if as_json:
        _print_json(story.as_dict())
    else:
        render.story(story)


@app.command()
def verify(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    as_json: Json = False,
) -> None:
    """Check everything a run has stored; say what is damaged and what would be done again. Exit 1 if so."""
    findings = list(stored.verify(session.open_store(run_directory).root))
    if as_json:
        _print_json([asdict(finding) for finding in findings])
    else:
        render.findings(findings)
    if any(finding.state == "damaged" for finding in findings):
        raise typer.Exit(1)


@app.command()
def export(
    run_directory: Annotated[Path, typer.Argument(metavar="RUN", help="The run's directory.")],
    target: Annotated[Path, typer.Argument(metavar="DIR", help="Where to; must be empty or not exist.")],
    as_json: Json = False,
) -> None:
    """Write a run's data as a dataset folder for `datasets.load_dataset` and TRL's DPOTrainer."""
    from metareward.export import export_run

    done = export_run(run_directory, target)
    if as_json:
        _print_json({"files": [str(file) for file in done.files], "counts": dict(done.counts)})
    else:
        render.exported(done, target)


app.command()(attack)
app.command()(lab)
app.command()(parse)


@models_app.command("list")
def list_models(as_json: Json = False) -> None:
    """The models that can be fetched by name."""
    from metareward.models import listing

    render.models(listing(), as_json)


@models_app.command("get")
def get_model(name: Annotated[str, typer.Argument(help="A name from `metareward models list`.")]) -> None:
    """Fetch a model into the cache, check it, and make it ready."""
    from metareward.models import get

    typer.echo(get(name, listen=lambda line: typer.echo(line, err=True)))


def main() -> None:
    """Entry point of `metareward`."""
    # Spinning barriers make PyTorch many times slower as soon as anything else uses the cores; this must
    # be said before PyTorch is loaded. docs/LOG.md has the numbers.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    sys.exit(guarded(app))


def _end_at_once(message: str) -> None:
    """End the process from whatever thread: the one that works does not come back."""
    render.complain(message)
    os._exit(TRY_AGAIN)


def _runs(directory: Path | None) -> list[Path]:
    if directory is not None:
        session.open_store(directory)
        return [directory]
    found = sorted(path.parent for path in Path("runs").glob("*/artifacts"))
    if not found:
        raise UserError("there is no run below runs/; name one with --run DIRECTORY")
    return found


def _print_json(content: Any) -> None:
    typer.echo(
        json_text(content, ascii_only=True)
    )  # ASCII: exact for a program, and nothing moves a terminal
