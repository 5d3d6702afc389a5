#!/usr/bin/env bash
# transformers' DataCollatorWithFlattening puts several examples into one row and says by position_ids where each
# begins, and for attention that is enough: no example sees another. Layers with a state (Mamba, gated delta rule,
# short convolution) do not look at position_ids: in hybrid models each example begins with the state the one
# before has left, the logits are others, and neither a warning nor the loss tells. With return_seq_idx=True (what
# TRL's packing sends, too) some of these models refuse without their CUDA kernels, which is right, and others
# (Mamba 2, Jamba) still take the row and leak. Seen on a CPU, with the layers in plain PyTorch. Compare one packed
# example's logits with its own before training such a model on packed rows.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
  torch==2.13.0 transformers==5.23.0
HF_HOME="$work/cache" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "$work/venv/bin/python" - "$work" 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import sys
import warnings
from importlib.metadata import version

import torch
import transformers
from transformers import DataCollatorWithFlattening

warnings.simplefilter("ignore")
SHAPE = {"vocab_size": 64, "hidden_size": 32, "num_hidden_layers": 2, "pad_token_id": 0, "bos_token_id": None}
SHAPE |= {"intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": 1}
MAMBA = {"mamba_n_heads": 8, "mamba_d_head": 8, "mamba_d_state": 8, "mamba_n_groups": 1, "mamba_chunk_size": 8}
DELTA = {"linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
EXPERTS = {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16}
STATES = {"num_heads": 8, "head_dim": 8, "n_groups": 1, "state_size": 8, "chunk_size": 8}
PERIODS = {"attn_layer_period": 2, "attn_layer_offset": 1, "expert_layer_period": 2, "expert_layer_offset": 1}


def model(name, **options):
    """A small random model whose answers depend strongly on all it reads."""
    torch.manual_seed(0)
    config = getattr(transformers, f"{name}Config")(**SHAPE, **options)
    made = getattr(transformers, f"{name}ForCausalLM")(config).eval()
    with torch.no_grad():
        for weight in made.parameters():
            if weight.ndim > 1:
                weight.mul_(5)
    return made


print("transformers", version("transformers"), "torch", version("torch").split("+")[0])

torch.manual_seed(3)
first, second = torch.randint(2, 64, (2, 9)).tolist()


def leak(made, with_sequences):
    """By how much a logit of the second example changes when it is packed behind the first."""
    collator = DataCollatorWithFlattening(return_seq_idx=with_sequences)
    batch = collator([{"input_ids": first}, {"input_ids": second}])
    batch.pop("labels")
    with torch.no_grad():
        alone = made(torch.tensor([second])).logits[0]
        try:
            packed = made(**batch, use_cache=False).logits[0, len(first) :]
        except ValueError:
            return "refused"
    change = (packed - alone).abs().max().item()
    return "none" if change < 1e-3 else f"{change:.2f}"


hybrid = {"layer_types": ["linear_attention", "full_attention"], "head_dim": 8} | DELTA | EXPERTS
models = {
    "Llama": (model("Llama"), "none", "none"),
    "Qwen3Next": (model("Qwen3Next", **hybrid), "leak", "refused"),
    "GraniteMoeHybrid": (
        model("GraniteMoeHybrid", layer_types=["mamba", "attention"], num_local_experts=0, **MAMBA), "leak", "refused"
    ),
    "Mamba2": (model("Mamba2", **STATES), "leak", "leak"),
    "Jamba": (model("Jamba", num_experts=2, mamba_d_state=8, use_mamba_kernels=False, **PERIODS), "leak", "leak"),
}
for name, (made, *expected) in models.items():
    found = [leak(made, with_sequences) for with_sequences in (False, True)]
    print(f"{name:16} change of a logit by packing: position_ids {found[0]}, with seq_idx {found[1]}")
    kinds = [one if one in ("none", "refused") else "leak" for one in found]
    assert kinds == expected, (name, found)
PY
