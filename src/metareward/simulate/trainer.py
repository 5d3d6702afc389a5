"""A trainer for simulated models: DPO, computed exactly, on log-linear policies."""

import dataclasses
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from metareward.errors import ConfigError, StepError
from metareward.records import Message, PreferencePair, Role
from metareward.settings import require
from metareward.simulate.abilities import ACTOR, FILE, JUDGE, Abilities, load, store
from metareward.simulate.texts import MOST_PADDING, question_number, read_answer, read_judgments
from metareward.train.dpo import DPO
from metareward.train.fake import keep
from metareward.train.job import Listener, TrainJob, TrainResult, finished, ignore

_WIDTH = len(dataclasses.fields(Abilities))


@dataclass(frozen=True)
class SimulatedTrainer:
    """Trains simulated models on the texts of their pairs, by stochastic gradient descent.

    Of a log-linear policy log pi(y|x) = theta . f(x, y) - log Z(x) the margin of a pair under DPO (arXiv
    2305.18290, equation 7) is beta (theta - theta_ref) . (f(chosen) - f(rejected)), for the normaliser
    cancels; so its loss and gradient are exact, a pair's weight and certainty included. Batches, schedule,
    epochs and beta are those of the job, and `dpo.learning_rate` is the step on theta, plain instead of
    AdamW's.
    """

    def __call__(self, job: TrainJob, listener: Listener = ignore) -> TrainResult:
        """Carry out a job as `train.launch.launch` would."""
        dpo = job.dpo
        if not isinstance(dpo, DPO):
            raise ConfigError("a simulated model learns from pairs, not demonstrations: leave [eft] off")
        require(dpo.nll_weight == 0, "dpo.nll_weight", "0 for a simulated model", dpo.nll_weight)
        done = finished(job, listener)
        if done is not None:
            return done
        pairs: list[PreferencePair] = list(job.pairs)
        if not pairs:
            raise StepError(f"training {job.key}: no pairs were given, so there is nothing to train on")
        theta, reference = load(job.start).vector(), load(job.reference).vector()
        theta, losses = descend(dpo, theta, reference, pairs)
        result = TrainResult(
            key=job.key,
            output_dir=job.output_dir,
            loss_first=losses[0],
            loss_last=losses[-1],
            steps=len(losses),
            pairs_used=len(pairs),
            dropped={},
            reencoded=0,
            tokens=0,
            seconds=0.0,
            versions={"trainer": "simulated"},
        )
        return keep(job, {FILE: store(Abilities(*map(float, theta)))}, result, listener)


def descend(
    dpo: DPO, theta: NDArray[np.float64], reference: NDArray[np.float64], pairs: Sequence[PreferencePair]
) -> tuple[NDArray[np.float64], list[float]]:
    """The parameters [P] after training on N pairs, and the loss of each step."""
    losses: list[float] = []
    differences = np.array([difference(pair) for pair in pairs])
    weights, certainties = np.array([(pair.weight, pair.certainty) for pair in pairs]).T
    total = dpo.epochs * math.ceil(len(pairs) / dpo.batch_size)
    for rows in _batches(dpo, len(pairs)):
        batch, weight, certainty = differences[rows], weights[rows], certainties[rows]
        margins = dpo.beta * batch @ (theta - reference)
        straight, flipped = np.logaddexp(0, -margins), np.logaddexp(0, margins)
        losses.append(float((weight * (certainty * straight + (1 - certainty) * flipped)).mean()))
        slope = dpo.beta * batch.T @ (weight * (certainty - expit(margins))) / len(batch)
        theta = theta + dpo.learning_rate * _schedule(dpo, len(losses) - 1, total) * slope
    return theta, losses


def difference(pair: PreferencePair) -> NDArray[np.float64]:
    """Features of the chosen side minus those of the rejected, [P]; the other role's are 0."""
    found = np.zeros(_WIDTH)
    features = _actor_features if pair.role is Role.ACTOR else _judge_features
    own = ACTOR if pair.role is Role.ACTOR else JUDGE
    found[own] = features(pair.messages, pair.chosen) - features(pair.messages, pair.rejected)
    return found


def _actor_features(messages: tuple[Message, ...], text: str) -> NDArray[np.float64]:
    """Points met, and sentences of padding: what `quality` and `length` multiply."""
    answer = read_answer(text, question_number(messages))
    return np.array([answer.quality, answer.padding], dtype=np.float64)


def _judge_features(messages: tuple[Message, ...], text: str) -> NDArray[np.float64]:
    """What `insight`, `leniency`, `halo` multiply: sum_k v_k t_k, sum_k v_k, and the latter times padding."""
    answer = read_answer(messages[-1].content, question_number(messages))
    (said,) = read_judgments(text)
    true = sum(verdict * (1 if one else -1) for verdict, one in zip(said.verdicts, answer.met, strict=True))
    return np.array([true, said.total, said.total * (answer.padding - MOST_PADDING / 2)])


def _batches(dpo: DPO, pairs: int) -> Iterator[NDArray[np.int64]]:
    order = np.random.default_rng(dpo.seed)
    for _ in range(dpo.epochs_to_train):
        rows = order.permutation(pairs)
        for begin in range(0, pairs, dpo.batch_size):
            yield rows[begin : begin + dpo.batch_size]


def _schedule(dpo: DPO, step: int, total: int) -> float:
    """The share of the learning rate at a step, warm-up first."""
    warmup = math.ceil(dpo.warmup_ratio * total)
    if step < warmup:
        return (step + 1) / warmup
    left = 1 - (step - warmup) / max(1, total - warmup)
    return {"cosine": 0.5 * (1 - math.cos(math.pi * left)), "linear": left, "constant": 1.0}[dpo.scheduler]
