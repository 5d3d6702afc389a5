"""The main job on the real model, smaller than `make demo`: every claim that the demo makes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.model

CONFIG = """
recipe = "meta_rewarding"
directory = "runs/demo"
[prompts]
per_iteration = 3
held_out = 2
[generate]
samples = 3
max_tokens = 24
[judge]
samples = 3
max_tokens = 12
reading = "forced"
template = "judge_brief"
[meta_judge]
max_tokens = 8
reading = "forced"
template = "meta_judge_brief"
[dpo]
batch_size = 2
epochs = 1
learning_rate = 1e-5
[watch]
judgments = 2
[[iterations]]
rho = 0.3
"""


def start(directory: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "metareward", "run", "demo.toml"]
    return subprocess.Popen(
        command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def rows(directory: Path) -> dict[str, list[dict]]:
    import pyarrow.parquet as pq

    found: dict[str, list[dict]] = {}
    for path in sorted(directory.glob("runs/demo/artifacts/*/rows-*.parquet")):
        found.setdefault(path.parent.name, []).extend(pq.read_table(path).to_pylist())
    return found


@pytest.fixture(scope="module")
def demo(tmp_path_factory, default_model):
    """A run killed hard three times on its way, then finished. Returns its directory and what it said."""
    directory = tmp_path_factory.mktemp("demo")
    (directory / "demo.toml").write_text(CONFIG)
    before: set[str] = set()
    for wait in ("judge", "meta_judge", "training"):
        child = start(directory)
        pattern = (
            "runs/demo/training/*/job.json" if wait == "training" else f"runs/demo/artifacts/{wait}-*/rows-*"
        )
        while child.poll() is None and not list(directory.glob(pattern)):
            time.sleep(0.05)
        os.kill(child.pid, signal.SIGKILL)
        child.communicate()
        kept = {row["id"] for part in rows(directory).values() for row in part}
        assert before <= kept, "what was paid for is still there"
        before = kept
    child = start(directory)
    said, _ = child.communicate(timeout=1200)
    assert child.returncode == 0, said
    return directory, said, before


def test_it_repeats_nothing_it_has_paid_for(demo):
    directory, _, before = demo
    for name, part in rows(directory).items():
        ids = [row["id"] for row in part]
        assert len(ids) == len(set(ids)), name
    assert before <= {row["id"] for part in rows(directory).values() for row in part}


def test_both_kinds_of_pairs_and_a_table(demo):
    directory, said, _ = demo
    summary = json.loads((directory / "runs/demo/summary.json").read_text())
    (iteration,) = summary["iterations"]
    assert iteration["responses"] == 9
    assert iteration["actor_pairs"] > 0
    assert iteration["judge_pairs"] > 0
    assert iteration["loss_first"] == pytest.approx(0.6931, abs=0.02)
    assert [model["model"] for model in summary["models"]] == ["M0", "M1"]
    for model in summary["models"]:
        assert 0 <= model["mean_score"] <= 5
        assert 0 <= model["referee_score"] <= 5
        assert model["unreadable_rate"] == 0, "a forced reading is always readable"
    assert "mean score by the first model" in said
    assert summary["checkpoint"] in said


def test_the_checkpoint_is_a_plain_model_that_differs(demo, default_model):
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    directory, _, _ = demo
    summary = json.loads((directory / "runs/demo/summary.json").read_text())
    path = directory / "runs/demo" / summary["checkpoint"]
    after = dict(AutoModelForCausalLM.from_pretrained(path).named_parameters())
    before = dict(AutoModelForCausalLM.from_pretrained(default_model.path).named_parameters())
    assert set(after) == set(before)
    assert any(not torch.equal(after[name], before[name]) for name in before)
    assert AutoTokenizer.from_pretrained(path).chat_template


def test_pairs_carry_the_sampled_tokens_and_end_in_the_verdict(demo, default_model):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(default_model.path)
    directory, _, _ = demo
    for name, part in rows(directory).items():
        if not name.startswith(("actor_pairs", "judge_pairs")):
            continue
        for row in part:
            for side in ("chosen", "rejected"):
                assert tokenizer.decode(row[f"{side}_token_ids"], skip_special_tokens=True) == row[side]
                if row["role"] == "judge":
                    assert row[side].splitlines()[-1].startswith("Score: ")
                    assert row[f"{side}_token_ids"][-1] == tokenizer.eos_token_id
            assert row["chosen_score"] > row["rejected_score"]
