#!/usr/bin/env bash
# FastChat's MT-Bench judge asks for a rating as "[[5]]". Where a judgment has none, one would expect "no rating"
# (-1). The reader falls back to the first number in single brackets, so an index in quoted code, or a mark such as
# "[1]" for a source, becomes the rating; for two ratings any list of two numbers does. Nothing tells such ratings
# from real ones, and an index is mostly 0 or 1, so coding answers lose points. No upper bound is checked either.
# Before means are taken, count how many judgments have the double brackets at all.
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
# The API clients and model loaders are not needed to read a rating: empty stand-ins take their place.
for name in ("openai", "anthropic"):
    sys.modules[name] = ModuleType(name)
adapter = ModuleType("fastchat.model.model_adapter")
adapter.get_conversation_template = lambda model: MagicMock(roles=("user", "assistant"))
adapter.OPENAI_MODEL_LIST, adapter.ANTHROPIC_MODEL_LIST = ["judge"], []
sys.modules["fastchat.model"] = ModuleType("fastchat.model")
sys.modules["fastchat.model.model_adapter"] = adapter
from fastchat.llm_judge import common

ANSWER = {"choices": [{"turns": ["an answer"]}]}
QUESTION = {"turns": ["a question"]}


def judge(form, fields):
    return common.Judge("judge", {"system_prompt": "", "prompt_template": fields, "output_format": form})


def rating(judgment):
    common.chat_completion_openai = lambda *args, **kwargs: judgment
    return common.run_judge_single(QUESTION, ANSWER, judge("[[rating]]", "{question}{answer}"), None)[0]


def winner(judgment):
    common.chat_completion_openai = lambda *args, **kwargs: judgment
    form = judge("[[rating_a,rating_b]]", "{question}{answer_a}{answer_b}")
    return common.run_judge_pair(QUESTION, ANSWER, ANSWER, form, None)[0]


print("fschat", version("fschat"))
single = {
    "Correct and well explained. Rating: 9": -1,
    "Correct: balls[0] is swapped with the last. Rating: 9": 0,
    "The claim rests on source [1] and holds. Rating: 9": 1,
    "Rating: [[90]]": 90,
}
for judgment, expected in single.items():
    print(rating(judgment), "<-", judgment)
    assert rating(judgment) == expected
pair = "Both sort correctly; A returns [1, 2] for the sample. Ratings: 9 for A, 4 for B"
print(winner(pair), "<-", pair)
assert winner(pair) == "B"
PY
