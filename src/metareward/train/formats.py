"""The number format of each tensor of a checkpoint, kept by the model that is trained from it.

Checkpoints mix formats on purpose: a router's bias or a norm stays float32 among bfloat16, since rounding it
changes what the model does. The weights that are trained are float32 all, so the files say what to write.
"""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from metareward.train.finite import not_finite

_FORMATS = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
_INDEX = "model.safetensors.index.json"


@dataclass(frozen=True)
class Formats:
    """The format of each tensor by its name in the files, and the one that most numbers have."""

    known: Mapping[str, torch.dtype]
    usual: torch.dtype

    @classmethod
    def of(cls, folder: Path, named: torch.dtype | None) -> "Formats":
        """Those of the checkpoint in a directory. named: what its config says, for one without files."""
        known: dict[str, torch.dtype] = {}
        numbers: Counter[torch.dtype] = Counter()
        for file in _weights(folder):
            with safe_open(file, framework="pt") as stored:
                for name in stored.keys():  # noqa: SIM118
                    part = stored.get_slice(name)
                    if kind := _FORMATS.get(part.get_dtype()):
                        known[name] = kind
                        numbers[kind] += torch.Size(part.get_shape()).numel()
        usual = numbers.most_common(1)[0][0] if numbers else named or torch.float32
        return cls(known, usual)

    def applied(self, weights: Mapping[str, Any]) -> dict[str, Any]:
        """The weights on the CPU in their formats, those that share memory still sharing it.

        A tensor whose name the files do not have (transformers joins some when it loads) stays as it is
        until its name is known: `settle`.
        """
        kinds: dict[int, torch.dtype] = {}
        for name, value in weights.items():
            if name in self.known and value.is_floating_point():
                kinds.setdefault(value.data_ptr(), self.known[name])
        cast = {
            value.data_ptr(): value.detach().to("cpu", kinds.get(value.data_ptr(), value.dtype))
            for value in weights.values()
        }
        return {name: cast[value.data_ptr()] for name, value in weights.items()}

    def settle(self, folder: Path) -> str | None:
        """Give every tensor that was saved in a directory its format, now under the name that files have.

        Returns the name of one that is no number in it, if there is one.
        """
        sizes = 0
        for file in _weights(folder):
            saved = load_file(file)
            right = {name: self._in_format(name, value) for name, value in saved.items()}
            if any(right[name].dtype != value.dtype for name, value in saved.items()):
                if name := not_finite(right.items()):
                    return name
                save_file(right, file, metadata={"format": "pt"})
            sizes += sum(value.nbytes for value in right.values())
        index = folder / _INDEX
        if index.is_file():
            told = json.loads(index.read_text(encoding="utf-8"))
            told["metadata"]["total_size"] = sizes
            index.write_text(json.dumps(told, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        return None

    def _in_format(self, name: str, value: torch.Tensor) -> torch.Tensor:
        return value.to(self.known.get(name, self.usual)) if value.is_floating_point() else value


def _weights(folder: Path) -> list[Path]:
    """The files of a whole model's weights; those of an adapter beside it are none."""
    return sorted(file for file in folder.glob("*.safetensors") if not file.name.startswith("adapter"))
