"""What a run learnt from besides its own judgments: said once, and in every report."""

import dataclasses
import itertools

import pytest

from fake_run import FAKE
from metareward import config, session
from metareward.config import load
from metareward.errors import ConfigError
from metareward.events import ignore
from metareward.export import export_run
from metareward.provenance import supervision_of
from metareward.recipes.meta_rewarding import MetaRewarding, meta_rewarding
from metareward.supervision import Supervision, SupervisionLevel


def test_supervision_is_said_in_one_place_and_comes_to_every_report(tmp_path, capsys):
    said = '[supervision]\nlevel = "EFT from human ranks"\ndetail = "oasst1 `ranks`"\n'
    (tmp_path / "tiny.toml").write_text(FAKE + said)
    loaded = load(tmp_path / "tiny.toml", tmp_path / "run")
    assert loaded.supervision == Supervision(SupervisionLevel.EFT_HUMAN_RANKS, "oasst1 `ranks`")
    summary = session.execute(loaded, ignore)
    words = "EFT from human ranks (oasst1 `ranks`)"
    assert summary["supervision"] == words == supervision_of(tmp_path / "run")
    export_run(tmp_path / "run", tmp_path / "out")
    assert (
        "Supervision: EFT from human ranks (oasst1 \\`ranks\\`)." in (tmp_path / "out/README.md").read_text()
    )


def test_the_stronger_supervision_counts():
    order = [Supervision(level) for level in SupervisionLevel]
    assert order[0] == Supervision()
    for weak, strong in itertools.pairwise(order):
        assert weak.at_least(strong) == strong == strong.at_least(weak)


def test_what_a_recipe_brings_in_is_not_hidden_by_a_config(tmp_path, monkeypatch):
    strong = Supervision(SupervisionLevel.STRONGER_MODEL, "some judge")
    taught = dataclasses.make_dataclass(
        "Taught", [("supervision", Supervision, strong)], bases=(MetaRewarding,), frozen=True
    )
    monkeypatch.setitem(config.RECIPES, "meta_rewarding", (taught, meta_rewarding))
    (tmp_path / "tiny.toml").write_text(FAKE)
    assert load(tmp_path / "tiny.toml").supervision == strong


def test_a_level_that_is_none_is_refused(tmp_path):
    (tmp_path / "tiny.toml").write_text(FAKE + '[supervision]\nlevel = "some"\n')
    with pytest.raises(ConfigError, match=r"supervision.level.*'none'.*'EFT from human ranks'"):
        load(tmp_path / "tiny.toml")


def test_the_strongest_of_all_sessions_is_the_runs(tmp_path):
    """Rows that were made under supervision stay in a run whatever a later config says."""
    assert supervision_of(tmp_path) == "not recorded"
    for text in ('[supervision]\nlevel = "a stronger model"\n', ""):
        (tmp_path / "tiny.toml").write_text(FAKE + text)
        session.execute(load(tmp_path / "tiny.toml", tmp_path / "run"), ignore)
    assert supervision_of(tmp_path / "run") == "a stronger model"
