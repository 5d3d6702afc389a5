"""Two runs side by side: settings, environment, model and data, and the steps that follow from them."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from metareward.diff.sides import Side
from metareward.diff.steps import SAME, StepChange, step_changes
from metareward.rundir import changed

_SPEED = ("machine", "plan")
_ENVIRONMENT = ("environment", "gpus")
_CONTENT = ("model", "data", "supervision")


@dataclass(frozen=True)
class Change:
    """One value that differs. name: dotted, as in the config or the session's record. None: not there."""

    name: str
    before: Any
    after: Any


@dataclass(frozen=True)
class Difference:
    """All that differs between two sides.

    settings: of the method, which results depend on. speed: [machine] and [plan], on which none does.
    environment: packages, Python, code, hardware, variables: numbers may differ though every key is the same.
    content: fingerprints of model and data, and the supervision. steps: every step, the same ones included.
    """

    before: str
    after: str
    settings: tuple[Change, ...]
    speed: tuple[Change, ...]
    environment: tuple[Change, ...]
    content: tuple[Change, ...]
    steps: tuple[StepChange, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing differs at all."""
        values = (*self.settings, *self.speed, *self.environment, *self.content)
        return not values and all(step.state == SAME for step in self.steps)

    @property
    def causes(self) -> tuple[str, ...]:
        """The first causes of every changed step, each once."""
        return tuple(dict.fromkeys(cause for step in self.steps for cause in step.causes))

    def as_dict(self) -> dict[str, Any]:
        """The same as plain data."""
        return {**asdict(self), "causes": list(self.causes), "equal": self.is_empty}


def compare(before: Side, after: Side) -> Difference:
    """Everything in which two sides differ. Raises StoreError if a file that is needed is damaged."""
    old, new = before.config, after.config
    meaning = [name for name in (*old, *new) if name not in (*_SPEED, "supervision")]
    return Difference(
        before.label,
        after.label,
        tuple(_changes(old, new, meaning)),
        tuple(_changes(old, new, _SPEED)),
        tuple(_changes(before.record.facts, after.record.facts, _ENVIRONMENT)),
        tuple(_changes(before.record.facts, after.record.facts, _CONTENT)),
        tuple(step_changes(before, after)),
    )


def _changes(before: Any, after: Any, names: Any) -> Iterator[Change]:
    for name in dict.fromkeys(names):
        for where, old, new in changed(before.get(name), after.get(name), name):
            yield Change(where.removeprefix("environment."), old, new)
