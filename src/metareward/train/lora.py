"""Which layers may get an adapter: those that it can be merged into without moving anything else."""

from pathlib import Path
from typing import Any

import torch
from transformers.pytorch_utils import Conv1D

from metareward.errors import ConfigError
from metareward.train.sft import ALL_LINEAR, SFT

_LAYERS = (torch.nn.Linear, Conv1D, torch.nn.Embedding)


def check(folder: Path, sft: SFT) -> None:
    """Raise ConfigError for targets that the model in a directory cannot have; nothing of it is loaded.

    A directory without a config, or with one that transformers cannot make a model of, is let pass: what
    loads the model says what is wrong with it.
    """
    if not sft.lora_rank or not (folder / "config.json").is_file():
        return
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        with torch.device("meta"):
            model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, RuntimeError, ImportError):
        return
    targets(model, sft)


def targets(model: Any, sft: SFT) -> list[str]:
    """Ends of the names of the layers that get an adapter. Raises ConfigError where one is not to be had."""
    parts = dict(model.named_modules())
    head = {name for name, part in parts.items() if part is model.get_output_embeddings()}
    if sft.lora_targets == (ALL_LINEAR,):
        found = {
            name.split(".")[-1]
            for name, part in parts.items()
            if isinstance(part, torch.nn.Linear | Conv1D) and name not in head
        }
        if not found:
            raise ConfigError(
                f"sft.lora_targets: {type(model).__name__} has no linear layers; set lora_rank = 0"
            )
        return sorted(found - {name.split(".")[-1] for name in head})
    for target in sft.lora_targets:
        _check_target(model, target, head)
    return list(sft.lora_targets)


def turned(model: Any, ends: list[str]) -> bool:
    """Whether the layers of these names keep their weights turned round, as GPT-2's do."""
    parts = [part for name, part in model.named_modules() if any(_ends(name, end) for end in ends)]
    return any(isinstance(part, Conv1D) for part in parts)


def _check_target(model: Any, target: str, head: set[str]) -> None:
    """Hold one target to what an adapter needs."""
    parts = {name: part for name, part in model.named_modules() if _ends(name, target)}
    problem = None
    if not parts:
        tensors = [name for name, _ in model.named_parameters() if _ends(name, target)]
        problem = (
            f"names a tensor ({tensors[0]}), and adapters are for whole layers (the experts of this "
            "architecture are tensors, which stay as they are)"
            if tensors
            else "names no layer of this model"
        )
    elif head & parts.keys():
        problem = "names the output head, whose adapter TRL would not train"
    elif tied := _tied(model, parts):
        problem = f"names {tied}, which shares its weights with the output head, so merging would move both"
    else:
        other = [name for name, part in parts.items() if not isinstance(part, _LAYERS)]
        if other:
            kind = type(parts[other[0]]).__name__
            problem = f"names {other[0]}, a {kind}, and adapters are for linear layers and embeddings"
    if problem:
        raise ConfigError(
            f"sft.lora_targets: {target!r} {problem}; leave it out, take 'all-linear', or set lora_rank = 0"
        )


def _tied(model: Any, parts: dict[str, Any]) -> str | None:
    """The first of some layers whose weights are the output head's as well."""
    config = model.config.get_text_config()
    embedding, output = model.get_input_embeddings(), model.get_output_embeddings()
    same = output is not None and getattr(output, "weight", None) is embedding.weight
    if not same and not getattr(config, "tie_word_embeddings", False):
        return None
    return next((name for name, part in parts.items() if part is embedding), None)


def left_out(model: Any, sft: SFT) -> str | None:
    """What "all-linear" leaves as it is besides embeddings and head, in a sentence; None if nothing."""
    if not sft.lora_rank or sft.lora_targets != (ALL_LINEAR,):
        return None
    base = getattr(model, "get_base_model", lambda: model)()
    experts = [
        name
        for name, weight in base.named_parameters()
        if weight.ndim == 3 and "lora_" not in name and not name.endswith("conv1d.weight")
    ]
    if not experts:
        return None
    return (
        f'lora_targets = "all-linear" leaves the experts as they are ({experts[0]} and {len(experts) - 1} '
        "more): they are tensors and not linear layers. lora_rank = 0 trains them, too"
    )


def _ends(name: str, target: str) -> bool:
    """As peft matches the ends of names."""
    return name == target or name.endswith(f".{target}")
