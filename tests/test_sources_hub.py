"""Prompts from the hub: a dataset by its id and split, and what is said where it cannot be reached."""

import os
import subprocess
import sys
from types import ModuleType
from typing import Any

import pytest

from metareward.sources import load_prompts
from prompt_files import refuse


class Hub(ModuleType):
    """Stands for the `datasets` package."""

    def __init__(self, answer: Any) -> None:
        super().__init__("datasets")
        self.answer, self.asked = answer, []

    def load_dataset(self, name: str, split: str) -> Any:
        self.asked.append((name, split))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def test_a_hub_dataset_is_read_by_its_id_and_split(tmp_path, monkeypatch):
    hub = Hub([{"prompt": "One."}, {"prompt": "Two."}])
    monkeypatch.setitem(sys.modules, "datasets", hub)
    loaded = load_prompts("someone/prompts", split="test", base=tmp_path)
    assert hub.asked == [("someone/prompts", "test")]
    assert [p.source for p in loaded.prompts] == ["someone/prompts:1", "someone/prompts:2"]
    hub.answer = [{"promt": "x"}]
    refuse("someone/prompts", "someone/prompts:1: no column 'prompt'", base=tmp_path)


def test_a_hub_that_cannot_be_reached_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", Hub(ConnectionError("no route")))
    told = ("'someone/prompts'", "ConnectionError: no route", "Check the spelling and the network", ".jsonl")
    refuse("someone/prompts", *told, base=tmp_path)
    monkeypatch.setitem(sys.modules, "datasets", None)
    refuse("someone/prompts", "install metareward[train]", base=tmp_path)


def test_the_real_client_offline_is_a_data_error(tmp_path):
    pytest.importorskip("datasets")
    code = (
        "from metareward.errors import DataError\nfrom metareward.sources import load_prompts\n"
        "try:\n    load_prompts('nobody/nothing-here')\nexcept DataError as error:\n    print(error)"
    )
    home = {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    said = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env={**os.environ, **home}
    )
    assert said.returncode == 0, said.stderr
    assert "'nobody/nothing-here' is no file here, and as a hub dataset it cannot be loaded" in said.stdout
