"""From a config to a run, for real or on paper: the model resolved, prompts split, the recipe started."""

import time
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metareward import models, summary
from metareward.config import Config, Machine
from metareward.engines.base import OpenEngine
from metareward.errors import ConfigError, DataError
from metareward.evaluate import cleaning
from metareward.evaluate.base import Evaluation, Evaluations
from metareward.evaluate.contamination import Overlap
from metareward.events import Listener, Noticed, StepFinished, ignore
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.records import Prompt
from metareward.run import Run
from metareward.rundir import held
from metareward.sources import Split, load_prompts, split_prompts
from metareward.store import Store
from metareward.train.job import Trainer

_SHOWN = 3
_PACKAGES = ("torch", "transformers", "accelerate", "trl")


def execute(config: Config, listen: Listener) -> dict[str, Any]:
    """Carry a config out in its directory (which the caller has claimed); returns the summary.

    The summary is written also when the run stops early, with what was finished by then.
    """
    chosen = config.evaluate.build(config.path.parent)
    prompts, found = _clean(config, chosen, _prompts(config, listen), listen)
    split_for(config, prompts)  # too few prompts are said so before a model is fetched
    model = _model(config)
    grader = _resolved(config.evaluate.judge, config.machine) if config.evaluate.judge else None
    split = split_for(config, fitting(config, model, prompts))
    open_engine, trainer = machinery(config.machine)
    with Run(config.directory, open_engine, trainer, config.machine.training, listen) as run:
        batches = [run.prompts(batch) for batch in split.batches]
        held_out = run.prompts(split.held_out) if split.held_out else None
        run.history.contaminated = found
        try:
            config.start(run, model, batches, held_out, Evaluations(chosen, grader))
        finally:
            result = summary.save(run.history, config.directory)
    return result


def measure(
    evaluation: Evaluation, model: str, directory: Path, machine: Machine, listen: Listener, judge: str = ""
) -> dict[str, Any]:
    """Ask a model what an evaluation asks, in a directory that keeps every answer, and score it.

    The same call goes on where a stopped one was. judge: the model that grades, the model itself if not
    given. Raises ConfigError for the directory of a training run: its steps are not to be mixed with these.
    """
    if (directory / "config.json").exists():
        raise ConfigError(f"{directory} is the directory of a run; give the evaluation another --directory")
    subject = _resolved(model, machine)
    grader = _resolved(judge, machine) if judge else subject
    open_engine, trainer = machinery(machine)
    with held(directory), Run(directory, open_engine, trainer, machine.training, listen) as run:
        with run.within(evaluation.name):
            asked = evaluation.ask(run, subject, grader)
        score = evaluation.score(*asked)
    return {"model": subject.name, "fingerprint": subject.fingerprint, **score}


def sketch(config: Config) -> Paper:
    """The same recipe on paper. Fetches nothing: prompts that are not at hand are only counted."""
    paper = Paper(config.directory, config.plan.guess, config.plan.speeds)
    model = Model("fake", "", "fake") if config.machine.engine == "fake" else models.describe(config.model)
    chosen = config.evaluate.build(config.path.parent)
    split = _split_at_hand(config, chosen)
    if split is not None:
        batches: list[Any] = [paper.prompts(batch) for batch in split.batches]
        held_out = paper.prompts(split.held_out) if split.held_out else None
    else:
        each, iterations = config.prompts.per_iteration, len(config.method.iterations)
        if each is None:
            raise DataError(
                f"the prompts of {config.prompts.source!r} are not on this machine; a plan needs "
                "[prompts] per_iteration to count without them"
            )
        batches = [paper.unseen_prompts(each, number) for number in range(iterations)]
        held_out = paper.unseen_prompts(config.prompts.held_out, -1) if config.prompts.held_out else None
    grader = models.describe(config.evaluate.judge) if config.evaluate.judge else None
    config.start(paper, model, batches, held_out, Evaluations(chosen, grader))
    return paper


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


