"""TOML to recipe and machine. All checking of what a user wrote happens here, before anything is spent."""

import dataclasses
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward import files, templates
from metareward.errors import ConfigError
from metareward.evaluate.base import Evaluations
from metareward.evaluate.chosen import KINDS, Evaluate
from metareward.ids import told
from metareward.models.base import Model
from metareward.options import Machine, Plan, Prompts, check_scales, eft_settings
from metareward.overlay import known_names, names, near, overlay, table, text, typed
from metareward.paper import Speeds
from metareward.provenance.records import at_home
from metareward.reasoning import AUTO, Reasoning
from metareward.recipes.combined import Combined, combined
from metareward.recipes.cream import Cream, cream
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.recipes.settings import Iteration, check_dev
from metareward.recipes.temporal import Temporal, temporal
from metareward.runner import Runner
from metareward.secrets import refuse_secrets
from metareward.settings import NO_VARIABLES, VARIABLE, check_seed, one_of, require, shown
from metareward.stages.base import Guess
from metareward.supervision import Supervision
from metareward.train.dpo import TrainMachine, accumulation

RECIPES: dict[str, tuple[type[Any], Callable[..., Model]]] = {
    "meta_rewarding": (MetaRewarding, meta_rewarding),
    "self_rewarding": (SelfRewarding, self_rewarding),
    "temporal": (Temporal, temporal),
    "cream": (Cream, cream),
    "combined": (Combined, combined),
}
_SEEDED = ("generate", "judge", "meta_judge", "dpo", "attack", "eft")


@dataclass(frozen=True)
class Config:
    """A whole config, resolved: every default filled in, every template read."""

    recipe: str
    model: str
    seed: int
    prompts: Prompts
    method: Any
    evaluate: Evaluate
    machine: Machine
    plan: Plan
    path: Path
    directory: Path
    reasoning: Reasoning = AUTO
    supervision: Supervision = Supervision()  # the one place: what [supervision] and the recipe say

    def meaning(self) -> dict[str, Any]:
        """What the results depend on, as plain data: everything but the machine and the plan."""
        plain = {"recipe": self.recipe, "model": at_home(self.model), "seed": self.seed}
        prompts = {**told(self.prompts), "source": at_home(self.prompts.source)}
        method = told(dataclasses.replace(self.method, evaluate=Evaluations()))
        method["eft"]["source"] = at_home(method["eft"]["source"])
        del method["evaluate"]  # stands below as it was given: built, it holds whole benchmarks
        plain["reasoning"] = None if self.reasoning == AUTO else dataclasses.asdict(self.reasoning)
        plain |= {"prompts": prompts, "method": method, "evaluate": told(self.evaluate)}
        return json.loads(json.dumps(plain))

    def resolved(self) -> dict[str, Any]:
        """Everything, as plain data."""
        machine, plan = dataclasses.asdict(self.machine), dataclasses.asdict(self.plan)
        supervision = dataclasses.asdict(self.supervision)
        return {**self.meaning(), "machine": machine, "plan": plan, "supervision": supervision}

    def seeds(self) -> dict[str, int]:
        """Every seed of the run, by the name of its setting."""
        steps = ((name, getattr(getattr(self.method, name, None), "seed", None)) for name in _SEEDED)
        return {"seed": self.seed, **{f"{name}.seed": seed for name, seed in steps if seed is not None}}

    def start(
        self,
        run: Runner,
        model: Model,
        batches: list[Any],
        held_out: Any | None,
        evaluations: Evaluations | None = None,
        dev: Any | None = None,
    ) -> Model:
        """Carry the recipe out with these settings. dev: the prompts that epochs are selected on."""
        method = dataclasses.replace(self.method, evaluate=evaluations or Evaluations())
        return RECIPES[self.recipe][1](run, model, batches, method, held_out, dev)


def load(path: Path, directory: Path | None = None) -> Config:
    """Read a config; ConfigError names the file, the setting, and what it may be."""
    try:
        written, given = _read(path)
        refuse_secrets(written, given)
        config = _resolve(given, path, directory)
        refuse_secrets(json.dumps(config.resolved(), indent=1, ensure_ascii=False), {}, "a template: ")
        return config
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _read(path: Path) -> tuple[str, dict[str, Any]]:
    try:
        written = files.read_text(path)
        return written, tomllib.loads(written)
    except files.UnreadableError as error:
        hint = "; examples/ has some configs to start from" if "no such file" in str(error) else ""
        raise ConfigError(f"{path}: {error}{hint}") from None
    except RecursionError:
        raise ConfigError(f"{path}: not TOML that can be read: nested too deeply") from None
    except ValueError as error:  # also numbers of thousands of digits
        raise ConfigError(f"{path}: not TOML: {str(error).partition(';')[0]}; mend that line") from None


