"""Made-up AlpacaEval annotations, files and tables, and where the published ones lie."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metareward.evaluate.annotations import Annotation, Annotations
from metareward.evaluate.length_control import BaselineRows

SHARED = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parents[2] / "shared" / "data"))
PUBLISHED = SHARED / "alpaca_eval"
needs_published = pytest.mark.skipif(
    not PUBLISHED.is_dir(), reason=f"the published AlpacaEval files are not in {PUBLISHED}"
)


def annotations(preferences, lengths=None, datasets=None):
    """Numbered from 0; preferences in 0..1; lengths as (baseline, model)."""
    rows = []
    for number, preference in enumerate(preferences):
        base, own = lengths[number] if lengths is not None else (100 + 7 * number, 90 + 3 * number)
        rows.append(Annotation(number, preference, base, own, datasets[number] if datasets else ""))
    return Annotations(tuple(rows))


def world(rows=120, seed=0, length_effect=-2.0, skill=-0.5):
    """Preferences drawn from the model of the length control: (annotations, difficulty, baseline rows)."""
    draw = np.random.default_rng(seed)
    base, own = draw.integers(50, 3000, rows), draw.integers(50, 3000, rows)
    difficulty = draw.normal(size=rows)
    delta = base - own
    logit = length_effect * np.tanh(delta / delta.std(ddof=1)) + difficulty + skill
    chance = 1 / (1 + np.exp(-logit))
    preferences = np.clip(chance + draw.normal(scale=0.1, size=rows), 0, 1)
    size = 2 * rows
    gamed = BaselineRows(
        draw.normal(size=size), np.tile(difficulty, 2), np.clip(draw.normal(0.4, 0.3, size), 0, 1)
    )
    made = annotations([float(p) for p in preferences], list(zip(base.tolist(), own.tolist(), strict=True)))
    return made, difficulty, gamed


def short_row(
    number: Any = 0, preference: Any = 1.25, base: Any = 10, own: Any = 12, **more: Any
) -> dict[str, Any]:
    return {"i": number, "preference": preference, "len_baseline": base, "len_model": own, **more}


def full_row(
    number: Any = 0, preference: Any = 1.25, base: Any = "a baseline", own: Any = "a model's", **more: Any
) -> dict[str, Any]:
    names = {"generator_1": "base", "generator_2": "own"}
    texts = {"instruction": f"Do {number}.", "output_1": base, "output_2": own}
    return {**texts, **names, "preference": preference, **more}


def write_lines(path, rows):
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def write_table(path, header, rows):
    path.write_text("\n".join([header, *(",".join(map(str, row)) for row in rows)]) + "\n", encoding="utf-8")
    return path


def write_difficulty(path, values):
    return write_table(path, "index,instruction_difficulty", enumerate(values))


def write_gamed(path, gamed, size):
    header = "model,index,preference,std_delta_len,instruction_difficulty,not_gamed_baseline"
    rows = [
        ("gamed", number % size, preference, length, difficulty, False)
        for number, (preference, length, difficulty) in enumerate(
            zip(gamed.preference, gamed.length, gamed.difficulty, strict=True)
        )
    ]
    return write_table(path, header, rows)
