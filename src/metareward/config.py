"""TOML to recipe and machine. All checking of what a user wrote happens here, before anything is spent."""

import dataclasses
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from metareward import templates
from metareward.errors import ConfigError
from metareward.evaluate.base import Evaluations
from metareward.evaluate.chosen import KINDS, Evaluate
from metareward.models.base import Model
from metareward.paper import Speeds
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.recipes.self_rewarding import SelfRewarding, self_rewarding
from metareward.recipes.settings import Iteration
from metareward.run import Runner
from metareward.settings import require
from metareward.stages.base import Guess
from metareward.train.dpo import TrainMachine

RECIPES: dict[str, tuple[type[Any], Callable[..., Model]]] = {
    "meta_rewarding": (MetaRewarding, meta_rewarding),
    "self_rewarding": (SelfRewarding, self_rewarding),
}
_SEEDED = ("generate", "judge", "meta_judge", "dpo")


@dataclass(frozen=True)
class Prompts:
    """Where prompts come from and how many are used.

    source: "shipped", a .jsonl, .json or .parquet file (relative to the config), or a hub dataset id.
    per_iteration: None shares all prompts out equally. held_out: kept apart, never trained on.
    skip_too_long: leave out prompts that do not fit the model's context instead of stopping.
    """

    source: str = "shipped"
    split: str = "train"
    column: str | None = None
    per_iteration: int | None = None
    held_out: int = 0
    skip_too_long: bool = False

    def __post_init__(self) -> None:
        require(self.held_out >= 0, "prompts.held_out", "0 or more", self.held_out)
        enough = self.per_iteration is None or self.per_iteration >= 1
        require(enough, "prompts.per_iteration", "at least 1", self.per_iteration)


@dataclass(frozen=True)
class Machine:
    """What changes only the speed: never part of any key.

    engine: "transformers", or "fake" (made-up answers and no training, to try a config out).
    batch_tokens, max_rows: how much the transformers engine holds in memory at once; None: its default.
    """

    engine: str = "transformers"
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int | None = None
    max_rows: int | None = None
    training: TrainMachine = TrainMachine()

    def __post_init__(self) -> None:
        require(
            self.engine in ("transformers", "fake"), "machine.engine", "'transformers' or 'fake'", self.engine
        )
        for name in ("batch_tokens", "max_rows"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"machine.{name}", "at least 1", value)


@dataclass(frozen=True)
class Plan:
    """What a plan assumes where nothing was measured."""

    guess: Guess = Guess()
    speeds: Speeds = Speeds()


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

    def meaning(self) -> dict[str, Any]:
        """What the results depend on, as plain data: everything but the machine and the plan."""
        plain = {"recipe": self.recipe, "model": self.model, "seed": self.seed}
        method = dataclasses.asdict(self.method)
        del method["evaluate"]  # stands below as it was given: built, it holds whole benchmarks
        plain |= {"prompts": dataclasses.asdict(self.prompts), "method": method}
        plain |= {"evaluate": dataclasses.asdict(self.evaluate)}
        return json.loads(json.dumps(plain))

    def resolved(self) -> dict[str, Any]:
        """Everything, as plain data."""
        machine, plan = dataclasses.asdict(self.machine), dataclasses.asdict(self.plan)
        return {**self.meaning(), "machine": machine, "plan": plan}

    def start(
        self,
        run: Runner,
        model: Model,
        batches: list[Any],
        held_out: Any | None,
        evaluations: Evaluations | None = None,
    ) -> Model:
        """Carry the recipe out with these settings."""
        method = dataclasses.replace(self.method, evaluate=evaluations or Evaluations())
        return RECIPES[self.recipe][1](run, model, batches, method, held_out)


def load(path: Path, directory: Path | None = None) -> Config:
    """Read a config; ConfigError names the file, the setting, and what it may be."""
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: there is no such config; see examples/ for some to start from") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as TOML: {error}") from None
    try:
        return _resolve(given, path, directory)
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def _resolve(given: dict[str, Any], path: Path, directory: Path | None) -> Config:
    recipe = given.get("recipe", "meta_rewarding")
    if recipe not in RECIPES:
        raise ConfigError(f"recipe must be one of {sorted(RECIPES)}, not {recipe!r}{_near(recipe, RECIPES)}")
    method = RECIPES[recipe][0]()
    parts = [field.name for field in dataclasses.fields(method) if field.name != "evaluate"]
    known = ["evaluate", "recipe", "model", "seed", "directory", "prompts", "machine", "plan", *parts]
    _known_names(given, known, "at the top level")
    seed = _typed(int, given.get("seed", 0), "seed")
    model = _typed(str, given.get("model", "smollm2-135m-instruct"), "model")
    where = _typed(str, given.get("directory", f"runs/{path.stem}"), "directory")
    changes = {name: _part(getattr(method, name), given, name, seed, path.parent) for name in parts}
    return Config(
        recipe=recipe,
        model=_local(model, path.parent),
        seed=seed,
        prompts=_overlay(Prompts(), given.get("prompts", {}), "prompts"),
        method=dataclasses.replace(method, **changes),
        evaluate=_evaluate(given.get("evaluate", {})),
        machine=_machine(given.get("machine", {})),
        plan=_plan(given.get("plan", {})),
        path=path,
        directory=directory or Path(where),
    )


