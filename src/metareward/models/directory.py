"""A model directory on disk: whether it is whole and safe to load, and the fingerprint of its content."""

import json
from pathlib import Path

from metareward import files
from metareward.errors import ModelError
from metareward.ids import file_digest, fingerprint
from metareward.settings import shown

WEIGHTS_INDEX = "model.safetensors.index.json"
# Every file that can change what a model answers; the hub is asked for these and no others.
MEANINGFUL = (
    "config.json",
    "generation_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
)
_SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json")
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_directory(directory: Path) -> None:
    """Raise ModelError unless `directory` holds a readable config and whole safetensors weights."""
    if not directory.is_dir():
        what = "is a file, not a directory" if directory.exists() else "does not exist"
        raise ModelError(f"the model directory {directory} {what}. Name one that holds config.json.")
    if not (directory / "config.json").is_file():
        if (directory / "adapter_config.json").is_file():
            raise ModelError(
                f"{directory} is a LoRA adapter, not a model. Merge it into its base model first "
                "(peft: merge_and_unload, then save_pretrained)."
            )
        raise ModelError(f"{directory} has no config.json. Name the directory that save_pretrained wrote.")
    if not any(directory.glob("*.safetensors")):
        raise ModelError(_no_safetensors(directory))
    if missing := _missing_shards(directory):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ModelError(
            f"{directory}: {WEIGHTS_INDEX} names {missing[0]}{more}, which is not there; the copy is "
            "incomplete. Copy or download the model again."
        )
    for name in _SETTINGS:
        _check_settings(directory / name)
    for weights in sorted(directory.glob("*.safetensors")):
        if fault := files.safetensors_fault(weights):
            raise ModelError(f"{weights} {fault}. Copy or download the model again.")


def directory_fingerprint(directory: Path) -> str:
    """Hash of the names and contents of all files that decide what the model answers; not of its path.

    Reads every byte of the weights: about a second per gigabyte.
    """
    files = {path.name: path for pattern in MEANINGFUL for path in directory.glob(pattern) if path.is_file()}
    return fingerprint("directory", [[name, file_digest(files[name])] for name in sorted(files)])


def _no_safetensors(directory: Path) -> str:
    pickles = sorted(path.name for pattern in _PICKLES for path in directory.glob(pattern))
    if pickles:
        return (
            f"{directory} has only pickled weights ({pickles[0]}), which can run any code when loaded: "
            "refused. Load them where you trust them and write safetensors with save_pretrained."
        )
    if any(directory.glob("*.gguf")):
        return f"{directory} has only GGUF weights. Write safetensors of them with transformers first."
    return f"{directory} has a config.json but no *.safetensors weights. Copy or download the model again."


def _check_settings(file: Path) -> None:
    """Libraries take a damaged file of settings for none at all, and the model for another one."""
    if not (file.exists() or file.is_symlink()):
        return
    try:
        content = json.loads(files.read_text(file))
    except (files.UnreadableError, ValueError, RecursionError) as error:
        raise ModelError(f"{file}: not JSON that can be read ({error}). Copy the model again.") from None
    if not isinstance(content, dict):
        raise ModelError(f"{file}: must hold a JSON object of settings. Copy the model again.")


def _missing_shards(directory: Path) -> list[str]:
    index = directory / WEIGHTS_INDEX
    if not index.is_file():
        return []
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ModelError(f"{index} is not a readable weights index. Copy the model again.") from None
    outside = [name for name in named if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise ModelError(f"{index} names a file outside the directory: {shown(outside[0])}. Do not trust it.")
    return sorted(name for name in named if not (directory / name).is_file())
