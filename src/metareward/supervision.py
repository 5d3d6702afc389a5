"""What besides the model's own judgments a run learnt from; every report says it."""

from dataclasses import dataclass
from enum import StrEnum


class SupervisionLevel(StrEnum):
    """The kinds of supervision, the weakest first.

    NONE: the model's own judgments alone. EFT_HUMAN_RANKS: its judge was first fine-tuned on ranks that
    people gave (Self-Rewarding, section 2.4). REFERENCE_ANSWERS: answers are known to be right or wrong.
    STRONGER_MODEL: another, stronger model judged or wrote. HUMAN_PREFERENCES: people compared answers.
    """

    NONE = "none"
    EFT_HUMAN_RANKS = "EFT from human ranks"
    REFERENCE_ANSWERS = "reference answers"
    STRONGER_MODEL = "a stronger model"
    HUMAN_PREFERENCES = "human preferences"


@dataclass(frozen=True, slots=True)
class Supervision:
    """The strongest supervision a run had, and in `detail` what it was (a dataset, a model).

    A recipe's settings may have a field `supervision` that says what the recipe itself brings in; a config
    says with `[supervision]` what the model it begins with had. The stronger of the two is the run's.
    """

    level: SupervisionLevel = SupervisionLevel.NONE
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.level.value} ({self.detail})" if self.detail else self.level.value

    def at_least(self, other: "Supervision") -> "Supervision":
        """The stronger of two; of equals the first."""
        order = list(SupervisionLevel)
        return self if order.index(self.level) >= order.index(other.level) else other
