"""Evaluation fine-tuning before the loop: the judge first learns judgments that agree with people's ranks.

Self-Rewarding (arXiv 2401.10020, section 2.4) and Meta-Rewarding (arXiv 2407.19594, section 3.1) both begin
with it. It is off by default, because it is supervision; where it is on every report says so. The model that
judges is also the one that acts, so its own ordinary answers are learnt beside the judgments (`replay`).
"""

from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any, Literal

from metareward import templates
from metareward.eft.balance import Balanced
from metareward.eft.demonstrate import VERDICTS, Agreeing, Asking, FromRanks
from metareward.eft.measure import measured
from metareward.eft.ranks import Divided, Ranks, divided
from metareward.eft.replay import Replayed
from metareward.errors import NoPairsError
from metareward.evaluate.judge_ask import JudgeRanks
from metareward.history import Tuned
from metareward.models.base import Model
from metareward.runner import Runner
from metareward.settings import check_seed, checked, one_of, require
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.pair import KeepDistinct
from metareward.supervision import Supervision, SupervisionLevel
from metareward.train.sft import SFT

JUSTIFICATIONS = ("own", "neutral")


@dataclass(frozen=True)
@checked("eft")
class EFT:
    """Settings of the step; off unless `enabled`. The defaults are the paper's where it says something.

    source: a file of ranked responses (`evaluate.judge_data.read_ranked`). prompts: at most so many of it
        are trained on, held_out: so many are kept apart, on which the judge is measured before and after.
    max_prompt_characters, max_response_characters: longer ones are left out.
    verdict: "sampled" keeps sampled judgments whose order agrees with people's (the papers); "human" writes
        the verdict that people's ranks say after a `justification`, which is the model's "own", sampled
        before, or "neutral", one short sentence.
    judge: how judgments are asked for; None is the recipe's judge. judge_model: who writes them; "" is the
        model that is trained. teacher: that model, found (a config's `judge_model` is looked up by the run).
    other_template, other_share: this share of the demonstrations answers another template's prompt (the
        template's text; a config may name one that ships with the package, or a file).
    margin: only qualities that differ by more count as an order. longer_share, matched, most_copies,
        balance_scores: see `eft.balance.Balanced`.
    sft: how it is trained.
    replay: so many ordinary answers for each judgment that is trained on. The model itself answers the
        prompts of the file before the training, by the recipe's settings, and learns these answers beside
        the judgments; without them it may judge where it should answer. 0 trains on judgments alone.
    """

    enabled: bool = False
    source: str = ""
    prompts: int | None = None
    held_out: int = 100
    max_prompt_characters: int | None = None
    max_response_characters: int | None = None
    verdict: Literal["sampled", "human"] = "sampled"
    justification: Literal["own", "neutral"] = "own"
    judge: Judge | None = None
    judge_model: str = ""
    teacher: Model | None = None
    other_template: str = ""
    other_share: float = 0.0
    margin: float = 0.0
    longer_share: float | None = 1.0
    matched: float = 1.25
    most_copies: int = 4
    balance_scores: bool = True
    sft: SFT = SFT()
    seed: int = 0
    replay: float = 1.0

    def __post_init__(self) -> None:
        require(bool(self.source) or not self.enabled, "eft.source", "a file of ranked responses", "")
        for name in ("prompts", "held_out", "max_prompt_characters", "max_response_characters"):
            value, least = getattr(self, name), 2 if name == "held_out" else 1
            require(value is None or value >= least, f"eft.{name}", f"at least {least}", value)
        require(self.verdict in VERDICTS, "eft.verdict", one_of(VERDICTS), self.verdict)
        known = JUSTIFICATIONS
        require(self.justification in known, "eft.justification", one_of(known), self.justification)
        unused = self.verdict == "human" and self.justification == "neutral" and bool(self.judge_model)
        require(not unused, "eft.judge_model", "left out: a neutral justification asks no model", "it set")
        check_seed("eft.seed", self.seed)
        self.balanced()
        self.replayed()
        self.asking("{{ conversation }} {{ response }}")
        if self.other_template:
            templates.check(self.other_template, ("conversation", "response"), "eft.other_template", "score")

    @property
    def supervision(self) -> Supervision:
        """What this step brings into a run: nothing where it is off."""
        if not self.enabled:
            return Supervision()
        said = f"{Path(self.source).name}, {self.how}"
        if self.judge_model or self.teacher:
            who = self.judge_model or (self.teacher.name if self.teacher else "")
            return Supervision(SupervisionLevel.STRONGER_MODEL, f"EFT from human ranks: {said} by {who}")
        return Supervision(SupervisionLevel.EFT_HUMAN_RANKS, said)

    @property
    def how(self) -> str:
        """Where justification and verdict came from, in words."""
        if self.verdict == "sampled":
            return "sampled judgments"
        own = self.justification == "own"
        return f"verdicts of people after {'sampled justifications' if own else 'a neutral justification'}"

    def balanced(self) -> Balanced:
        """The rule that balances length and scores."""
        limits = (self.longer_share, self.matched, self.margin, self.most_copies, self.balance_scores)
        return Balanced(*limits, seed=self.seed)

    def replayed(self) -> Replayed:
        """The rule that draws the ordinary answers."""
        return Replayed(self.replay, self.seed)

    def asking(self, template: str) -> Asking:
        """Which prompts the demonstrations answer."""
        return Asking(template, self.other_template, self.other_share, self.seed)

    def read(self) -> Divided:
        """The file, divided. Raises DataError if it cannot be used."""
        limits = (self.max_prompt_characters, self.max_response_characters)
        return divided(Path(self.source), self.held_out, self.prompts, *limits, seed=self.seed)


