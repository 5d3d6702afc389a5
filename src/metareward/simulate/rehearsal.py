"""A whole recipe on a simulated model, in seconds: what it would do under stated assumptions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward.errors import NoPairsError
from metareward.events import Listener, Noticed, ignore
from metareward.history import History, Round
from metareward.models.base import Model
from metareward.recipes.judge_gate import GateReport
from metareward.records import Battle, Judgment, Outcome
from metareward.run import Run
from metareward.settings import require
from metareward.simulate.abilities import Abilities, load
from metareward.simulate.measure import Truth, truth
from metareward.simulate.trainer import SimulatedTrainer
from metareward.simulate.world import World, questions, simulated, start

_APART = 1_000_000  # questions between one seed and the next


@dataclass(frozen=True)
class Seen:
    """One model of a rehearsal.

    higher_wins, first_wins: of the battles of its iteration, see `rates`; None where there was none.
    trained_judge: whether judge pairs were trained on to make the next model.
    gate: what the judge gate measured in its iteration; None where no battle was held.
    """

    name: str
    abilities: Abilities
    truth: Truth
    higher_wins: float | None = None
    first_wins: float | None = None
    trained_judge: bool = False
    gate: GateReport | None = None


@dataclass(frozen=True)
class Rehearsal:
    """The models of a loop in order, what the run warned of, and why it ended early if it did."""

    models: tuple[Seen, ...]
    warnings: tuple[str, ...] = ()
    ended: str | None = None


def rehearse(
    recipe: Callable[..., Model],
    settings: Any,
    world: World,
    directory: Path,
    prompts: int = 40,
    seed: int = 0,
    listen: Listener = ignore,
) -> Rehearsal:
    """Run a recipe with its real stages, rules, gates and store on a simulated model.

    prompts: of each iteration. seed: which questions are asked; every draw follows from them. The same
    directory goes on where it was stopped. A loop that runs out of pairs ends there.
    """
    require(prompts >= 1, "prompts", "at least 1", prompts)
    warnings: list[str] = []

    def hear(event: Any) -> None:
        if isinstance(event, Noticed):
            warnings.append(f"{event.section}: {event.message}")
        listen(event)

    ended, first = None, start(world, directory / "start")
    with Run(directory / "run", simulated(world), SimulatedTrainer(), listen=hear) as run:
        batches = [run.prompts(batch) for batch in _batches(len(settings.iterations), prompts, seed)]
        try:
            recipe(run, first, batches, settings)
        except NoPairsError as error:
            ended = str(error).partition("\n")[0]
        return Rehearsal(_seen(run.history, first, world), tuple(warnings), ended)


def rates(judgments: Sequence[Judgment], battles: Sequence[Battle]) -> tuple[float | None, float | None]:
    """P(the higher-scored judgment wins | scores differ), P(the first wins | same score): decided battles."""
    scores = {judgment.id: judgment.score for judgment in judgments}
    higher: list[bool] = []
    first: list[bool] = []
    for battle in battles:
        one, other = scores[battle.first_id], scores[battle.second_id]
        if one is None or other is None or battle.outcome not in (Outcome.FIRST, Outcome.SECOND):
            continue
        won = battle.outcome is Outcome.FIRST
        if one == other:
            first.append(won)
        else:
            higher.append(won == (one > other))
    return _share(higher), _share(first)


def _seen(history: History, first: Model, world: World) -> tuple[Seen, ...]:
    gates = {gated.iteration: gated.report for gated in history.judge_gates}
    seen = [_before(round, world, gates.get(number)) for number, round in enumerate(history.rounds)]
    last = load(history.rounds[-1].trained.path if history.rounds else first.path)
    return (*seen, Seen(f"M{len(seen)}", last, truth(last, world.first)))


def _before(round: Round, world: World, gate: GateReport | None) -> Seen:
    """The model that an iteration began with, and its battles."""
    own = load(round.start.path)
    higher, first = rates(list(round.judgments), list(round.battles or ()))
    trained = any(pair.role == "judge" for rows in round.pairs for pair in rows)
    return Seen(round.start.name, own, truth(own, world.first), higher, first, trained, gate)


def _batches(iterations: int, prompts: int, seed: int) -> list[list[Any]]:
    begin = seed * _APART
    return [
        questions(range(begin + number * prompts, begin + (number + 1) * prompts))
        for number in range(iterations)
    ]


def _share(found: Sequence[bool]) -> float | None:
    return sum(found) / len(found) if found else None
