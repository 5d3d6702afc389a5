"""The epochs of a training are told apart on dev prompts: which are trained on, and reported on, never."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from metareward.errors import ConfigError
from metareward.evaluate.bank import Bank
from metareward.evaluate.selection import Choice, choose, seen
from metareward.models.base import Model
from metareward.recipes.settings import Watch
from metareward.records import Role
from metareward.runner import Runner
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge


@dataclass(frozen=True)
class Dev:
    """How epochs are seen: as the models are on the held-out prompts, but on prompts of their own.

    prompts: the dev prompts, None if there are none. referee: the run's first model, which scores all
    responses and whose own are made into the bank.
    """

    watch: Watch
    generate: Generate
    judge: Judge
    referee: Model
    prompts: Any | None

    def select(
        self, run: Runner, start: Model, epochs: Mapping[int, Model], roles: Collection[Role]
    ) -> Choice | None:
        """The epoch to take; None on paper, where nothing is seen yet. ConfigError without dev prompts.

        start: what training began with, whose judge the epochs' judges are held against.
        """
        if self.prompts is None:
            raise ConfigError("select = 'dev' needs prompts to select on; set dev in [prompts]")
        bank = self._bank(run)
        before = self._banked(run, bank, start)
        own = [self._own(run, model, bank) for model in epochs.values()]  # each model is loaded once
        looks = [
            [answers, run.ask(self._judging, self.prompts, answers, of=self.referee), *judge, *before]
            for answers, *judge in own
        ]
        measure = partial(_choice, list(epochs), len(looks[0]), roles)
        return run.conclude(measure, *(artifact for look in looks for artifact in look))

    def _own(self, run: Runner, model: Model, bank: Any | None) -> list[Any]:
        """What one epoch says itself: its responses, and its judgments of the bank with the bank."""
        answers = run.ask(self._generating, self.prompts, of=model)
        return [answers, *([] if bank is None else [bank]), *self._banked(run, bank, model)]

    def _bank(self, run: Runner) -> Any | None:
        if not self.watch.bank_prompts:
            return None
        answers = run.ask(self._generating, self.prompts, of=self.referee)
        return run.derive(Bank(self.watch.bank_prompts, self.generate.seed), self.prompts, answers)

    def _banked(self, run: Runner, bank: Any | None, model: Model) -> list[Any]:
        return [] if bank is None else [run.ask(self._judging, self.prompts, bank, of=model)]

    @property
    def _generating(self) -> Generate:
        return replace(self.generate, samples=self.watch.responses)

    @property
    def _judging(self) -> Judge:
        return replace(self.judge, samples=self.watch.judgments)


# The artifacts of one look stand in the order of the arguments of `evaluation.seen`.


def _choice(epochs: list[int], each: int, roles: Collection[Role], *artifacts: Any) -> Choice:
    looks = [artifacts[n * each : (n + 1) * each] for n in range(len(epochs))]
    measure: Callable[..., Any] = seen
    return choose([measure(epoch, *look) for epoch, look in zip(epochs, looks, strict=True)], roles)
