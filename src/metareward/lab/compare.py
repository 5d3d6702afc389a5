"""Conditions side by side: the same prompts and budget for each, from the same base models."""

import os
import pickle
import re
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from metareward import disk
from metareward.errors import ConfigError, MetarewardError, StepError, UserError
from metareward.events import Event, Noticed
from metareward.lab.bases import PLAIN
from metareward.lab.cell import RESULT, Cell, read_cell, run_cell
from metareward.lab.conditions import Budget, Condition
from metareward.lab.pool import Outcome, RunCell, here, in_workers
from metareward.lab.worker import Failure
from metareward.settings import check_seed, require
from metareward.store.claim import claim

TRACE = "failed.txt"
_NAME = re.compile(r"[A-Za-z0-9][\w.-]*")


@dataclass(frozen=True, slots=True)
class Heard:
    """What became known of a cell, of which `ended` of `cells` have ended.

    state: "found" from before, "begun", "ended", "failed", or "working", with what its run says.
    """

    cell: Cell
    state: Literal["found", "begun", "working", "ended", "failed"]
    ended: int
    cells: int
    event: Event | None = None


def compare(
    conditions: Mapping[str, Condition],
    budget: Budget = Budget(),  # noqa: B008 - frozen
    bases: Sequence[int] = (0,),
    seeds: Sequence[int] = (0,),
    root: Path = Path("runs/lab"),
    world: str = PLAIN,
    jobs: int | None = None,
    listen: Callable[[Heard], None] = lambda _: None,
    run: RunCell = run_cell,
) -> list[dict[str, Any]]:
    """Carry out every condition from every base model with every seed; what each cell came to, in that order.

    conditions: by name; a user's own stands beside those of `CONDITIONS`. Its settings need `generate`,
        `judge` and `evaluate`, and its recipe a `Watcher` that looks at every model.
    root: where everything is kept. Cells that have ended are found again, unless their settings or base
        model are others now; one that was stopped goes on. A recipe from outside the package is gone through
        again, since its code may be another, but asks nothing twice.
    jobs: worker processes; 0 carries all out in this one, one after another. By default as many as there are
        cores, or 0 where a recipe cannot be sent to another process.
    run: what carries a cell out.

    Raises ConfigError before anything begins if something cannot be carried out. If cells fail, the others
    end first; then UserError (where all are a user's mistakes) or StepError names them. KeyboardInterrupt
    says what is kept.
    """
    cells = _grid(conditions, budget, bases, seeds, world)
    found: dict[str, dict[str, Any]] = {}
    failures: dict[str, Failure] = {}

    def say(cell: Cell, state: Any, event: Event | None = None) -> None:
        listen(Heard(cell, state, len(found) + len(failures), len(cells), event))

    with claim(root):
        for cell in cells:
            if (before := _before(cell, root)) is not None:
                found[cell.place] = before
                say(cell, "found")
        left = [cell for cell in cells if cell.place not in found]
        jobs = _jobs(left, jobs, run, lambda notice: say(left[0], "working", notice))
        try:
            with closing(_outcomes(left, root, run, jobs, say)) as outcomes:
                for cell, outcome in outcomes:
                    failed = isinstance(outcome, Failure)
                    (failures if failed else found)[cell.place] = outcome  # type: ignore[assignment]
                    say(cell, "failed" if failed else "ended")
        except KeyboardInterrupt:
            raise KeyboardInterrupt(_kept(len(found), len(cells))) from None
        if failures:
            raise _error(failures, len(cells), root)
    return [found[cell.place] for cell in cells]


def _grid(
    conditions: Mapping[str, Condition],
    budget: Budget,
    bases: Iterable[int],
    seeds: Iterable[int],
    world: str,
) -> list[Cell]:
    """Every cell, its settings made; those of one base model and seed together."""
    bases, seeds = list(bases), list(seeds)
    for name, given in (("bases", bases), ("seeds", seeds), ("conditions", list(conditions))):
        require(bool(given), name, "at least one", given)
        require(len(set(given)) == len(given), name, "free of repeats", given)
    for seed in seeds:
        check_seed("seeds", seed)
    return [
        _made(name, condition, budget, base, seed, world)
        for base in bases
        for seed in seeds
        for name, condition in conditions.items()
    ]


