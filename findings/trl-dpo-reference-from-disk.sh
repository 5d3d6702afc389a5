#!/usr/bin/env bash
# TRL's DPOTrainer without ref_model is said to compare with the model as it is when training begins ("we'll
# initialize it to a copy of model for you", one of its own messages says). Given a model object, it loads the
# reference from the path in the model's config. A model that was changed in memory since (fine-tuned a minute ago,
# merged with an adapter, resumed from weights of one's own) is held near its old self on the disk, not near
# itself: the first loss is not ln 2, beta pulls back what the step before has taught, and no warning is given. In
# a loop of trainings, save before each round and pass ref_model yourself.
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


def first_loss(model, **options):
    """The loss before the first step has changed anything: ln 2 where policy and reference are one model."""
    settings = {"bf16": False, "use_cpu": True, "max_steps": 1, "logging_steps": 1, "per_device_train_batch_size": 8}
    settings |= {"report_to": "none", "save_strategy": "no", "disable_tqdm": True, "output_dir": f"{WORK}/out"}
    trainer = DPOTrainer(model, args=DPOConfig(**settings, **options), train_dataset=PAIRS, processing_class=TOKENIZER)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    return trainer.state.log_history[0]["loss"]


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
as_saved = first_loss(LlamaForCausalLM.from_pretrained(path))


def changed():
    """The model after some training in memory, here a small random change of all weights."""
    torch.manual_seed(1)
    model = LlamaForCausalLM.from_pretrained(path)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
    return model


in_memory = first_loss(changed())
saved_again = first_loss(LlamaForCausalLM.from_pretrained(saved(changed(), "changed")))
print(f"first loss, ln 2 is {math.log(2):.4f}: as loaded {as_saved:.4f}, changed in memory {in_memory:.4f}, "
      f"the same saved and loaded {saved_again:.4f}")
assert math.isclose(as_saved, math.log(2), abs_tol=1e-5)
assert math.isclose(saved_again, math.log(2), abs_tol=1e-5)
assert abs(in_memory - math.log(2)) > 0.005
PY
