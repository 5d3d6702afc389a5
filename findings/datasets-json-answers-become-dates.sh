#!/usr/bin/env bash
# A JSON string is text, so one would expect load_dataset("json") to keep it. Where all values of a column happen
# to look like ISO dates, they come back as datetime objects with a midnight that nobody wrote, also deep inside
# chat messages; in a prompt, or compared with a gold answer, they are other text. Asking for strings with
# features= does not help: the text has become "2024-01-01 00:00:00" before it is cast. With one row that is no
# date all stay as they are, so a filtered subset or a small split behaves otherwise than the whole file. Reading
# the lines with Python's json and Dataset.from_list keeps them.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile datasets==5.2.0 pyarrow==26.0.1
HF_HOME="$work/cache" HF_HUB_OFFLINE=1 HF_DATASETS_DISABLE_PROGRESS_BARS=1 "$work/venv/bin/python" - "$work" <<'PY'
import json
import sys
from importlib.metadata import version
from pathlib import Path

from datasets import Dataset, Features, Value, load_dataset

FOLDER = Path(sys.argv[1])


def loaded(name, rows, **options):
    path = FOLDER / f"{name}.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_dataset("json", data_files=str(path), split="train", **options)


print("datasets", version("datasets"), "pyarrow", version("pyarrow"))
dates = [{"answer": "2024-01-01"}, {"answer": "1999-12-31"}]
column = loaded("dates", dates)["answer"][0]
print("answer '2024-01-01' is loaded as", repr(column), "and printed as", f"'{column}'")
assert str(column) == "2024-01-01 00:00:00"

chat = loaded("chat", [{"messages": [{"role": "assistant", "content": "2024-01-01"}]}])["messages"][0]
print("in a conversation:", chat)
assert str(chat[0]["content"]) == "2024-01-01 00:00:00"

mixed = loaded("mixed", [*dates, {"answer": "in May"}])["answer"][0]
print("with one other answer in the file:", repr(mixed))
assert mixed == "2024-01-01"

told = loaded("told", dates, features=Features({"answer": Value("string")}))["answer"][0]
print("with features that say string:", repr(told))
assert told == "2024-01-01 00:00:00"

kept = Dataset.from_list(dates)["answer"][0]
print("with Dataset.from_list:", repr(kept))
assert kept == "2024-01-01"
PY
