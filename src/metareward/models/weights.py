"""What the numbers in files of weights say: all of them finite? Is the head one of its own?."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metareward.models.directory import weight_files
from metareward.models.memo import remembered

_HEADS = ("lm_head.weight", "embed_out.weight", "output.weight")
_EMBEDDINGS = ("embed_tokens.weight", "wte.weight", "word_embeddings.weight", "embed_in.weight")
_SLICE = 1 << 24  # numbers looked at together


def not_finite(directory: Path) -> list[str]:
    """The names of the weights of a directory that hold NaN or an infinity, in order.

    Reads every byte, a slice at a time: about a second per gigabyte, once for a file that stays the same.
    """
    names: list[str] = []
    for file in weight_files(directory):
        names += remembered("not finite", [file], lambda file=file: _not_finite(file))
    return names


def stored_head(directory: Path) -> str | None:
    """How a stored head stands to the stored embeddings: "same", "different"; None if one is missing."""
    files = weight_files(directory)
    return remembered("stored head", files, lambda: _stored_head(files))


def _not_finite(file: Path) -> list[str]:
    from safetensors import safe_open

    bad = []
    with safe_open(file, framework="pt") as weights:
        for name in weights.keys():  # noqa: SIM118 - no mapping
            if not all(map(_all_finite, _slices(weights.get_tensor(name)))):
                bad.append(name)
    return bad


def _slices(tensor: Any) -> Iterator[Any]:
    yield from tensor.reshape(-1).split(_SLICE)


def _all_finite(part: Any) -> bool:
    import torch

    if not part.is_floating_point():
        return True
    if part.element_size() == 1:  # eight bits: few operations are known for them
        part = part.to(torch.float32)
    return bool(torch.isfinite(part).all())


def _stored_head(files: list[Path]) -> str | None:
    import torch
    from safetensors import safe_open

    found: dict[str, Any] = {}
    for file in files:
        with safe_open(file, framework="pt") as weights:
            for name in weights.keys():  # noqa: SIM118 - no mapping
                for kind, endings in (("head", _HEADS), ("embeddings", _EMBEDDINGS)):
                    if name.endswith(endings) and kind not in found:
                        found[kind] = weights.get_tensor(name)
    if len(found) < 2:
        return None
    return "same" if torch.equal(found["head"], found["embeddings"]) else "different"
