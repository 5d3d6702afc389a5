"""The fake engine: named on every screen, and as strict as one that has a model."""

import json
from typing import Any

import pytest
from rich.console import Console

from fake_run import FAKE, loaded
from metareward import config, session
from metareward.cli import render, render_summary
from metareward.cli.cost import cost
from metareward.diff import side
from metareward.errors import ConfigError, ModelError
from metareward.events import Noticed, ignore
from metareward.export import export_run
from metareward.ledger import ledger
from metareward.provenance import MADE_UP, engine_of, engine_said
from metareward.records import PreferencePair
from metareward.rundir import claimed
from metareward.show import explain_in
from metareward.store import Store
from tiny_llama import write_tiny_llama

__all__ = ["loaded"]


@pytest.fixture
def screen(monkeypatch):
    console = Console(width=400, record=True, highlight=False)
    for module in (render, __import__("metareward.cli.cost", fromlist=["out"])):
        monkeypatch.setattr(module, "out", console)
    return console


def carried_out(loaded: Any, listen: Any = ignore) -> dict[str, Any]:
    with claimed(loaded):
        return session.execute(loaded, listen)


class TestNamed:
    def test_before_anything_is_asked(self, loaded, screen):
        paper = session.sketch(loaded)
        assert paper.as_dict()["engine"] == "fake"
        render.plan(paper)
        assert f"engine: {MADE_UP}" in screen.export_text()
        heard: list[Any] = []
        carried_out(loaded, heard.append)
        notices = [event.message for event in heard if isinstance(event, Noticed)]
        assert notices[0] == MADE_UP

    def test_in_what_a_run_leaves_and_in_all_that_reads_it(self, loaded, screen, tmp_path):
        result = carried_out(loaded)
        root = loaded.directory
        assert result["engine"] == json.loads((root / "summary.json").read_text())["engine"] == "fake"
        render_summary.summary(result, loaded)
        told = screen.export_text()
        assert "Models on held-out prompts (made up by the fake engine)" in told
        assert "Iterations (made up by the fake engine)" in told
        assert f"engine      {MADE_UP}" in told

        assert ledger(root).as_dict()["engine"] == MADE_UP
        cost(root)
        assert f"engine: {MADE_UP}" in screen.export_text()
        (pair,) = [m for _, m in Store(root).manifests() if m.name == "actor_pairs"]
        name = next(iter(Store(root).artifact(pair.name, pair.key, PreferencePair))).id
        assert explain_in([root], name).facts["engine"] == MADE_UP
        model = next((root / "models").iterdir()).name
        assert explain_in([root], model).facts["engine"] == MADE_UP
        assert side(str(root)).label == "run@1 (the fake engine)"
        export_run(root, tmp_path / "out")
        assert "Engine: fake: answers are made up" in (tmp_path / "out" / "README.md").read_text()

    def test_a_run_from_before_engines_were_recorded(self, loaded):
        carried_out(loaded)
        file = loaded.directory / "sessions" / "0001.json"
        from metareward import disk

        facts = disk.read_checked(file)
        assert facts.pop("engine") == "fake"
        disk.write_checked(file, facts)
        assert engine_of(loaded.directory) == MADE_UP

    def test_another_engine_is_named_as_it_is(self):
        assert engine_said("transformers") == "transformers"
        assert engine_said("transformers", "fake", "fake") == f"transformers; {MADE_UP}"
        assert engine_said("") == engine_said() == "not recorded"


class TestStrict:
    def plan(self, tmp_path, text, **changes):
        (tmp_path / "c.toml").write_text(text + FAKE)
        return session.sketch(config.load(tmp_path / "c.toml", tmp_path / "run"))

    @pytest.mark.parametrize(
        ("name", "says"),
        [
            ("no-such-model", "no-such-model"),
            ("./nowhere", "nowhere does not exist"),
            ("smollm2-135m-instuct", "smollm2-135m-instruct"),
        ],
    )
    def test_a_name_that_is_no_models_is_refused(self, tmp_path, name, says):
        with pytest.raises(ModelError, match=says):
            self.plan(tmp_path, f"model = '{name}'\n")
        with pytest.raises(ModelError, match=says):
            (tmp_path / "r.toml").write_text(f"model = '{name}'\n{FAKE}")
            carried_out(config.load(tmp_path / "r.toml", tmp_path / "r"))

    @pytest.mark.parametrize("name", ["fake", "smollm2-135m-instruct", "some/model", "some/model@main"])
    def test_one_that_may_be_is_not_fetched(self, tmp_path, name):
        assert self.plan(tmp_path, f"model = '{name}'\n").engine == "fake"

    def test_limits_that_fill_the_models_context_are_refused(self, tmp_path):
        model = write_tiny_llama(tmp_path / "model")
        (length,) = {json.loads((tmp_path / "model" / "config.json").read_text())["max_position_embeddings"]}
        assert model
        text = FAKE.replace("[generate]", f"[generate]\nmax_tokens = {length}")
        (tmp_path / "c.toml").write_text(f"model = './model'\n{text}")
        says = f"generate.max_tokens is {length}, and the model's context has {length} tokens: no question"
        with pytest.raises(ConfigError, match=says):
            session.sketch(config.load(tmp_path / "c.toml", tmp_path / "run"))
        with pytest.raises(ConfigError, match=says):
            carried_out(config.load(tmp_path / "c.toml", tmp_path / "run"))
