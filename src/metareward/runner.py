"""What a recipe needs of whoever carries it out: the verbs, and the history they write."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

from metareward.history import History
from metareward.models.base import Model
from metareward.records import Prompt
from metareward.stages.base import Rule, Stage
from metareward.train.dpo import DPO
from metareward.train.sft import SFT

R = TypeVar("R")


class Runner(Protocol):
    """What a recipe needs: the verbs. `Run` does the steps, `plan.Paper` only writes them down."""

    history: History

    def prompts(self, prompts: Sequence[Prompt]) -> Any:
        """Prompts as an artifact."""
        ...

    def given(self, rows: Sequence[Any]) -> Any:
        """Records that no step made, as an artifact."""
        ...

    def ask(self, stage: Stage, *inputs: Any, of: Model) -> Any:
        """The artifact of a stage's answers by one model."""
        ...

    def derive(self, rule: Rule, *inputs: Any) -> Any:
        """The artifact of what a rule makes of other artifacts."""
        ...

    def train(self, training: DPO | SFT, pairs: Sequence[Any], start: Model, reference: Model) -> Model:
        """The model that training makes of `start`: of preference pairs, or with `SFT` of demonstrations."""
        ...

    def train_epochs(
        self, training: DPO, pairs: Sequence[Any], start: Model, reference: Model, epochs: Sequence[int]
    ) -> list[Model]:
        """The models of several epochs of one training, in order; each is what `train` would make, were it
        set to stop there.
        """
        ...

    def discard(self, models: Sequence[Model]) -> None:
        """Say that models of `train_epochs` are not needed any more; their weights may go."""
        ...

    def within(self, section: str) -> AbstractContextManager[None]:
        """Steps done inside are listed under this name."""
        ...

    def conclude(self, measure: Callable[..., R], *inputs: Any) -> R | None:
        """What a pure function makes of finished artifacts; None on paper, where one is not finished."""
        ...

    def size(self, rows: Any) -> int:
        """How many rows an artifact has; on paper, at most how many."""
        ...

    def warn(self, message: str, stop: bool = False) -> None:
        """Say what the user should know; with `stop`, end the run with it.

        On paper what is said of the settings, before any section, is kept for the plan, and nothing else.
        """
        ...
