#!/usr/bin/env bash
# lm-eval's gsm8k scores "flexible-extract" by the last number of an answer. One would expect a number to have a
# digit. The task's pattern takes any two of "$", "." and ",", so an ellipsis or ".." after the result is the
# number that is compared, and "$18.00" is not 18. A chatty model that closes with "Let me know if you need
# more..." gets 0 however well it calculates: compare such models by a reader of your own, or cut the closing
# sentence first.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile lm_eval==0.4.13
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - <<'PY'
from importlib.metadata import distribution

import yaml
from lm_eval.api.metrics import exact_match_fn
from lm_eval.filters.extraction import RegexFilter

package = distribution("lm_eval")
task = yaml.safe_load(package.locate_file("lm_eval/tasks/gsm8k/gsm8k.yaml").read_text())
flexible = next(one for one in task["filter_list"] if one["name"] == "flexible-extract")["filter"][0]
extract = RegexFilter(regex_pattern=flexible["regex_pattern"], group_select=flexible["group_select"])
metric = task["metric_list"][0]
options = {name: metric[name] for name in ("regexes_to_ignore", "ignore_case", "ignore_punctuation")}

print("lm_eval", package.version, "gsm8k version", task["metadata"]["version"], flexible["regex_pattern"])
cases = {
    "So the answer is 18.": ("18.", 1),
    "So the answer is 18. Let me know if you need more...": ("...", 0),
    "So the answer is 18 .. easy!": ("..", 0),
    "So she earns $18.00 a day.": ("$18.00", 0),
}
for answer, (number, score) in cases.items():
    found = extract.apply([[answer]], [{}])[0][0]
    right = exact_match_fn(predictions=[found], references=["9 * 2 = <<9*2=18>>18\n#### 18"], **options)["exact_match"]
    print(int(right), repr(found), "<-", answer)
    assert (found, right) == (number, score), (answer, found, right)
PY
