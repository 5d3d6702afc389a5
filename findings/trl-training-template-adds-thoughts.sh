#!/usr/bin/env bash
# For losses on assistant turns, and for GRPO with tools, TRL swaps a known chat template for a patched "training"
# one. One would expect the patch to mark assistant tokens and to leave the text as it is. For Qwen3 (and 3.5, 3.6)
# the text changes in every conversation of two turns, also of a model's plain answers: the template that serves
# the model leaves reasoning out of earlier turns, the training one writes an empty "<think></think>" or the whole
# reasoning there. So a model learns its later turns behind a history that inference never sends. TRL's own README
# says that the patches keep prefixes, not that prompts then differ from serving. Compare both renderings for your
# data before multi-turn training, or split conversations into one row a turn.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile transformers==5.23.0 jinja2==3.1.6
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile --no-deps trl==1.16.0
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
from importlib.metadata import distribution, version

from transformers.utils.chat_template_utils import render_jinja_template

TRL = distribution("trl")


def rendered(name, chat):
    template = TRL.locate_file(f"trl/chat_templates/{name}.jinja").read_text()
    return render_jinja_template([chat], chat_template=template)[0][0]


def turn(role, content):
    return {"role": role, "content": content}


print("trl", TRL.version, "transformers", version("transformers"))
first = [turn("user", "2 + 2?"), turn("assistant", "4")]
second = [turn("user", "3 + 3?"), turn("assistant", "6")]
thought = [turn("user", "2 + 2?"), turn("assistant", "<think>\nTwo and two.\n</think>\n\n4")]
for name in ("qwen3", "qwen3_5_think", "qwen3_6", "qwen2_5"):
    for what, chat in (("one turn", first), ("two turns", first + second), ("a thought, then a turn", thought + second)):
        served, trained = rendered(name, chat), rendered(f"{name}_training", chat)
        print(f"{name}, {what}: {'same text' if served == trained else 'OTHER TEXT'}")
        if served != trained:
            print("   served ", repr(served[:130]))
            print("   trained", repr(trained[:130]))
        assert (served == trained) == (what == "one turn" or name == "qwen2_5"), (name, what)
PY
