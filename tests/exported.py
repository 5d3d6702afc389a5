"""A small run of a planted world, and the dataset it was exported to."""

from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

import loops
import planted
from metareward.export import export_run
from metareward.run import Run


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return loops.loop(tmp_path_factory.mktemp("run") / "run", loops.Asked(planted.World()))[0]


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory) -> Path:
    target = tmp_path_factory.mktemp("export") / "data"
    export_run(run.store.root, target)
    return target


def rows(folder: Path, config: str) -> list[dict[str, Any]]:
    """The rows of a config, those of the split `train` first."""
    files = sorted((folder / config).glob("*.parquet"), key=lambda file: (file.name[0] != "t", file.name))
    return [row for file in files for row in pq.read_table(file).to_pylist()]
