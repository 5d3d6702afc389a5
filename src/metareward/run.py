"""Carries out a recipe's steps, each once: what lies on the disk under its key is never asked again."""

import dataclasses
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

from metareward import disk
from metareward.asking import Asking, one_message
from metareward.engines import clock
from metareward.engines.base import Engine, OpenEngine, name_of
from metareward.errors import StepError, StoreError
from metareward.events import Listener, Noticed, StepFinished, StepProgress, StepStarted, ignore
from metareward.given import check_prompts, kind_of
from metareward.history import History
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.models.verify import require_unchanged
from metareward.provenance import Session
from metareward.records import Prompt
from metareward.settings import path_of
from metareward.stages.base import Guess, Rule, Shape, Stage, asked_key, derived_key, question_key
from metareward.store import Artifact, Store, Writer, claim
from metareward.supervision import Supervision
from metareward.train import epochs as several
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.epochs import ending_with
from metareward.train.job import RESULT, Trainer, TrainJob, TrainResult
from metareward.train.lineage import begun
from metareward.train.sft import SFT
from metareward.unread import FEWEST_READ, Watch
from metareward.watchdog import Watchdog, beat

R = TypeVar("R")
_REPORT_SECONDS = 0.2


class Run:
    """A run in a directory. Use as a context: it claims the directory and gives the model in memory back.

    open_engine: loads a model to ask. trainer: trains in a child process, as `machine` says.
    listen: hears every event (`print_progress` prints them). session: the record kept of this session; the
    run keeps its own if none is given. supervision: what besides the model's judgments it learns from, for
    the reports. watchdog: gives up an engine that hangs. fewest_read: see `unread.Watch`; 0 ends no step.
    """

    def __init__(
        self,
        directory: Path | str,
        open_engine: OpenEngine,
        trainer: Trainer,
        machine: TrainMachine | None = None,
        listen: Listener = ignore,
        session: Session | None = None,
        supervision: Supervision = Supervision(),  # noqa: B008 - frozen
        watchdog: Watchdog | None = None,
        fewest_read: float = FEWEST_READ,
    ) -> None:
        root, engine = path_of(directory, "a run's directory"), name_of(open_engine)
        self.store = Store(root, mend=True)
        self.history = History(supervision=supervision, engine=engine)
        self._own_session = None if session else Session(root, listen, None, supervision, engine)
        self._session = session
        self.section = ""
        self._open_engine, self._trainer, self._listen = open_engine, trainer, listen
        self._machine, self._watchdog = machine or TrainMachine(), watchdog or Watchdog()
        self._used, self._fewest_read = list[str](), fewest_read
        self._engine: tuple[str, Engine] | None = None
        self._stack, self._claim = ExitStack(), ExitStack()

    def __enter__(self) -> "Run":
        try:
            self._claim.enter_context(claim(self.store.root))
            for folder in (self.store.root, *filter(Path.is_dir, self.store.root.iterdir())):
                disk.sweep(folder)
            clock.fix(self.store.root)
            if self._own_session:
                self._session = self._claim.enter_context(self._own_session)
        except BaseException:
            self._claim.close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, *error: Any) -> bool | None:
        self._claim.push(self._close_all)
        return self._claim.__exit__(kind, *error)

    def _close_all(self, kind: type[BaseException] | None, *_: object) -> None:
        """First of all that leaving does; the record of the session and the claim come after it."""
        self.close()
        with suppress(StoreError) if kind else nullcontext():  # what stopped the run is what matters
            self.store.set_current(self._used)

    def close(self) -> None:
        """Give the model in memory back."""
        self._engine = None
        self._stack.close()

    @contextmanager
    def within(self, section: str) -> Iterator[None]:
        """Steps done inside are listed under this name."""
        before, self.section = self.section, section
        try:
            yield
        finally:
            self.section = before

    def conclude(self, measure: Callable[..., R], *inputs: Artifact[Any]) -> R | None:
        """What a pure function makes of finished artifacts."""
        return measure(*inputs)

    def size(self, rows: Artifact[Any]) -> int:
        """How many rows an artifact has."""
        return len(rows)

    def warn(self, message: str, stop: bool = False) -> None:
        """Say what the user should know; with `stop`, end the run with it as a StepError."""
        if stop:
            raise StepError(f"{self.section}: {message}")
        self._listen(Noticed(self.section, message))

    def prompts(self, prompts: Sequence[Prompt]) -> Artifact[Prompt]:
        """Store the prompts a step will use. Raises DataError if there is anything else among them."""
        check_prompts(prompts)
        return self._keep("prompts", fingerprint("prompts", [each.id for each in prompts]), Prompt, prompts)

    def given(self, rows: Sequence[R]) -> Artifact[R]:
        """Store records of one kind that no step made, such as responses a user brings to be judged.

        The key names everything in them. Raises DataError if there are none, or of several kinds.
        """
        kind = kind_of(rows)
        return self._keep(f"given_{kind.__name__.lower()}s", fingerprint("given", rows), kind, rows)

    def derive(self, rule: Rule, *inputs: Artifact[Any]) -> Artifact[Any]:
        """Records from records, by a pure rule."""
        key = derived_key(rule, inputs)
        artifact = self._open(rule.name, key, rule.record)
        started, reused = time.monotonic(), artifact.whole
        if not reused:
            step: Any = dataclasses.asdict(rule)  # type: ignore[call-overload]
            told = {"name": rule.name, "step": step, "inputs": [rows.key for rows in inputs]}
            self._write(artifact, rule.apply(*inputs), **told)
        self._finished(rule.name, artifact, started, reused)
        return artifact

    def ask(self, stage: Stage, *inputs: Artifact[Any], of: Model) -> Artifact[Any]:
        """Ask a model every question of a stage that was not answered yet."""
        key = asked_key(stage, of, inputs)
        artifact = self._open(stage.name, key, stage.record)
        started, reused = time.monotonic(), artifact.whole
        if not reused:
            self._ask(stage, artifact, inputs, of)
        self._finished(stage.name, artifact, started, reused)
        return artifact

    def train(
        self, training: DPO | SFT, pairs: Sequence[Artifact[Any]], start: Model, reference: Model
    ) -> Model:
        """Train a new model from `start` on all pairs together, against the explicit `reference`.

        With `SFT` the rows are demonstrations, and nothing is held near `reference`.
        """
        return self.train_epochs(training, pairs, start, reference, (training.epochs_to_train,))[-1]

    def train_epochs(
        self,
        training: DPO | SFT,
        pairs: Sequence[Artifact[Any]],
        start: Model,
        reference: Model,
        epochs: Sequence[int],
    ) -> list[Model]:
        """The models of several epochs of one training, which has the last of them as its end."""
        several.require_pairs(self.section, pairs)
        require_unchanged(start, reference)
        self.close()
        started = time.monotonic()
        jobs = {n: self._job(ending_with(training, n), pairs, start, reference) for n in sorted(epochs)}
        there = {number for number, job in jobs.items() if (job.output_dir / RESULT).is_file()}
        results = several.train_all(self._trainer, jobs, self._hear_training)
        *earlier, last = results
        for number in earlier:
            self._record("train", results[number].key, results[number].pairs_used, 0.0, number in there)
        self._hear_trained(results[last], started, last in there)
        return [several.model_of(start, jobs[number].output_dir) for number in results]

    def discard(self, models: Sequence[Model]) -> None:
        """Remove the weights of epochs that were not taken, where the machine's settings say so."""
        for model in models if not self._machine.keep_epochs else ():
            several.remove_weights(Path(model.path))

    def _job(
        self, training: DPO | SFT, pairs: Sequence[Artifact[Any]], start: Model, reference: Model
    ) -> TrainJob:
        job = begun(self.store.root, self.section, training, self._machine, pairs, start, reference)
        output = job.output_dir
        if output.is_dir() and not (output / RESULT).is_file() and any(output.iterdir()):
            self._notice(disk.set_aside(output))
        return job

    @property
    def _number(self) -> int | None:
        return self._session.number if self._session else None

    def _keep(self, name: str, key: str, kind: type[R], rows: Sequence[R]) -> Artifact[R]:
        started, artifact = time.monotonic(), self._open(name, key, kind)
        reused = artifact.whole
        if not reused:
            self._write(artifact, rows, name=name, step={}, inputs=[])
        self._record(name, key, len(artifact), time.monotonic() - started, reused)
        return artifact

    def _open(self, name: str, key: str, record: type[Any]) -> Artifact[Any]:
        artifact = self.store.artifact(name, key, record)
        while self.store.damaged:
            self._notice(self.store.damaged.pop())
        return artifact

    def _notice(self, place: Path | str) -> None:
        message = f"damaged, set aside as {place}; what it held is done again"
        self._listen(Noticed(self.section, message))

    def _ask(self, stage: Stage, artifact: Artifact[Any], inputs: Sequence[Artifact[Any]], of: Model) -> None:
        key = question_key(stage, of)
        self.store.mark(artifact, key)
        done = self.store.done(artifact)
        total = stage.work(Guess(), *(Shape(len(rows)) for rows in inputs)).calls
        self._listen(StepStarted(self.section, stage.name, total, len(done)))
        with Writer(artifact, session=self._number) as writer:
            asking = Asking(stage, of, writer, done, Watch(stage, self.section, self._fewest_read))
            asking.reuse(lambda ids: self.store.answered(artifact, key, ids), stage.questions(of, *inputs))
            stacks, step = self.store.root / "stalled.txt", f"{self.section}: {stage.name}"
            with self._watchdog.over(step, stacks, writer.flush), one_message(step):
                self._answer(asking, enumerate(stage.questions(of, *inputs)), total)
                self._answer(asking, asking.take_failures(enumerate(stage.questions(of, *inputs))), total)
            asking.keep_failures(enumerate(stage.questions(of, *inputs)))
            step: Any = dataclasses.asdict(stage)  # type: ignore[call-overload]
            told = {"name": stage.name, "step": step, "inputs": [rows.key for rows in inputs]}
            writer.seal({**told, "question_key": key, "model": of.fingerprint, "section": self.section})

    def _answer(self, asking: Asking, questions: Iterable[Any], total: int) -> None:
        requests = asking.requests(questions)
        if (first := next(requests, None)) is None:
            return
        told = 0.0
        for completion in self._engine_of(asking.model).complete(chain([first], requests)):
            beat()
            asking.take(completion)
            asking.watch.check()
            if time.monotonic() - told > _REPORT_SECONDS:
                told = time.monotonic()
                said = (len(asking.done), total, asking.tokens, asking.watch.note)
                self._listen(StepProgress(self.section, asking.stage.name, *said))
        asking.check_all_answered()

    def _engine_of(self, model: Model) -> Engine:
        if self._engine is None or self._engine[0] != model.fingerprint:
            self.close()
            several.require_usable(model)
            self._engine = (model.fingerprint, self._stack.enter_context(self._open_engine(model)))
        return self._engine[1]

    def _write(self, artifact: Artifact[Any], rows: Iterable[Any], **manifest: Any) -> None:
        done = self.store.done(artifact)
        with Writer(artifact, session=self._number) as writer:
            for position, row in enumerate(rows):
                if position not in done:
                    writer.add(position, row)
            writer.seal({"question_key": None, "model": None, "section": self.section, **manifest})

    def _finished(self, name: str, artifact: Artifact[Any], started: float, reused: bool) -> None:
        note = ", ".join(f"{count} {reason}" for reason, count in artifact.manifest.dropped.items())
        seconds = time.monotonic() - started
        self._record(name, artifact.key, len(artifact), seconds, reused)
        self._listen(StepFinished(self.section, name, len(artifact), seconds, reused, note))

    def _record(self, name: str, key: str, rows: int, seconds: float, reused: bool) -> None:
        self._used.append(key)
        if self._session:
            self._session.step(self.section, name, key, rows, seconds, reused)

    def _hear_training(self, event: Mapping[str, Any]) -> None:
        if event["event"] == "damaged":
            self._notice(event["place"])
        if event["event"] == "notice":
            self._listen(Noticed(self.section, event["message"]))
        if event["event"] == "step":
            note, tokens = f"loss {event['loss']:.4f}", int(event["tokens"])
            self._listen(StepProgress(self.section, "train", event["step"], event["steps"], tokens, note))

    def _hear_trained(self, result: TrainResult, started: float, reused: bool) -> None:
        for doubt in several.doubts(result):
            self._listen(Noticed(self.section, doubt))
        note, seconds = several.note(result), time.monotonic() - started
        self._record("train", result.key, result.pairs_used, seconds, reused)
        self._listen(StepFinished(self.section, "train", result.pairs_used, seconds, reused, note))
