"""An exported dataset is what others' tools take as it is: `datasets` loads it, TRL trains on it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import exported
import loops
import planted
from exported import rows
from metareward.export import export_run

run = exported.run
folder = exported.folder

LOAD = """
import json, sys, datasets
folder = sys.argv[1]
print(json.dumps({
    "default": datasets.load_dataset(folder, split="train").column_names,
    **{name: [row for part in datasets.load_dataset(folder, name).values() for row in part.to_list()]
       for name in datasets.get_dataset_config_names(folder)},
}))
"""


def test_datasets_loads_every_config_as_it_is(folder, tmp_path):
    pytest.importorskip("datasets")
    loaded = json.loads(said(LOAD, folder, tmp_path))
    default = loaded.pop("default")
    assert default[:3] == ["prompt", "chosen", "rejected"]
    pairs = loaded.pop("pairs")
    assert pairs == rows(folder, "actor_pairs") + rows(folder, "judge_pairs")
    assert list(pairs[0]) == default
    assert loaded == {
        name: rows(folder, name)
        for name in ("actor_pairs", "judge_pairs", "responses", "judgments", "battles", "prompts")
    }


def test_a_run_without_battles_loads_too(tmp_path):
    pytest.importorskip("datasets")
    loops.loop(tmp_path / "run", loops.Asked(planted.World()), "self_rewarding")
    done = export_run(tmp_path / "run", tmp_path / "out")
    assert list(done.counts) == ["pairs", "actor_pairs", "responses", "judgments", "prompts"]
    card = (tmp_path / "out" / "README.md").read_text()
    assert re.findall(r"config_name: (\w+)", card) == list(done.counts)
    loaded = json.loads(said(LOAD, tmp_path / "out", tmp_path))
    assert loaded["pairs"] == rows(tmp_path / "out", "actor_pairs")


TRAIN = """
import sys, datasets
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer
folder, model, out = sys.argv[1:]
settings = DPOConfig(
    output_dir=out, max_steps=1, per_device_train_batch_size=2, report_to=[], bf16=False, use_cpu=True
)
trainer = DPOTrainer(
    AutoModelForCausalLM.from_pretrained(model), args=settings,
    train_dataset=datasets.load_dataset(folder, split="train"),
    processing_class=AutoTokenizer.from_pretrained(model),
)
row, tokenizer = trainer.train_dataset[0], trainer.processing_class
print("TOLD", tokenizer.decode(row["prompt_ids"]), tokenizer.decode(row["chosen_ids"]), sep="|")
print("STEPS", trainer.train().global_step)
"""


@pytest.mark.model
def test_the_stock_trainer_takes_the_loaded_dataset_and_trains_a_step(folder, tmp_path):
    pytest.importorskip("trl")
    from tiny_llama import write_tiny_llama

    model = write_tiny_llama(tmp_path / "model")
    told = said(TRAIN, folder, tmp_path, str(model), str(tmp_path / "trained"))
    assert "STEPS 1" in told
    first = rows(folder, "actor_pairs")[0]
    expected = f"<|im_start|>user\n{first['prompt'][0]['content']}<|im_end|>\n<|im_start|>assistant\n"
    assert f"TOLD|{expected}|{first['chosen'][0]['content']}<|im_end|>" in told


def said(code: str, folder: Path, home: Path, *arguments: str) -> str:
    """What a program of its own says, offline, with its caches in `home`."""
    own = {"HF_HOME": str(home / "cache"), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code, str(folder), *arguments],
        capture_output=True, text=True, check=False, cwd=home, env={**os.environ, **own},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout
