"""Small whole loops on the fake engine, for several test files."""

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import planted
from metareward.engines.base import Completion, Engine, Request, failed
from metareward.engines.fake import fake
from metareward.events import Event, Listener, ignore
from metareward.models.base import Model
from metareward.recipes.combined import Combined, combined
from metareward.recipes.cream import Cream, cream
from metareward.recipes.gate import Gate
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.recipes.settings import Iteration, Watch
from metareward.recipes.temporal import Temporal, temporal
from metareward.run import Run
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.train.dpo import DPO
from metareward.train.fake import FakeTrainer

START = Model("start", "nowhere", "f0")
TWO = (Iteration(rho=0.2), Iteration(rho=0.3))


def small_meta(
    reading: str = "free", samples: int = 4, iterations: tuple[Iteration, ...] = TWO
) -> MetaRewarding:
    return MetaRewarding(
        Generate(samples=samples),
        Judge(samples=3, reading=reading),  # type: ignore[arg-type]
        MetaJudge(reading=reading),  # type: ignore[arg-type]
        DPO(batch_size=2, epochs=1),
        iterations,
        Watch(1, 2, bank_prompts=0),
    )


def small_self(reading: str = "free") -> SelfRewarding:
    judge = Judge(samples=3, reading=reading)  # type: ignore[arg-type]
    return SelfRewarding(
        Generate(samples=4), judge, DPO(batch_size=2, epochs=1), watch=Watch(1, 2, bank_prompts=0)
    )


def small_temporal(reading: str = "free", **changes: Any) -> Temporal:
    judge = Judge(samples=3, reading=reading)  # type: ignore[arg-type]
    dpo, watch = DPO(batch_size=2, epochs=1), Watch(1, 2, bank_prompts=0)
    return Temporal(Generate(samples=4), judge, dpo, **{"watch": watch, **changes})


def small_cream(reading: str = "free", **changes: Any) -> Cream:
    judge = Judge(samples=3, reading=reading)  # type: ignore[arg-type]
    dpo, watch = DPO(batch_size=2, epochs=1), Watch(1, 2, bank_prompts=0)
    return Cream(Generate(samples=4), judge, dpo, **{"watch": watch, **changes})


def small_combined(reading: str = "free", **changes: Any) -> Combined:
    judge, meta = Judge(samples=3, reading=reading), MetaJudge(reading=reading)  # type: ignore[arg-type]
    dpo, watch = DPO(batch_size=2, epochs=1), Watch(1, 2, bank_prompts=0)
    own = {"iterations": (Iteration(rho="auto"), Iteration(rho=0.2)), "watch": watch}
    return Combined(Generate(samples=4), judge, meta, dpo, **(own | changes))


PAIRS = str(Path(__file__).parent / "data" / "planted_pairs.jsonl")
"""Pairs of responses in the planted world's own terms, to attack its judge with."""


def gated(small: Callable[..., Any]) -> Callable[..., Any]:
    """The same settings with the gate on: every model is attacked before its judgments are built on."""
    gate = Gate(enabled=True, items=PAIRS, limit=2, families=("null",), max_wins=0.99)
    return lambda *given, **named: replace(small(*given, **named), attack=gate)


RECIPES: dict[str, tuple[Callable[..., Model], Callable[..., Any]]] = {
    "meta_rewarding": (meta_rewarding, small_meta),
    "self_rewarding": (self_rewarding, small_self),
    "temporal": (temporal, small_temporal),
    "cream": (cream, small_cream),
    "combined": (combined, small_combined),
}
GATED = {f"{name}, gated": (recipe, gated(small)) for name, (recipe, small) in RECIPES.items()}


class Asked:
    """Opens an engine that notes every request and can break at the n-th."""

    def __init__(
        self, script: Any, break_at: int | None = None, fail: Callable[[Request], bool] | None = None
    ) -> None:
        self.requests: list[Request] = []
        self.opened: list[str] = []
        self._open, self._break_at, self._fail = fake(script), break_at, fail
        self.answered: list[str] = []

    @contextmanager
    def __call__(self, model: Model) -> Iterator[Engine]:
        self.opened.append(model.fingerprint)
        with self._open(model) as engine:
            yield _Noting(self, engine)

    def answer(self, engine: Engine, requests: Iterable[Request]) -> Iterator[Completion]:
        for completion in engine.complete(self._note(requests)):
            if self._break_at is not None and len(self.answered) >= self._break_at:
                raise KeyboardInterrupt
            self.answered.append(completion.request_id)
            request = next(r for r in reversed(self.requests) if r.id == completion.request_id)
            yield failed(request, "made to fail") if self._fail and self._fail(request) else completion

    def _note(self, requests: Iterable[Request]) -> Iterator[Request]:
        for request in requests:
            self.requests.append(request)
            yield request


class _Noting:
    def __init__(self, asked: Asked, engine: Engine) -> None:
        self._asked, self._engine = asked, engine

    def complete(self, requests: Iterable[Request], /) -> Iterator[Completion]:
        return self._asked.answer(self._engine, requests)


def loop(
    directory: Path,
    open_engine: Any,
    name: str = "meta_rewarding",
    settings: Any = None,
    prompts: int = 6,
    listen: Listener = ignore,
    trainer: Any = None,
    held_out: int = 2,
) -> tuple[Run, Model]:
    """A whole run on planted prompts; two iterations of `prompts` prompts, `held_out` held out."""
    recipe, small = (RECIPES | GATED)[name]
    settings = settings or small()
    many = planted.prompts(prompts * len(settings.iterations) + held_out)
    with Run(directory, open_engine, trainer or FakeTrainer(), listen=listen) as run:
        apart, rest = run.prompts(many[:held_out]), many[held_out:]
        batches = [run.prompts(rest[t * prompts :][:prompts]) for t in range(len(settings.iterations))]
        model = recipe(run, START, batches, settings, apart)
    return run, model


def everything(run: Run) -> dict[str, Any]:
    """All rows of a run by artifact, as plain data, for comparing two runs."""
    found: dict[str, Any] = {}
    for round in run.history.rounds:
        for artifact in (round.answers, round.responses, round.judgments, round.battles, *round.pairs):
            if artifact is not None:
                found[artifact.key] = [dataclasses.asdict(row) for row in artifact]
                found[f"{artifact.key} dropped"] = [dataclasses.asdict(row) for row in artifact.dropped()]
        for other in round.beside:
            for artifact in (other.responses, other.judgments, *other.pairs):
                found[artifact.key] = [dataclasses.asdict(row) for row in artifact]
    for look in run.history.looks:
        for artifact in (look.answers, look.judgments, look.refereed, look.battles):
            if artifact is not None:
                found[artifact.key] = [dataclasses.asdict(row) for row in artifact]
    return found


class Heard(list[Event]):
    """A listener that remembers."""

    def __call__(self, event: Event) -> None:
        self.append(event)
