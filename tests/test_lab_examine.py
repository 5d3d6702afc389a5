"""The numbers that are written down beside a base model."""

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from metareward.lab import examine
from metareward.lab.bases import about, known, packed_fingerprint
from metareward.lab.habits import WORLDS
from metareward.lab.words import CRITERIA, META

KINDS = ("sampled", "cold", "greedy")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A copy of a shipped base model, without what was measured of it."""
    with resources.as_file(resources.files("metareward") / "lab" / "shipped" / "plain" / "base-0") as shipped:
        shutil.copytree(shipped, tmp_path / "base-0")
    told = json.loads((tmp_path / "base-0" / "about.json").read_text("utf-8"))
    told.pop("measured", None)
    (tmp_path / "base-0" / "about.json").write_text(json.dumps(told), "utf-8")
    return tmp_path / "base-0"


def test_what_is_found_is_written_beside_the_weights(base: Path) -> None:
    before = json.loads((base / "about.json").read_text("utf-8"))
    name = packed_fingerprint(0, str(base.parent))
    found = examine.write_down(base, prompts=8)
    assert json.loads((base / "about.json").read_text("utf-8")) == {**before, "measured": found}
    assert packed_fingerprint(0, str(base.parent)) == name  # what is said of a model does not make it another
    assert found["prompts"] == 8
    assert set(found["meta_judges"]) == set(META)
    assert all(found["actor"][kind]["criteria"].keys() == set(CRITERIA) for kind in KINDS)
    assert found == examine.examined(base, 8)


@pytest.mark.parametrize(("world", "seed"), [(world, seed) for world in WORLDS for seed in known(world)])
def test_the_shipped_numbers_are_those_of_the_world_that_was_designed(world: str, seed: int) -> None:
    told: Any = about(seed, world)["measured"]
    assert told["prompts"] == examine.PROMPTS
    truth = {kind: told["actor"][kind]["truth"] for kind in KINDS}
    assert 2.4 < truth["sampled"]["value"] < 3.4
    assert all(each["lower"] < each["value"] < each["upper"] for each in truth.values())
    assert truth["greedy"]["value"] < 4.0  # the likeliest answer is not a good one
    blind = told["judge"]["fixed"]["criteria"]["fact"]
    assert 0.35 < blind < 0.65
    rates = {name: each["right"] for name, each in told["meta_judges"].items()}
    assert rates["good"] == max(rates.values()) > 0.75
    assert told["meta_judges"]["score"]["higher_wins"] > 0.7
