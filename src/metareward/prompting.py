"""Prompts on their way into a run: read, kept apart from what measures the model, fitted, shared out."""

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metareward.config import Config
from metareward.errors import ConfigError, DataError, ModelError
from metareward.evaluate import cleaning
from metareward.evaluate.base import Evaluation
from metareward.evaluate.contamination import Overlap
from metareward.events import Listener, Noticed, StepFinished, ignore
from metareward.ids import fingerprint
from metareward.models.base import Model
from metareward.provenance import at_home
from metareward.records import Message, Prompt
from metareward.rows import at_hand
from metareward.sources import Loaded, Split, load_prompts, split_prompts

_SHOWN = 3
_ASKED = ("generate", "judge", "meta_judge")
_CONTAMINATED = "asked by an evaluation"


def load(config: Config, listen: Listener) -> Loaded:
    """The prompts that the config names."""
    started = time.monotonic()
    loaded = _read(config)
    for name, count in loaded.unused.items():
        listen(Noticed("start", f"{name!r} is left out of {count} prompts, as prompts.column names another"))
    note = ", ".join(f"{count} {reason} left out" for reason, count in loaded.dropped.items())
    seconds = time.monotonic() - started
    listen(StepFinished("start", "prompts", len(loaded.prompts), seconds, False, note))
    return loaded


def _read(config: Config) -> Loaded:
    wanted = config.prompts
    place = {"split": wanted.split, "column": wanted.column, "base": config.path.parent}
    return load_prompts(wanted.source, **place, bad_rows=wanted.bad_rows)


def clean(
    config: Config, chosen: Sequence[Evaluation], loaded: Loaded, listen: Listener
) -> tuple[Loaded, list[Overlap]]:
    """The prompts that no evaluation asks, and those that one does. Says what it finds."""
    for sentence in cleaning.copied_templates(config.method, chosen):
        listen(Noticed("start", sentence))
    found = cleaning.contaminated(loaded.prompts, config.evaluate, chosen, config.path.parent)
    if not found:
        return loaded, found
    dropping = config.evaluate.contaminated == "drop"
    listen(Noticed("start", cleaning.said(found, dropping)))
    if not dropping:
        return loaded, found
    dropped = {**loaded.dropped, _CONTAMINATED: len(found)}
    return replace(loaded, prompts=cleaning.without(loaded.prompts, found), dropped=dropped), found


def fitting(config: Config, model: Model, prompts: list[Prompt]) -> list[Prompt]:
    """The prompts that leave room for the longest answer in the model's context.

    Raises DataError naming those that do not, unless the config says to skip them.
    """
    if config.machine.engine == "fake":
        return prompts  # what can be told without a tokenizer is told by `check_limits`
    from metareward.engines.chat import check_thinking, context_length, encode_chat, load_tokenizer

    context, room = context_length(model.path), config.method.generate.max_tokens
    tokenizer = load_tokenizer(model.path)
    check_thinking(tokenizer, config.reasoning)

    def length(messages: Sequence[Message]) -> int:
        return len(encode_chat(tokenizer, messages, config.reasoning))

    _check_rooms(config, context, lambda text: length([Message("user", text)]))
    lengths = _lengths(prompts, length)
    if context is None:
        return prompts
    too_long = [(length, prompt) for length, prompt in lengths if length + room > context]
    if too_long and not config.prompts.skip_too_long:
        raise DataError(_too_long(too_long, room, context))
    return [prompt for length, prompt in lengths if length + room <= context]


def _lengths(
    prompts: Sequence[Prompt], length: Callable[[Sequence[Message]], int]
) -> list[tuple[int, Prompt]]:
    """The tokens of each prompt. Raises ModelError that counts those which the model's template cannot show
    to it, whole.
    """
    lengths, refused = [], []
    for prompt in prompts:
        try:
            lengths.append((length(prompt.messages), prompt))
        except ModelError as error:
            refused.append((prompt, error))
    if refused:
        shown = "\n".join(f"  {prompt.source}: {error}" for prompt, error in refused[:_SHOWN])
        more = f"\n  and {len(refused) - _SHOWN} more" if len(refused) > _SHOWN else ""
        raise ModelError(
            f"the model cannot be shown {len(refused)} of {len(prompts)} prompts:\n{shown}{more}"
        )
    return lengths


def check_limits(config: Config, place: Path | None) -> None:
    """Refuse a step whose longest answer alone fills the context of the model that lies in `place`.

    Raises ConfigError. Needs no tokenizer; says nothing where the model is not here.
    """
    if place is None or not (place / "config.json").is_file():
        return
    from metareward.engines.chat import context_length

    context = context_length(str(place))
    for name in _ASKED:
        step = getattr(config.method, name, None)
        if context is not None and step is not None and step.max_tokens >= context:
            raise ConfigError(
                f"{name}.max_tokens is {step.max_tokens}, and the model's context has {context} tokens: no "
                f"question would fit. Lower {name}.max_tokens, or take a model with a longer context."
            )


def _check_rooms(config: Config, context: int | None, length: Callable[[str], int]) -> None:
    """Refuse a step whose longest answer leaves no room for its question, however short that is."""
    for name in _ASKED:
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


def split_for(config: Config, prompts: Sequence[Prompt]) -> Split:
    """Prompts shared out as the config says."""
    wanted = config.prompts
    count = len(config.method.iterations)
    return split_prompts(list(prompts), count, wanted.per_iteration, wanted.held_out, config.seed, wanted.dev)


def load_at_hand(config: Config, chosen: Sequence[Evaluation]) -> Loaded | None:
    """The prompts for a plan; None if they would have to be downloaded first."""
    if not at_hand(config.prompts.source, config.path.parent):
        return None
    return clean(config, chosen, _read(config), ignore)[0]


def data_key(prompts: Sequence[Prompt]) -> str:
    """Names the prompts that a run is begun with."""
    return fingerprint("data", [prompt.id for prompt in prompts])


def data_facts(config: Config, loaded: Loaded, fit: list[Prompt], split: Split) -> dict[str, Any]:
    """What is recorded of the prompts: their source, its content, and what became of each row.

    kept + unused + the counts of `dropped` are all rows of the source.
    """
    too_long = len(loaded.prompts) - len(fit)
    used = [*split.held_out, *split.dev, *(prompt for batch in split.batches for prompt in batch)]
    return {
        "source": at_home(config.prompts.source),
        "split": config.prompts.split,
        **loaded.about,
        "kept": len(used),
        "held_out": len(split.held_out),
        "dev": len(split.dev),
        "unused": split.unused,
        "dropped": {**loaded.dropped, **({"too long for the model": too_long} if too_long else {})},
        "fingerprint": fingerprint("prompts", [prompt.id for prompt in used]),
    }
