"""Makes smollm2_weights.json: digests of the default model's weights, read from the GGUF file by hand.

    python tests/data/make_weights_table.py SmolLM2-135M-Instruct.Q4_1.gguf

Two readings that share no code must agree before a digest is written: the numpy formulas below, from the
description of the block formats, and `gguf.dequantize`. The digest is the SHA-256 of the float32 values in
row-major order, after undoing the order in which the llama converters store the rows of queries and keys.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader, dequantize

TABLE = Path(__file__).with_name("smollm2_weights.json")
HEADS = {"attn_q": 9, "attn_k": 3}
OUTER = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}
NAMES = {
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


def by_hand(data: np.ndarray, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    if kind == "F32":
        return np.asarray(data, dtype=np.float32).reshape(shape)
    size, read = {"Q4_1": (20, q4_1), "Q8_0": (34, q8_0)}[kind]
    return read(np.asarray(data).reshape(-1, size)).reshape(shape)


def halves_apart(weights_RC: np.ndarray, heads: int) -> np.ndarray:
    """GGUF interleaves the two halves of each head's rows (rotary pairs lie together); put them apart."""
    rows, columns = weights_RC.shape
    pairs = weights_RC.reshape(heads, rows // heads // 2, 2, columns)
    return pairs.transpose(0, 2, 1, 3).reshape(rows, columns)


def our_name(name: str) -> str:
    if not name.startswith("blk."):
        return {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}[
            name
        ]
    _, block, part, _ = name.split(".")
    return f"model.layers.{block}.{NAMES[part]}.weight"


def main(path: Path) -> None:
    table: dict[str, str] = {}
    for tensor in GGUFReader(path).tensors:
        shape = tuple(int(size) for size in reversed(tensor.shape))
        weights = by_hand(tensor.data, tensor.tensor_type.name, shape)
        np.testing.assert_array_equal(weights, dequantize(tensor.data, tensor.tensor_type))
        part = tensor.name.split(".")[-2]
        weights = halves_apart(weights, HEADS[part]) if part in HEADS else weights
        table[our_name(tensor.name)] = hashlib.sha256(np.ascontiguousarray(weights).tobytes()).hexdigest()
    TABLE.write_text(json.dumps(table, indent=0, sort_keys=True) + "\n", encoding="ascii")
    print(f"{len(table)} tensors written to {TABLE}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
