"""Makes the adapter that ships with the package, or another one like it, and the numbers that go with it.

    python benchmarks/judge_adapter.py RANKS.jsonl DIRECTORY [--pairs LLMBAR.jsonl] [--prompts N] [--ship DIR]

DIRECTORY keeps every step, so the same command goes on where it was stopped. With --ship the adapter is
written as the package has it: float16 safetensors, its config, and `about.json`.
"""

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from metareward import models, templates
from metareward.engines.transformers import open_transformers
from metareward.errors import DataError
from metareward.evaluate.judge_ask import JudgePairs, JudgeRanks, chosen_prompts
from metareward.evaluate.judge_data import read_pairs
from metareward.ids import file_digest
from metareward.models.base import Model
from metareward.recipes.eft import EFT, demonstrations
from metareward.run import Run
from metareward.stages.judge import Judge
from metareward.train.dpo import TrainMachine
from metareward.train.launch import launch
from metareward.train.sft import SFT

DATA = (
    "replies with people's quality scores, derived from OASST2 (Apache-2.0); the repository that the file "
    "comes from, raulc0399/self-rewarding-language-models at 02e4d196, has no licence file. No text of it "
    "ships here."
)
FEW = 60  # prompts whose free judgments are read
BASE = "smollm2-135m-instruct"
BRIEF = Judge(samples=1, max_tokens=48, template=templates.shipped("judge_brief"))
FULL = replace(BRIEF, template=templates.shipped("judge"))
TUNING = SFT(
    learning_rate=8e-4,
    batch_size=16,
    epochs=2,
    stop_after_epoch=None,
    warmup_ratio=0.05,
    max_length=1024,
    lora_rank=16,
    lora_alpha=32.0,
    lora_layers=12,
)
SETTINGS: dict[str, Any] = {
    "enabled": True,
    "held_out": 180,
    "max_prompt_characters": 400,
    "max_response_characters": 900,
    "verdict": "human",
    "justification": "neutral",
    "other_template": FULL.template,
    "other_share": 0.1,
    "margin": 0.15,
    "longer_share": 0.35,
    "sft": TUNING,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("ranks", type=Path)
    parser.add_argument("directory", type=Path)
    parser.add_argument("--pairs", type=Path)
    parser.add_argument("--prompts", type=int, help="train on so many prompts only, for a learning curve")
    parser.add_argument("--ship", type=Path)
    parser.add_argument(
        "--measure", type=int, default=2, help="0 trains only, 1 measures the result, 2 also the start"
    )
    parser.add_argument("--dtype", default="auto", help="of the weights that are measured")
    asked = parser.parse_args()
    eft = EFT(**SETTINGS, source=str(asked.ranks), prompts=asked.prompts)
    machine = TrainMachine(pairs_per_device=4, dtype="bfloat16", checkpoint_minutes=2)
    with Run(asked.directory, open_transformers(dtype=asked.dtype), launch, machine, listen=_say) as run:
        start = models.resolve(BASE)
        _, taken = demonstrations(run, eft, BRIEF, eft.read().train, start)
        trained = run.train(eft.sft, [taken], start=start, reference=start)
        numbers: dict[str, Any] = {"demonstrations": len(taken)}
        if asked.ship:
            ship(Path(trained.path), asked.ship)
        for name, model in (("after", trained), ("before", start))[: asked.measure]:
            for what, found in measured(run, model, eft, asked.pairs):
                numbers[f"{name}: {what}"] = found
                _write(asked.directory / "numbers.json", numbers)
        if asked.ship:
            _write(asked.ship / "about.json", about(asked.ship, eft, numbers))
    print(json.dumps(numbers, indent=2))


def measured(run: Run, model: Model, eft: EFT, pairs: Path | None) -> Iterator[tuple[str, dict[str, Any]]]:
    """Agreement and readability on the held-out prompts, and on pairs that others made."""
    ranked = eft.read().held_out.ranked
    forced = replace(BRIEF, reading="forced", max_tokens=24)
    few = chosen_prompts(ranked, FEW)
    yield "held-out, free", _score(run, model, JudgeRanks(few, BRIEF))
    yield "held-out, forced", _score(run, model, JudgeRanks(ranked, forced))
    if pairs is not None:
        natural = tuple(pair for pair in read_pairs(pairs) if pair.category in ("", "natural"))
        yield "LLMBar natural, forced", _score(run, model, JudgePairs(natural, "pointwise", judge=forced))
    yield "held-out, free, full template", _score(run, model, JudgeRanks(chosen_prompts(ranked, 20), FULL))


def ship(trained: Path, folder: Path) -> None:
    """The adapter of a training as the package has it."""
    import torch
    from safetensors.torch import load_file, save_file

    folder.mkdir(parents=True, exist_ok=True)
    source, target = trained / "adapter", folder / "adapter_model.safetensors"
    rows = load_file(source / target.name)
    save_file({name: value.to(torch.float16) for name, value in rows.items()}, target, {"format": "pt"})
    (folder / "adapter_config.json").write_text((source / "adapter_config.json").read_text())
    print(target.stat().st_size, file_digest(target), file=sys.stderr)


def about(folder: Path, eft: EFT, numbers: dict[str, Any]) -> dict[str, Any]:
    """What made an adapter: data, command, settings, numbers, and what must be known of the data."""
    settings = {**asdict(eft), "source": Path(eft.source).name}
    settings["other_template"] = "judge" * bool(eft.other_share)
    return {
        "base": BASE,
        "adapter_sha256": file_digest(folder / "adapter_model.safetensors"),
        "data": {"file": settings["source"], "sha256": file_digest(Path(eft.source)), "about": DATA},
        "command": f"python benchmarks/judge_adapter.py {settings['source']} DIRECTORY --ship {folder.name}",
        "settings": settings,
        "numbers": numbers,
    }


def _score(run: Run, model: Model, evaluation: Any) -> dict[str, Any]:
    (rows,) = evaluation.ask(run, model, model)
    judgments = list(rows)
    readable = sum(row.score is not None for row in judgments)
    said: dict[str, Any] = {"judgments": len(judgments), "readable": readable}
    try:
        return said | evaluation.score(judgments)
    except DataError as error:
        return said | {"why": str(error)}


def _write(file: Path, content: dict[str, Any]) -> None:
    file.write_text(json.dumps(content, indent=2) + "\n")


def _say(event: Any) -> None:
    print(event, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
