"""The card of an exported dataset: what is in it, what made it, and what was left out and why."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from metareward.display import code, markdown, plain
from metareward.errors import StoreError
from metareward.ids import fingerprint
from metareward.provenance import engine_of, supervision_of
from metareward.store import Manifest
from metareward.train.job import RESULT, TrainResult, read_result

SPLITS = ("train", "held_out")
_ITERATION = re.compile(r"iteration (\d+)")
_LONG = 200  # characters of a setting; a longer one is named by its fingerprint
_PLACES = {"pairs": ("actor_pairs", "judge_pairs")}
_ABOUT = {
    "pairs": "preference pairs of both roles: `prompt`, `chosen`, `rejected` as lists of messages",
    "actor_pairs": "pairs of responses; scores are mean judgments, on the scale of the rubric",
    "judge_pairs": "pairs of judgments of one response; scores are Elo (natural log units), and of pairs "
    "that an attack left, minus the distance from the right verdict",
    "responses": "every sampled response, duplicates and failures included",
    "judgments": "every sampled judgment; `score` is null where `unread` says why it could not be read",
    "battles": "every comparison of two judgments by the meta-judge; `outcome` is by position",
    "prompts": "every prompt that was asked about; `prompt_id` of the others names them by `id`",
}
_HEAD = """\
---
pretty_name: Preference pairs and judgments of a metareward run
tags:
- preference
- dpo
- synthetic
- metareward
configs:
{configs}
---

# Preference pairs and judgments of a metareward run

**Responses, judgments and comparisons in this dataset were written by language models.** They were checked
by no human and may be wrong, biased or offensive. The prompts come from the source named in the config. The
licences of the prompts and of the models apply; a lone surrogate in a text was replaced by U+FFFD.

Load with `datasets.load_dataset(folder, "pairs", split="train")`; TRL's `DPOTrainer` takes `pairs`,
`actor_pairs` and `judge_pairs` as they are. The split `held_out` has what was asked about prompts that no
model was trained on.
"""


def write_card(folder: Path, run: Path, steps: Sequence[Manifest], counts: Mapping[str, int]) -> None:
    """Write the card of an export of the run in directory `run`, whose tables lie in `folder` already.

    counts: rows of each config that has any. Raises StoreError if a file of the run is damaged.
    """
    sections = [
        _HEAD.format(configs="\n".join(_config(folder, name, name == next(iter(counts))) for name in counts)),
        f"Supervision: {_one_line(supervision_of(run))}.\n",
        f"Engine: {_one_line(engine_of(run))}.\n",
        "## Configs\n\n" + _table(("config", "rows", "what"), [(n, c, _ABOUT[n]) for n, c in counts.items()]),
        "## Models\n\n" + _models(run, steps),
        "## Steps\n\n" + _steps(steps),
        "## Left out, by reason\n\n" + _dropped(run, steps),
        "## Settings\n\n" + _settings(run, steps),
    ]
    text = "\n".join(sections)
    (folder / "README.md").write_text(text, encoding="utf-8", errors="replace")


def split_of(step: Manifest) -> str:
    """Which split a step's rows belong to: those of a look at held-out prompts were never trained on."""
    return "held_out" if step.section.startswith("held-out ") else "train"


def iteration_of(step: Manifest, last: bool = False) -> Any:
    """The number of the iteration a step belongs to; without one None, or `last`: infinity."""
    match = _ITERATION.fullmatch(step.section)
    return int(match[1]) if match else float("inf") if last else None


def _one_line(text: str) -> str:
    """Text of a config in a line of Markdown: nothing in it is markup."""
    return re.sub(r"([\\`*_{}\[\]<>#|])", r"\\\1", " ".join(text.split()))


def _config(folder: Path, name: str, default: bool) -> str:
    lines = [f"- config_name: {name}", *(["  default: true"] if default else []), "  data_files:"]
    for split in SPLITS:
        places = [place for place in _PLACES.get(name, (name,)) if any((folder / place).glob(f"{split}-*"))]
        if places:
            lines += [f"  - split: {split}", "    path:"]
            lines += [f"    - {place}/{split}-*.parquet" for place in places]
    return "\n".join(lines)


