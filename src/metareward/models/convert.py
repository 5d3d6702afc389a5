"""From a quantised GGUF file to a directory that every engine and trainer can load."""

import contextlib
import importlib.util
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from metareward.errors import ModelError
from metareward.models.catalogue import Entry

_NEEDED = ("torch", "transformers", "accelerate", "safetensors", "gguf")
_QWEN_PADDING = re.compile(r"\[PAD\d+\]")
_QWEN_NOT_SPECIAL = {
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
}


def convert(gguf: Path, entry: Entry, destination: Path) -> None:
    """Write config, safetensors, tokenizer and chat template of `gguf` into `destination`.

    The weights are stored in `entry.dtype`. Raises ModelError if the extra `local` is not installed or
    the file is not the model that the catalogue describes.
    """
    check_installed(entry)
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    source = {"gguf_file": gguf.name, "local_files_only": True}  # GGUF is numbers and text, not a pickle
    dtype = getattr(torch, entry.dtype)
    with _quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent,
            quantization_config=GgufConfig(dequantize=True),
            dtype=dtype,
            trust_remote_code=False,
            **source,
        )
        tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, trust_remote_code=False, **source)
        _mend_model(model, entry)
        _check(model, tokenizer, entry)
        _mend_tokenizer(tokenizer, entry, context_tokens=model.config.max_position_embeddings)
        model.save_pretrained(destination)
        tokenizer.save_pretrained(destination)
    if entry.qwen_tokenizer:
        _mend_qwen_tokenizer(destination)


def check_installed(entry: Entry) -> None:
    """Raise ModelError if a package that the conversion needs is missing."""
    missing = [name for name in _NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        raise ModelError(
            f"{entry.name} has to be converted once, for which {', '.join(missing)} is missing: "
            "pip install 'metareward[local]', then try again."
        )


def _check(model: Any, tokenizer: Any, entry: Entry) -> None:
    if model.num_parameters() != entry.parameters:
        raise ModelError(
            f"{entry.name}: {model.num_parameters():,} parameters after conversion, {entry.parameters:,} "
            "expected; this version of transformers reads the file differently. Install the versions in "
            "constraints.txt."
        )
    if not tokenizer.chat_template:
        raise ModelError(f"{entry.name}: its GGUF file holds no chat template; the catalogue is wrong.")


def _mend_model(model: Any, entry: Entry) -> None:
    from transformers import GenerationConfig

    config = model.config
    if entry.tied:
        model.get_input_embeddings().weight = model.get_output_embeddings().weight
        config.tie_word_embeddings = True
        model.tie_weights()
    if hasattr(config, "_model_name_or_path"):
        del config._model_name_or_path  # GGUF's title of the model, which is the path of nothing
    # The loader derives this from the config, together with fields that only confuse later readers.
    model.generation_config = GenerationConfig(
        bos_token_id=config.bos_token_id,
        eos_token_id=list(entry.ends) or config.eos_token_id,
        pad_token_id=config.pad_token_id,
    )


def _mend_tokenizer(tokenizer: Any, entry: Entry, *, context_tokens: int) -> None:
    """Give back what GGUF loses: the cut of numbers into digits, and the length of the context."""
    from tokenizers import pre_tokenizers

    if entry.split_digits:
        digits = pre_tokenizers.Digits(individual_digits=True)
        byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])
    tokenizer.model_max_length = context_tokens
    for leftover in ("is_local", "local_files_only"):
        tokenizer.init_kwargs.pop(leftover, None)


def _mend_qwen_tokenizer(directory: Path) -> None:
    """Give back what GGUF loses of Qwen's tokenizer, in the files themselves, for any reader of them.

    Text is composed (Unicode NFC) before it is cut. The rows that pad the embedding are not tokens.
    Control tokens are no part of the vocabulary, and those for filling gaps in code are not "special".
    No token begins a sequence.
    """
    file = directory / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["normalizer"] = {"type": "NFC"}
    added = {token["content"] for token in content["added_tokens"]}
    vocabulary = content["model"]["vocab"]
    content["model"]["vocab"] = {
        token: number
        for token, number in vocabulary.items()
        if token not in added and not _QWEN_PADDING.fullmatch(token)
    }
    for token in content["added_tokens"]:
        token["special"] = token["content"] not in _QWEN_NOT_SPECIAL
    file.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
    settings = directory / "tokenizer_config.json"
    kept = json.loads(settings.read_text(encoding="utf-8")) | {"bos_token": None}
    settings.write_text(json.dumps(kept, indent=2) + "\n", encoding="utf-8")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Hide three progress bars and advice about a format that nobody sees again; errors still rise."""
    from transformers.utils import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        # One bar comes from tqdm itself and knows no switch but the stream it writes to.
        with contextlib.redirect_stderr(io.StringIO()):
            yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()
