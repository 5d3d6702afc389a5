"""The prompts that are shipped: enough, distinct, and verbatim from their source."""

import json
import os
import re
from importlib import resources
from pathlib import Path

import pytest

from metareward.sources import load_prompts


def test_the_shipped_prompts_are_enough_distinct_and_of_fit_length():
    loaded = load_prompts("shipped")
    assert len(loaded.prompts) == 164
    assert loaded.dropped == {}
    assert loaded.prompts[0].source == "shipped:1"
    rows = shipped()
    assert len({row["id"] for row in rows}) == len(rows) == 164
    for prompt in loaded.prompts:
        (turn,) = prompt.messages
        assert turn.role == "user"
        assert 0 < len(turn.content.strip()) == len(turn.content) <= 1500


def test_the_shipped_prompts_are_verbatim_from_their_source():
    folder = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parent.parent.parent / "shared" / "data"))
    file = folder / "self_instruct" / "seed_tasks.jsonl"
    if not file.is_file():
        pytest.skip(f"the seed tasks are not at {file}; METAREWARD_DATA may name the folder that has them")
    seeds = {task["id"]: task for task in map(json.loads, file.read_text(encoding="utf-8").splitlines())}
    for row in shipped():
        task = seeds[row["id"]]
        given = task["instances"][0]["input"]
        assert row == {"id": task["id"], "prompt": task["instruction"] + (f"\n\n{given}" if given else "")}
    left_out = seeds.keys() - {row["id"] for row in shipped()}
    assert len(left_out) == 11
    told = resources.files("metareward").joinpath("prompts", "SHIPPED_PROMPTS.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| [a-z][^|]+\| ([\d, ]+) \| \d+ \|$", told, re.MULTILINE)
    listed = {f"seed_task_{number}" for row in rows for number in row.split(", ")}
    assert left_out == listed, "the attribution names every task that was left out"


def shipped() -> list[dict[str, str]]:
    text = resources.files("metareward").joinpath("prompts", "shipped.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.split("\n") if line]
