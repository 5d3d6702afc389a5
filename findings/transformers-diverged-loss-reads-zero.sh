#!/usr/bin/env bash
# A training that diverges should be seen in its loss. transformers' Trainer leaves out losses that are NaN when it
# logs (logging_nan_inf_filter is on), so a model whose weights have become NaN reports a loss of 0.0 from then on,
# the best there is: a curve looks solved, whoever picks a run or a step by its training loss picks this one, and
# the run ends as a success and saves NaN weights. Only grad_norm says nan. Check that weights are finite before
# you publish, and log with logging_nan_inf_filter=False.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
  torch==2.13.0 transformers==5.23.0 peft==0.21.2 accelerate==1.15.0
HF_HOME="$work/cache" HF_HUB_OFFLINE=1 TRANSFORMERS_VERBOSITY=error \
  "$work/venv/bin/python" - "$work" 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import contextlib
import io
import sys
import warnings
from importlib.metadata import version

import torch
from transformers import LlamaConfig, LlamaForCausalLM, Trainer, TrainingArguments

warnings.simplefilter("ignore")
WORK = sys.argv[1]
SHAPE = {"vocab_size": 256, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
SHAPE |= {"num_attention_heads": 4, "num_key_value_heads": 2, "initializer_range": 0.2}
TOKENS = torch.arange(40).reshape(2, 20)
torch.manual_seed(0)
print("transformers", version("transformers"), "torch", version("torch").split("+")[0])

ROWS = [{"input_ids": [n, n + 1, n + 2, n + 3], "labels": [n, n + 1, n + 2, n + 3]} for n in range(64)]


def losses(**options):
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SHAPE))
    settings = {"max_steps": 6, "logging_steps": 1, "learning_rate": 1e30, "report_to": "none", "use_cpu": True}
    settings |= {"save_strategy": "no", "disable_tqdm": True, "output_dir": f"{WORK}/out", "optim": "sgd", "max_grad_norm": 0}
    trainer = Trainer(model, TrainingArguments(**settings, **options), train_dataset=ROWS)
    with contextlib.redirect_stdout(io.StringIO()):
        trainer.train()
    finite = all(weight.isfinite().all() for weight in model.parameters())
    return [(step["loss"], step["grad_norm"]) for step in trainer.state.log_history if "loss" in step], finite


shown, finite = losses()
print("loss and grad_norm of each step:", shown, "weights finite:", finite)
assert not finite
assert shown[-1][0] == 0.0 and shown[-1][1] != shown[-1][1]
told, _ = losses(logging_nan_inf_filter=False)
print("with logging_nan_inf_filter=False:", told)
assert told[-1][0] != told[-1][0]
PY
