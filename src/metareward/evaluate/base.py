"""What every evaluation is: questions asked with a run's verbs, and a pure score of what came back."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from metareward.models.base import Model
from metareward.runner import Runner


class Evaluation(Protocol):
    """One measure of a model, or of a judge.

    A frozen dataclass whose fields are its identity, like a stage. `ask` uses only the verbs of a `Runner`,
    so an evaluation is resumed, reused and planned as a recipe is; `score` touches no model and no disk.
    """

    name: ClassVar[str]

    def items(self) -> Iterable[str]:
        """The texts of the whole benchmark that must not be trained on."""
        ...

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Ask what has to be asked; returns the artifacts that `score` needs.

        of: the model under evaluation. judge: the model that grades its answers; unused where the measure
        is objective, and the subject itself where the judge is what is measured (then `of` is unused).
        """
        ...

    def score(self, *asked: Any) -> dict[str, Any]:
        """Numbers with intervals, as plain data, from the rows of what `ask` returned.

        Raises DataError, with counts, where the rows allow no honest number; never a silent NaN or 0.
        """
        ...


@dataclass(frozen=True)
class Evaluations:
    """What every model of a run is evaluated by. judge: grades answers; None is the run's first model."""

    chosen: tuple[Evaluation, ...] = ()
    judge: Model | None = None
