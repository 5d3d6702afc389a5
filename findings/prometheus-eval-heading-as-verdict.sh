#!/usr/bin/env bash
# prometheus-eval reads a pairwise verdict from "[RESULT] B" at the end of a judgment. Its pattern also allows
# "[Response A]" and "Result: A", and is compiled so that "end" means the end of any line. One would expect the
# last verdict to count; the first line that ends in such a form does. Feedback that has a heading "[Response A]"
# for each response, as judges often write it, is always a vote for the response that is discussed first. At the
# same time a verdict with a full stop or in bold is not read at all, and is asked for again, up to ten times.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile --no-deps prometheus-eval==0.1.20
"$work/venv/bin/python" - <<'PY'
from importlib.metadata import distribution
from importlib.util import module_from_spec, spec_from_file_location

package = distribution("prometheus-eval")
spec = spec_from_file_location("parser", package.locate_file("prometheus_eval/parser.py"))
parser = module_from_spec(spec)
spec.loader.exec_module(parser)

print("prometheus-eval", package.version)
headed = "[Response A]\nFluent, but the sum is wrong.\n\n[Response B]\nShort and right.\n\n[RESULT] B"
cases = {
    "Response B is right. [RESULT] B": "B",
    headed: "A",
    headed.replace("Response A", "x").replace("Response B", "Response A").replace("[x]", "[Response B]"): "B",
    "Response B is right. [RESULT] B.": None,
    "Response B is right. [RESULT] **B**": None,
}
for judgment, expected in cases.items():
    verdict = parser.parse_output(judgment, mode="relative")[1]
    print(repr(verdict), "<-", repr(judgment))
    assert verdict == expected, (judgment, verdict)
PY
