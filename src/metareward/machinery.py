"""What a machine's settings stand for: its engine, its trainer, and the models that it can ask."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from metareward import models
from metareward.engines.base import OpenEngine
from metareward.errors import ConfigError
from metareward.models.base import Model
from metareward.options import Machine
from metareward.train.job import Trainer

NEEDED = ("torch", "transformers", "accelerate", "trl")


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


def model_of(
    name: str,
    machine: Machine,
    listen: Callable[[str], None] = lambda _: None,
    note: Callable[..., None] = lambda **_: None,
) -> Model:
    """The model that a name means on a machine, ready to be asked; the fake engine has one of its own.

    That engine fetches nothing, and refuses what can be no model's name as another would. Another model is
    audited first. listen: told what is to be known about it, a line at a time. note: takes the audit for the
    record. Raises ModelError for a model that would spoil a run.
    """
    if machine.engine == "fake":
        return _made_up(name)
    require_machine(machine)
    model = models.resolve(name, listen=listen)
    from metareward.engines.audit import audit

    found = audit(model)
    note(**{f"audit of {model.name}": found.record(model.path)})
    found.require()
    for sentence in (*found.problems, *found.notes):
        listen(sentence)
    return model


def described(name: str, machine: Machine) -> Model:
    """The same on paper."""
    return _made_up(name) if machine.engine == "fake" else models.describe(name)


def place_of_model(name: str) -> Path | None:
    """Where a model lies, if it is here already."""
    return None if name == "fake" else models.known(name)


def _made_up(name: str) -> Model:
    if name != "fake":
        models.known(name)
    return Model("fake", "", "fake")


def require_machine(machine: Machine) -> None:
    """Refuse, before anything is fetched or asked, packages and devices that are not here."""
    missing = [name for name in NEEDED if find_spec(name) is None]
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
