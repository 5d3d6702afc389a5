"""The last act of a training: its weights, tokenizer and result appear together, or not at all."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from transformers import AutoConfig

from metareward import disk
from metareward.engines.chat import load_tokenizer
from metareward.train.distributed import full_weights
from metareward.train.finite import diverged, not_finite
from metareward.train.formats import Formats
from metareward.train.job import TrainJob, TrainResult, write_result


def partial_of(output_dir: Path) -> Path:
    """Where a result is put together before it gets its name."""
    return output_dir.with_name(f".{output_dir.name}.partial")


def publish(job: TrainJob, trainer: Any, result: TrainResult, adapter: Path | None = None) -> None:
    """Write weights, tokenizer and result to a new directory, and give it its name when all is there.

    adapter: a directory that is copied into it as `adapter`. Raises StepError if a weight is no number.
    """
    weights = full_weights(trainer.accelerator, trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        partial = partial_of(job.output_dir)
        shutil.rmtree(partial, ignore_errors=True)
        disk.make_directory(partial)
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        _save_weights(model, weights, partial, job, result.steps)
        load_tokenizer(job.start).save_pretrained(partial)
        if adapter is not None:
            shutil.copytree(adapter, partial / "adapter")
        write_result(partial, replace(result, files=disk.digests(partial)))
        disk.sync_tree(partial)
        disk.rename(partial, job.output_dir)
        disk.sync(job.output_dir.parent)
    trainer.accelerator.wait_for_everyone()


def _save_weights(model: Any, weights: Mapping[str, Any], folder: Path, job: TrainJob, step: int) -> None:
    """Save each tensor in the number format that it has where we started from, as engines expect it."""
    config: Any = AutoConfig.from_pretrained(job.start, trust_remote_code=False)
    formats = Formats.of(Path(job.start), config.dtype)
    kept = formats.applied(weights)
    learnt = dict(model.named_parameters())  # buffers, such as masks, may hold anything
    if name := not_finite((name, value) for name, value in kept.items() if name in learnt):
        raise diverged(step, name, job.dpo)
    model.save_pretrained(folder, state_dict=kept)
    if name := formats.settle(folder):
        raise diverged(step, name, job.dpo)
    file = folder / "config.json"
    written = json.loads(file.read_text(encoding="utf-8"))
    named = str(config.dtype or formats.usual).removeprefix("torch.")
    file.write_text(json.dumps({**written, "dtype": named}, indent=2) + "\n", encoding="utf-8")
