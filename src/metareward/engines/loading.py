"""Weights from a directory onto a device: all of them, each in its place, or a clear message."""

import re
from collections.abc import Collection
from typing import Any

import torch

from metareward.engines.quiet import quiet
from metareward.errors import ConfigError, ModelError

_NUMBER = re.compile(r"\d+")
_ATTENTION = {"full_attention", "sliding_attention", "attention"}
_RECURRENT = ("mamba", "rwkv", "xlstm", "recurrent_gemma", "zamba", "bamba", "falcon_h1", "granitemoehybrid")


def place_of(device: str) -> str:
    """The device a setting names, `auto` resolved; ConfigError if this machine does not have it."""
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, number = device.partition(":")
    count = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(torch.backends.mps.is_available())}
    if kind not in count or (number and not number.isdecimal()):
        raise ConfigError(
            f"machine.device: {device!r} is no device; it must be auto, cpu, cuda, cuda:N or mps"
        )
    if int(number or 0) >= count[kind]:
        has = f"{count[kind]} of that kind" if count[kind] else "none"
        raise ConfigError(
            f"machine.device is '{device}', and PyTorch {torch.__version__} finds {has} on this machine; set "
            "it to 'auto' or 'cpu', or mend the driver or the PyTorch that is installed"
        )
    return device


def pinned_config(path: str) -> Any:
    """The config of a model with the choice of kernels left to transformers: sdpa, or eager without it.

    A config may name another implementation of attention or of experts, even one that is to be fetched and
    run; `attn_implementation` given to `from_pretrained` does not keep it from that. Hand this over as
    `config`. Raises ModelError.
    """
    from transformers import AutoConfig

    try:
        with quiet():
            config: Any = AutoConfig.from_pretrained(path, trust_remote_code=False)
    except Exception as error:
        raise _unreadable(path, error) from error
    for part in (config, *(getattr(config, name, None) for name in config.sub_configs)):
        if part is not None:
            part._attn_implementation = part._experts_implementation = None
    return config


def unfit(config: Any) -> str | None:
    """Why the engine cannot answer with a model of this config; None if nothing is known against it."""
    from transformers import AutoModelForCausalLM

    if getattr(config, "is_encoder_decoder", False):
        return (
            f"a model of type {config.model_type} writes with a decoder about what an encoder has read; "
            "take a causal language model."
        )
    known: Any = AutoModelForCausalLM
    if type(config) not in known._model_mapping:
        return (
            f"this version of transformers has no causal language model of type {config.model_type}; take "
            "one that it has, or another version."
        )
    return None


def settings_of(config: Any, name: str) -> list[Any]:
    """What a config has a setting be: one value, or one for each layer where these differ, without None."""
    try:
        values = [getattr(config, name, None)]
    except RuntimeError:  # transformers refuses to name one of several
        values = [getattr(layer, name, None) for layer in config.per_layer_config]
    return [value for value in values if value is not None]


def other_layers(config: Any) -> str | None:
    """What a model of this config has besides full and sliding attention with positions of its own."""
    text = config.get_text_config(decoder=True)
    types = getattr(text, "layer_types", None) or getattr(text, "layers_block_type", None) or ()
    other = sorted({str(kind) for kind in types} - _ATTENTION)
    if other:
        return f"layers of type {', '.join(other)}"
    if text.model_type.startswith(_RECURRENT):
        return f"layers of type {text.model_type}"
    if getattr(text, "alibi", text.model_type in ("bloom", "mpt")):
        return "positions by ALiBi"
    return None


def load_network(path: str, device: str, dtype: str = "auto") -> Any:
    """The weights at `path`, ready to answer. Raises ModelError if they cannot be read in whole."""
    from transformers import AutoModelForCausalLM

    kind = ("float32" if device.startswith("cpu") else "bfloat16") if dtype == "auto" else dtype
    loader: Any = AutoModelForCausalLM
    options = {"dtype": getattr(torch, kind), "use_safetensors": True, "output_loading_info": True}
    options["ignore_mismatched_sizes"] = True  # they are refused below, by name
    config = pinned_config(path)
    try:
        with quiet():
            model, told = loader.from_pretrained(path, config=config, trust_remote_code=False, **options)
    except (MemoryError, torch.OutOfMemoryError):
        raise
    except Exception as error:
        raise _unreadable(path, error) from error
    _check_complete(path, model, told)
    _check_finite(path, model, kind)
    try:
        return model.to(device).eval()
    except torch.OutOfMemoryError as error:
        raise ModelError(
            f"{path}: the weights do not fit into the memory of {device}; free it, or set machine.device"
        ) from error


def _unreadable(path: str, error: Exception) -> ModelError:
    first = str(error).strip().partition("\n")[0]
    return ModelError(
        f"{path}: the model cannot be read ({type(error).__name__}: {first}). Give a directory that "
        "holds a whole model whose config.json and weights belong together and that this version of "
        "transformers knows, or a hub id while the hub can be reached."
    )


def _check_complete(path: str, model: Any, told: dict[str, Any]) -> None:
    """Weights that are missing would be made up at random, and layers too many be left out, both silently."""
    other = sorted(map(tuple, told["mismatched_keys"]))
    if other:
        name, found, wanted = other[0][0], tuple(other[0][1]), tuple(other[0][2])
        raise ModelError(
            f"{path}: {name} has the shape {found} in the file of weights and {wanted} by config.json; they "
            "do not belong together. Copy or download the model again."
        )
    missing = sorted(told["missing_keys"])
    surplus = _further_layers(told["unexpected_keys"], model.state_dict())
    what = "lacks" if missing else "has, beyond what config.json says,"
    if names := missing or surplus:
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        raise ModelError(
            f"{path}: the file of weights {what} {names[0]}{more}; config.json and weights do not belong "
            "together. Copy or download the model again."
        )


def _further_layers(unexpected: Collection[str], known: Collection[str]) -> list[str]:
    """Names that differ from a parameter's only in a number. Others (of a head, a tower) may be left out."""
    shapes = {_NUMBER.sub("N", name) for name in known}
    return sorted(name for name in unexpected if _NUMBER.sub("N", name) in shapes)


def _check_finite(path: str, model: Any, kind: str) -> None:
    """Refuse a model that would answer with one token for ever."""
    bad = [name for name, value in model.named_parameters() if not bool(torch.isfinite(value).all())]
    if bad:
        raise ModelError(f"{path}: {not_finite_said(bad)} (read as {kind})")


def not_finite_said(names: Collection[str]) -> str:
    """The sentence about weights that are NaN or infinite."""
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"the weights {next(iter(names))}{more} hold NaN or infinities: a training that diverged, or a "
        "damaged file. Take the model as it was before, or download it again"
    )
