"""From a config to a run, for real or on paper: the model resolved, prompts split, the recipe started."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metareward import files, models, summary, tracking
from metareward.config import Config
from metareward.display import one_line
from metareward.engines import clock
from metareward.errors import ConfigError, DataError, StoreError
from metareward.evaluate.base import Evaluation, Evaluations
from metareward.events import Event, Listener, Noticed, StepFinished
from metareward.inputs import refusal_of, settle
from metareward.machinery import NEEDED, described, machinery, model_of, place_of_model
from metareward.models.base import Model
from metareward.options import Machine, doubts, verdicts
from metareward.paper import Paper
from metareward.prompting import (
    check_limits,
    clean,
    data_facts,
    data_key,
    fitting,
    load,
    load_at_hand,
    split_for,
)
from metareward.provenance import FAKE, Session, engine_said, gpus
from metareward.run import Run
from metareward.rundir import check_config, held, keep_config
from metareward.sources import Loaded
from metareward.store import Store
from metareward.train.dpo import DPO
from metareward.train.sft import SFT
from metareward.watchdog import Watchdog

_SHOWN = 3


def execute(
    config: Config,
    listen: Listener,
    last_resort: Callable[[str], object] | None = None,
    change: bool = False,
) -> dict[str, Any]:
    """Carry a config out in its directory (which the caller has claimed); returns the summary.

    change: go on although prompts or model have another content than when the directory was begun.
    The summary is written also when the run stops early, with what was finished by then, and so is the
    record of the session. last_resort: ends the process, given a message, when the engine hangs where no
    exception can reach it.
    """
    told = (config.supervision, config.machine.engine)
    with Session(config.directory, listen, keep_config(config), *told) as session:
        return _execute(config, listen, session, last_resort, change)


def _execute(
    config: Config,
    listen: Listener,
    session: Session,
    last_resort: Callable[[str], object] | None,
    change: bool,
) -> dict[str, Any]:
    session.note(seeds=config.seeds())
    if config.machine.engine == FAKE:
        listen(Noticed("engine", engine_said(FAKE)))
        check_limits(config, place_of_model(config.model))
    for doubt in doubts(config.method):
        listen(Noticed("start", doubt))
    chosen = config.evaluate.build(config.path.parent)
    loaded, found = clean(config, chosen, load(config, listen), listen)
    split_for(config, loaded.prompts)  # too few prompts are said so before a model is fetched
    if config.method.eft.enabled:
        config.method.eft.read()  # and so is a file of ranks that cannot be used
    clock.fix(config.directory)

    def audited(name: str) -> Model:
        return model_of(name, config.machine, lambda said: listen(Noticed("start", said)), session.note)

    model = audited(config.model)
    grader = audited(config.evaluate.judge) if config.evaluate.judge else None
    _check_training(config, model)
    config = _with_teacher(config, audited)
    fit = fitting(config, model, loaded.prompts)
    if left_out := len(loaded.prompts) - len(fit):
        listen(Noticed("start", f"{left_out} prompts too long for the model's context left out"))
    split = split_for(config, fit)
    data = data_key(loaded.prompts)
    now = {"prompts": (config.prompts.source, data), "model": (model.name, model.fingerprint)}
    settle(config.directory, now, change)
    session.note(model=models.origin(config.model, model), data=data_facts(config, loaded, fit, split))
    open_engine, trainer = machinery(config.machine)
    session.note(gpus=gpus())
    model = model.with_reasoning(config.reasoning)
    watchdog = Watchdog(config.machine.stall_minutes, last_resort)
    told = _Told(config, listen)
    said = (told, session, config.supervision, watchdog, config.machine.fewest_read)
    with Run(config.directory, open_engine, trainer, config.machine.training, *said) as run:
        told.run = run
        batches = [run.prompts(batch) for batch in split.batches]
        held_out = run.prompts(split.held_out) if split.held_out else None
        dev = run.prompts(split.dev) if split.dev else None
        run.history.contaminated, run.history.scale = found, config.method.judge.scale
        try:
            config.start(run, model, batches, held_out, Evaluations(chosen, grader), dev)
        except BaseException:
            with suppress(StoreError):  # what stopped the run is what matters
                told.tell(summary.save(run.history, config.directory))
            raise
        done = summary.save(run.history, config.directory)
        told.tell(done)
        return done


class _Told:
    """A listener that passes everything on, and tells trackers the loop's numbers after every training."""

    def __init__(self, config: Config, listen: Listener) -> None:
        self._listen, self._config = listen, config
        self._due = False
        self.run: Run | None = None

    def __call__(self, event: Event) -> None:
        """Pass it on. A training's numbers are known once the step after it is over."""
        self._listen(event)
        if not isinstance(event, StepFinished) or not self._config.machine.training.report_to:
            return
        if self._due and event.step != "train" and self.run is not None:
            self._due = False
            with suppress(StoreError):  # told at the end of the session, whatever is damaged now
                self.tell(summary.summarise(self.run.history, self._config.directory))
        self._due = self._due or (event.step == "train" and not event.reused)

    def tell(self, numbers: dict[str, Any]) -> None:
        """Tell what has not been told, and say what went wrong."""
        trackers = self._config.machine.training.report_to
        for problem in tracking.tell(self._config.directory, trackers, numbers):
            self._listen(Noticed("tracking", problem))


