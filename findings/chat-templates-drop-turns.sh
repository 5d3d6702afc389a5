#!/usr/bin/env bash
# apply_chat_template checks that messages have roles and contents, so one would expect it to render all it is
# given or to raise. Published templates drop parts without a word. SmolVLM's and Idefics3's know contents as lists
# of blocks alone: in a text conversation with plain strings every turn comes out empty. Qwen3-VL's and gpt-oss's
# skip a system message that is not the first. A judge's rubric, or a corrected instruction, in such a message is
# simply not there, and no length or loss looks odd. Put a random word into every message once and look for it in
# the rendered text.
# (The templates are the copies that TRL ships of the models' own.)
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
PLAIN = [("user", "larch"), ("assistant", "maple")]
LATE = [("user", "larch"), ("assistant", "maple"), ("system", "birch"), ("user", "alder")]


def missing(name, turns):
    template = TRL.locate_file(f"trl/chat_templates/{name}.jinja").read_text()
    chat = [{"role": role, "content": word} for role, word in turns]
    text = render_jinja_template([chat], chat_template=template, bos_token="", eos_token="")[0][0]
    return [word for _, word in turns if word not in text], text


print("trl", TRL.version, "transformers", version("transformers"))
cases = [
    ("qwen2_5", PLAIN, []),
    ("smolvlm", PLAIN, ["larch", "maple"]),
    ("idefics3", PLAIN, ["larch", "maple"]),
    ("qwen2_5", LATE, []),
    ("qwen3", LATE, []),
    ("qwen3_vl", LATE, ["birch"]),
    ("gptoss", LATE, ["birch"]),
]
for name, turns, expected in cases:
    lost, text = missing(name, turns)
    print(f"{name:9} lost {lost} of {[word for _, word in turns]}: ...{text[-110:]!r}")
    assert lost == expected, (name, lost)
PY
