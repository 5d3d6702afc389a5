"""Every model is seen on prompts that are never trained on, by itself and by the frozen first model."""

from dataclasses import replace
from typing import Any

from metareward.history import Look
from metareward.models.base import Model
from metareward.recipes.settings import Watch
from metareward.run import Runner
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge


def look(
    run: Runner,
    held_out: Any | None,
    model: Model,
    referee: Model,
    watch: Watch,
    generate: Generate,
    judge: Judge,
    meta_judge: MetaJudge | None = None,
) -> None:
    """Ask `model` the held-out prompts; judge its answers by itself and by `referee`; note the result."""
    if held_out is None:
        return
    generate = replace(generate, samples=watch.responses)
    judge = replace(judge, samples=watch.judgments)
    with run.within(f"held-out {model.name}"):
        answers = run.ask(generate, held_out, of=model)
        judgments = run.ask(judge, held_out, answers, of=model)
        battles = None
        if meta_judge is not None:
            battles = run.ask(meta_judge, held_out, answers, judgments, of=model)
        refereed = run.ask(judge, held_out, answers, of=referee)
    run.history.looks.append(Look(model, answers, judgments, refereed, battles))