def _resolve(given: dict[str, Any], path: Path, directory: Path | None) -> Config:
    recipe = typed(str, given.get("recipe", "meta_rewarding"), "recipe")
    if recipe not in RECIPES:
        raise ConfigError(f"recipe must be {one_of(RECIPES)}, not {shown(recipe)}{near(recipe, RECIPES)}")
    method = RECIPES[recipe][0]()
    apart = ("supervision", "evaluate", "eft", "reasoning")
    parts = [field.name for field in dataclasses.fields(method) if field.name not in apart]
    own = ["recipe", "model", "seed", "directory", "prompts", "machine", "plan", *apart]
    known_names(given, [*own, *parts], "at the top level")
    seed = typed(int, given.get("seed", 0), "seed")
    check_seed("seed", seed)
    model = text(given.get("model", "smollm2-135m-instruct"), "model")
    where = text(given.get("directory", f"runs/{path.stem}"), "directory")
    for name, value in (("model", model), ("directory", where)):
        require(not VARIABLE.search(value), name, NO_VARIABLES, value)
    changes = {name: _part(getattr(method, name), given, name, seed, path.parent) for name in parts}
    eft = eft_settings(given.get("eft", {}), changes["judge"], seed, path.parent, _template)
    method = dataclasses.replace(method, **changes, eft=eft)
    check_scales(method)
    machine = _machine(given.get("machine", {}), path.parent)
    for training in (method.dpo, method.eft.sft) if eft.enabled else (method.dpo,):
        accumulation(training, machine.training)
    prompts = overlay(Prompts(), given.get("prompts", {}), "prompts")
    check_dev(method.iterations, prompts.dev)
    supervision = overlay(Supervision(), given.get("supervision", {}), "supervision")
    return Config(
        recipe=recipe,
        model=_local(model, path.parent),
        seed=seed,
        prompts=prompts,
        method=method,
        evaluate=_evaluate(given.get("evaluate", {})),
        machine=machine,
        plan=_plan(given.get("plan", {})),
        path=path,
        directory=_home(directory or Path(where), "directory"),
        reasoning=overlay(AUTO, given.get("reasoning", {}), "reasoning"),
        supervision=_strongest(supervision, method),
    )


def _strongest(said: Supervision, method: Any) -> Supervision:
    """Of what the config says and what the recipe brings in."""
    own = getattr(method, "supervision", Supervision())
    return said.at_least(own).at_least(method.eft.supervision)


def _part(default: Any, given: Mapping[str, Any], name: str, seed: int, base: Path) -> Any:
    if name == "iterations":
        return _iterations(default, given.get(name))
    if not dataclasses.is_dataclass(default):
        return typed(type(default), given.get(name, default), name)
    settings = table(given.get(name, {}), name)
    if name in _SEEDED:
        settings = {"seed": seed, **settings}
    if "template" in settings:
        settings["template"] = _template(text(settings["template"], f"{name}.template"), base, name)
    if name == "attack" and settings.get("items", "shipped") != "shipped":
        settings["items"] = str(base / Path(text(settings["items"], "attack.items")).expanduser())
    return overlay(default, settings, name)


def _iterations(default: tuple[Iteration, ...], given: Any) -> tuple[Iteration, ...]:
    if given is None:
        return default
    if not isinstance(given, list) or not given:
        raise ConfigError("iterations must be given as [[iterations]] tables, one for each iteration")
    return tuple(_iteration(settings, f"iterations[{number}]") for number, settings in enumerate(given))


def _iteration(given: Any, where: str) -> Iteration:
    try:
        return overlay(Iteration(), given, where)
    except ConfigError as error:
        raise ConfigError(re.sub(r"^iterations\.", f"{where}.", str(error))) from None


def _machine(given: Any, base: Path) -> Machine:
    settings = dict(table(given, "machine"))
    training = overlay(TrainMachine(), settings.pop("training", {}), "machine.training")
    if training.accelerate_config is not None:
        file = _beside(base, training.accelerate_config, "machine.training.accelerate_config")
        _file_text(file, "machine.training.accelerate_config")
        training = dataclasses.replace(training, accelerate_config=str(file.absolute()))
    plain = overlay(Machine(), settings, "machine", leave_out=("training",))
    return dataclasses.replace(plain, training=training)


def _evaluate(given: Any) -> Evaluate:
    """[evaluate] and a table for each evaluation, [evaluate.ifeval] and so on, with its own settings."""
    settings = table(given, "evaluate")
    for name in KINDS.keys() & settings.keys():
        known = [field.name for field in dataclasses.fields(KINDS[name])]
        known_names(table(settings[name], f"evaluate.{name}"), known, f"in [evaluate.{name}]")
    return overlay(Evaluate(), settings, "evaluate")


def _plan(given: Any) -> Plan:
    settings = table(given, "plan")
    guesses, speeds = names(Guess()), names(Speeds())
    known_names(settings, [*guesses, *speeds], "in [plan]")
    return Plan(
        overlay(Guess(), {k: v for k, v in settings.items() if k in guesses}, "plan"),
        overlay(Speeds(), {k: v for k, v in settings.items() if k in speeds}, "plan"),
    )


def _template(name: str, base: Path, where: str) -> str:
    if "/" not in name and not name.endswith((".txt", ".jinja", ".j2")):
        try:
            return templates.shipped(name)
        except (FileNotFoundError, ValueError):
            raise ConfigError(
                f"{where}.template: no template named {shown(name)} ships with the package; to use a file of "
                "your own, give its path"
            ) from None
    return _file_text(_beside(base, name, f"{where}.template"), f"{where}.template")


def _file_text(file: Path, where: str) -> str:
    try:
        return files.read_text(file)
    except files.UnreadableError as error:
        raise ConfigError(f"{where}: cannot read {file}: {error}") from None


def _beside(base: Path, name: str, where: str) -> Path:
    """A path as the config's place has it."""
    return base / _home(Path(name), where)


def _home(path: Path, where: str) -> Path:
    try:
        return path.expanduser()
    except RuntimeError:
        raise ConfigError(f"{where}: there is no home directory for {shown(str(path))}") from None


def _local(model: str, base: Path) -> str:
    """A path that begins with a dot or a tilde is a directory, from the config's place."""
    return str(_beside(base, model, "model").resolve()) if model.startswith((".", "~")) else model
