"""The sibling recipes with a tiny real model on a CPU: sampled, judged, and trained for real."""

import json
from pathlib import Path

import pytest

from metareward import config, session
from metareward.events import ignore
from metareward.rundir import claimed
from tiny_chat_model import write_tiny

CONFIG = """
recipe = "{recipe}"
model = "{here}/model"
directory = "{here}/run"
[prompts]
source = "{here}/prompts.jsonl"
per_iteration = 3
[generate]
samples = 3
max_tokens = 8
[judge]
samples = 2
max_tokens = 6
reading = "forced"
template = "judge_brief"
[dpo]
batch_size = 2
epochs = 2
warmup_ratio = 0.0
max_length = 1024
learning_rate = 3e-4
[machine]
device = "cpu"
{more}
"""
META = """
[meta_judge]
max_tokens = 4
reading = "forced"
template = "meta_judge_brief"
[[iterations]]
rho = "auto"
[[iterations]]
rho = 0.2
"""
ACTOR = """
[[iterations]]
roles = ["actor"]
rho = "auto"
[[iterations]]
roles = ["actor"]
"""


def prepare(here: Path, recipe: str) -> config.Config:
    write_tiny(here / "model", max_position_embeddings=8192)
    lines = [json.dumps({"prompt": f"What is {n} and 1?"}) for n in range(6)]
    (here / "prompts.jsonl").write_text("\n".join(lines) + "\n")
    path = here / "config.toml"
    path.write_text(CONFIG.format(recipe=recipe, here=here, more=META if recipe == "combined" else ACTOR))
    return config.load(path)


@pytest.mark.model
@pytest.mark.parametrize("recipe", ["temporal", "cream", "combined"])
def test_two_iterations_train_a_real_tiny_model(tmp_path, recipe):
    loaded = prepare(tmp_path, recipe)
    with claimed(loaded):
        told = session.execute(loaded, ignore)
    first, second = told["iterations"]
    for entry in (first, second):
        assert entry["actor_pairs"] > 0
        assert entry["trained_pairs"] == entry["actor_pairs"] + entry["judge_pairs"]
        assert all(a["given"] == a["kept"] + sum(a["left_out"].values()) for a in entry["accounts"])
        assert entry["rho"]["rho"] >= 0
    assert first["loss_first"] == pytest.approx(0.6931, abs=1e-3), "the reference is where training starts"
    assert first["loss_last"] < first["loss_first"]
    assert second["start"] != first["start"]
    names = [other["name"] for other in second["beside"]]
    expected = {"temporal": ["past", "future"], "cream": ["previous"]}
    assert names == expected.get(recipe, ["previous", "past", "future"])
    if recipe != "temporal":
        certainty = second["consistency"]["certainty"]
        assert 0 <= certainty <= 1
    assert (tmp_path / "run" / told["checkpoint"] / "model.safetensors").is_file()
