"""Judge pairs of several sources, those of attacks among them, have one share of what is trained on."""

import dataclasses
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
from metareward import summary
from metareward.recipes.gate import Gate
from metareward.recipes.settings import Iteration

SHARE = 0.2
ATTACK = Gate(
    enabled=True, harden=True, items=loops.PAIRS, limit=6, samples=4, families=("null",), max_wins=0.99
)


class Fooled(planted.World):
    """A judge that gives full marks to what says nothing, every second time: so attacks give pairs."""

    def judge(self, request: Any) -> Any:
        says_something = planted.QUALITY.search(request.messages[-1].content)
        return super().judge(request) if says_something or request.seed % 2 else "Splendid.\nScore: 5"


@pytest.mark.parametrize("by", ["sampling", "weight"])
def test_pairs_of_attacks_and_of_battles_share_one_share(tmp_path: Path, by: Any):
    iterations = (Iteration(max_judge_share=SHARE, judge_share_by=by),)
    settings = dataclasses.replace(loops.small_meta(iterations=iterations), attack=ATTACK)
    run, _ = loops.loop(tmp_path, loops.Asked(Fooled()), settings=settings, prompts=12)
    (entry,) = summary.summarise(run.history, tmp_path)["iterations"]
    assert entry["attack_pairs"] > 0
    assert entry["judge_pairs"] > 0
    most = entry["actor_pairs"] * SHARE / (1 - SHARE)
    (training,) = (round.training for round in run.history.rounds)
    assert training is not None
    assert len(training.capped) == 2
    weight = sum(pair.weight for part in training.capped for pair in part)
    assert weight == (pytest.approx(most) if by == "weight" else int(most))
    assert len({pair.weight for part in training.capped for pair in part}) == 1, "all count alike"
