#!/usr/bin/env bash
# A directory with config.json and model.safetensors is a whole model, so one would expect from_pretrained to load
# these weights. If an adapter_config.json lies beside them, as after saving a merged model into the training's
# output directory, the adapter is put on top without a word: a merged model gets its update twice. The class of
# the loaded model is the plain one, and saving it again writes the adapter alone: the copy has no weights. Merge
# into a fresh directory, and look for adapter_config.json where a model behaves oddly.
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

LlamaForCausalLM(LlamaConfig(**SHAPE)).save_pretrained(f"{WORK}/base")
base = AutoModelForCausalLM.from_pretrained(f"{WORK}/base")
adapted = get_peft_model(base, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False))
adapted.save_pretrained(f"{WORK}/training")
with torch.no_grad():
    trained = adapted(TOKENS).logits
    merged = adapted.merge_and_unload()
    merged.save_pretrained(f"{WORK}/fresh")
    merged.save_pretrained(f"{WORK}/training")  # where the adapter lies
    apart = {}
    for name in ("fresh", "training"):
        loaded = AutoModelForCausalLM.from_pretrained(f"{WORK}/{name}")
        apart[name] = (loaded(TOKENS).logits - trained).abs().max().item()
        print(f"{name}: {sorted(os.listdir(f'{WORK}/{name}'))}")
        print(f"   loaded as {type(loaded).__name__}, logits off the trained model's by {apart[name]:.5f}")
loaded.save_pretrained(f"{WORK}/copy")
print("saved again:", sorted(os.listdir(f"{WORK}/copy")))
assert apart["fresh"] < 1e-3 and apart["training"] > 0.1, apart
assert "model.safetensors" not in os.listdir(f"{WORK}/copy")
PY
