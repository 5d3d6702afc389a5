"""A small run on the fake engine, and the records of its sessions."""

import json
from pathlib import Path

import pytest

from metareward.config import load

FAKE = """
[prompts]
per_iteration = 4
held_out = 2
[generate]
samples = 3
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 1
[[iterations]]
rho = 0.3
[machine]
engine = "fake"
"""


def facts(root: Path, number: int = 1) -> dict:
    return json.loads((root / f"sessions/{number:04d}.json").read_text())


@pytest.fixture
def loaded(tmp_path):
    (tmp_path / "tiny.toml").write_text(FAKE)
    return load(tmp_path / "tiny.toml", tmp_path / "run")
