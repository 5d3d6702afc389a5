"""Makes the tables of weights: digests of a catalogue model's weights, read from the GGUF file by hand.

    python tests/data/make_weights_table.py smollm2 SmolLM2-135M-Instruct.Q4_1.gguf
    python tests/data/make_weights_table.py qwen2 qwen2.5-coder-1.5b-instruct-q4_k_m.gguf

Two readings that share no code must agree before a digest is written: the numpy formulas below, from the
description of the block formats, and `gguf.dequantize`. The digest is the SHA-256 of the values in row-major
order, as they are stored: SmolLM2's in float32, after undoing the order in which the llama converters store
the rows of queries and keys; Qwen2's rounded to float16, and of its two roundings of the tied matrix only
that of the output.
"""

import hashlib
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gguf import GGUFReader, dequantize

PARTS = {
    "attn_norm": "input_layernorm",
    "ffn_norm": "post_attention_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


@dataclass(frozen=True)
class Family:
    """What differs. embedding: which tensor becomes it. heads: whose halves lie interleaved, by part."""

    embedding: str
    dtype: type[np.floating]
    heads: dict[str, int] = field(default_factory=dict)


FAMILIES = {
    "smollm2": Family("token_embd.weight", np.float32, {"attn_q": 9, "attn_k": 3}),
    "qwen2": Family("output.weight", np.float16),
}


def q4_1(blocks_XB: np.ndarray) -> np.ndarray:
    """20 bytes hold 32 weights: scale, minimum (float16), then nibbles, the low ones first."""
    scale_X1 = blocks_XB[:, 0:2].copy().view(np.float16).astype(np.float32)
    minimum_X1 = blocks_XB[:, 2:4].copy().view(np.float16).astype(np.float32)
    nibbles_XW = np.concatenate([blocks_XB[:, 4:] & 15, blocks_XB[:, 4:] >> 4], axis=1)
    return scale_X1 * nibbles_XW.astype(np.float32) + minimum_X1


def q8_0(blocks_XB: np.ndarray) -> np.ndarray:
    """34 bytes hold 32 weights: scale (float16), then signed bytes."""
    scale_X1 = blocks_XB[:, 0:2].copy().view(np.float16).astype(np.float32)
    return scale_X1 * blocks_XB[:, 2:].copy().view(np.int8).astype(np.float32)


def q4_k(blocks_XB: np.ndarray) -> np.ndarray:
    """144 bytes hold 8 groups of 32 weights: scale, minimum (float16), 8 times 6 bits of each, nibbles."""
    scale_X1 = blocks_XB[:, 0:2].copy().view(np.float16).astype(np.float32)
    minimum_X1 = blocks_XB[:, 2:4].copy().view(np.float16).astype(np.float32)
    a_X4, b_X4, c_X4 = blocks_XB[:, 4:8], blocks_XB[:, 8:12], blocks_XB[:, 12:16]
    scales_X8 = np.concatenate([a_X4 & 63, (c_X4 & 15) | (a_X4 >> 6 << 4)], axis=1)
    minima_X8 = np.concatenate([b_X4 & 63, (c_X4 >> 4) | (b_X4 >> 6 << 4)], axis=1)
    bytes_X4W = blocks_XB[:, 16:].reshape(-1, 4, 32)  # each holds two groups, the low nibbles first
    nibbles_X8W = np.stack([bytes_X4W & 15, bytes_X4W >> 4], axis=2).reshape(-1, 8, 32)
    steps_X81, floors_X81 = (scale_X1 * scales_X8)[..., None], (minimum_X1 * minima_X8)[..., None]
    return steps_X81 * nibbles_X8W.astype(np.float32) - floors_X81


def q6_k(blocks_XB: np.ndarray) -> np.ndarray:
    """210 bytes hold 2 halves of 128 weights: 64 bytes of low nibbles, 32 of high pairs of bits each, then
    16 signed scales for 16 weights each, then one for all (float16)."""
    low_XHB = blocks_XB[:, 0:128].reshape(-1, 2, 64)
    high_XHB = blocks_XB[:, 128:192].reshape(-1, 2, 32)
    scales_XS = blocks_XB[:, 192:208].copy().view(np.int8).astype(np.float32)
    scale_X1 = blocks_XB[:, 208:210].copy().view(np.float16).astype(np.float32)
    nibbles_XHQW = np.concatenate([low_XHB & 15, low_XHB >> 4], axis=2).reshape(-1, 2, 4, 32)
    pairs_XHQW = np.stack([high_XHB >> shift & 3 for shift in (0, 2, 4, 6)], axis=2)
    values_XSW = (nibbles_XHQW | pairs_XHQW << 4).astype(np.float32).reshape(-1, 16, 16) - 32
    return (scale_X1 * scales_XS)[..., None] * values_XSW


BLOCKS = {"Q4_1": (20, q4_1), "Q8_0": (34, q8_0), "Q4_K": (144, q4_k), "Q6_K": (210, q6_k)}


def by_hand(data: np.ndarray, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "F32":
        return np.asarray(data, dtype=np.float32).reshape(shape)
    size, read = BLOCKS[kind]
    return read(np.asarray(data).reshape(-1, size)).reshape(shape)


def halves_apart(weights_RC: np.ndarray, heads: int) -> np.ndarray:
    """GGUF interleaves the two halves of each head's rows (rotary pairs lie together); put them apart."""
    rows, columns = weights_RC.shape
    pairs = weights_RC.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.transpose(0, 2, 1, 3).reshape(rows, columns)


def our_name(name: str, family: Family) -> str | None:
    """Where the weights are stored; None if they are not."""
    if not name.startswith("blk."):
        ours = {family.embedding: "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
        return ours.get(name)
    _, block, part, kind = name.split(".")
    return f"model.layers.{block}.{PARTS[part]}.{kind}"


def main(name: str, path: Path) -> None:
    table: dict[str, str] = {}
    family = FAMILIES[name]
    for tensor in GGUFReader(path).tensors:
        ours = our_name(tensor.name, family)
        if ours is None:
            continue
        shape = tuple(int(size) for size in reversed(tensor.shape))
        weights = by_hand(tensor.data, tensor.tensor_type.name, shape)
        np.testing.assert_array_equal(weights, dequantize(tensor.data, tensor.tensor_type))
        part = tensor.name.split(".")[-2]
        weights = halves_apart(weights, family.heads[part]) if part in family.heads else weights
        stored = np.ascontiguousarray(weights.astype(family.dtype))
        table[ours] = hashlib.sha256(stored.tobytes()).hexdigest()
    target = Path(__file__).with_name(f"{name}_weights.json")
    target.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n", encoding="ascii")
    print(f"{len(table)} tensors written to {target}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
