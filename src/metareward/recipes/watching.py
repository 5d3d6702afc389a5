"""Every model is seen on what is never trained on: held-out prompts, a bank of known pairs, evaluations."""

from dataclasses import dataclass, replace
from typing import Any, Protocol

from metareward.evaluate.bank import Bank
from metareward.evaluate.base import Evaluations
from metareward.evaluate.verifiable import Verifiable
from metareward.history import Look
from metareward.models.base import Model
from metareward.recipes.degenerate import HELD_OUT, Degenerate, noticed
from metareward.recipes.settings import Watch
from metareward.runner import Runner
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge


class Watched(Protocol):
    """The settings of a recipe that say how its models are looked at."""

    @property
    def watch(self) -> Watch:
        """How many answers and judgments."""
        ...

    @property
    def generate(self) -> Generate:
        """How models answer."""
        ...

    @property
    def judge(self) -> Judge:
        """How answers are judged."""
        ...

    @property
    def evaluate(self) -> Evaluations:
        """What is asked besides."""
        ...

    @property
    def answers(self) -> Degenerate:
        """What is done where answers look degenerate."""
        ...


@dataclass(frozen=True)
class Watcher:
    """Looks at each model in the same way, with the first model as the referee that never changes.

    answers: what is done where a model's answers look degenerate, before they are judged.
    """

    watch: Watch
    generate: Generate
    judge: Judge
    referee: Model
    held_out: Any | None
    meta_judge: MetaJudge | None = None
    evaluations: Evaluations = Evaluations()
    answers: Degenerate = Degenerate()

    @classmethod
    def of(
        cls, recipe: Watched, referee: Model, held_out: Any | None, meta_judge: MetaJudge | None = None
    ) -> "Watcher":
        """One with the settings of a recipe. meta_judge: of a recipe that holds battles."""
        return cls(
            watch=recipe.watch,
            generate=recipe.generate,
            judge=recipe.judge,
            referee=referee,
            held_out=held_out,
            meta_judge=meta_judge,
            evaluations=recipe.evaluate,
            answers=recipe.answers,
        )

    def look(self, run: Runner, model: Model) -> None:
        """Ask `model` what there is to ask and note it in the run's history."""
        with run.within(f"held-out {model.name}"):
            seen = self._held_out(run, model)
            grader = self.evaluations.judge or self.referee
            asked = tuple((one, one.ask(run, model, grader)) for one in self.evaluations.chosen)
            self._notice_problems(run, model, asked)
        if seen is not None or asked:
            seen = seen or Look(model, None, None, None, None)
            run.history.looks.append(replace(seen, evaluated=asked))

    def _notice_problems(self, run: Runner, model: Model, asked: tuple[tuple[Any, Any], ...]) -> None:
        """Without held-out prompts the answers to problems show what a model writes."""
        for one, rows in asked if self.held_out is None else ():
            if isinstance(one, Verifiable):
                noticed(run, self.answers, self.judge, model, HELD_OUT, rows[0], rows[1])

    def look_back(self, run: Runner, newest: Model) -> None:
        """The newest model judges the answers of all before it: has the criterion moved, or the answers?"""
        if self.held_out is None:
            return
        with run.within(f"held-out {newest.name}"):
            for look in run.history.looks:
                judgments = run.ask(self._judging, self.held_out, look.answers, of=newest)
                run.history.newest[look.model.name] = judgments

    @property
    def _judging(self) -> Judge:
        return replace(self.judge, samples=self.watch.judgments)

    def _held_out(self, run: Runner, model: Model) -> Look | None:
        if self.held_out is None:
            return None
        generate = replace(self.generate, samples=self.watch.responses)
        answers = run.ask(generate, self.held_out, of=model)
        noticed(run, self.answers, self.judge, model, HELD_OUT, self.held_out, answers)
        judgments = run.ask(self._judging, self.held_out, answers, of=model)
        battles = None
        if self.meta_judge is not None:
            battles = run.ask(self.meta_judge, self.held_out, answers, judgments, of=model)
        refereed = run.ask(self._judging, self.held_out, answers, of=self.referee)
        bank, banked = self._bank(run, model, answers)
        return Look(model, answers, judgments, refereed, battles, bank, banked, prompts=self.held_out)

    def _bank(self, run: Runner, model: Model, answers: Any) -> tuple[Any | None, Any | None]:
        """The bank is made once, of the first model's answers, so that all judges see the same pairs."""
        if not self.watch.bank_prompts:
            return None, None
        first = run.history.looks[0].answers if run.history.looks else answers
        bank = run.derive(Bank(self.watch.bank_prompts, self.generate.seed), self.held_out, first)
        return bank, run.ask(self._judging, self.held_out, bank, of=model)
