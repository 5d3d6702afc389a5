"""The decoding loop: draw, end, read and drop rows, all rows one token at a time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch

from metareward.engines.batching import Job, Plan
from metareward.engines.forcing import ForcedTokens
from metareward.engines.prefill import Network
from metareward.engines.sampling import draw, uniforms
from metareward.engines.states import begin
from metareward.engines.stopping import Stopping
from metareward.records import Finish

NOT_FINITE = (
    "the model's scores of the next token are not finite numbers: its weights hold NaN or infinities, or its "
    "number format is too narrow (metareward models check MODEL says which; machine.dtype sets the format)"
)
_SHRINK = 16  # rows are moved together once one in so many has ended


@dataclass
class Row:
    """One answer in the making.

    sampled: every token drawn. kept: how many of them belong to the answer. pending: what is still to be
    fed before the choices are read; None while sampling. reading: what is forced after the answer, if that
    can be done outside reasoning. inside: reasoning was seen to be open, and no marker since that may end it.
    fault: why there is no answer.
    """

    job: Job
    position: int
    sampled: list[int] = field(default_factory=list)
    kept: int = 0
    text: str = ""
    finish: Finish = Finish.LENGTH
    turn_ended: bool = False
    pending: list[int] | None = None
    reading: ForcedTokens | None = None
    inside: bool = False
    choice_log_probs: dict[str, float] | None = None
    done: bool = False
    fault: str | None = None


@torch.inference_mode()
def decode(
    network: Network, stopping: Stopping, ends: frozenset[int], plan: Plan, chunk: int
) -> Iterator[Row]:
    """Answer one batch, giving each row as soon as it has left the batch.

    `ends` are the tokens that end a turn; they are drawn but never fed.
    """
    batch = _Batch(network, stopping, ends, plan, chunk)
    while batch.rows:
        batch.step()
        yield from batch.finished
        batch.finished.clear()


class _Batch:
    """The live rows and their tensors, row i of each for `rows[i]`."""

    def __init__(
        self, network: Network, stopping: Stopping, ends: frozenset[int], plan: Plan, chunk: int
    ) -> None:
        self._network, self._stopping, self._ends = network, stopping, ends
        self.rows = [Row(job, len(job.prompt)) for job in plan.jobs]
        self.finished: list[Row] = []
        self._state = begin(network, plan, chunk)
        self._settings(plan.jobs)

    def _settings(self, jobs: Sequence[Job]) -> None:
        steps = max(job.request.sampling.max_tokens for job in jobs)
        uniform = np.zeros((len(jobs), steps))
        for row, job in zip(uniform, jobs, strict=True):
            row[: job.request.sampling.max_tokens] = uniforms(
                job.request.seed, job.request.sampling.max_tokens
            )
        sampling = [job.request.sampling for job in jobs]
        self._uniform_BT = self._network.numbers(uniform)
        self._temperature_B = self._network.numbers([s.temperature for s in sampling])
        self._top_p_B = self._network.numbers([s.top_p for s in sampling])

    def step(self) -> None:
        """One token for every row: draw or take what is pending, let rows end, feed the rest."""
        self._find_faults()
        drawn = self._draw()
        tokens = [self._advance(i, row, drawn[i]) for i, row in enumerate(self.rows)]
        tokens = self._drop_finished(tokens)
        if self.rows:
            self._feed(tokens)

    def _find_faults(self) -> None:
        """End the rows whose next token nobody can tell. A draw from NaN would be token 0, for ever."""
        finite_B = torch.isfinite(self._state.logits_BV.amax(-1))
        for row, finite in zip(self.rows, finite_B.tolist(), strict=True):
            if not finite and not row.done:
                row.done, row.fault = True, NOT_FINITE

    def _draw(self) -> list[int]:
        if all(row.pending is not None or not row.job.request.sampling.max_tokens for row in self.rows):
            return [0] * len(self.rows)
        last = self._uniform_BT.shape[1] - 1
        number_B1 = self._network.ids([min(len(row.sampled), last) for row in self.rows])[:, None]
        uniform_B = self._uniform_BT.gather(1, number_B1)[:, 0]
        return draw(self._state.logits_BV, self._temperature_B, self._top_p_B, uniform_B).tolist()

    def _advance(self, index: int, row: Row, drawn: int) -> int:
        """The next token to feed to a row; 0 to one that is done."""
        if row.done:
            return 0
        if self._state.rest[index]:
            return self._state.rest[index].pop()
        if row.pending is None:
            if row.job.request.sampling.max_tokens:
                row.sampled.append(drawn)
            if not self._ended(row):
                return drawn
            row.reading = self._reading(row)
            if row.reading is None or not row.reading.single:
                row.done = True
                return 0
            row.pending = self._rewind(index, row, row.reading)
            if row.pending is None:
                row.done = True
                return 0
        if row.pending:
            return row.pending.pop()
        self._read(index, row)
        return 0

    def _ended(self, row: Row) -> bool:
        """Whether sampling is over; if so, settle text, kept tokens and reason."""
        sampling = row.job.request.sampling
        row.turn_ended = bool(row.sampled) and row.sampled[-1] in self._ends
        full = len(row.sampled) >= sampling.max_tokens
        if not (row.turn_ended or full or self._stopped(row)):
            return False
        answer = row.sampled[:-1] if row.turn_ended else row.sampled
        row.kept, row.text, stopped = self._stopping.cut(
            answer, sampling.stop, row.job.opened, writing=not (row.turn_ended or full)
        )
        row.turn_ended = row.turn_ended and not stopped
        if not (row.turn_ended or full or stopped):
            row.inside = not self._stopping.split(row.text, row.job.opened, writing=True).ended
            return False  # the tail looked like a stop string, the whole text does not, or it is reasoning
        row.finish = Finish.STOP if row.turn_ended or stopped else Finish.LENGTH
        return True

    def _stopped(self, row: Row) -> bool:
        """Whether the newest token may have completed a stop string of the answer."""
        stop = row.job.request.sampling.stop
        if not stop or not row.sampled:
            return False
        row.inside = row.inside and not self._stopping.may_end_reasoning(row.sampled)
        return not row.inside and self._stopping.hit(row.sampled, stop)

    def _reading(self, row: Row) -> ForcedTokens | None:
        """What is forced now that sampling is over: after the answer, or after reasoning that it ends."""
        job = row.job
        if job.forced is None:
            return None
        split = self._stopping.split(row.text, job.opened)
        if split.ended:
            return job.forced
        is_known = job.ending is not None and job.ending.ends(split.markers)
        return job.ending if is_known else None

    def _rewind(self, index: int, row: Row, reading: ForcedTokens) -> list[int] | None:
        """What to feed before the choices can be read, last token first; None if what is behind a cut was
        fed and cannot be forgotten.

        Every sampled token was fed but the last. At least one is fed now, for only that gives fresh logits.
        """
        prompt = len(row.job.prompt)
        target = [*row.job.prompt, *row.sampled[: row.kept], *reading.common]
        cached = prompt + max(0, len(row.sampled) - 1)
        valid = min(cached, prompt + row.kept, len(target) - 1)
        if not self._state.rewind(index, cached - valid):
            return None
        row.position = valid
        return target[valid:][::-1]

    def _read(self, index: int, row: Row) -> None:
        assert row.reading is not None
        log_probs_V = self._state.logits_BV[index].float().log_softmax(-1)
        remainders = row.reading.remainders
        values = log_probs_V[[ids[0] for ids in remainders.values()]].tolist()
        row.choice_log_probs = dict(zip(remainders, values, strict=True))
        row.done = True

    def _feed(self, tokens: list[int]) -> None:
        self._state.feed(tokens, [row.position for row in self.rows])
        for row in self.rows:
            row.position += 1

    def _drop_finished(self, tokens: list[int]) -> list[int]:
        """Move the last live rows into the places of finished ones, once that is worth the copying."""
        finished = [index for index, row in enumerate(self.rows) if row.done]
        count = len(self.rows) - len(finished)
        if not finished or (count and len(finished) * _SHRINK < len(self.rows)):
            return tokens
        self.finished += [self.rows[index] for index in finished]
        source = list(range(count))
        holes = [index for index in finished if index < count]
        movers = [index for index in range(count, len(self.rows)) if not self.rows[index].done]
        for hole, mover in zip(holes, movers, strict=True):
            source[hole] = mover
        self.rows = [self.rows[index] for index in source]
        if count:
            self._shrink(holes, movers, source)
        return [tokens[index] for index in source]

    def _shrink(self, holes: list[int], movers: list[int], source: list[int]) -> None:
        rows = self._network.ids(source)
        self._state.select(holes, movers, source)
        self._uniform_BT = self._uniform_BT[rows]
        self._temperature_B, self._top_p_B = self._temperature_B[rows], self._top_p_B[rows]
