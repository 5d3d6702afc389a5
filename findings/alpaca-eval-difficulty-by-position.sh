#!/usr/bin/env bash
# AlpacaEval 2's length-controlled win rate knows how hard each of the 805 instructions is. One would expect the
# difficulty to be looked up by the instruction. It is looked up by a row's place: annotations in another order
# (from a parallel run, sorted, or without the rows that failed) get other instructions' difficulties, and the very
# same preferences give another number, with no warning, while the plain win rate stays as it is. Sort annotations
# as the published instructions are before you compare with the leaderboard.
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv --without-pip "$work/venv"
python3 -m pip --python "$work/venv/bin/python" install --quiet --no-compile \
  alpaca_eval==0.6.6 scikit-learn==1.9.1 pandas==3.1.1 numpy==2.4.6 setuptools==80.9.0
HF_HUB_OFFLINE=1 "$work/venv/bin/python" - "$work" 2> "$work/said" <<'PY' || { cat "$work/said" >&2; exit 1; }
import sys
import warnings
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pandas as pd

warnings.simplefilter("ignore")
from alpaca_eval.metrics import glm_winrate

# The real table of difficulties lies on a hub that is not asked here: a made-up one in its form takes its place.
COUNT = 805
random = np.random.default_rng(0)
difficulty = random.normal(size=COUNT)
table = Path(sys.argv[1]) / "df_gamed.csv"
gamed = []
for model, shift in (("concise", -1.0), ("verbose", 1.0)):
    preference = 1 / (1 + np.exp(-random.normal(scale=0.3, size=COUNT)))
    gamed.append(pd.DataFrame({
        "model": model, "index": range(COUNT), "preference": preference, "instruction_difficulty": difficulty,
        "std_delta_len": shift + random.normal(scale=0.5, size=COUNT), "not_gamed_baseline": False,
    }))
pd.concat(gamed).to_csv(table, index=False)
glm_winrate.hf_hub_download = lambda **options: str(table)

# A model that loses the harder instructions, and writes most about them: 1 is a win of the baseline, 2 of the model.
chance = 1 / (1 + np.exp(1.0 + 4.0 * difficulty))
annotations = [
    {
        "instruction": f"instruction {n}", "preference": 1 + float(np.clip(chance[n] + random.normal(scale=0.05), 0, 1)),
        "output_1": "x" * 1000, "output_2": "x" * int(1000 * np.exp(0.4 * difficulty[n])),
        "generator_1": "baseline", "generator_2": "model", "annotator": "judge",
    }
    for n in range(COUNT)
]
shuffled = [annotations[n] for n in random.permutation(COUNT)]

print("alpaca_eval", version("alpaca_eval"), "scikit-learn", version("scikit-learn"), "pandas", version("pandas"))
told = {}
for name, rows in (("published order", annotations), ("another order", shuffled)):
    told[name] = glm_winrate.get_length_controlled_winrate(rows, save_weights_dir=None)
    print(f"{name}: win rate {told[name]['win_rate']:.2f}, length-controlled {told[name]['length_controlled_winrate']:.2f}")
one, other = told.values()
assert abs(one["win_rate"] - other["win_rate"]) < 1e-9
assert abs(one["length_controlled_winrate"] - other["length_controlled_winrate"]) > 0.05
PY
