"""How processes share a model: as the accelerate config asks, and with all weights together at the end."""

from pathlib import Path
from typing import Any

import yaml
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.tensor import DTensor

from metareward.errors import ConfigError

_SHARED = ("FSDP", "DEEPSPEED", "MEGATRON_LM")  # kinds that accelerate gives up silently where they cannot be


def check_kind(accelerate_config: str | None, accelerator: Any) -> None:
    """Raise ConfigError if an accelerate config asks for sharding and the processes do not share.

    accelerate starts FSDP on CPUs as plain data parallelism and says nothing: each process then holds the
    whole model.
    """
    if accelerate_config is None:
        return
    asked = _asked(Path(accelerate_config))
    found = str(getattr(accelerator.state.distributed_type, "value", accelerator.state.distributed_type))
    if asked in _SHARED and found != asked:
        raise ConfigError(
            f"machine.training.accelerate_config: {accelerate_config} asks for distributed_type {asked}, but "
            f"accelerate made it {found} on this machine ({accelerator.device.type}), where every process "
            "would hold the whole model. Take a machine with GPUs for it, or set distributed_type to "
            "MULTI_GPU, MULTI_CPU or NO in that file"
        )


def _asked(file: Path) -> str:
    settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    return str(settings.get("distributed_type", "")) if isinstance(settings, dict) else ""


def full_weights(accelerator: Any, model: Any) -> dict[str, Any]:
    """All weights of a model by name, whole and on the main process. Every process must call it."""
    if any(isinstance(weight, DTensor) for weight in model.parameters()):
        return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))
    return accelerator.get_state_dict(model)
