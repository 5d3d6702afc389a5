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
from metareward.readers import Scale
from metareward.recipes.eft import EFT
from metareward.settings import NO_VARIABLES, VARIABLE, checked, one_of, require
from metareward.sources import BAD_ROWS
from metareward.stages.base import Guess
from metareward.stages.judge import Judge
from metareward.templates import other_scale, scale_of, shown_scale_of, unasked, winner_label_of
from metareward.train.dpo import TrainMachine
from metareward.train.sft import SFT
from metareward.unread import FEWEST_READ
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
    fewest_read: end a step where surely a smaller share of the verdicts can be read; 0 goes on and pays.
    """

    engine: str = "transformers"
    device: str = "auto"
    dtype: str = "auto"
    batch_tokens: int | None = None
    max_rows: int | None = None
    stall_minutes: float = MINUTES
    fewest_read: float = FEWEST_READ
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
        share = 0 <= self.fewest_read <= 1
        require(share, "machine.fewest_read", "a share between 0 and 1", self.fewest_read)


@dataclass(frozen=True)
class Plan:
    """What a plan assumes where nothing was measured."""

    guess: Guess = Guess()
    speeds: Speeds = Speeds()


def check_scales(method: Any) -> None:
    """Refuse settings that would take scores of the judge's own scale for scores of another."""
    scale, eft = method.judge.scale, method.eft
    for name, template in (
        ("eft.judge.template", eft.judge.template if eft.enabled and eft.judge else ""),
        ("eft.other_template", eft.other_template if eft.enabled else ""),
    ):
        if template and (other := scale_of(template)) != scale:
            raise ConfigError(
                f"{name} asks for a verdict on {other}, and judge.template for one on {scale}: both must "
                f"declare "
                "the same label and scale"
            )
    if scale != Scale() and method.attack.enabled:
        raise ConfigError(
            f"attack.enabled: the attacks claim the full marks of the shipped rubric ({Scale()}), and "
            f"judge.template declares {scale}; leave the attack out, or judge on the shipped scale"
        )
    meta = getattr(method, "meta_judge", None)
    if meta is not None and not meta.show_scores and shown_scale_of(meta.template) != scale:
        raise ConfigError(
            f"meta_judge.show_scores = false must know how scores are written to hide them: begin "
            f"meta_judge.template with {{# judgments: {scale} #}}, as judge.template declares"
        )


def verdicts(method: Any) -> dict[str, str]:
    """What each judging step reads, in the words of a template's head."""
    meta = getattr(method, "meta_judge", None)
    read = {"judge": f"{method.judge.scale}"}
    return read if meta is None else {**read, "meta_judge": f"{winner_label_of(meta.template)}, A or B"}


def doubts(method: Any) -> list[str]:
    """A sentence for each template that does not ask for what a free reading reads, or on another scale."""
    asked = [("judge", "score"), ("meta_judge", "winner")]
    steps = ((name, kind, getattr(method, name, None)) for name, kind in asked)
    free = [(name, kind, step) for name, kind, step in steps if step is not None and step.reading == "free"]
    said = (unasked(step.template, f"{name}.template", kind) for name, kind, step in free)
    judge = getattr(method, "judge", None)
    scaled = None
    if judge is not None and judge.reading == "forced":
        scaled = other_scale(judge.template, "judge.template")
    return [sentence for sentence in (scaled, *said) if sentence]


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