def split_for(config: Config, prompts: Sequence[Prompt]) -> Split:
    """Prompts shared out as the config says."""
    wanted = config.prompts
    count = len(config.method.iterations)
    return split_prompts(list(prompts), count, wanted.per_iteration, wanted.held_out, config.seed)


def _model(config: Config) -> Model:
    return _resolved(config.model, config.machine)


def _resolved(model: str, machine: Machine) -> Model:
    if machine.engine == "fake":
        return Model("fake", "", "fake")
    _require_packages()
    return models.resolve(model)


def _require_packages() -> None:
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise ConfigError(
            f"a run with a real model needs {', '.join(missing)}, not installed here; "
            "pip install 'metareward[train]' brings what is needed, or set engine = \"fake\" in [machine]"
        )


def _split_at_hand(config: Config, chosen: Sequence[Evaluation]) -> Split | None:
    source = config.prompts.source
    base = config.path.parent
    if (
        source == "shipped"
        or (base / source).exists()
        or Path(source).suffix in (".jsonl", ".json", ".parquet")
    ):
        loaded = load_prompts(source, split=config.prompts.split, column=config.prompts.column, base=base)
        prompts, _ = _clean(config, chosen, loaded.prompts, ignore)
        return split_for(config, prompts)
    return None


def _prompts(config: Config, listen: Listener) -> list[Prompt]:
    wanted, started = config.prompts, time.monotonic()
    loaded = load_prompts(wanted.source, split=wanted.split, column=wanted.column, base=config.path.parent)
    note = ", ".join(f"{count} {reason} left out" for reason, count in loaded.dropped.items())
    seconds = time.monotonic() - started
    listen(StepFinished("start", "prompts", len(loaded.prompts), seconds, False, note))
    return loaded.prompts


def _clean(
    config: Config, chosen: Sequence[Evaluation], prompts: list[Prompt], listen: Listener
) -> tuple[list[Prompt], list[Overlap]]:
    """The prompts that no evaluation asks, and those that one does. Says what it finds."""
    for sentence in cleaning.copied_templates(config.method, chosen):
        listen(Noticed("start", sentence))
    found = cleaning.contaminated(prompts, config.evaluate, chosen, config.path.parent)
    dropping = config.evaluate.contaminated == "drop"
    if found:
        listen(Noticed("start", cleaning.said(found, dropping)))
    return (cleaning.without(prompts, found) if dropping else prompts), found


def fitting(config: Config, model: Model, prompts: list[Prompt]) -> list[Prompt]:
    """The prompts that leave room for the longest answer in the model's context.

    Raises DataError naming those that do not, unless the config says to skip them.
    """
    if config.machine.engine == "fake":
        return prompts
    from metareward.engines.chat import context_length, encode_chat, load_tokenizer

    context, room = context_length(model.path), config.method.generate.max_tokens
    tokenizer = load_tokenizer(model.path)
    lengths = [(len(encode_chat(tokenizer, prompt.messages)), prompt) for prompt in prompts]
    if context is None:
        return prompts
    too_long = [(length, prompt) for length, prompt in lengths if length + room > context]
    if too_long and not config.prompts.skip_too_long:
        raise DataError(_too_long(too_long, room, context))
    return [prompt for length, prompt in lengths if length + room <= context]


def _too_long(too_long: Sequence[tuple[int, Prompt]], room: int, context: int) -> str:
    places = "\n".join(f"  {prompt.source}: {length} tokens" for length, prompt in too_long[:_SHOWN])
    more = f"\n  and {len(too_long) - _SHOWN} more" if len(too_long) > _SHOWN else ""
    return (
        f"{len(too_long)} prompts leave no room for an answer of up to {room} tokens in the model's context "
        f"of {context}:\n{places}{more}\nShorten or remove them, lower generate.max_tokens, or set "
        "skip_too_long = true in [prompts] to leave them out."
    )


def open_store(directory: Path) -> Store:
    """The store of an existing run, to read."""
    if not (directory / "artifacts").is_dir():
        raise DataError(f"{directory} holds no run; give the directory of one (the config's `directory`)")
    return Store(directory)
