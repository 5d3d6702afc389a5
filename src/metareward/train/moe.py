"""Mixtures of experts: the loss that balances their router, which is off unless a setting asks for it."""

from pathlib import Path
from typing import Any

from transformers import AutoConfig

from metareward.errors import ConfigError

_NEEDED = ("output_router_logits", "num_experts", "num_experts_per_tok")


def router_loss_off(model: Any) -> None:
    """Have a model not add a router's loss by itself; TRL asks for it where `router_loss` is set.

    A checkpoint's config may say that it is always computed, and TRL takes the architecture's own
    coefficient unless it is told one.
    """
    config = model.config.get_text_config()
    if hasattr(config, "output_router_logits"):
        config.output_router_logits = False


def check(folder: Path, section: str, router_loss: float) -> None:
    """`check_router_loss` for the model in a directory; one whose config cannot be read is let pass here."""
    if router_loss:
        try:
            config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
        except (OSError, ValueError, KeyError):
            return
        check_router_loss(config, section, router_loss)


def check_router_loss(config: Any, section: str, router_loss: float) -> None:
    """Raise ConfigError if a router's loss is asked for and a model of this config has none."""
    text = config.get_text_config()
    if router_loss and not all(hasattr(text, name) for name in _NEEDED):
        raise ConfigError(
            f"{section}.router_loss is {router_loss:g}, but a model of type {text.model_type} returns no "
            "router's loss here; set it to 0"
        )
