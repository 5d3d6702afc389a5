#!/usr/bin/env bash
# One would expect the same conversation and the same chat template to give the same prompt. transformers hands
# templates a function for the date, and the templates of Llama 3.2, gpt-oss and others put today's into the system
# turn that nobody wrote. Rendered again tomorrow (a resumed run, training on answers sampled yesterday, a
# reference log-probability stored last week, two workers in two time zones) the same row is another prompt, and
# caches by conversation miss or lie. Llama's takes a fixed date as date_string=...; gpt-oss's takes none. Store
# the rendered token ids.
# (The templates are the copies that TRL ships of the models' own.)
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile transformers==5.23.0 jinja2==3.1.6
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile --no-deps trl==1.16.0
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import os
import time
from importlib.metadata import distribution, version

from transformers.utils.chat_template_utils import render_jinja_template

TRL = distribution("trl")
CHAT = [{"role": "user", "content": "Hello"}]


def rendered(name, zone, **options):
    os.environ["TZ"] = zone
    time.tzset()
    template = TRL.locate_file(f"trl/chat_templates/{name}.jinja").read_text()
    return render_jinja_template([CHAT], chat_template=template, bos_token="", **options)[0][0]


print("trl", TRL.version, "transformers", version("transformers"))
# Two places that never have the same date take the place of two days.
west, east = "Etc/GMT+12", "Etc/GMT-14"
for name in ("llama3_2", "gptoss"):
    one, other = rendered(name, west), rendered(name, east)
    for line, beside in zip(one.splitlines(), other.splitlines()):
        if line != beside:
            print(f"{name}: {line!r} in one place, {beside!r} in the other")
    assert one != other
assert rendered("llama3_1", west) == rendered("llama3_1", east)
fixed = [rendered("llama3_2", zone, date_string="26 Jul 2024") for zone in (west, east)]
print("llama3_2 with date_string is the same:", fixed[0] == fixed[1])
assert fixed[0] == fixed[1]
given = [rendered("gptoss", zone, date_string="2024-07-26") for zone in (west, east)]
print("gptoss with date_string is the same:", given[0] == given[1])
assert given[0] != given[1]
PY