@dataclass(frozen=True)
class _Made:
    """Settings that are made already: unlike what makes them, they can be sent to another process."""

    settings: Any

    def __call__(self, budget: Budget, seed: int) -> Any:
        return self.settings


def _made(name: str, condition: Condition, budget: Budget, base: int, seed: int, world: str) -> Cell:
    require(
        _NAME.fullmatch(name) is not None, "a condition's name", "letters, digits, '_', '-' and '.'", name
    )
    try:
        settings = condition.settings(budget, seed)
    except ConfigError as error:
        raise ConfigError(f"{name}: {error}") from None
    lacking = [part for part in ("generate", "judge", "evaluate") if not hasattr(settings, part)]
    if lacking:
        raise ConfigError(f"{name}: its settings lack {', '.join(lacking)}, by which its models are measured")
    cell = Cell(name, replace(condition, settings=_Made(settings)), budget, base, seed, world)
    try:
        cell.key  # noqa: B018 - what cannot be named cannot be found again
    except TypeError as error:
        raise ConfigError(f"{name}: its settings must be plain data: {error}") from error
    return cell


def _before(cell: Cell, root: Path) -> dict[str, Any] | None:
    """What a cell came to in an earlier session, if that still holds."""
    file = root / cell.place / RESULT
    found = read_cell(file)
    if found is None or found["key"] != cell.key:
        return None
    if _shipped(cell.condition.recipe):
        return found
    disk.remove(file)
    return None


def _shipped(recipe: Any) -> bool:
    return str(getattr(recipe, "__module__", "")).split(".")[0] == __name__.split(".")[0]


def _jobs(left: Sequence[Cell], jobs: int | None, run: RunCell, notice: Callable[[Noticed], None]) -> int:
    """So many worker processes as are wanted and can be used."""
    require(jobs is None or jobs >= 0, "jobs", "0 or more", jobs)
    if not left or jobs == 0:
        return 0
    unsent = dict.fromkeys(cell.name for cell in left if not _can_be_sent(run, cell))
    if not unsent:
        return jobs or _cores()
    why = (
        f"{', '.join(unsent)}: a recipe or its settings cannot be sent to another process: what is defined "
        "in the program itself, in a notebook or within a function is not found there"
    )
    advice = "put it into a module that can be imported"
    if jobs:
        raise ConfigError(f"{why}; {advice}, or set jobs to 0 to carry out all in this process")
    notice(
        Noticed(
            "", f"{why}. All is carried out in this process, one after another; {advice} to use all cores"
        )
    )
    return 0


def _can_be_sent(run: RunCell, cell: Cell) -> bool:
    try:
        return b"__main__" not in pickle.dumps((run, cell))
    except (pickle.PicklingError, AttributeError, TypeError):
        return False


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _outcomes(
    left: Sequence[Cell], root: Path, run: RunCell, jobs: int, say: Callable[..., None]
) -> Generator[Outcome, None, None]:
    def hear(cell: Cell, event: Event | None) -> None:
        say(cell, "begun" if event is None else "working", event)

    return in_workers(left, root, run, jobs, hear) if jobs else here(left, root, run, hear)


def _kept(ended: int, cells: int) -> str:
    return (
        f"stopped; {ended} of {cells} cells have ended and are kept, and those that were begun go on from "
        "where they were"
    )


def _error(failures: Mapping[str, Failure], cells: int, root: Path) -> MetarewardError:
    """One error for all that failed; where each did lies beside its rows."""
    lines = []
    for place, failure in failures.items():
        if failure.trace:
            disk.make_directory(root / place)
            disk.write(root / place / TRACE, failure.trace.encode("utf-8", "backslashreplace"))
        where = f" ({root / place / TRACE} says where)" if failure.trace else ""
        lines.append(f"{place}: {failure.said}{where}")
    kind = UserError if all(failure.own for failure in failures.values()) else StepError
    ended = cells - len(failures)
    return kind(
        f"{len(failures)} of {cells} cells failed. {ended} have ended and are kept; mend what is wrong and "
        "do the same again, and what failed goes on from where it was.\n" + "\n".join(lines)
    )
