"""Whole sessions with a tiny real model: what is refused before anything is spent, and one real loop."""

import dataclasses
import json
from pathlib import Path

import pytest

from metareward import config, machinery, prompting, session
from metareward.errors import ConfigError, DataError, ModelError, NoPairsError
from metareward.events import ignore
from metareward.rundir import claimed
from tiny_chat_model import write_tiny

CONFIG = """
recipe = "{recipe}"
model = "./model"
directory = "{directory}/run"
[prompts]
source = "prompts.jsonl"
per_iteration = 4
held_out = 2
skip_too_long = {skip}
[generate]
samples = 3
max_tokens = 8
[judge]
samples = 3
max_tokens = 4
reading = "forced"
[dpo]
batch_size = 2
epochs = 6
max_length = 4096
learning_rate = 3e-4
[[iterations]]
roles = ["actor"]
rho = 0.2
[machine]
device = "cpu"
"""


def prepare(
    directory: Path, recipe: str = "self_rewarding", skip: bool = False, long: int = 0
) -> config.Config:
    write_tiny(directory / "model", max_position_embeddings=8192)
    lines = [{"prompt": f"What is {n} and 1?"} for n in range(8)]
    lines += [{"prompt": "the answer is clear " * 5000} for _ in range(long)]
    (directory / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)) + "\n")
    path = directory / "config.toml"
    path.write_text(CONFIG.format(recipe=recipe, directory=directory, skip=str(skip).lower()))
    return config.load(path)


def test_prompts_that_do_not_fit_are_named_before_anything_is_asked(tmp_path):
    with pytest.raises(
        DataError, match=r"1 prompts leave no room .* context of 8192:\n  .*prompts.jsonl:9: \d+ tokens"
    ):
        session.execute(prepare(tmp_path, long=1), ignore)
    assert not list(tmp_path.glob("run/artifacts/generate*"))


def test_they_can_be_skipped(tmp_path):
    loaded = prepare(tmp_path, skip=True, long=1)
    prompts = prompting.load(loaded, ignore).prompts
    assert len(prompts) == 9
    assert len(prompting.fitting(loaded, session.model_of(loaded.model, loaded.machine), prompts)) == 8


def test_a_model_without_a_chat_template_is_refused_at_the_start(tmp_path):
    loaded = prepare(tmp_path)
    (tmp_path / "model/chat_template.jinja").unlink(missing_ok=True)
    settings = tmp_path / "model/tokenizer_config.json"
    plain = json.loads(settings.read_text())
    plain.pop("chat_template", None)
    settings.write_text(json.dumps(plain))
    with pytest.raises(ModelError, match="chat template"):
        session.execute(loaded, ignore)


def test_missing_packages_are_named_with_what_brings_them(tmp_path, monkeypatch):
    monkeypatch.setattr(machinery, "find_spec", lambda name: None if name == "trl" else name)
    with pytest.raises(
        ConfigError, match=r"needs trl, not installed here; pip install 'metareward\[train\]'"
    ):
        session.execute(prepare(tmp_path), ignore)


def test_mistakes_in_the_prompts_are_found_before_a_model_is_fetched(tmp_path, monkeypatch):
    loaded = prepare(tmp_path)
    monkeypatch.setattr(session.models, "resolve", lambda name: pytest.fail("the model was fetched first"))
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "hi"}\n{"prompt": ""}\n')
    with pytest.raises(DataError, match=r"prompts.jsonl:2: empty prompt"):
        session.execute(loaded, ignore)
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "hi"}\n')
    with pytest.raises(DataError, match="need 6 prompts"):
        session.execute(loaded, ignore)


def test_prompts_left_out_are_said_so(tmp_path):
    heard = []
    loaded = prepare(tmp_path)
    with (tmp_path / "prompts.jsonl").open("a") as file:
        file.write('{"prompt": "What is 0 and 1?"}\n')
    prompting.load(loaded, heard.append)
    assert (heard[0].rows, heard[0].note) == (8, "1 duplicate prompt left out")


def test_too_few_prompts_say_how_many(tmp_path):
    loaded = prepare(tmp_path)
    many = dataclasses.replace(loaded, prompts=dataclasses.replace(loaded.prompts, per_iteration=7))
    with pytest.raises(DataError, match=r"9 prompts.* 8"):
        session.execute(many, ignore)


def test_a_plan_without_the_dataset_counts_what_the_config_says(tmp_path):
    loaded = prepare(tmp_path)
    elsewhere = dataclasses.replace(loaded.prompts, source="someone/somewhere", per_iteration=50)
    steps = session.sketch(dataclasses.replace(loaded, prompts=elsewhere)).steps
    assert {step.makes: step.calls for step in steps if step.section == "iteration 0"}["responses"] == 150
    unknown = dataclasses.replace(elsewhere, per_iteration=None)
    with pytest.raises(DataError, match="per_iteration"):
        session.sketch(dataclasses.replace(loaded, prompts=unknown))


def test_an_iteration_without_a_pair_says_so(tmp_path):
    loaded = prepare(tmp_path)
    apart = [dataclasses.replace(each, min_score_margin=5.0) for each in loaded.method.iterations]
    method = dataclasses.replace(loaded.method, iterations=tuple(apart))
    with pytest.raises(NoPairsError, match=r"actor_pairs: .*\d margin below minimum"):
        session.execute(dataclasses.replace(loaded, method=method), ignore)
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert [entry["model"] for entry in summary["models"]] == ["M0"], "what was done is summarised"


@pytest.mark.model
@pytest.mark.parametrize("recipe", ["meta_rewarding", "self_rewarding"])  # others: test_siblings_real.py
def test_a_whole_loop_trains_a_real_tiny_model(tmp_path, recipe):
    loaded = prepare(tmp_path, recipe)
    if recipe == "meta_rewarding":
        forced = dataclasses.replace(loaded.method.meta_judge, reading="forced", max_tokens=4)
        both = dataclasses.replace(loaded.method.iterations[0], roles=("actor", "judge"))
        method = dataclasses.replace(loaded.method, meta_judge=forced, iterations=(both,))
        loaded = dataclasses.replace(loaded, method=method)
    with claimed(loaded):
        summary = session.execute(loaded, ignore)
    (iteration,) = summary["iterations"]
    assert iteration["trained_pairs"] == iteration["actor_pairs"] + iteration["judge_pairs"] > 0
    assert (iteration["judge_pairs"] > 0) == (recipe == "meta_rewarding")
    assert iteration["loss_first"] == pytest.approx(0.6931, abs=1e-3)
    assert iteration["loss_last"] < 0.6931, "training moves the model towards the chosen"
    assert (tmp_path / "run" / summary["checkpoint"] / "model.safetensors").is_file()
    assert summary["models"][1]["referee_score"] is not None
