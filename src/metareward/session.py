"""From a config to a run, for real or on paper: the model resolved, prompts split, the recipe started."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metareward import models, summary
from metareward.config import Config
from metareward.engines.base import OpenEngine
from metareward.errors import ConfigError, DataError, StoreError
from metareward.evaluate.base import Evaluation, Evaluations
from metareward.events import Listener, Noticed
from metareward.ids import fingerprint
from metareward.inputs import settle
from metareward.models.base import Model
from metareward.options import Machine, doubts, verdicts
from metareward.paper import Paper
from metareward.prompting import clean, data_facts, fitting, load, split_at_hand, split_for
from metareward.provenance import Session, gpus
from metareward.run import Run
from metareward.rundir import held, keep_config
from metareward.store import Store
from metareward.train.job import Trainer
from metareward.watchdog import Watchdog

_SHOWN = 3
_PACKAGES = ("torch", "transformers", "accelerate", "trl")


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
    with Session(config.directory, listen, keep_config(config), config.supervision) as session:
        return _execute(config, listen, session, last_resort, change)


def _execute(
    config: Config,
    listen: Listener,
    session: Session,
    last_resort: Callable[[str], object] | None,
    change: bool,
) -> dict[str, Any]:
    session.note(seeds=config.seeds())
    for doubt in doubts(config.method):
        listen(Noticed("start", doubt))
    chosen = config.evaluate.build(config.path.parent)
    loaded, found = clean(config, chosen, load(config, listen), listen)
    split_for(config, loaded.prompts)  # too few prompts are said so before a model is fetched
    if config.method.eft.enabled:
        config.method.eft.read()  # and so is a file of ranks that cannot be used
    model = model_of(config.model, config.machine)
    grader = model_of(config.evaluate.judge, config.machine) if config.evaluate.judge else None
    config = _with_teacher(config, lambda name: model_of(name, config.machine))
    fit = fitting(config, model, loaded.prompts)
    if left_out := len(loaded.prompts) - len(fit):
        listen(Noticed("start", f"{left_out} prompts too long for the model's context left out"))
    split = split_for(config, fit)
    data = fingerprint("data", [prompt.id for prompt in loaded.prompts])
    now = {"prompts": (config.prompts.source, data), "model": (model.name, model.fingerprint)}
    settle(config.directory, now, change)
    session.note(model=models.origin(config.model, model), data=data_facts(config, loaded, fit, split))
    open_engine, trainer = machinery(config.machine)
    session.note(gpus=gpus())
    watchdog = Watchdog(config.machine.stall_minutes, last_resort)
    said = (listen, session, config.supervision, watchdog, config.machine.fewest_read)
    with Run(config.directory, open_engine, trainer, config.machine.training, *said) as run:
        batches = [run.prompts(batch) for batch in split.batches]
        held_out = run.prompts(split.held_out) if split.held_out else None
        dev = run.prompts(split.dev) if split.dev else None
        run.history.contaminated, run.history.scale = found, config.method.judge.scale
        try:
            config.start(run, model, batches, held_out, Evaluations(chosen, grader), dev)
        except BaseException:
            with suppress(StoreError):  # what stopped the run is what matters
                summary.save(run.history, config.directory)
            raise
        return summary.save(run.history, config.directory)


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


def sketch(config: Config) -> Paper:
    """The same recipe on paper. Fetches nothing: prompts that are not at hand are only counted."""
    if config.directory.exists() and not config.directory.is_dir():
        raise ConfigError(f"{config.directory}: is a file, not a run directory; give another --directory")
    paper = Paper(config.directory, config.plan.guess, config.plan.speeds)
    paper.verdicts, paper.doubts = verdicts(config.method), doubts(config.method)
    model = Model("fake", "", "fake") if config.machine.engine == "fake" else models.describe(config.model)
    chosen = config.evaluate.build(config.path.parent)
    split = split_at_hand(config, chosen)
    if split is not None:
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
    grader = models.describe(config.evaluate.judge) if config.evaluate.judge else None
    config = _with_teacher(config, models.describe)
    config.start(paper, model, batches, held_out, Evaluations(chosen, grader), dev)
    return paper


def _with_teacher(config: Config, find: Callable[[str], Model]) -> Config:
    """The config with the model found that [eft] names to write judgments, if it names one."""
    eft = config.method.eft
    if not eft.enabled or not eft.judge_model:
        return config
    return replace(config, method=replace(config.method, eft=replace(eft, teacher=find(eft.judge_model))))


def machinery(machine: Machine) -> tuple[OpenEngine, Trainer]:
    """The engine and the trainer a machine's settings name."""
    if machine.engine == "fake":
        from metareward.engines.fake import fake
        from metareward.train.fake import FakeTrainer

        return fake(), FakeTrainer()
    from metareward.engines.transformers import open_transformers
    from metareward.train.launch import launch

    limits = {"batch_tokens": machine.batch_tokens, "max_rows": machine.max_rows}
    given = {name: value for name, value in limits.items() if value is not None}
    return open_transformers(device=machine.device, dtype=machine.dtype, **given), launch


def model_of(name: str, machine: Machine) -> Model:
    """The model that a name means on a machine, ready to be asked; the fake engine has one of its own."""
    if machine.engine == "fake":
        return Model("fake", "", "fake")
    require_machine(machine)
    return models.resolve(name)


def require_machine(machine: Machine) -> None:
    """Refuse, before anything is fetched or asked, packages and devices that are not here."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"a run with a real model needs {', '.join(missing)}, not installed here; "
            "pip install 'metareward[train]' brings what is needed, or set engine = \"fake\" in [machine]"
        )
    for name in machine.training.report_to:
        if find_spec(name) is None:
            raise ConfigError(
                f"machine.training.report_to: {name} is not installed here; pip install {name}, or leave it "
                "out"
            )
    from metareward.engines.loading import place_of

    place_of(machine.device)


def open_store(directory: Path) -> Store:
    """The store of an existing run, to read."""
    if not (directory / "artifacts").is_dir():
        raise DataError(f"{directory} holds no run; give the directory of one (the config's `directory`)")
    return Store(directory)
