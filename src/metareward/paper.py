"""A run on paper: the same recipe, every step named, counted and priced, and none done."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any, TypeVar

from metareward.errors import StoreError
from metareward.given import kind_of
from metareward.history import History
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.records import Prompt
from metareward.settings import checked, positive, require
from metareward.stages.base import (
    Guess,
    Rule,
    Shape,
    Stage,
    asked_key,
    derived_key,
    question_key,
    step_key,
    text_tokens,
)
from metareward.store import Artifact, Store
from metareward.train.dpo import DPO
from metareward.train.epochs import ending_with, model_of
from metareward.train.job import RESULT, read_result
from metareward.train.sft import SFT

R = TypeVar("R")


@dataclass(frozen=True)
@checked("plan")
class Speeds:
    """Tokens per second of one machine: reading, writing, training. None: not known, no time is shown."""

    prompt_tokens_per_second: float | None = None
    output_tokens_per_second: float | None = None
    train_tokens_per_second: float | None = None

    def __post_init__(self) -> None:
        for field_ in fields(self):
            value = getattr(self, field_.name)
            require(value is None or positive(value), f"plan.{field_.name}", "a number above 0", value)


@dataclass(frozen=True)
class PlannedStep:
    """One line of a plan. `calls` is the most there can be; `done` of them lie on the disk.

    tokens are of the whole step; seconds are for what is left, None where no speed is known. models: that a
    training leaves on the disk, each as large as the one it began with. by: the model that is asked or
    trained. about: what it is asked about, by who made it.
    """

    section: str
    step: str
    makes: str
    key: str
    calls: int
    done: int
    prompt_tokens: int
    output_tokens: int
    state: str
    seconds: float | None
    models: int = 0
    by: str = ""
    about: str = ""


@dataclass(frozen=True)
class Sketch:
    """Stands for an artifact that may not exist yet: its key, and at most how many rows it will have.

    rows: the rows themselves, where they are at hand. said: what they are, in a few words.
    """

    key: str
    shape: Shape
    rows: Iterable[Any] | None = field(default=None, compare=False, repr=False)
    said: str = field(default="", compare=False)


@dataclass
class Paper:
    """Has the verbs of a `Run` and writes down what they would do in `steps`.

    engine: what would answer. warnings: what is likely wrong with the settings, a sentence each.
    """

    directory: Path
    guess: Guess = field(default_factory=Guess)
    speeds: Speeds = field(default_factory=Speeds)
    engine: str = ""

    def __post_init__(self) -> None:
        self.store = Store(self.directory)
        self.history = History()
        self.section = ""
        self.steps: list[PlannedStep] = []
        self.warnings: list[str] = []
        self.notes: list[str] = []
        self.model_bytes: int | None = None
        self.verdicts: dict[str, str] = {}  # what each judging step reads
        self._trained: set[str] = set()
        self._measured = measured(self.store)

    def as_dict(self) -> dict[str, Any]:
        """The plan as plain data."""
        disk = {"models_to_keep": self.models_to_keep, "model_bytes": self.model_bytes}
        steps = [asdict(step) for step in self.steps]
        told = {"engine": self.engine, "warnings": self.warnings, "notes": self.notes}
        told |= {"verdicts": self.verdicts}
        return {**told, "steps": steps, "seconds_left": self.total_seconds(), **disk}

    @property
    def models_to_keep(self) -> int:
        """How many trained models the steps that are left will leave on the disk, each of `model_bytes`."""
        return sum(step.models for step in self.steps if step.state != "done")

    def total_seconds(self) -> float | None:
        """Seconds for all that is left; None if the speed of any step is unknown."""
        each = [step.seconds for step in self.steps]
        return None if None in each else sum(seconds for seconds in each if seconds is not None)

    @contextmanager
    def within(self, section: str) -> Iterator[None]:
        """Steps planned inside are listed under this name."""
        before, self.section = self.section, section
        try:
            yield
        finally:
            self.section = before

    def prompts(self, prompts: Sequence[Prompt]) -> Sketch:
        """Prompts that are at hand."""
        key = fingerprint("prompts", [prompt.id for prompt in prompts])
        return Sketch(key, _shape(prompts), prompts)

    def given(self, rows: Sequence[Any]) -> Sketch:
        """Records that are at hand. Raises as `Run.given`."""
        kind = kind_of(rows).__name__.lower()
        return Sketch(fingerprint("given", rows), _shape(rows), rows, f"{kind}s that were given")

    def conclude(self, measure: Callable[..., R], *inputs: Sketch) -> R | None:
        """What a pure function makes of artifacts, if an earlier session finished all of them."""
        rows = [sketch.rows for sketch in inputs if sketch.rows is not None]
        return measure(*rows) if len(rows) == len(inputs) else None

    def warn(self, message: str, stop: bool = False) -> None:
        """What is said of the settings, before any section, is kept in `warnings`; of the rest nothing is
        said here, and a plan goes on where a run would stop.
        """
        if not self.section:
            self.warnings.append(message)

    def size(self, rows: Sketch) -> int:
        """At most how many rows there will be."""
        return rows.shape.rows

    def unseen_prompts(self, count: int, number: int) -> Sketch:
        """Prompts that are not at hand (a dataset not downloaded yet): only their number is known."""
        return Sketch(fingerprint("unseen prompts", count, number), Shape(count, self.guess.prompt_tokens))

    def ask(self, stage: Stage, *inputs: Sketch, of: Model) -> Sketch:
        """Count a stage's calls and tokens, and what is done of them."""
        key = asked_key(stage, of, inputs)
        work = stage.work(self.guess, *(sketch.shape for sketch in inputs))
        artifact = self.store.artifact(stage.name, key, stage.record)
        makes = f"{stage.record.__name__.lower()}s"
        calls, written, said = work.calls, work.output_tokens, f"{makes} of {of.name}"
        done = 0 if artifact.whole else self._paid(stage, artifact, inputs, of)
        if artifact.whole:
            calls = done = len(artifact)
            written = artifact.cost.output_tokens / max(1, calls)
        prompt_tokens, output_tokens = round(calls * work.prompt_tokens), round(calls * written)
        if any(step.key == key for step in self.steps):  # the same question asked again costs nothing
            return Sketch(key, Shape(calls, written), artifact if artifact.whole else None, said)
        seconds = self._seconds(stage.name, calls, done, prompt_tokens, output_tokens)
        state = "done" if artifact.whole else f"{done} done" if done else "to do"
        about = next((sketch.said for sketch in reversed(inputs) if sketch.said), "")
        place, asked = (self.section, stage.name, makes, key), (calls, done, prompt_tokens, output_tokens)
        self.steps.append(PlannedStep(*place, *asked, state, seconds, by=of.name, about=about))
        return Sketch(key, Shape(calls, written), artifact if artifact.whole else None, said)

    def _paid(self, stage: Stage, artifact: Artifact[Any], inputs: Sequence[Sketch], of: Model) -> int:
        """How many answers lie on the disk: here, and in artifacts that asked the same with other counts.

        The latter are known only where the inputs are at hand.
        """
        done = self.store.done(artifact)
        rows = [sketch.rows for sketch in inputs if sketch.rows is not None]
        if len(rows) < len(inputs):
            return len(done)
        paid = self.store.answered_ids(artifact, question_key(stage, of))
        if not paid:
            return len(done)
        asked = (question.request.id for question in stage.questions(of, *rows))
        return sum(place in done or one in paid for place, one in enumerate(asked))

    def derive(self, rule: Rule, *inputs: Sketch) -> Sketch:
        """A rule asks nothing; it leaves at most so many rows."""
        key = derived_key(rule, inputs)
        artifact = self.store.artifact(rule.name, key, rule.record)
        shape = rule.shape(*(sketch.shape for sketch in inputs))
        if artifact.whole:
            shape = Shape(len(artifact), shape.tokens)
        kept = next((sketch.said for sketch in reversed(inputs) if sketch.said), "")
        said = kept if rule.name.startswith("keep_") else rule.name
        return Sketch(key, shape, artifact if artifact.whole else None, said)

    def train(self, training: DPO | SFT, pairs: Sequence[Sketch], start: Model, reference: Model) -> Model:
        """Count the pairs and the tokens of all epochs that will be trained."""
        return self.train_epochs(training, pairs, start, reference, (training.epochs_to_train,))[-1]

    def train_epochs(
        self,
        training: DPO | SFT,
        pairs: Sequence[Sketch],
        start: Model,
        reference: Model,
        epochs: Sequence[int],
    ) -> list[Model]:
        """Count one training, up to the last of the epochs, and the models it will leave."""
        depends = (start.fingerprint, reference.fingerprint, *(part.key for part in pairs))
        keys = [step_key(ending_with(training, epoch), *depends) for epoch in sorted(epochs)]
        models = [model_of(start, self.directory / "models" / key) for key in keys]
        self.model_bytes = self.model_bytes or weights_size(Path(start.path))
        if not self._trained.issuperset(keys):
            tokens = round(max(epochs) * sum(part.shape.rows * part.shape.tokens for part in pairs))
            self._plan_training(keys, tokens, sum(part.shape.rows for part in pairs), start.name)
        return models

    def discard(self, models: Sequence[Model]) -> None:
        """A plan removes nothing."""

    def _plan_training(self, keys: Sequence[str], tokens: int, count: int, start: str) -> None:
        self._trained.update(keys)
        done = all((self.directory / "models" / key / RESULT).is_file() for key in keys)
        state, seconds = ("done", 0.0) if done else ("to do", self._training_seconds(tokens))
        own = (keys[-1], count, count * done, tokens, 0, state, seconds, len(keys))
        self.steps.append(PlannedStep(self.section, "train", "pairs", *own, by=start))

    def _seconds(self, name: str, calls: int, done: int, read: int, written: int) -> float | None:
        left = calls - done
        if left <= 0:
            return 0.0
        if name in self._measured:
            return left * self._measured[name]
        reading, writing = self.speeds.prompt_tokens_per_second, self.speeds.output_tokens_per_second
        return left / calls * (read / reading + written / writing) if reading and writing else None

    def _training_seconds(self, tokens: int) -> float | None:
        if "train" in self._measured:
            return tokens * self._measured["train"]
        speed = self.speeds.train_tokens_per_second
        return tokens / speed if speed else None


