#!/usr/bin/env bash
# Merging a LoRA adapter should give the model that was trained. With input and output embeddings tied, an adapter
# on "embed_tokens" acts on the input alone while it trains, and merge_and_unload adds it to the one tensor that
# both share: the head changes, too. The training loss falls, the adapter evaluates well, and the published model
# is another one: the merge can move logits further than the training did. PEFT warns of "complications" when the
# adapter is made, and merges nevertheless; for modules_to_save=["embed_tokens"] it unties the two and all is well.
# Untie before training, or use modules_to_save, and compare logits before and after every merge.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0
HF_HOME="$work/cache" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "$work/venv/bin/python" - "$work" 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import os
import sys
import warnings
from importlib.metadata import version

import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

warnings.simplefilter("ignore")
WORK = sys.argv[1]
SHAPE = {"vocab_size": 256, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
TOKENS = torch.arange(40).reshape(2, 20)
torch.manual_seed(0)
print("peft", version("peft"), "transformers", version("transformers"), "torch", version("torch").split("+")[0])

LlamaForCausalLM(LlamaConfig(**SHAPE, tie_word_embeddings=True)).save_pretrained(f"{WORK}/tied")


def moved(**options):
    """Largest change of a logit by the adapter, and by merging it."""
    plain = AutoModelForCausalLM.from_pretrained(f"{WORK}/tied")
    with torch.no_grad():
        before = plain(TOKENS).logits
        model = get_peft_model(plain, LoraConfig(r=4, **options))
        torch.manual_seed(1)
        for weight in model.parameters():
            if weight.requires_grad:  # as if trained
                weight.add_(0.1 * torch.randn_like(weight))
        adapted = model(TOKENS).logits
        merged = model.merge_and_unload()(TOKENS).logits
    return (adapted - before).abs().max().item(), (merged - adapted).abs().max().item()


for options, same in (
    ({"target_modules": ["q_proj", "v_proj"]}, True),
    ({"target_modules": ["embed_tokens"]}, False),
    ({"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens"]}, True),
):
    by_adapter, by_merge = moved(**options)
    print(f"{options}: the adapter moves logits by {by_adapter:.3f}, merging it by {by_merge:.5f} more")
    assert (by_merge < 1e-3) if same else (by_merge > by_adapter), options
PY
