"""Settings that are not the method's: where prompts come from, what the machine is, what a plan assumes."""

import dataclasses
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from metareward.errors import ConfigError
from metareward.ids import added
from metareward.overlay import overlay, table, text
from metareward.paper import Speeds
from metareward.recipes.eft import EFT
from metareward.settings import NO_VARIABLES, VARIABLE, checked, one_of, require
from metareward.sources import BAD_ROWS
from metareward.stages.base import Guess
from metareward.stages.judge import Judge
from metareward.train.dpo import TrainMachine
from metareward.train.sft import SFT
from metareward.watchdog import MINUTES, Watchdog

ENGINES = ("transformers", "fake")
DTYPES = ("auto", "float32", "bfloat16", "float16")
_DEVICE = re.compile("auto|cpu|mps|cuda(:[0-9]{1,3})?")


@dataclass(frozen=True)
@checked("prompts")
class Prompts:
    """Where prompts come from and how many are used.

    source: "shipped", a file (.jsonl, .json, .csv, .tsv, .txt, also with .gz, or .parquet; relative to the
        config), a folder that `save_to_disk` wrote, or a hub dataset id. split: of the last two.
    per_iteration: None shares all prompts out equally. held_out: kept apart, never trained on. dev: kept
        apart from both, for the iterations that select their epoch on them (select = "dev").
    skip_too_long: leave out prompts that do not fit the model's context instead of stopping.
    bad_rows: "refuse" a source with a row that cannot be used, or "skip" such rows and count them by reason.
    """

    source: str = "shipped"
    split: str = "train"
    column: str | None = None
    per_iteration: int | None = None
    held_out: int = 0
    dev: int = 0
    skip_too_long: bool = False
    bad_rows: str = added("refuse")

    def __post_init__(self) -> None:
        for name in ("source", "split", "column"):
            value = getattr(self, name)
            good = value is None or (bool(value.strip()) and "\0" not in value)
            require(good, f"prompts.{name}", "a name (leave it out for the default)", value)
            named = name == "column" or value is None or not VARIABLE.search(value)
            require(named, f"prompts.{name}", NO_VARIABLES, value)
        require(self.bad_rows in BAD_ROWS, "prompts.bad_rows", one_of(BAD_ROWS), self.bad_rows)
        require(self.held_out >= 0, "prompts.held_out", "0 or more", self.held_out)
        require(self.dev == 0 or self.dev >= 2, "prompts.dev", "0, or at least 2", self.dev)
        enough = self.per_iteration is None or self.per_iteration >= 1
        require(enough, "prompts.per_iteration", "at least 1", self.per_iteration)


@dataclass(frozen=True)
@checked("machine")
class Machine:
    """What changes only the speed: never part of any key.

    engine: "transformers", or "fake" (made-up answers and no training, to try a config out).
    batch_tokens, max_rows: how much the transformers engine holds in memory at once; None: its default.
    stall_minutes: give up an engine that has shown no sign of life for so long; 0 waits for ever.
    """

    engine: str = "transformers"
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int | None = None
    max_rows: int | None = None
    stall_minutes: float = MINUTES
    training: TrainMachine = TrainMachine()

    def __post_init__(self) -> None:
        require(self.engine in ENGINES, "machine.engine", one_of(ENGINES), self.engine)
        wanted = "'auto', 'cpu', 'cuda', 'cuda:0' (or another number) or 'mps'"
        require(_DEVICE.fullmatch(self.device) is not None, "machine.device", wanted, self.device)
        require(self.dtype in DTYPES, "machine.dtype", one_of(DTYPES), self.dtype)
        for name in ("batch_tokens", "max_rows"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"machine.{name}", "at least 1", value)
        Watchdog(self.stall_minutes)


@dataclass(frozen=True)
class Plan:
    """What a plan assumes where nothing was measured."""

    guess: Guess = Guess()
    speeds: Speeds = Speeds()


def eft_settings(
    given: Any, judge: Judge, seed: int, base: Path, template: Callable[[str, Path, str], str]
) -> EFT:
    """[eft], with [eft.judge] laid over the recipe's judge and [eft.sft]; paths are from the config's place.

    template: reads one by its name or path.
    """
    settings = dict(table(given, "eft"))
    judging = dict(table(settings.pop("judge", {}), "eft.judge"))
    if "template" in judging:
        judging["template"] = template(text(judging["template"], "eft.judge.template"), base, "eft.judge")
    if "other_template" in settings:
        name = text(settings["other_template"], "eft.other_template")
        settings["other_template"] = template(name, base, "eft.other")
    sft = _named("eft.", overlay, SFT(seed=seed), settings.pop("sft", {}), "eft.sft")
    own = _named("eft.", overlay, judge, judging, "eft.judge") if judging else None
    eft = overlay(EFT(), {"seed": seed, **settings}, "eft", leave_out=("judge", "sft", "teacher"))
    if not eft.enabled:
        return dataclasses.replace(eft, judge=own, sft=sft)
    source = base / Path(text(eft.source, "eft.source")).expanduser()
    return dataclasses.replace(eft, source=str(source.absolute()), judge=own, sft=sft)


def _named(prefix: str, make: Callable[..., Any], *given: Any) -> Any:
    """A setting that is refused is named with the table that it stands in."""
    try:
        return make(*given)
    except ConfigError as error:
        said = str(error)
        raise ConfigError(said if "[" in said or said.startswith(prefix) else prefix + said) from None
