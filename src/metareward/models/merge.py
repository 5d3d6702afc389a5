"""A LoRA adapter that ships with the package added to the weights of the model it was trained on."""

import json
import shutil
from importlib import resources
from pathlib import Path
from typing import Any

from metareward.errors import ModelError
from metareward.ids import file_digest
from metareward.models.catalogue import Entry

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"
_BASE_WEIGHTS = "model.safetensors"
_PREFIX = "base_model.model."


def merge(base: Path, entry: Entry, destination: Path) -> None:
    """Write the model of `base` with the adapter of `entry` into `destination`, a new directory.

    Each adapted weight W becomes W + lora_alpha / r * B A (arXiv 2106.09685, section 4.1), computed in
    float32 and stored as W was. Raises ModelError if the adapter is not the one that the catalogue names.
    """
    with resources.as_file(resources.files("metareward").joinpath("adapters", entry.adapter)) as folder:
        _check(folder, entry)
        deltas = deltas_of(folder)
    shutil.copytree(base, destination, ignore=shutil.ignore_patterns(_BASE_WEIGHTS, "metareward.json"))
    add(base / _BASE_WEIGHTS, deltas, destination / _BASE_WEIGHTS)


def deltas_of(folder: Path) -> dict[str, Any]:
    """What an adapter of peft adds to each weight, (out, in) in float32, by the weight's name."""
    from safetensors.torch import load_file

    config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    scale = config["lora_alpha"] / config["r"]
    rows = {name: value.float() for name, value in load_file(folder / WEIGHTS).items()}
    stems = [name.removesuffix(".lora_A.weight") for name in rows if name.endswith(".lora_A.weight")]
    return {
        f"{stem.removeprefix(_PREFIX)}.weight": scale
        * (rows[f"{stem}.lora_B.weight"] @ rows[f"{stem}.lora_A.weight"])
        for stem in stems
    }


def add(weights: Path, deltas: dict[str, Any], destination: Path) -> None:
    """Write `weights` with the deltas added. Raises ModelError for a delta of a weight that is not there."""
    from safetensors.torch import load_file, save_file

    rows = load_file(weights)
    if missing := sorted(deltas.keys() - rows.keys()):
        raise ModelError(
            f"{weights}: there is no {missing[0]}, which the adapter changes; it is of another model"
        )
    changed = {name: (rows[name].float() + delta).to(rows[name].dtype) for name, delta in deltas.items()}
    save_file({**rows, **changed}, destination, metadata={"format": "pt"})


def _check(folder: Path, entry: Entry) -> None:
    file = folder / WEIGHTS
    if not file.is_file() or file_digest(file) != entry.adapter_sha256:
        raise ModelError(
            f"{entry.name}: the adapter in {folder} is missing or is not the one this version ships; install "
            "metareward again"
        )
