"""Targets of adapters that merging would spoil are refused before anything is asked; others are merged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import architectures
import in_process
from finetune_jobs import ADAPTED, job_in, tune
from metareward.errors import ConfigError

torch = pytest.importorskip("torch")
pytest.importorskip("peft")

pytestmark = [
    *in_process.IGNORED_WARNINGS,
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
]
one_thread = in_process.one_thread


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        ("llama", "embed_tokens", "shares its weights with the output head, so merging would move both"),
        ("llama", "lm_head", "the output head"),
        ("gpt2", "wte", "shares its weights"),
        ("llama", "input_layernorm", "a LlamaRMSNorm, and adapters are for linear layers"),
        ("llama", "nowhere", "names no layer of this model"),
        ("qwen3 moe", "gate_up_proj", "names a tensor"),
        ("qwen3 moe", "experts", "a Qwen3MoeExperts"),
    ],
)
def test_one_is_refused_by_the_models_config_alone(tmp_path: Path, kind: str, target: str, why: str):
    from metareward.train import lora

    model = architectures.write(tmp_path, kind)
    for file in tmp_path.glob("*.safetensors"):
        file.unlink()
    sft = replace(ADAPTED, lora_targets=("q_proj" if "qwen" in kind or kind == "llama" else "c_attn", target))
    with pytest.raises(ConfigError, match=rf"sft\.lora_targets: '{target}' .*{why}"):
        lora.check(model, sft)
    lora.check(model, replace(sft, lora_rank=0))


def test_an_embedding_of_its_own_may_get_one(tmp_path: Path):
    from metareward.train import lora

    model = architectures.write(tmp_path, "llama", tie_word_embeddings=False)
    lora.check(model, replace(ADAPTED, lora_targets=("embed_tokens",)))
    with pytest.raises(ConfigError, match="output head"):
        lora.check(model, replace(ADAPTED, lora_targets=("lm_head",)))


@pytest.mark.parametrize(
    ("kind", "changes", "sft"),
    [
        ("gpt2", {}, ADAPTED),  # whose layers keep their weights turned round
        ("gpt2", {}, replace(ADAPTED, lora_layers=1)),
        ("llama", {"tie_word_embeddings": False}, replace(ADAPTED, lora_targets=("embed_tokens", "q_proj"))),
        ("qwen3 moe", {}, ADAPTED),
        ("gpt neox", {}, ADAPTED),
    ],
)
def test_the_published_model_is_the_one_that_was_trained(
    tmp_path: Path, kind: str, changes: Any, sft: Any, monkeypatch: pytest.MonkeyPatch
):
    """Its logits by transformers alone are those of the base with its adapter by peft alone."""
    from peft import PeftModel
    from transformers import AutoModelForCausalLM

    start = architectures.write(tmp_path / "start", kind, **changes)
    _, said = tune(job_in(tmp_path / "work", start, sft))
    assert said.losses()[-1] < said.losses()[0]
    notices = [facts["message"] for event, facts in said if event == "notice"]
    assert bool(notices) is (kind == "qwen3 moe")
    assert all("leaves the experts as they are" in message for message in notices)
    ids = torch.tensor([list(range(20))])
    published = tmp_path / "work" / "model"
    base = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    with torch.no_grad():
        before = base.eval()(ids).logits
        theirs = PeftModel.from_pretrained(base, published / "adapter").eval()(ids).logits
        ours = AutoModelForCausalLM.from_pretrained(published, dtype=torch.float32).eval()(ids).logits
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)
    assert (ours - before).abs().max() > 1e-2
