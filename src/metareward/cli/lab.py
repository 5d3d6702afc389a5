"""`metareward lab`: recipes side by side in a small world whose truth is known."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Any

import typer

from metareward.cli import places, render, render_lab
from metareward.cli.failures import told
from metareward.cli.stopping import Stopping
from metareward.disk import json_text, replace, write_json
from metareward.errors import ConfigError
from metareward.lab import picture, tables
from metareward.lab.bases import PLAIN, known
from metareward.lab.changes import changed, read_change
from metareward.lab.compare import compare
from metareward.lab.conditions import CONDITIONS, DEFAULT, Budget, Condition
from metareward.lab.habits import WORLDS
from metareward.lab.report import report
from metareward.lab.words import META
from metareward.overlay import near
from metareward.settings import check_seed, shown

CHOSEN = tuple(dict.fromkeys(("oracle", "frozen_judge", "self_rewarding", "meta_rewarding", DEFAULT)))
_PACKAGES = ("torch", "transformers", "trl", "accelerate", "datasets")
_BUDGET = Budget()


def lab(
    world: Annotated[
        str, typer.Option(help=f"{', '.join(WORLDS)}, or a directory of base models, base-0, ...")
    ] = PLAIN,
    meta_judge: Annotated[
        str, typer.Option(help=f"What the meta-judge goes by: {', '.join(META)}.")
    ] = "good",
    iterations: Annotated[int, typer.Option(help="Of each loop.")] = _BUDGET.iterations,
    prompts: Annotated[int, typer.Option(help="Of each iteration.")] = _BUDGET.prompts,
    seeds: Annotated[
        str, typer.Option(help="How many (3 is 0, 1 and 2), or a list (0,4,7; a single one as 4,).")
    ] = "1",
    bases: Annotated[
        str | None, typer.Option(help="A list of base models, or 'all'; the first if not given.")
    ] = None,
    recipes: Annotated[
        str, typer.Option(help="Some of the conditions, separated by commas.", metavar="NAMES")
    ] = ",".join(CHOSEN),
    set_: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="A setting of all conditions that have it (dpo.beta=0.2), or of one (NAME:KEY=VALUE).",
        ),
    ] = None,
    list_: Annotated[bool, typer.Option("--list", help="Say what the conditions are, and no more.")] = False,
    jobs: Annotated[int | None, typer.Option(help="Loops side by side; as many as there are cores.")] = None,
    directory: Annotated[
        Path, typer.Option("--directory", "-d", parser=places.path, help="Where everything is kept.")
    ] = Path("runs/lab"),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Run recipes side by side where the truth is known. Stopped anywhere, the same command goes on."""
    if list_:
        render_lab.listed(CONDITIONS, CHOSEN)
        return
    stopping = Stopping()
    budget = Budget(prompts=prompts, iterations=iterations, meta_judge=meta_judge)
    changes = [read_change(given) for given in set_ or ()]
    conditions = changed(named(recipes), changes, budget)
    at, drawn = read_bases(bases, world), read_seeds(seeds)
    _require_packages()
    try:
        with render_lab.progress(quiet=as_json) as listen:
            hear = stopping.before(listen)
            cells = compare(conditions, budget, at, drawn, directory, world, jobs, hear)
    except BrokenPipeError as stop:
        raise typer.Exit(told(stop)) from None
    except KeyboardInterrupt as stop:
        render.complain(str(stop))
        raise
    found = report(cells, iterations, {name: each.about for name, each in conditions.items()})
    _end(found, directory, as_json)


def named(names: str) -> dict[str, Condition]:
    """The conditions of a list of names. ConfigError for one that there is not."""
    wanted = [name.strip() for name in names.split(",") if name.strip()]
    for name in wanted:
        if name not in CONDITIONS:
            raise ConfigError(
                f"--recipes: there is no condition {shown(name)}{near(name, CONDITIONS)}; there are "
                f"{', '.join(CONDITIONS)} (metareward lab --list says what they are)"
            )
    if not wanted:
        raise ConfigError("--recipes must name at least one condition; metareward lab --list has them")
    return {name: CONDITIONS[name] for name in wanted}


def read_seeds(given: str) -> list[int]:
    """A number of seeds, or a list of them."""
    numbers = _numbers("--seeds", given)
    if "," in given:
        return numbers
    if numbers[0] < 1:
        raise ConfigError(f"--seeds must be at least 1, or a list such as 0,4,7, not {shown(given)}")
    return list(range(numbers[0]))


def read_bases(given: str | None, world: str) -> list[int]:
    """Base models of a world: the first, all of them, or those of a list."""
    there = known(world)
    if given is None:
        return there[:1]
    if given.strip() == "all":
        return there
    numbers = _numbers("--bases", given)
    for number in numbers:
        if number not in there:
            raise ConfigError(
                f"--bases: {world} has no base model {number}; it has {', '.join(map(str, there))}"
            )
    return numbers


def _numbers(option: str, given: str) -> list[int]:
    parts = [part.strip() for part in given.split(",") if part.strip()]
    if not parts or not all(part.isdecimal() and len(part) < 12 for part in parts):
        raise ConfigError(f"{option} must be whole numbers separated by commas, not {shown(given)}")
    numbers = list(dict.fromkeys(map(int, parts)))
    for number in numbers:
        check_seed(option, number)
    return numbers


def _require_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"the lab trains real models and needs {', '.join(missing)}, not installed here; "
            "pip install 'metareward[train]' brings what is needed"
        )


def _end(found: dict[str, Any], directory: Path, as_json: bool) -> None:
    write_json(directory / "report.json", found)
    replace(directory / "report.md", tables.markdown(found).encode())
    drawn = picture.draw(found, directory)
    if as_json:
        typer.echo(json_text(found, ascii_only=True))
    else:
        render_lab.summary(found, directory, drawn)
