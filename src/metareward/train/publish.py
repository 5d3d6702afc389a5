"""The last act of a training: its weights, tokenizer and result appear together, or not at all."""

import json
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig

from metareward import disk
from metareward.engines.chat import load_tokenizer
from metareward.train.job import TrainJob, TrainResult, write_result


def partial_of(output_dir: Path) -> Path:
    """Where a result is put together before it gets its name."""
    return output_dir.with_name(f".{output_dir.name}.partial")


def publish(job: TrainJob, trainer: Any, result: TrainResult, adapter: Path | None = None) -> None:
    """Write weights, tokenizer and result to a new directory, and give it its name when all is there.

    adapter: a directory that is copied into it as `adapter`.
    """
    weights = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    if trainer.accelerator.is_main_process:
        partial = partial_of(job.output_dir)
        shutil.rmtree(partial, ignore_errors=True)
        disk.make_directory(partial)
        model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
        _save_weights(
            model, weights, partial, AutoConfig.from_pretrained(job.start, trust_remote_code=False).dtype
        )
        load_tokenizer(job.start).save_pretrained(partial)
        if adapter is not None:
            shutil.copytree(adapter, partial / "adapter")
        write_result(partial, replace(result, files=disk.digests(partial)))
        disk.sync_tree(partial)
        disk.rename(partial, job.output_dir)
        disk.sync(job.output_dir.parent)
    trainer.accelerator.wait_for_everyone()


def _save_weights(model: Any, weights: Mapping[str, Any], folder: Path, dtype: Any) -> None:
    """Save in the number format of the model we started from, which is what engines load and run."""
    name = str(dtype or "float32").removeprefix("torch.")
    cast = {value.data_ptr(): value.detach().to("cpu", getattr(torch, name)) for value in weights.values()}
    tied = {key: cast[value.data_ptr()] for key, value in weights.items()}
    model.save_pretrained(folder, state_dict=tied)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dtype": name}, indent=2) + "\n")