def measure(
    evaluation: Evaluation, model: str, directory: Path, machine: Machine, listen: Listener, judge: str = ""
) -> dict[str, Any]:
    """Ask a model what an evaluation asks, in a directory that keeps every answer, and score it.

    The same call goes on where a stopped one was. judge: the model that grades, the model itself if not
    given. Raises ConfigError for the directory of a training run: its steps are not to be mixed with these.
    """
    if (directory / "config.json").exists():
        raise ConfigError(f"{directory} is the directory of a run; give the evaluation another --directory")
    subject = model_of(model, machine)
    grader = model_of(judge, machine) if judge else subject
    open_engine, trainer = machinery(machine)
    made = Run(directory, open_engine, trainer, machine.training, listen, fewest_read=0)
    with held(directory), made as run:
        with run.within(evaluation.name):
            asked = evaluation.ask(run, subject, grader)
        score = evaluation.score(*asked)
    return {"model": subject.name, "fingerprint": subject.fingerprint, **score}


def finished(config: Config) -> dict[str, Any] | None:
    """The summary of a run that is whole and lies where nothing can be written, such as on a read-only mount.

    None if there is anything to do, or if its directory can be written in.
    """
    directory, said = config.directory, config.directory / "summary.json"
    try:
        if not said.is_file() or os.access(directory, os.W_OK):
            return None
    except OSError:  # a name that no file can have is refused where the directory is made
        return None
    paper = sketch(config)
    if paper.notes or not paper.steps or any(step.state != "done" for step in paper.steps):
        return None
    try:
        return json.loads(files.read_text(said))
    except (files.UnreadableError, ValueError):
        return None


def sketch(config: Config) -> Paper:
    """The same recipe on paper. Fetches nothing: prompts that are not at hand are only counted."""
    if config.directory.exists() and not config.directory.is_dir():
        raise ConfigError(f"{config.directory}: is a file, not a run directory; give another --directory")
    paper = Paper(config.directory, config.plan.guess, config.plan.speeds, config.machine.engine)
    paper.verdicts = verdicts(config.method)
    paper.warnings += doubts(config.method)
    check_limits(config, place_of_model(config.model))
    model = described(config.model, config.machine).with_reasoning(config.reasoning)
    chosen = config.evaluate.build(config.path.parent)
    loaded = load_at_hand(config, chosen)
    paper.notes += _refusals(config, loaded)
    if said := str(config.reasoning):
        paper.notes.append(f"[reasoning]: {one_line(said)}; what was answered otherwise is not taken over")
    if loaded is not None:
        split = split_for(config, loaded.prompts)
        batches: list[Any] = [paper.prompts(batch) for batch in split.batches]
        held_out = paper.prompts(split.held_out) if split.held_out else None
        dev = paper.prompts(split.dev) if split.dev else None
    else:
        each, iterations = config.prompts.per_iteration, len(config.method.iterations)
        if each is None:
            raise DataError(
                f"the prompts of {config.prompts.source!r} are not on this machine; a plan needs "
                "[prompts] per_iteration to count without them"
            )
        batches = [paper.unseen_prompts(each, number) for number in range(iterations)]
        held_out = paper.unseen_prompts(config.prompts.held_out, -1) if config.prompts.held_out else None
        dev = paper.unseen_prompts(config.prompts.dev, -2) if config.prompts.dev else None
    grader = described(config.evaluate.judge, config.machine) if config.evaluate.judge else None
    _check_training(config, model)
    config = _with_teacher(config, lambda name: described(name, config.machine))
    config.start(paper, model, batches, held_out, Evaluations(chosen, grader), dev)
    return paper


def _refusals(config: Config, loaded: Loaded | None) -> list[str]:
    """What `run` would refuse before it asks anything: another config's directory, other prompts."""
    try:
        check_config(config, config.directory, change=False)
    except ConfigError as error:
        return [f"run would stop: {error}"]
    now = {"prompts": (config.prompts.source, data_key(loaded.prompts))} if loaded else {}
    refusal = refusal_of(config.directory, now)
    return [f"run would stop: {refusal}"] if refusal else []


def _with_teacher(config: Config, find: Callable[[str], Model]) -> Config:
    """The config with the model found that [eft] names to write judgments, if it names one."""
    eft = config.method.eft
    if not eft.enabled or not eft.judge_model:
        return config
    return replace(config, method=replace(config.method, eft=replace(eft, teacher=find(eft.judge_model))))


def _check_training(config: Config, model: Model) -> None:
    """Refuse settings of training that this model cannot follow, before anything is paid for.

    Nothing is said where the model or what would train it is not on this machine.
    """
    settings = _settings_of_training(config)
    asks = any(each.router_loss or getattr(each, "lora_rank", 0) for each in settings.values())
    if not asks or not (Path(model.path) / "config.json").is_file():
        return
    if all(find_spec(name) for name in (*NEEDED, "peft")):
        from metareward.train import lora, moe

        for section, training in settings.items():
            moe.check(Path(model.path), section, training.router_loss)
            if isinstance(training, SFT):
                lora.check(Path(model.path), training)


def _settings_of_training(config: Config) -> dict[str, DPO | SFT]:
    """By the names that messages have for their sections."""
    eft = config.method.eft
    return {"dpo": config.method.dpo, **({"sft": eft.sft} if eft.enabled else {})}


def open_store(directory: Path) -> Store:
    """The store of an existing run, to read."""
    if not (directory / "artifacts").is_dir():
        raise DataError(f"{directory} holds no run; give the directory of one (the config's `directory`)")
    return Store(directory)
