"""Of which iterations, and of which battles, the judge gate measures how alike judgments are."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pytest

import loops
from metareward.history import History
from metareward.recipes.judge_gate import JudgeGate
from metareward.recipes.measuring import Fought, measured
from metareward.records import Battle
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.settle import Settle
from pairing_worlds import T, a_battle, a_judgment, a_prompt, a_response

PROMPTS = [a_prompt(f"p{number}") for number in range(10)]
RESPONSES = [a_response(prompt.id) for prompt in PROMPTS]
JUDGMENTS = [a_judgment(response, sample, 3.0, "the same") for response in RESPONSES for sample in (0, 1)]
BATTLES = [a_battle(JUDGMENTS[at], JUDGMENTS[at + 1], T) for at in range(0, 20, 2)]


@dataclass
class Settings:
    """What measuring reads of a recipe."""

    meta_judge: MetaJudge
    settle: Settle
    judge_gate: JudgeGate
    judge: Judge


class Ran:
    """A run in which all steps are finished."""

    history = History()

    def conclude(self, rule: Callable[..., Any], *rows: Any) -> Any:
        return rule(*rows)


def signals(battles: Sequence[Battle], counted: Sequence[Battle], between: Any, settle: Settle) -> Any:
    run: Any = Ran()
    wanted = Settings(MetaJudge(between=between), settle, JudgeGate(max_alike=0.8), Judge())
    found = measured(run, wanted, loops.START, Fought(PROMPTS, RESPONSES, JUDGMENTS, battles, counted, []))
    assert found is not None
    return found.as_dict()


@pytest.mark.parametrize("between", ["all", "same"])
def test_where_judgments_of_one_score_meet_it_is_measured_or_said_that_it_could_not_be(between: str):
    there = signals(BATTLES, BATTLES, between, Settle())["alike"]
    assert (there["value"], there["state"], there["n"]) == (1, "failed", 10)
    missing = signals([], [], between, Settle())["alike"]
    assert (missing["value"], missing["state"]) == (None, "cannot tell")


def test_where_only_other_scores_meet_it_is_not():
    assert "alike" not in signals([], [], "different", Settle())


def test_it_is_of_all_that_met_however_they_count_and_held_to_its_limit_all_the_same():
    """In one order alone no battle of these counts, where both orders are settled together."""
    found = signals(BATTLES, [], "all", Settle("together"))
    assert (found["alike"]["value"], found["alike"]["state"]) == (1, "failed")
    assert found["position"]["limit"] is None, "unlike what settled battles cannot fail"