def fine_tuned(run: Runner, eft: EFT, judge: Judge, model: Model, generate: Generate | None = None) -> Model:
    """The model after evaluation fine-tuning, measured on held-out prompts before and after it.

    judge: the recipe's, which asks and measures unless `eft.judge` says otherwise. generate: how the
    ordinary answers are asked for, with as many samples as `replay` needs. Returns `model` itself where the
    step is off.
    """
    if not eft.enabled:
        return model
    found, judge = eft.read(), eft.judge or judge
    with run.within("evaluation fine-tuning"):
        before = _measured(run, found.held_out, judge, model)
        every, taken = demonstrations(run, eft, judge, found.train, model)
        run.conclude(_require_some, every, taken)
        replayed = ordinary_answers(run, eft, generate or Generate(), found.train, model, taken)
        shown = [taken] if replayed is None else [taken, replayed]
        trained = run.train(eft.sft, shown, start=model, reference=model)
        after = _measured(run, found.held_out, judge, trained)
    run.history.supervision = run.history.supervision.at_least(eft.supervision)
    done = (eft.how, every, taken, found.left_out, before, after)
    run.history.tuned = Tuned(model, trained, *done, replayed=replayed)
    return trained


def ordinary_answers(
    run: Runner, eft: EFT, generate: Generate, ranks: Ranks, model: Model, judgments: Any
) -> Any:
    """What the model itself answers to the prompts of the file, as demonstrations; None without replay.

    As many answers a prompt are asked for as it has responses in the file on average, times `eft.replay`;
    greedy decoding has but one.
    """
    if not eft.replay:
        return None
    prompts = run.prompts(ranks.prompts)
    samples = ceil(eft.replay * len(ranks.responses) / len(ranks.prompts)) if generate.temperature else 1
    answers = run.ask(replace(generate, samples=samples), prompts, of=model)
    distinct = run.derive(KeepDistinct(), answers)
    replayed = run.derive(eft.replayed(), judgments, prompts, distinct)
    run.conclude(_require_answers, distinct, replayed)
    return replayed


def demonstrations(run: Runner, eft: EFT, judge: Judge, ranks: Ranks, model: Model) -> tuple[Any, Any]:
    """All that agree with people, and the balanced ones."""
    given = (run.prompts(ranks.prompts), run.given(ranks.responses), run.given(ranks.ratings))
    asking = eft.asking(judge.template)
    rule: Any = Agreeing(asking, eft.margin)
    if eft.verdict == "human":
        rule = FromRanks(asking, eft.justification)
    if eft.verdict == "human" and eft.justification == "neutral":
        every = run.derive(rule, *given)
    else:
        judgments = run.ask(judge, given[0], given[1], of=eft.teacher or model)
        every = run.derive(rule, *given, judgments)
    return every, run.derive(eft.balanced(), every)


def _require_some(every: Any, taken: Any) -> None:
    """NoPairsError, with what became of them, if there is no demonstration to train on."""
    if not len(taken):
        counts = {**every.manifest.dropped, **taken.manifest.dropped}
        why = ", ".join(f"{count} {reason}" for reason, count in counts.items())
        raise NoPairsError(
            f"evaluation fine-tuning: no judgment is left to train on: {why}. What to change in [eft]: "
            "verdict = 'human' where hardly a sampled judgment can be read or agrees; more prompts or "
            "samples; longer_share (or leave it out) where no pair's shorter side is better"
        )


def _require_answers(distinct: Any, replayed: Any) -> None:
    """NoPairsError, with what became of them, if the model has no answer of its own to learn."""
    if not len(replayed):
        counts = {**distinct.manifest.dropped, **replayed.manifest.dropped}
        why = ", ".join(f"{count} {reason}" for reason, count in counts.items()) or "too few judgments"
        raise NoPairsError(
            f"evaluation fine-tuning: the model has no ordinary answer to replay: {why}. Look at what it "
            "answers to the prompts of the file (`metareward show`); eft.replay = 0 trains on judgments "
            "alone, after which the model may judge whatever it is asked"
        )


def _measured(run: Runner, ranks: Ranks, judge: Judge, model: Model) -> Any:
    """How well the judge agrees with people on held-out prompts; None on paper."""
    evaluation = JudgeRanks(ranks.ranked, replace(judge, samples=1))
    asked = evaluation.ask(run, model, model)
    return run.conclude(lambda judgments: measured(evaluation, judgments), *asked)