def _models(run: Path, steps: Sequence[Manifest]) -> str:
    spoke: dict[str, list[str]] = {}
    for step in steps:
        if step.model is not None:
            spoke.setdefault(step.model, []).append(step.section)
    rows = []
    for model in dict.fromkeys([*spoke, *_trained(run)]):
        where = markdown(", ".join(dict.fromkeys(spoke.get(model, []))) or "-")
        rows.append((code(model), _origin(run, model), where))
    return _table(("fingerprint", "made by", "spoke in"), rows)


def _origin(run: Path, model: str) -> str:
    if model not in _trained(run):
        name = _config_json(run).get("model")
        return f"the model this run began with{f', {_last(name)}' if isinstance(name, str) else ''}"
    result = _result(run, model)
    return f"training here: {result.pairs_used} pairs, loss {result.loss_first:.4f} to {result.loss_last:.4f}"


def _last(name: str) -> str:
    """A hub id as it is; of a path on somebody's machine the last part only."""
    return code(Path(name).name if name.startswith(("/", ".", "~")) else name)


def _result(run: Path, model: str) -> TrainResult:
    file = run / "models" / model / RESULT
    try:
        result = read_result(file)
        if all(isinstance(count, int) for count in (result.pairs_used, *result.dropped.values())):
            return replace(result, loss_first=float(result.loss_first), loss_last=float(result.loss_last))
        raise TypeError("a count is no number")
    except (OSError, ValueError, TypeError, AttributeError, RecursionError) as error:
        raise StoreError(f"{file}: damaged ({error}); run the config again to mend it") from None


def _config_json(run: Path) -> dict[str, Any]:
    file = run / "config.json"
    try:
        content = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
    except (ValueError, RecursionError) as error:
        raise StoreError(f"{file}: damaged ({error}); remove it and run the config again") from None
    if not isinstance(content, dict):
        raise StoreError(f"{file}: damaged (it holds no settings); remove it and run the config again")
    return content


def _steps(steps: Sequence[Manifest]) -> str:
    rows = [
        (markdown(s.section) or "-", markdown(s.name), s.rows, sum(s.dropped.values()), code(s.key))
        for s in steps
    ]
    table = _table(("section", "step", "rows", "left out", "step_key"), rows)
    twice = [place for place, n in Counter((s.section, s.name) for s in steps if s.inputs).items() if n > 1]
    twice = [place for place in twice if not place[0].startswith("held-out")]
    if not twice:
        return table
    names = "; ".join(markdown(f"{section}, {name}") for section, name in twice)
    return (
        f"{table}\nThe run's settings were changed on the way, so these were done more than once: {names}. "
        "Tell them apart by `step_key`.\n"
    )


def _dropped(run: Path, steps: Sequence[Manifest]) -> str:
    rows = [
        (markdown(s.section) or "-", markdown(s.name), markdown(why), count)
        for s in steps
        for why, count in s.dropped.items()
    ]
    for model in _trained(run):
        lost = _result(run, model).dropped
        rows += [("-", f"train {code(model)}", markdown(why), count) for why, count in lost.items() if count]
    return _table(("section", "step", "reason", "count"), rows) if rows else "Nothing was left out.\n"


def _trained(run: Path) -> list[str]:
    return sorted(path.parent.name for path in (run / "models").glob(f"*/{RESULT}"))


def _settings(run: Path, steps: Sequence[Manifest]) -> str:
    file = run / "config.toml"
    told = []
    if file.is_file():
        told.append("The config:\n\n" + _fenced(file.read_text(encoding="utf-8", errors="replace"), "toml"))
    lines = dict.fromkeys(
        f"{s.name}: {json.dumps(_short(s.step), ensure_ascii=False)}" for s in steps if s.step
    )
    told.append("The settings of each step, defaults included:\n\n" + _fenced("\n".join(lines), "text"))
    return "\n".join(told)


def _short(step: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: f"{len(value)} characters, {fingerprint(value)}"
        if isinstance(value, str) and len(value) > _LONG
        else value
        for name, value in step.items()
    }


def _fenced(text: str, language: str) -> str:
    text = plain(text)
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def _table(names: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A table; cells are Markdown already."""
    lines = [names, ["---"] * len(names), *rows]
    return "".join("| " + " | ".join(map(str, line)) + " |\n" for line in lines)
