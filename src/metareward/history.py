"""What a run has done so far, as handles on its artifacts: the report and the summary read this."""

from dataclasses import dataclass, field
from typing import Any

from metareward.models.base import Model
from metareward.readers import Scale
from metareward.supervision import Supervision

STOPS_JUDGE = "stop judge"
"""The action of a judge gate that ends judge training."""


@dataclass(frozen=True)
class Look:
    """One model seen apart from training: on the held-out prompts, on the bank, and by evaluations.

    answers, judgments, refereed: its answers, judged by itself and by the first model. bank, banked: pairs
    known by construction, and this model's judgments of them. evaluated: each evaluation with what it asked.
    prompts: those that were held out. Without held-out prompts all but `evaluated` is None.
    """

    model: Model
    answers: Any
    judgments: Any
    refereed: Any
    battles: Any
    bank: Any | None = None
    banked: Any | None = None
    evaluated: tuple[tuple[Any, tuple[Any, ...]], ...] = ()
    prompts: Any | None = None


@dataclass(frozen=True)
class Trained:
    """How an iteration's pairs became the next model.

    start, reference: what training began with and stayed near. pairs: what it was given, once the share of
    judge pairs was held. capped: the artifacts of judge pairs that came of that (they are among `pairs`).
    choice: why this epoch's weights were taken, where one was selected (`evaluate.selection.Choice`).
    """

    model: Model
    start: Model
    reference: Model
    pairs: tuple[Any, ...]
    capped: tuple[Any, ...] = ()
    choice: Any | None = None


@dataclass(frozen=True)
class Beside:
    """A model's answers to an iteration's prompts, and judgments of them.

    name: "present" is the iteration's own model, "past" the first, "future" one trained ahead for this
    iteration alone; "previous" is the model before, which wrote no answers (None) but judged the present's.
    Judgments are the iteration's own model's but for those of "previous". pairs: what trained the future.
    """

    name: str
    model: Model
    answers: Any | None
    responses: Any
    judgments: Any
    pairs: tuple[Any, ...] = ()

    @property
    def rows(self) -> tuple[Any, Any]:
        """Responses and judgments, as rules take them."""
        return self.responses, self.judgments

    @property
    def all(self) -> tuple[Any, Any, Any]:
        """Answers, responses and judgments."""
        return self.answers, self.responses, self.judgments


@dataclass(frozen=True)
class Round:
    """One iteration: what the model wrote, the pairs that came of it, and what it was trained into.

    start: the model that was asked. training: how it was trained, where the recipe says so. beside: what
    other models answered or judged. left_out: the artifacts of judge pairs that were made, and that the judge
    gate left out of the training.
    """

    start: Model
    prompts: Any
    answers: Any
    responses: Any
    judgments: Any
    battles: Any | None
    pairs: tuple[Any, ...]
    trained: Model
    training: Trained | None = None
    beside: tuple[Beside, ...] = ()
    left_out: tuple[Any, ...] = ()

    @property
    def skipped(self) -> bool:
        """Whether nothing was trained, because gates had left no pair: the model stayed as it was."""
        return self.trained.fingerprint == self.start.fingerprint


@dataclass(frozen=True)
class Attacked:
    """One model attacked as a judge: the report, and what was done about it ("none" where it passed)."""

    model: Model
    action: str
    report: Any


@dataclass(frozen=True)
class Tuned:
    """Evaluation fine-tuning: which demonstrations there were, which were taken, what the judge was worth.

    how: where justification and verdict came from. left_out: responses that were not used, by reason.
    before, after: the judge on held-out prompts (see `eft.measure`); None on paper. replayed: the model's own
    ordinary answers that were learnt beside the judgments; None where there were none.
    """

    start: Model
    trained: Model
    how: str
    demonstrations: Any
    taken: Any
    left_out: dict[str, int]
    before: Any
    after: Any
    replayed: Any | None = None


@dataclass(frozen=True)
class Gated:
    """What the judge gate measured in an iteration, and what was done about it ("none" where it passed).

    model: the judge that was to be trained. left_out: the artifacts of judge pairs not trained on.
    """

    iteration: int
    model: Model
    action: str
    report: Any
    left_out: tuple[Any, ...] = ()


@dataclass(frozen=True)
class Answered:
    """What a model's answers looked like before they were judged, and what was done ("none" if they passed).

    kind: "held-out", or an iteration's: "training", or by another model "past" or "future" (see `Beside`).
    iteration: the number of those before it. report: a `recipes.degenerate.AnswersReport`.
    """

    kind: str
    iteration: int
    model: Model
    action: str
    report: Any


@dataclass
class History:
    """Looks, rounds, attacks, judge gates and answers in the order in which they were finished.

    newest: the last model's judgments of every look's answers, by the name of the model that answered.
    contaminated: the prompts found to resemble an evaluation's items, as `evaluate.contamination` says them.
    supervision: what the run learnt from besides its own judgments. engine: what answered, by name.
    tuned: evaluation fine-tuning, if there was any.
    rhos: the length control of each iteration that trained the actor, by its number (a `RhoChoice`).
    consistency: how far its judge agreed with the one before, by its number (a `Consistency`).
    scale: of the judge's scores.
    """

    looks: list[Look] = field(default_factory=list)
    rounds: list[Round] = field(default_factory=list)
    attacks: list[Attacked] = field(default_factory=list)
    judge_gates: list[Gated] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    supervision: Supervision = Supervision()
    engine: str = ""
    tuned: Tuned | None = None
    newest: dict[str, Any] = field(default_factory=dict)
    contaminated: list[Any] = field(default_factory=list)
    rhos: dict[int, Any] = field(default_factory=dict)
    consistency: dict[int, Any] = field(default_factory=dict)
    scale: Scale = Scale()

    @property
    def judge_stopped(self) -> int | None:
        """The iteration in which the judge gate ended judge training for the rest of the run, if it did."""
        return next((gate.iteration for gate in self.judge_gates if gate.action == STOPS_JUDGE), None)
