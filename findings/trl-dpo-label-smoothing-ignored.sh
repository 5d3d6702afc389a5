#!/usr/bin/env bash
# Conservative DPO, for labels that are sometimes wrong, used to be TRL's sigmoid loss with label_smoothing. In TRL
# 1.16 DPOConfig still takes label_smoothing with loss_type "sigmoid", the default, and ignores it without a word:
# the losses of all steps are equal to the last digit, and a run that was meant to be careful with noisy
# preferences is sure of them. Its "robust" loss uses the setting, and is another loss, which falls below 0. The
# help text names the losses that use it; nothing refuses the others.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
  torch==2.13.0 transformers==5.23.0 trl==1.16.0 accelerate==1.15.0 datasets==5.2.0
HF_HOME="$work/cache" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "$work/venv/bin/python" - "$work" 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import contextlib
import io
import math
import sys
from importlib.metadata import version

import torch
from datasets import Dataset
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
from trl import DPOConfig, DPOTrainer

WORK = sys.argv[1]


def tokenizer():
    """One token a byte, in a ChatML form."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    bytewise = Tokenizer(models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    made = PreTrainedTokenizerFast(tokenizer_object=bytewise, eos_token="<|im_end|>", pad_token="<|pad|>")
    made.chat_template = (
        "{% for m in messages %}{{ m['role'] + ': ' + m['content'] + '<|im_end|>' }}{% endfor %}"
        "{% if add_generation_prompt %}{{ 'assistant: ' }}{% endif %}"
    )
    return made


def losses(model, **options):
    """The losses of six steps of one and the same training."""
    settings = {"bf16": False, "use_cpu": True, "max_steps": 6, "learning_rate": 1e-3, "logging_steps": 1, "per_device_train_batch_size": 8}
    settings |= {"report_to": "none", "save_strategy": "no", "disable_tqdm": True, "output_dir": f"{WORK}/out"}
    trainer = DPOTrainer(model, args=DPOConfig(**settings, **options), train_dataset=PAIRS, processing_class=TOKENIZER)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    return [step["loss"] for step in trainer.state.log_history if "loss" in step]


TOKENIZER = tokenizer()
PAIRS = Dataset.from_list([{"prompt": f"say {n} ", "chosen": f"yes {n} well", "rejected": f"no {n}"} for n in range(8)])
SHAPE = {"vocab_size": len(TOKENIZER), "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "eos_token_id": TOKENIZER.eos_token_id, "bos_token_id": None}
SHAPE |= {"initializer_range": 0.2, "pad_token_id": TOKENIZER.pad_token_id}


def saved(model, name):
    model.save_pretrained(f"{WORK}/{name}")
    TOKENIZER.save_pretrained(f"{WORK}/{name}")
    return f"{WORK}/{name}"


torch.manual_seed(0)
print("trl", version("trl"), "transformers", version("transformers"), "torch", version("torch").split("+")[0])

path = saved(LlamaForCausalLM(LlamaConfig(**SHAPE)), "model")
told = {}
for name in ("sigmoid", "robust"):
    for smoothing in (0.0, 0.4):
        told[name, smoothing] = losses(path, loss_type=name, label_smoothing=smoothing)
        print(f"{name:8} label_smoothing={smoothing}:", " ".join(f"{loss:.4f}" for loss in told[name, smoothing]))
assert told["sigmoid", 0.0] == told["sigmoid", 0.4]
assert told["robust", 0.0] != told["robust", 0.4]
assert min(told["robust", 0.4]) < 0
# With labels that are wrong in 40 of 100 cases no conservative loss can fall below their entropy.
assert min(told["sigmoid", 0.4]) < -(0.4 * math.log(0.4) + 0.6 * math.log(0.6))
PY