def _part(default: Any, given: Mapping[str, Any], name: str, seed: int, base: Path) -> Any:
    if name == "iterations":
        return _iterations(default, given.get(name))
    if not dataclasses.is_dataclass(default):
        return _typed(type(default), given.get(name, default), name)
    settings = _table(given.get(name, {}), name)
    if name in _SEEDED:
        settings = {"seed": seed, **settings}
    if "template" in settings:
        settings["template"] = _template(_typed(str, settings["template"], f"{name}.template"), base, name)
    return _overlay(default, settings, name)


def _iterations(default: tuple[Iteration, ...], given: Any) -> tuple[Iteration, ...]:
    if given is None:
        return default
    if not isinstance(given, list) or not given:
        raise ConfigError("iterations must be given as [[iterations]] tables, one for each iteration")
    return tuple(_overlay(Iteration(), table, f"iterations[{number}]") for number, table in enumerate(given))


def _machine(given: Any) -> Machine:
    settings = dict(_table(given, "machine"))
    training = _overlay(TrainMachine(), settings.pop("training", {}), "machine.training")
    plain = _overlay(Machine(), settings, "machine", leave_out=("training",))
    return dataclasses.replace(plain, training=training)


def _evaluate(given: Any) -> Evaluate:
    """[evaluate] and a table for each evaluation, [evaluate.ifeval] and so on, with its own settings."""
    settings = _table(given, "evaluate")
    for name in KINDS.keys() & settings.keys():
        known = [field.name for field in dataclasses.fields(KINDS[name])]
        _known_names(_table(settings[name], f"evaluate.{name}"), known, f"in [evaluate.{name}]")
    return _overlay(Evaluate(), settings, "evaluate")


def _plan(given: Any) -> Plan:
    settings = _table(given, "plan")
    guesses, speeds = _names(Guess()), _names(Speeds())
    _known_names(settings, [*guesses, *speeds], "in [plan]")
    return Plan(
        _overlay(Guess(), {k: v for k, v in settings.items() if k in guesses}, "plan"),
        _overlay(Speeds(), {k: v for k, v in settings.items() if k in speeds}, "plan"),
    )


def _overlay(default: Any, given: Any, where: str, leave_out: tuple[str, ...] = ()) -> Any:
    settings = _table(given, where)
    known = [name for name in _names(default) if name not in leave_out]
    _known_names(settings, known, f"in [{where}]")
    kept = {name: getattr(default, name) for name in known}
    merged = json.dumps({**kept, **settings}, default=str)
    try:
        return TypeAdapter(type(default)).validate_json(merged, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join([where, *(str(part) for part in first["loc"])])
        raise ConfigError(f"{place}: {first['msg'].lower()}, not {first['input']!r}") from None


def _typed(kind: type[Any], value: Any, where: str) -> Any:
    try:
        return TypeAdapter(kind).validate_json(json.dumps(value, default=str), strict=True)
    except ValidationError as error:
        raise ConfigError(f"{where}: {error.errors()[0]['msg'].lower()}, not {value!r}") from None


def _table(given: Any, where: str) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be a table of settings, [{where}], not {given!r}")
    return given


def _names(settings: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(settings)]


def _known_names(given: Mapping[str, Any], known: list[str], where: str) -> None:
    for name in given:
        if name not in known:
            raise ConfigError(
                f"unknown setting {name!r} {where}{_near(name, known)}; known: {', '.join(known)}"
            )


def _near(name: object, known: Any) -> str:
    near = get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def _template(name: str, base: Path, where: str) -> str:
    if "/" not in name and not name.endswith((".txt", ".jinja", ".j2")):
        try:
            return templates.shipped(name)
        except FileNotFoundError:
            raise ConfigError(
                f"{where}.template: no template named {name!r} ships with the package; to use a file of "
                "your own, give its path"
            ) from None
    try:
        return (base / name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{where}.template: cannot read {base / name}: {error}") from None


def _local(model: str, base: Path) -> str:
    """A path that begins with a dot or a tilde is a directory, from the config's place."""
    return str((base / Path(model).expanduser()).resolve()) if model.startswith((".", "~")) else model
