"""GGUF files of a few kilobytes, written here: a llama and a qwen2 of one block with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

WIDTH, HIDDEN, HEADS = 16, 32, 2
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5  # types of tokens in GGUF


def random_weights(rows: int) -> dict[str, np.ndarray]:
    """Those of a llama with `rows` rows in the embedding, by their name in the file."""
    draw = np.random.default_rng(0)
    shapes = {f"blk.0.attn_{part}.weight": (WIDTH, WIDTH) for part in ("q", "k", "v", "output")}
    shapes |= {f"blk.0.ffn_{part}.weight": (HIDDEN, WIDTH) for part in ("gate", "up")}
    shapes |= {"blk.0.ffn_down.weight": (WIDTH, HIDDEN), "token_embd.weight": (rows, WIDTH)}
    shapes |= {f"blk.0.{part}_norm.weight": (WIDTH,) for part in ("attn", "ffn")} | {
        "output_norm.weight": (WIDTH,)
    }
    return {name: draw.normal(size=shape).astype(np.float32) for name, shape in shapes.items()}


def untied_qwen2_weights(rows: int) -> dict[str, np.ndarray]:
    """With biases, and with a matrix for the output that differs from the input's."""
    draw = np.random.default_rng(1)
    added = {f"blk.0.attn_{part}.bias": (WIDTH,) for part in ("q", "k", "v")} | {
        "output.weight": (rows, WIDTH)
    }
    return random_weights(rows) | {
        name: draw.normal(size=shape).astype(np.float32) for name, shape in added.items()
    }


def write_gguf(
    path: Path,
    architecture: str,
    weights: dict[str, np.ndarray],
    tokens: Sequence[tuple[str, int]],
    merges: Sequence[str],
    special: dict[str, int],
    template: str | None,
) -> None:
    """tokens: each with its type. special: ids by role (bos, eos, unk, pad)."""
    import gguf

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_name("A tiny model")
    writer.add_context_length(64)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(100_000.0)
    writer.add_vocab_size(len(tokens))
    _add_tokenizer(writer, architecture, tokens, merges, special)
    if template is not None:
        writer.add_chat_template(template)
    for name, values in weights.items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def _add_tokenizer(
    writer: Any,
    architecture: str,
    tokens: Sequence[tuple[str, int]],
    merges: Sequence[str],
    special: dict[str, int],
) -> None:
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre({"llama": "smollm", "qwen2": "qwen2"}[architecture])
    writer.add_token_list([token for token, _ in tokens])
    writer.add_token_types([kind for _, kind in tokens])
    writer.add_token_merges(list(merges))
    for role, number in special.items():
        getattr(writer, f"add_{role}_token_id")(number)
