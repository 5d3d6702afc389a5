"""A world whose judgments become alike, which ends judge training, and small loops in it."""

import dataclasses
from typing import Any

import loops
import planted
from biased_judges import Biased
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.settings import Iteration
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge

BOTH = Iteration(rho=0.2)
ALIKE = JudgeGate(max_alike=0.8, stop_judge_when=("alike",))
SAME_WORDS = "The answer says what was asked for in plain words and there is nothing more to say of it here"


class AlikeLater(Biased):
    """From the second model on a judge writes the same judgment of a response, but for a mark at its end.

    So battles are decided by the mark alone, which is a draw: there is nothing else to tell apart.
    """

    def __call__(self, request, model):
        if request.step == "judge" and model.fingerprint != loops.START.fingerprint:
            return self.same(request)
        return Biased.__call__(self, request, model)

    def same(self, request):
        quality = int((planted.QUALITY.findall(request.messages[-1].content) or ["0"])[-1])
        return f"{SAME_WORDS}, mark {request.seed % 10_000}.\nScore: {min(quality, 5)}"


def small(name: str, gate: JudgeGate = ALIKE, iterations: Any = (BOTH,) * 3, **changes: Any) -> Any:
    made = loops.RECIPES[name][1]()
    judge, meta = Judge(samples=4), MetaJudge(reading=made.meta_judge.reading)
    own = {"judge": judge, "meta_judge": meta, "judge_gate": gate, "iterations": tuple(iterations)}
    return dataclasses.replace(made, **(own | changes))


def looped(directory: Any, name: str, settings: Any, world: Any = None, **given: Any) -> tuple[Any, Any]:
    asked = loops.Asked(world or AlikeLater())
    run, _ = loops.loop(directory, asked, name, settings, prompts=12, **given)
    return run, asked


def actions(run: Any) -> list[tuple[int, str]]:
    return [(gate.iteration, gate.action) for gate in run.history.judge_gates]
