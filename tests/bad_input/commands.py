"""What can be wrong with attacks, comparisons and evaluations."""

import json
import os

from bad_input.case import FAKE, Case
from bad_input.runs import nothing, run

SECRET = "[prompts]\nper_iteration = 4\nheld_out = 2" + FAKE
BATTLE = json.dumps({"model_a": "a", "model_b": "b", "winner": "model_a"})
CASES = [
    Case("a key in a config", "metareward plan c.toml", "c.toml: 'api_key' looks like a secret (a key, token or password). A config "
         "is copied into runs and exports, so it may hold none: remove it here, set it as an environment variable of the library "
         "that wants it (such as HF_TOKEN), and change it if this file was ever shared",
         files={"c.toml": "api_key = 'abc123def456'\n" + SECRET}),
    Case("an unknown evaluation in a config", "metareward plan c.toml", "c.toml: unknown setting 'ifevl' in [evaluate]; did you "
         "mean 'ifeval'?…", files={"c.toml": "[evaluate.ifevl]\n" + SECRET}),
    Case("a limit of 0 in an evaluation", "metareward plan c.toml", "c.toml: evaluate.ifeval.limit must be at least 1, not 0",
         files={"c.toml": "[evaluate.ifeval]\nlimit = 0\n" + SECRET}),
    Case("an unknown way with contaminated prompts", "metareward plan c.toml", "c.toml: evaluate.contaminated…'drop' or 'report'…",
         files={"c.toml": "[evaluate]\ncontaminated = 'keep'\n" + SECRET}),
    Case("a bank of one prompt", "metareward plan c.toml", "c.toml: watch.bank_prompts must be 0, or at least 2, not 1",
         files={"c.toml": "[watch]\nbank_prompts = 1\n" + SECRET}),
    Case("judgments without a text", "metareward parse j.jsonl", 'j.jsonl: 1 of 1 rows have no "text" that is a text (j.jsonl:1). '
         'Wanted is {"text": "..."} a line…', files={"j.jsonl": '{"txt": 1}'}),
    Case("no judgments", "metareward parse j.jsonl", "j.jsonl: there are no rows in it.…", files={"j.jsonl": ""}),
    Case("an unknown evaluation", "metareward eval alpaca", "no evaluation named 'alpaca'; did you mean alpaca-eval? there are: …"),
    Case("`eval` of nothing in particular", "metareward eval judge", "give --verdicts FILE to score a file; or --judge MODEL and "
         "either --pairs or --ranks to ask one"),
    Case("an empty name for a directory", "metareward plan c.toml -d ''", "--directory must be a name, not ''; leave it out for the default", files={"c.toml": SECRET}),
    Case("`eval` of a pipe", "metareward eval judge --verdicts v.jsonl", "v.jsonl: is a pipe or a device; save what it gives in a file and name that", make=lambda d: os.mkfifo(d / "v.jsonl")),
    Case("`eval ifeval` of a pipe", "metareward eval ifeval --responses v.jsonl", "v.jsonl: is a pipe or a device; save what it gives in a file and name that", make=lambda d: os.mkfifo(d / "v.jsonl")),
    Case("`eval ifeval` of IFBench's prompts", "metareward eval ifeval --responses r.jsonl --data v.jsonl", "v.jsonl:1: 'count:keywords_multiple' is an instruction of IFBench (arXiv 2507.02833), which is not supported: …; score this file with the benchmark's own code (allenai/IFBench)", files={"r.jsonl": "{}", "v.jsonl": json.dumps({"key": "0", "prompt": "Hi", "instruction_id_list": ["count:keywords_multiple"], "kwargs": [{"keyword1": "kaleidoscope"}]})}),
    Case("`attack` with a pipe", "metareward attack --judge fake --items v.jsonl", "v.jsonl: cannot be read as a file of pairs: is a pipe or a device; …", make=lambda d: os.mkfifo(d / "v.jsonl")),
    Case("`eval` of UTF-16", "metareward eval judge --verdicts v.jsonl", "v.jsonl: is UTF-16: save it as UTF-8", files={"v.jsonl": "{}".encode("utf-16")}),
    Case("`eval` of labels 0 and 1", "metareward eval judge --verdicts v.jsonl", 'v.jsonl: the labels: 0 stands there and 2 nowhere, so 0 may mean a tie or the second response; write 1, 2 or "tie"', files={"v.jsonl": '{"label": 0, "verdicts": [1]}\n{"label": 1, "verdicts": [1]}'}),
    Case("`eval` of labels true and false", "metareward eval judge --verdicts v.jsonl", "v.jsonl: 1 of 1 rows have a label or a verdict that is not 1, 2, tie or None (row 1)…", files={"v.jsonl": '{"label": true, "verdicts": [false]}'}),
    Case("`eval arena-hard` of two judges", "metareward eval arena-hard --battles v.jsonl --baseline b", "v.jsonl: the rows are of 2 values of 'judge': j (1), k (1); score one at a time", files={"v.jsonl": "".join(json.dumps({"question_id": 1, "model": "m", "judge": j, "games": [{"score": "A>B"}] * 2}) + "\n" for j in "jk")}),
    Case("`eval arena-hard` of an odd verdict", "metareward eval arena-hard --battles v.jsonl --baseline b", "v.jsonl: 1 of 1 rows have a verdict that is none of the benchmark's (row 1: 'error')…", files={"v.jsonl": json.dumps({"question_id": 1, "model": "m", "games": [{"score": "error"}] * 2})}),
    Case("`eval` of a file that is not there", "metareward eval judge --verdicts none.jsonl", "none.jsonl: there is no such file"),
    Case("`eval` of an empty file", "metareward eval judge --verdicts v.jsonl", "v.jsonl: there are no rows in it",
         files={"v.jsonl": ""}),
    Case("`eval` of what is no JSON", "metareward eval arena-hard --battles v.jsonl --baseline b", "v.jsonl:1: not JSON: "
         "…; one object a line is wanted", files={"v.jsonl": "{"}),
    Case("another benchmark's file", "metareward eval arena-hard --battles v.jsonl --baseline b", "v.jsonl: 1 of 1 rows are of "
         "another form (row 1, which has i, preference). A file of battles has …",
         files={"v.jsonl": '{"i": 0, "preference": 1.5}'}),
    Case("a baseline that fought no battle", "metareward eval arena-hard --battles v.jsonl --baseline gpt", "no battle of 'gpt', "
         "which all are measured against; the models are: a, b", files={"v.jsonl": BATTLE}),
    Case("battles without a baseline", "metareward eval arena-hard --battles v.jsonl", "--battles needs --baseline NAME: the model "
         "that all are measured against", files={"v.jsonl": BATTLE}),
    Case("verdicts none of which can be read", "metareward eval judge --verdicts v.jsonl", "none of 1 pairs has a readable verdict "
         "and a better side (2 verdicts could not be read, 0 pairs are equal); there is no accuracy to report",
         files={"v.jsonl": '{"label": 1, "verdicts": [null, null]}'}),
    Case("a preference that is no number", "metareward eval alpaca-eval --annotations v.jsonl", "v.jsonl: 1 of 1 rows …",
         files={"v.jsonl": '{"i": 0, "preference": "NaN", "len_baseline": 3, "len_model": 4}'}),
    Case("IFEval of responses to other prompts", "metareward eval ifeval --responses v.jsonl", "the responses do not fit IFEval: 1 prompts that are not among "
         "its 541 (first: v.jsonl:1, 'Hello'); 541 prompts without a response …; not one response fits",
         files={"v.jsonl": '{"prompt": "Hello", "response": "Hi"}'}),
    Case("a family of attacks that is none", "metareward attack --judge smollm2-135m-instruct --families flattery",
         "attack.families: 'flattery' is not a family of attacks; known: position, …"),
    run("`cost` of nothing", nothing, "nowhere holds no run; give the directory of one (the config's `directory`)",
        "metareward cost nowhere"),
    run("`diff` with nothing", nothing, "nowhere holds no run; give the directory of one, or DIRECTORY@SESSION",
        "metareward diff runs/c nowhere"),
]  # fmt: skip
