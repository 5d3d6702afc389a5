#!/usr/bin/env bash
# FastChat's MT-Bench judge (and RewardBench's generative judging, which took the rule over) asks for a verdict
# "[[A]]" or "[[B]]" at the end. One would expect the last verdict to count, or a judgment that holds both to be an
# error. The reader looks for "[[A]]" anywhere first: a judgment that mentions both is a vote for A, whatever it
# concludes. Judges that weigh up ("if style alone counted, [[A]]") thus lose votes for B only, in both orders, so
# what looks like a preference for the first position is partly the reader's. Read judgments again by the last
# verdict before you blame the judge.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile --no-deps fschat==0.2.36
"$work/venv/bin/python" - <<'PY'
import sys
import warnings
from importlib.metadata import version
from types import ModuleType
from unittest.mock import MagicMock

warnings.simplefilter("ignore")
# The API clients and model loaders are not needed to read a verdict: empty stand-ins take their place.
for name in ("openai", "anthropic"):
    sys.modules[name] = ModuleType(name)
adapter = ModuleType("fastchat.model.model_adapter")
adapter.get_conversation_template = lambda model: MagicMock(roles=("user", "assistant"))
adapter.OPENAI_MODEL_LIST, adapter.ANTHROPIC_MODEL_LIST = ["judge"], []
sys.modules["fastchat.model"] = ModuleType("fastchat.model")
sys.modules["fastchat.model.model_adapter"] = adapter
from fastchat.llm_judge import common

TEMPLATE = {"system_prompt": "", "prompt_template": "{question}{answer_a}{answer_b}", "output_format": "[[A]]"}
JUDGE = common.Judge("judge", TEMPLATE)
ANSWER = {"choices": [{"turns": ["an answer"]}]}


def verdict(judgment):
    common.chat_completion_openai = lambda *args, **kwargs: judgment
    return common.run_judge_pair({"turns": ["a question"]}, ANSWER, ANSWER, JUDGE, None)[0]


print("fschat", version("fschat"))
read = {}
for judgment in (
    "B is correct. Final verdict: [[B]]",
    "For style alone I would say [[A]], but its result is wrong. Final verdict: [[B]]",
    "For style alone I would say [[B]], but its result is wrong. Final verdict: [[A]]",
):
    read[judgment] = verdict(judgment)
    print(read[judgment], "<-", judgment)
assert list(read.values()) == ["B", "A", "A"], read
PY
