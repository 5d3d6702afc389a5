"""A slice of the lab, through the real stages: red when a sign in pairing, Elo or weights is wrong."""

from importlib import resources
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest
import torch

from metareward.lab import habits, measure
from metareward.lab.bases import PLAIN, about, known, packed_fingerprint, unpack
from metareward.lab.cell import Cell, open_engine, run_cell
from metareward.lab.coin import CoinFlips
from metareward.lab.conditions import CONDITIONS, Budget, Condition
from metareward.lab.habits import WORLDS
from metareward.lab.words import BLIND, CRITERIA
from metareward.lab.world import prompts, read_task, truth
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.records import PreferencePair, Role
from metareward.run import Run
from metareward.stages.pair import KeepDistinct
from metareward.stages.pair_judge import JudgePairs, position_weights

VISIBLE = [name for name in CRITERIA if name != BLIND]
SMALL = Budget(prompts=64, iterations=2)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def loop(name: str, root: Path, budget: Budget = SMALL) -> list[dict[str, Any]]:
    return run_cell(Cell(name, CONDITIONS[name], budget, 0, 0), root)["models"]


def sampled(model: dict[str, Any]) -> float:
    return model["actor"]["sampled"]["truth"]["value"]


def sees(model: dict[str, Any]) -> float:
    return fmean(model["judge"]["fixed"]["criteria"][name] for name in VISIBLE)


def test_pairs_of_a_judge_that_knows_lift_the_actor(tmp_path: Path) -> None:
    first, *_, last = loop("oracle", tmp_path)
    assert sampled(first) == pytest.approx(2.7, abs=0.3)
    assert sampled(last) > sampled(first) + 0.5
    assert sampled(last) < 5


def test_battles_lift_the_judge_where_the_meta_judge_can_see(tmp_path: Path) -> None:
    first, *_, last = loop("judge_first", tmp_path)
    assert sees(last) > sees(first) + 0.1
    assert last["meta_judge"]["right"] > 0.9


def test_battles_by_chance_do_not(tmp_path: Path) -> None:
    condition = Condition("", meta_rewarding, _coins)
    first, *_, last = run_cell(Cell("coins", condition, SMALL, 0, 0), tmp_path)["models"]
    assert abs(sees(last) - sees(first)) < 0.06


def _coins(budget: Budget, seed: int) -> MetaRewarding:
    """Judge pairs by chance, and no others."""
    coin, rounds = budget.battles(seed, CoinFlips), budget.rounds((Role.JUDGE,))
    return MetaRewarding(**budget.common(seed), meta_judge=coin, iterations=rounds)


def test_position_weights_make_up_for_a_meta_judge_that_leans(tmp_path: Path) -> None:
    """It names the first shown in three of four battles; yet most judge pairs are the right way round."""
    rows, right = _pairs(tmp_path, Budget(prompts=96, iterations=1, meta_judge="first"))
    weights = position_weights(rows["battles"])
    assert weights.first < 0.35
    assert weights.second > 0.65
    found = list(map(right, rows["pairs"]))
    assert sum(margin > 0 for margin in found) / len(found) > 0.78
    assert fmean(found) > 1.4


def _pairs(root: Path, budget: Budget) -> tuple[dict[str, Any], Any]:
    """Battles and judge pairs of one iteration, and how many more right verdicts a pair's chosen side has."""
    from metareward.train.inline import train_inline

    common, start = budget.common(0), unpack(0, root / "model")
    with Run(root / "run", open_engine(), train_inline) as run:
        asked = run.prompts(prompts("train", budget.prompts, 0))
        answers = run.derive(KeepDistinct(), run.ask(common["generate"], asked, of=start))
        judgments = run.ask(common["judge"], asked, answers, of=start)
        battles = run.ask(budget.battles(0), asked, answers, judgments, of=start)
        pairs = run.derive(JudgePairs(seed=0), asked, answers, judgments, battles)
    tasks = {prompt.id: read_task(prompt.messages[0].content) for prompt in asked}
    texts = {answer.id: answer.text for answer in answers}

    def right(pair: PreferencePair) -> int:
        met = truth(tasks[pair.prompt_id], texts[pair.response_id or ""])
        chosen, rejected = (_signs(text) for text in (pair.chosen, pair.rejected))
        return habits.agreeing(met, chosen) - habits.agreeing(met, rejected)

    return {"battles": list(battles), "pairs": list(pairs)}, right


def _signs(text: str) -> tuple[bool, ...]:
    return tuple(one is True for one in measure.said(text))


def test_what_has_ended_is_found_and_other_settings_are_not(tmp_path: Path) -> None:
    tiny = Budget(prompts=8, iterations=1)
    heard: list[Any] = []
    one = run_cell(Cell("self_rewarding", CONDITIONS["self_rewarding"], tiny, 0, 0), tmp_path)
    again = run_cell(Cell("self_rewarding", CONDITIONS["self_rewarding"], tiny, 0, 0), tmp_path, heard.append)
    assert again == one
    assert not heard
    other = Cell("self_rewarding", CONDITIONS["self_rewarding"], Budget(prompts=9, iterations=1), 0, 0)
    assert run_cell(other, tmp_path, heard.append)["key"] != one["key"]
    assert heard


@pytest.mark.parametrize(("world", "seed"), [(world, seed) for world in WORLDS for seed in known(world)])
def test_the_shipped_base_models_know_what_they_were_taught(world: str, seed: int) -> None:
    told: Any = about(seed, world)
    assert told["right"]["check"] > 0.88  # four criteria, and half of the blind one
    assert told["right"]["good"] > 0.9
    assert told["lessons"] == 448_000
    assert f"--world {world} " in told["command"] or world == PLAIN


def test_the_shipped_base_models_are_different_and_small() -> None:
    places = [(seed, world) for world in WORLDS for seed in known(world)]
    assert all({0, 1, 2} <= set(known(world)) for world in WORLDS)
    assert len({packed_fingerprint(*place) for place in places}) == len(places) == 9
    root = resources.files("metareward") / "lab" / "shipped"
    with resources.as_file(root) as folder:
        assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 8_000_000
