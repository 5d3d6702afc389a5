"""Each tensor of a trained model has the number format that it has in the checkpoint it began with."""

import json
from pathlib import Path
from typing import Any

import pytest

import architectures
import in_process
from dpo_jobs import make_job, run
from finetune_jobs import ADAPTED, job_in, tune
from metareward.train.dpo import DPO
from tiny_llama import pairs

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
ODD = 0.7512345  # bfloat16 has .75 instead


def mixed(folder: Path, mark: str, **changes: Any) -> dict[str, Any]:
    """Have some tensors of a bfloat16 checkpoint in float32, with values that bfloat16 has not."""
    from safetensors.torch import load_file, save_file

    file = folder / "model.safetensors"
    weights = load_file(file)
    for name in weights:
        if mark in name:
            weights[name] = torch.full_like(weights[name], ODD, dtype=torch.float32)
    save_file(weights, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))
    return weights


def saved(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    found: dict[str, Any] = {}
    for file in folder.glob("*.safetensors"):
        found |= load_file(file)
    return found


@pytest.mark.parametrize(
    ("kind", "mark"),
    [
        ("llama", "norm"),
        ("deepseek v3", "e_score_correction_bias"),
        ("mixtral", "gate"),
        ("qwen3 moe", "experts.1."),  # joined with its siblings in memory, apart in the files
    ],
)
def test_it_keeps_it(tmp_path: Path, kind: str, mark: str):
    start = architectures.write(tmp_path / "start", kind, dtype="bfloat16")
    before = mixed(start, mark)
    assert {torch.float32, torch.bfloat16} == {value.dtype for value in before.values()}
    job = make_job(
        tmp_path / "work", start, start, pairs(2), dpo=DPO(batch_size=2, epochs=1, learning_rate=1e-6)
    )
    run(job)
    after = saved(job.output_dir)
    assert {name: value.dtype for name, value in after.items()} == {
        name: value.dtype for name, value in before.items()
    }
    for name, value in after.items():
        torch.testing.assert_close(value.float(), before[name].float(), rtol=0, atol=1e-2)
        if mark in name:
            assert value.ne(torch.tensor(0.75)).all(), name
    assert json.loads((job.output_dir / "config.json").read_text())["dtype"] == "bfloat16"


def test_plain_transformers_loads_it_as_it_was_trained(tmp_path: Path):
    """Loaded in float32 by the library alone it is the float32 tensor, and not its rounding."""
    from transformers import AutoModelForCausalLM

    start = architectures.write(tmp_path / "start", "qwen3 moe", dtype="bfloat16")
    mixed(start, "norm")
    job = make_job(
        tmp_path / "work", start, start, pairs(2), dpo=DPO(batch_size=2, epochs=1, learning_rate=1e-6)
    )
    run(job)
    loader: Any = AutoModelForCausalLM
    theirs, told = loader.from_pretrained(job.output_dir, dtype=torch.float32, output_loading_info=True)
    assert not told["missing_keys"]
    assert not told["unexpected_keys"]
    norm = theirs.state_dict()["model.norm.weight"]
    assert norm.numpy() == pytest.approx(ODD, abs=1e-4)
    assert not torch.equal(norm, norm.bfloat16().float())


def test_a_config_that_says_nothing_is_believed_by_its_weights(tmp_path: Path):
    start = architectures.write(tmp_path / "start", "llama", dtype="bfloat16")
    mixed(start, "nothing", dtype=None)
    run(make_job(tmp_path / "work", start, start, pairs(2)))
    model = tmp_path / "work" / "model"
    assert {value.dtype for value in saved(model).values()} == {torch.bfloat16}
    assert json.loads((model / "config.json").read_text())["dtype"] == "bfloat16"


def test_a_merged_adapter_keeps_them_too(tmp_path: Path):
    start = architectures.write(tmp_path / "start", "llama", dtype="bfloat16")
    before = mixed(start, "norm")
    tune(job_in(tmp_path / "work", start, ADAPTED))
    after = saved(tmp_path / "work" / "model")
    assert {name: value.dtype for name, value in after.items()} == {
        name: value.dtype for name, value in before.items()
    }


def test_what_float16_cannot_hold_is_not_published(tmp_path: Path):
    from metareward.train.formats import Formats

    formats = Formats({"a": torch.float16, "b.0": torch.float16}, torch.float16)
    kept = formats.applied({"a": torch.tensor([1e6]), "joined": torch.tensor([1e6]), "n": torch.tensor([3])})
    assert kept["a"].isinf().all()
    assert (kept["joined"].dtype, kept["n"].dtype) == (torch.float32, torch.int64)
    from safetensors.torch import save_file

    save_file({"b.0": torch.tensor([1e6])}, tmp_path / "model.safetensors")
    assert formats.settle(tmp_path) == "b.0"
