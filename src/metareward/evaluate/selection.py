"""Which epoch of a training is taken, from how each does as an actor and as a judge on the dev prompts.

The paper (arXiv 2407.19594) takes epochs 6, 4, 2 and 2 and does not say how they were chosen. The rule here:
among the epochs whose accuracy on the bank is not below the start model's by more than one standard error of
the difference, the one whose responses have the highest mean score; of equal ones the earliest.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from metareward.errors import StepError
from metareward.evaluate.bank import verdicts
from metareward.evaluate.ladder import scores_by_prompt
from metareward.records import Finish, Judgment, Response, Role

_COVERAGE = 0.5  # of the prompts that the best-covered epoch has a score for
_SAME = 1e-9  # scores this near are equal


@dataclass(frozen=True)
class EpochSeen:
    """One epoch's weights on the dev prompts. None where nothing could be read, or there is no bank.

    actor_score: mean over prompts of the referee's scores of its responses; actor_error: standard error of
    that mean; actor_prompts: that have a score. mean_length: of its responses, in characters; told, not used.
    judge_accuracy: share of the bank's pairs in which the genuine response gets the higher score, a pair of
    equal scores or with an unreadable side counting half; judge_unread: share of pairs with such a side.
    judge_change: the accuracy minus the start model's; judge_error: standard error of that, over prompts.
    """

    epoch: int
    actor_score: float | None
    actor_error: float | None
    actor_prompts: int
    mean_length: float | None
    judge_accuracy: float | None = None
    judge_unread: float | None = None
    judge_change: float | None = None
    judge_error: float | None = None

    @property
    def judge_holds(self) -> bool:
        """Whether the judge is not worse than at the start by more than one standard error."""
        return self.judge_change is None or self.judge_change >= -(self.judge_error or 0.0) - _SAME


@dataclass(frozen=True)
class Choice:
    """The epoch that is taken, why, and what every epoch was seen to do."""

    epoch: int
    reason: str
    epochs: tuple[EpochSeen, ...]

    def as_dict(self) -> dict[str, Any]:
        """All of it as plain data."""
        seen = [{**asdict(each), "judge_holds": each.judge_holds} for each in self.epochs]
        return {"epoch": self.epoch, "reason": self.reason, "epochs": seen}


def seen(
    epoch: int,
    answers: Iterable[Response],
    refereed: Iterable[Judgment],
    bank: Iterable[Response] = (),
    banked: Iterable[Judgment] = (),
    start_banked: Iterable[Judgment] = (),
) -> EpochSeen:
    """The numbers of one epoch: its answers, the referee's judgments of them, and its own of the bank.

    start_banked: the judgments of the bank by the model that training began with. `bank` is read twice.
    """
    scores = list(scores_by_prompt(refereed).values())
    lengths = [len(answer.answer) for answer in answers if answer.finish is not Finish.FAILED]
    mean, error = _mean(scores)
    length = float(np.mean(lengths)) if lengths else None
    judge = _judge(bank, banked, start_banked)
    return EpochSeen(epoch, mean, error, len(scores), length, *judge)


def choose(epochs: Sequence[EpochSeen], roles: Collection[Role]) -> Choice:
    """The epoch to take; `roles` are those that were trained.

    Where only the judge is trained it is the one with the highest accuracy. Where no epoch's judge holds it
    is that one, too: the least harm. An epoch is not taken for its responses if fewer than half as many
    prompts have a readable score as of the best-covered epoch. Of equal epochs the earliest is taken.
    Raises StepError if no epoch has a readable score.
    """
    if Role.ACTOR not in roles and any(each.judge_accuracy is not None for each in epochs):
        best = _first_best(epochs, "judge_accuracy")
        return Choice(best.epoch, "the highest accuracy of the judge", tuple(epochs))
    holding = [each for each in epochs if each.judge_holds]
    if not holding:
        best = _first_best(epochs, "judge_accuracy")
        reason = "no epoch's judge is as good as at the start, and this one's loses least"
        return Choice(best.epoch, reason, tuple(epochs))
    most = max(each.actor_prompts for each in epochs)
    fit = [each for each in holding if each.actor_prompts >= max(1, _COVERAGE * most)]
    if not fit:
        raise StepError(
            "no epoch can be selected: none whose judge holds has readable scores on the dev prompts; "
            "look at the referee's judgments ([judge] reading = 'forced' reads every one), or set select = "
            "'fixed'"
        )
    best = _first_best(fit, "actor_score")
    left_out = len(epochs) - len(fit)
    reason = "the highest score of its responses" + (
        f" among {len(fit)} of {len(epochs)}" if left_out else ""
    )
    return Choice(best.epoch, reason, tuple(epochs))


def _first_best(epochs: Sequence[EpochSeen], name: str) -> EpochSeen:
    values = [(each, getattr(each, name)) for each in epochs]
    highest = max(value for _, value in values if value is not None)
    return next(each for each, value in values if value is not None and value >= highest - _SAME)


def _judge(
    bank: Iterable[Response], banked: Iterable[Judgment], start_banked: Iterable[Judgment]
) -> tuple[float | None, float | None, float | None, float | None]:
    own, start = list(verdicts(bank, banked)), list(verdicts(bank, start_banked))
    if not own:
        return None, None, None, None
    rights = [_half(right) for _, _, right in own]
    differences: dict[str, list[float]] = {}
    for (prompt, _, right), (_, _, before) in zip(own, start, strict=True):
        differences.setdefault(prompt, []).append(_half(right) - _half(before))
    unread = sum(right is None for _, _, right in own) / len(own)
    return float(np.mean(rights)), unread, *_clustered(list(differences.values()))


def _clustered(clusters: Sequence[Sequence[float]]) -> tuple[float, float | None]:
    """The mean of all, and its standard error with clusters as the independent units (a ratio estimate)."""
    total, count = sum(map(sum, clusters)), sum(map(len, clusters))
    mean = total / count
    if len(clusters) < 2:
        return mean, None
    off = np.array([sum(each) - mean * len(each) for each in clusters])
    return mean, float(np.sqrt(len(clusters) / (len(clusters) - 1) * (off**2).sum()) / count)


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    if not values:
        return None, None
    error = float(np.std(values, ddof=1) / np.sqrt(len(values))) if len(values) > 1 else None
    return float(np.mean(values)), error


def _half(right: float | None) -> float:
    """What cannot be read tells the two apart as little as equal scores do."""
    return 0.5 if right is None else right
