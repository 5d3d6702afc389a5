"""A model directory on disk: whether it is whole and safe to load, and the fingerprint of its content."""

import json
from pathlib import Path

from metareward import files
from metareward.errors import ModelError
from metareward.ids import file_digest, fingerprint
from metareward.settings import shown

_WEIGHTS = "model.safetensors"
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
    "adapter_config.json",
)
_SETTINGS = ("config.json", "generation_config.json", "tokenizer_config.json")
_OTHER_FORMAT = "consolidated*.safetensors"  # Mistral's own, beside those that are loaded; never read
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")


def check_directory(directory: Path, surplus: bool = True) -> None:
    """Raise ModelError unless `directory` holds a readable config and whole safetensors weights.

    surplus: refuse files of weights, too, that are beside those of the model.
    """
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
    if (directory / "adapter_config.json").is_file():
        raise ModelError(
            f"{directory} holds a whole model and a LoRA adapter (adapter_config.json): which of the two is "
            "meant cannot be told. Move the adapter elsewhere, or merge it into the model (peft: "
            "merge_and_unload, then save_pretrained) and name that directory."
        )
    if not weight_files(directory):
        raise ModelError(_no_safetensors(directory))
    if missing := _missing_shards(directory):
        more = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        raise ModelError(
            f"{directory}: {WEIGHTS_INDEX} names {missing[0]}{more}, which is not there; the copy is "
            "incomplete. Copy or download the model again."
        )
    if surplus:
        _check_surplus(directory)
    for name in _SETTINGS:
        _check_settings(directory / name)
    for weights in weight_files(directory):
        if fault := files.safetensors_fault(weights):
            raise ModelError(f"{weights} {fault}. Copy or download the model again.")


def weight_files(directory: Path) -> list[Path]:
    """The files of weights in a directory, by name, but for copies in Mistral's own format."""
    other = {*directory.glob(_OTHER_FORMAT)}
    return sorted(path for path in directory.glob("*.safetensors") if path not in other)


def meaningful(directory: Path) -> list[Path]:
    """All files of a directory that decide what the model answers, by name."""
    return sorted({path for pattern in MEANINGFUL for path in directory.glob(pattern) if path.is_file()})


def directory_fingerprint(directory: Path) -> str:
    """Hash of the names and contents of all files that decide what the model answers; not of its path.

    Reads every byte of the weights: about a second per gigabyte.
    """
    files = {path.name: path for path in meaningful(directory)}
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


def _check_surplus(directory: Path) -> None:
    """Refuse two sets of weights in one directory: which of them is loaded is decided by chance of a name."""
    files = [path.name for path in weight_files(directory)]
    named = _named_shards(directory)
    if named is None and _WEIGHTS not in files:
        raise ModelError(
            f"{directory} has {shown(files[0])} and neither {_WEIGHTS} nor {WEIGHTS_INDEX}, by which weights "
            "are found. Copy or download the model again, with all its files."
        )
    loaded = {_WEIGHTS} if named is None else named
    surplus = sorted({*files} - loaded)
    if surplus:
        more = f" (and {len(surplus) - 1} more)" if len(surplus) > 1 else ""
        by = _WEIGHTS if named is None else f"the parts that {WEIGHTS_INDEX} names"
        raise ModelError(
            f"{directory} has one file of weights too many: {shown(surplus[0])}{more} beside {by}. Two "
            "models lie in one directory, or what is left of another: move elsewhere what is not meant."
        )


def _missing_shards(directory: Path) -> list[str]:
    return sorted(name for name in _named_shards(directory) or () if not (directory / name).is_file())


def _named_shards(directory: Path) -> set[str] | None:
    """The files that the index of weights names; None if there is no index."""
    index = directory / WEIGHTS_INDEX
    if not index.is_file():
        return None
    try:
        named = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
    except (ValueError, KeyError, AttributeError, TypeError):
        raise ModelError(f"{index} is not a readable weights index. Copy the model again.") from None
    outside = [name for name in named if not isinstance(name, str) or Path(name).name != name]
    if outside:
        raise ModelError(f"{index} names a file outside the directory: {shown(outside[0])}. Do not trust it.")
    return named
