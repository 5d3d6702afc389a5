"""From a config to a run, for real or on paper: the model resolved, prompts split, the recipe started."""

import time
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metareward import models, summary
from metareward.config import Config, Machine
from metareward.engines.base import OpenEngine
from metareward.errors import ConfigError, DataError
from metareward.events import Listener, Noticed, StepFinished
from metareward.ids import fingerprint
from metareward.inputs import settle
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.records import Message, Prompt
from metareward.run import Run
from metareward.sources import Split, load_prompts, split_prompts
from metareward.store import Store
from metareward.train.job import Trainer

_SHOWN = 3
_PACKAGES = ("torch", "transformers", "accelerate", "trl")


def execute(config: Config, listen: Listener, change: bool = False) -> dict[str, Any]:
    """Carry a config out in its directory (which the caller has claimed); returns the summary.

    change: go on although prompts or model have another content than when the directory was begun.
    The summary is written also when the run stops early, with what was finished by then.
    """
    prompts = _prompts(config, listen)
    split_for(config, prompts)  # too few prompts are said so before a model is fetched
    model = _model(config)
    fits = fitting(config, model, prompts)
    if left_out := len(prompts) - len(fits):
        listen(Noticed("start", f"{left_out} prompts too long for the model's context left out"))
    split = split_for(config, fits)
    data = fingerprint("data", [prompt.id for prompt in prompts])
    now = {"prompts": (config.prompts.source, data), "model": (model.name, model.fingerprint)}
    settle(config.directory, now, change)
    open_engine, trainer = machinery(config.machine)
    with Run(config.directory, open_engine, trainer, config.machine.training, listen) as run:
        batches = [run.prompts(batch) for batch in split.batches]
        held_out = run.prompts(split.held_out) if split.held_out else None
        try:
            config.start(run, model, batches, held_out)
        finally:
            result = summary.save(run.history, config.directory)
    return result


def sketch(config: Config) -> Paper:
    """The same recipe on paper. Fetches nothing: prompts that are not at hand are only counted."""
    if config.directory.exists() and not config.directory.is_dir():
        raise ConfigError(f"{config.directory}: is a file, not a run directory; give another --directory")
    paper = Paper(config.directory, config.plan.guess, config.plan.speeds)
    model = Model("fake", "", "fake") if config.machine.engine == "fake" else models.describe(config.model)
    split = _split_at_hand(config)
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
    config.start(paper, model, batches, held_out)
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
    if config.machine.engine == "fake":
        return Model("fake", "", "fake")
    require_machine(config.machine)
    return models.resolve(config.model)


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


def _split_at_hand(config: Config) -> Split | None:
    source = config.prompts.source
    base = config.path.parent
    if (
        source == "shipped"
        or (base / source).exists()
        or Path(source).suffix in (".jsonl", ".json", ".parquet")
    ):
        loaded = load_prompts(source, split=config.prompts.split, column=config.prompts.column, base=base)
        return split_for(config, loaded.prompts)
    return None


def _prompts(config: Config, listen: Listener) -> list[Prompt]:
    wanted, started = config.prompts, time.monotonic()
    loaded = load_prompts(wanted.source, split=wanted.split, column=wanted.column, base=config.path.parent)
    note = ", ".join(f"{count} {reason} left out" for reason, count in loaded.dropped.items())
    seconds = time.monotonic() - started
    listen(StepFinished("start", "prompts", len(loaded.prompts), seconds, False, note))
    return loaded.prompts


def fitting(config: Config, model: Model, prompts: list[Prompt]) -> list[Prompt]:
    """The prompts that leave room for the longest answer in the model's context.

    Raises DataError naming those that do not, unless the config says to skip them.
    """
    if config.machine.engine == "fake":
        return prompts
    from metareward.engines.chat import context_length, encode_chat, load_tokenizer

    context, room = context_length(model.path), config.method.generate.max_tokens
    tokenizer = load_tokenizer(model.path)
    _check_rooms(config, context, lambda text: len(encode_chat(tokenizer, [Message("user", text)])))
    lengths = [(len(encode_chat(tokenizer, prompt.messages)), prompt) for prompt in prompts]
    if context is None:
        return prompts
    too_long = [(length, prompt) for length, prompt in lengths if length + room > context]
    if too_long and not config.prompts.skip_too_long:
        raise DataError(_too_long(too_long, room, context))
    return [prompt for length, prompt in lengths if length + room <= context]


def _check_rooms(config: Config, context: int | None, length: Callable[[str], int]) -> None:
    """Refuse a step whose longest answer leaves no room for its question, however short that is."""
    for name in ("generate", "judge", "meta_judge"):
        step = getattr(config.method, name, None)
        if context is None or step is None:
            continue
        least = length(getattr(step, "template", "?"))
        if least + step.max_tokens > context:
            raise ConfigError(
                f"{name}.max_tokens is {step.max_tokens}, the shortest question has {least} tokens, and the "
                f"model's context has {context}: no question would fit. Lower {name}.max_tokens, shorten "
                "the template, or take a model with a longer context."
            )


def _too_long(too_long: Sequence[tuple[int, Prompt]], room: int, context: int) -> str:
    places = "\n".join(f"  {prompt.source}: {length} tokens" for length, prompt in too_long[:_SHOWN])
    more = f"\n  and {len(too_long) - _SHOWN} more" if len(too_long) > _SHOWN else ""
    return (
        f"prompts: {len(too_long)} prompts leave no room for an answer of up to {room} tokens in the model's "
        f"context of {context}:\n{places}{more}\nShorten or remove them, lower generate.max_tokens, or set "
        "skip_too_long = true in [prompts] to leave them out."
    )


def open_store(directory: Path) -> Store:
    """The store of an existing run, to read."""
    if not (directory / "artifacts").is_dir():
        raise DataError(f"{directory} holds no run; give the directory of one (the config's `directory`)")
    return Store(directory)
