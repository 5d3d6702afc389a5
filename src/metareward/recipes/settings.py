"""Settings that the recipes share: one iteration's own, and how models are looked at."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import inf
from typing import Literal

from metareward.errors import ConfigError
from metareward.ids import added
from metareward.models.base import Model
from metareward.readers import WIDEST
from metareward.records import Role
from metareward.settings import check_samples, checked, one_of, require
from metareward.stages.auto_rho import check_search
from metareward.train.dpo import DPO

BOTH = (Role.ACTOR, Role.JUDGE)
By = Literal["current", "first"]
BYS = ("current", "first")  # the model that is being trained, or the run's first, frozen
STARTS = ("previous", "first")
SELECTS = ("fixed", "dev")
SHARES = ("sampling", "weight")
REFERENCES = ("start", "previous", "first")


@dataclass(frozen=True)
@checked("iterations")
class Iteration:
    """What one iteration sets for itself; None leaves the value of [dpo].

    rho: width of the length-control tiers, 0 (best against worst) up to but not 0.5; "auto" searches
        `rho_bounds` for the smallest with a mean length difference (chosen - rejected, characters) of at
        most `rho_target` (see `stages.auto_rho`).
    max_response_characters: an actor pair whose chosen response is longer is left out.
    max_judgment_characters: a judge pair whose chosen judgment is longer is left out.
    min_score_margin: an actor pair whose mean scores differ by less (points of the rubric) is left out.
    min_elo_margin: a judge pair whose Elo differs by less (natural log units) is left out.
    stop_after_epoch: the epoch whose weights are taken, on the schedule of `epochs`; where one is selected,
        the last that is looked at.
    select: "fixed" takes the weights after the last epoch that is trained; "dev" keeps those of every epoch
        and takes the one that does best on the dev prompts (`evaluate.selection` has the rule).
    start: the model that is trained further, the "previous" one (whose answers and judgments made the
        pairs) or the "first".
    reference: the model that training stays near: the one it starts from, the "previous" or the "first".
    max_judge_share: at most so much of all that is trained on is judge pairs, above 0 and below 1
        (`stages.cap`). None keeps all, as the paper does.
    judge_share_by: "sampling" leaves out the judge pairs that are over the share; "weight" keeps all and
        lowers the weight of their loss, until they have no more than the share of the total weight.
    """

    roles: tuple[Role, ...] = BOTH
    rho: float | Literal["auto"] = 0.0
    rho_target: float = 0.0
    rho_bounds: tuple[float, float] = (0.0, 0.45)
    max_response_characters: int | None = None
    max_judgment_characters: int | None = None
    learning_rate: float | None = None
    epochs: int | None = None
    stop_after_epoch: int | None = None
    start: Literal["previous", "first"] = "previous"
    reference: Literal["start", "previous", "first"] = "start"
    max_judge_share: float | None = None
    judge_share_by: Literal["sampling", "weight"] = "sampling"
    select: Literal["fixed", "dev"] = "fixed"
    min_score_margin: float = added(0.0)
    min_elo_margin: float = added(0.0)

    def __post_init__(self) -> None:
        require(bool(self.roles), "iterations.roles", "at least one of 'actor', 'judge'", self.roles)
        require(len(set(self.roles)) == len(self.roles), "iterations.roles", "free of repeats", self.roles)
        sane = self.rho == "auto" or 0 <= self.rho < 0.5
        require(sane, "iterations.rho", "at least 0 and below 0.5, or 'auto'", self.rho)
        check_search(self.rho_target, self.rho_bounds, "iterations.rho_target", "iterations.rho_bounds")
        for name in ("max_response_characters", "max_judgment_characters"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"iterations.{name}", "at least 1", value)
        self._check_margins()
        require(self.start in STARTS, "iterations.start", one_of(STARTS), self.start)
        require(self.reference in REFERENCES, "iterations.reference", one_of(REFERENCES), self.reference)
        require(self.select in SELECTS, "iterations.select", one_of(SELECTS), self.select)
        self._check_share()

    def _check_margins(self) -> None:
        """Scores differ by at most the widest scale (a recipe knows its own); Elo as the prior allows."""
        score, elo = self.min_score_margin, self.min_elo_margin
        wanted = f"0 or more and at most {WIDEST}"
        require(0 <= score <= WIDEST, "iterations.min_score_margin", wanted, score)
        require(0 <= elo < inf, "iterations.min_elo_margin", "a number of 0 or more", elo)

    def _check_share(self) -> None:
        share, name = self.max_judge_share, "iterations.max_judge_share"
        require(share is None or 0 < share < 1, name, "above 0 and below 1, or not set", share)
        both = share is None or set(self.roles) == set(BOTH)
        require(both, name, "unset unless roles are 'actor' and 'judge': else there is no share", share)
        by, idle = self.judge_share_by, share is None and self.judge_share_by == "weight"
        require(by in SHARES, "iterations.judge_share_by", one_of(SHARES), by)
        require(not idle, name, "set, a share below 1, for judge_share_by = 'weight'", share)

    @property
    def trains_actor(self) -> bool:
        """Whether actor pairs are built."""
        return Role.ACTOR in self.roles

    @property
    def trains_judge(self) -> bool:
        """Whether battles are fought and judge pairs built."""
        return Role.JUDGE in self.roles

    def begins(self, first: Model, previous: Model) -> tuple[Model, Model]:
        """The model that is trained further, and the reference model."""
        start = first if self.start == "first" else previous
        return start, {"start": start, "previous": previous, "first": first}[self.reference]

    def training(self, base: DPO) -> DPO:
        """The training of this iteration: [dpo] with this iteration's own values."""
        own = {
            "learning_rate": self.learning_rate,
            "epochs": self.epochs,
            "stop_after_epoch": self.stop_after_epoch,
        }
        return replace(base, **{name: value for name, value in own.items() if value is not None})


@dataclass(frozen=True)
@checked("watch")
class Watch:
    """How every model is seen on the held-out prompts: so many responses, so many judgments each.

    bank_prompts: of so many held-out prompts pairs are made whose better side is known by construction
        (`evaluate.bank`), and every model judges them; 0 makes none.
    """

    responses: int = 1
    judgments: int = 3
    bank_prompts: int = 40

    def __post_init__(self) -> None:
        check_samples("watch.responses", self.responses)
        check_samples("watch.judgments", self.judgments)
        enough = self.bank_prompts == 0 or self.bank_prompts >= 2
        require(enough, "watch.bank_prompts", "0, or at least 2", self.bank_prompts)


def check_iterations(iterations: Sequence[Iteration], base: DPO) -> None:
    """Refuse, before anything is paid for, an iteration whose training could not begin."""
    for number, iteration in enumerate(iterations):
        try:
            iteration.training(base)
        except ConfigError as error:
            raise ConfigError(f"iterations[{number}], with [dpo]: {error}") from None


def check_dev(iterations: Sequence[Iteration], dev: int) -> None:
    """Refuse an iteration that selects its epoch on dev prompts where there are none."""
    for number, iteration in enumerate(iterations):
        wanted = "'fixed', or [prompts] dev the number of prompts to select on"
        require(
            iteration.select == "fixed" or dev > 0, f"iterations[{number}].select", wanted, iteration.select
        )