def measured(store: Store) -> dict[str, float]:
    """What this run's finished steps took: seconds a call by stage, and seconds a token for `train`."""
    taken: dict[str, list[float]] = {}
    for _, manifest in store.manifests(whole_only=True):
        if manifest.question_key is not None and manifest.rows:
            _tally(taken, manifest.name, manifest.cost["seconds"], manifest.rows)
    for file in (store.root / "models").glob(f"*/{RESULT}"):
        with suppress(StoreError):  # a damaged one tells nothing
            result = read_result(file)
            _tally(taken, "train", result.seconds, result.tokens)
    return {name: seconds / amount for name, (seconds, amount) in taken.items() if amount}


def weights_size(folder: Path) -> int | None:
    """Bytes of the weights in a model's directory; None if there are none, such as before it is fetched."""
    return sum(file.stat().st_size for file in folder.glob("*.safetensors")) or None


def _shape(rows: Sequence[Any]) -> Shape:
    """How many rows, and the mean tokens of what they say: a `text`, or else the messages, if any."""
    texts = (
        row.text if hasattr(row, "text") else "".join(m.content for m in getattr(row, "messages", ()))
        for row in rows
    )
    return Shape(len(rows), sum(map(text_tokens, texts)) / len(rows) if rows else 0.0)


def _tally(taken: dict[str, list[float]], name: str, seconds: float, amount: float) -> None:
    so_far = taken.setdefault(name, [0.0, 0.0])
    so_far[0] += seconds
    so_far[1] += amount
