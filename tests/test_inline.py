"""Training in this process gives what the worker gives, bit for bit, and leaves nothing half done."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from in_process import weights
from metareward.errors import ConfigError
from metareward.lab.pretrain import network, save
from metareward.lab.world import prompts, read_task
from metareward.records import PreferencePair, Role
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.inline import train_inline
from metareward.train.job import TrainJob
from metareward.train.launch import launch
from metareward.train.sft import SFT

STEPS = DPO(learning_rate=1e-3, epochs=2, batch_size=4, max_length=64)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("start")
    save(network(0), folder, {})
    return str(folder)


def pairs() -> list[PreferencePair]:
    """Eight pairs whose chosen side is right and whose rejected side is in reverse."""
    rows = []
    for number, prompt in enumerate(prompts("train", 8, 0)):
        task = read_task(prompt.messages[0].content)
        words = [*task.keys, task.fact]
        sides = (" ".join(words), " ".join(reversed(words)))
        ids = (f"c{number}", f"r{number}")
        rows.append(
            PreferencePair(
                f"p{number}", Role.ACTOR, prompt.id, None, prompt.messages, *ids, *sides, None, None, 5.0, 2.0
            )
        )
    return rows


def job(start: str, root: Path, **changes: Any) -> TrainJob:
    own = TrainJob(
        "k" * 20, STEPS, TrainMachine(pairs_per_device=4), start, start, pairs(), root / "out", root / "work"
    )
    return dataclasses.replace(own, **changes)


def test_it_trains_on_what_is_chosen_and_says_so(start: str, tmp_path: Path) -> None:
    heard: list[Mapping[str, Any]] = []
    result = train_inline(job(start, tmp_path), heard.append)
    assert result.loss_first == pytest.approx(math.log(2), abs=1e-4)
    assert result.loss_last < result.loss_first
    assert (result.steps, result.pairs_used, result.dropped) == (4, 8, {})
    steps = [event for event in heard if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert steps[-1]["margin"] > 0
    assert not (tmp_path / "work").exists()
    assert any((weights(tmp_path / "out")[name] != old).any() for name, old in weights(Path(start)).items())


def test_what_is_done_is_not_done_again(start: str, tmp_path: Path) -> None:
    first = train_inline(job(start, tmp_path))
    heard: list[Mapping[str, Any]] = []
    assert train_inline(job(start, tmp_path), heard.append) == first
    assert not heard


@pytest.mark.model
def test_the_weights_are_those_of_the_worker(start: str, tmp_path: Path) -> None:
    here = train_inline(job(start, tmp_path / "here"))
    there = launch(job(start, tmp_path / "there"))
    one, other = weights(here.output_dir), weights(there.output_dir)
    assert one.keys() == other.keys()
    assert all((one[name] == other[name]).all() for name in one)


def test_interrupted_it_leaves_nothing_and_begins_anew(start: str, tmp_path: Path) -> None:
    def stop(event: Mapping[str, Any]) -> None:
        if event["event"] == "step" and event["step"] == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_inline(job(start, tmp_path), stop)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "work").exists()
    whole = train_inline(job(start, tmp_path))
    undisturbed = train_inline(job(start, tmp_path / "other"))
    one, other = weights(whole.output_dir), weights(undisturbed.output_dir)
    assert all((one[name] == other[name]).all() for name in one)


@pytest.mark.parametrize(
    "changes", [{"dpo": SFT()}, {"machine": TrainMachine(processes=2)}], ids=["demonstrations", "processes"]
)
def test_what_it_cannot_do_it_refuses(start: str, tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="takes preference pairs, and one process"):
        train_inline(job(start, tmp_path, **changes))
