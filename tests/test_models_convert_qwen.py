"""Converting a Qwen model: what GGUF loses of its tokenizer comes back, and one matrix serves both ends."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metareward.engines.chat import end_of_turn, load_tokenizer
from metareward.models.catalogue import Entry, find
from metareward.models.convert import convert
from tiny_gguf import (
    CONTROL,
    HIDDEN,
    NORMAL,
    UNUSED,
    USER_DEFINED,
    WIDTH,
    untied_qwen2_weights,
    write_gguf,
)

pytest.importorskip("gguf")
pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

COMPOSED, DECOMPOSED = "\u00e9", "e\u0301"  # the same letter, as one code point and as two
LETTERS = [*"0123456789abcdefgh.!Ã©ÌģĠĊ", "ab", "12", "Ã©", "Ìģ"]
MERGES = ["a b", "1 2", "Ã ©", "Ì ģ"]
END, START, STOP, GAP = len(LETTERS), len(LETTERS) + 1, len(LETTERS) + 2, len(LETTERS) + 4
TOKENS = [
    *((letter, NORMAL) for letter in LETTERS),
    *((token, CONTROL) for token in ("<|endoftext|>", "<|im_start|>", "<|im_end|>")),
    ("<tool_call>", USER_DEFINED),
    ("<|fim_prefix|>", CONTROL),
    *((f"[PAD{number}]", UNUSED) for number in range(len(LETTERS) + 5, len(LETTERS) + 8)),
]
KNOWN = len(LETTERS) + 5
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
PARAMETERS = len(TOKENS) * WIDTH + 4 * WIDTH**2 + 3 * WIDTH + 3 * WIDTH * HIDDEN + 3 * WIDTH
ENTRY = replace(
    find("qwen2.5-coder-1.5b-instruct"), name="tiny-qwen", parameters=PARAMETERS, ends=(STOP, END)
)


def write(path: Path) -> dict[str, np.ndarray]:
    weights = untied_qwen2_weights(len(TOKENS))
    special = {"bos": END, "eos": STOP, "pad": END}
    write_gguf(path, "qwen2", weights, TOKENS, MERGES, special, TEMPLATE)
    return weights


def convert_tiny(directory: Path, entry: Entry) -> tuple[dict[str, np.ndarray], Path]:
    directory.mkdir(exist_ok=True)
    weights = write(directory / "model.gguf")
    convert(directory / "model.gguf", entry, directory / "out")
    return weights, directory / "out"


@pytest.fixture(scope="module")
def weights_and_converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], Path]:
    return convert_tiny(tmp_path_factory.mktemp("qwen"), ENTRY)


@pytest.fixture
def converted(weights_and_converted: tuple[dict[str, np.ndarray], Path]) -> Path:
    return weights_and_converted[1]


@pytest.fixture
def tokenizer(converted: Path) -> Any:
    return load_tokenizer(str(converted))


# --- weights -----------------------------------------------------------------------------------------


def test_the_outputs_matrix_serves_both_ends_and_is_stored_once(
    weights_and_converted: tuple[dict[str, np.ndarray], Path],
) -> None:
    from safetensors.numpy import load_file

    weights, converted = weights_and_converted
    stored = load_file(converted / "model.safetensors")
    assert sum(values.size for values in stored.values()) == PARAMETERS
    half = {name: values.astype(np.float16) for name, values in weights.items()}
    np.testing.assert_array_equal(stored["model.embed_tokens.weight"], half["output.weight"])
    assert not np.array_equal(half["output.weight"], half["token_embd.weight"])
    np.testing.assert_array_equal(stored["model.layers.0.self_attn.q_proj.bias"], half["blk.0.attn_q.bias"])
    np.testing.assert_array_equal(
        stored["model.layers.0.mlp.down_proj.weight"], half["blk.0.ffn_down.weight"]
    )


def test_it_loads_tied_in_any_precision(converted: Path) -> None:
    import torch

    for dtype in (torch.float32, torch.float16):
        model: Any = transformers.AutoModelForCausalLM.from_pretrained(converted, dtype=dtype)
        assert model.num_parameters() == PARAMETERS
        assert model.lm_head.weight is model.model.embed_tokens.weight
        assert model.dtype == dtype
    assert json.loads((converted / "config.json").read_text())["tie_word_embeddings"] is True


def test_a_model_that_is_not_tied_keeps_both_matrices(tmp_path: Path) -> None:
    from safetensors.numpy import load_file

    entry = replace(ENTRY, tied=False, dtype="float32", parameters=PARAMETERS + len(TOKENS) * WIDTH)
    weights, converted = convert_tiny(tmp_path, entry)
    stored = load_file(converted / "model.safetensors")
    np.testing.assert_array_equal(stored["model.embed_tokens.weight"], weights["token_embd.weight"])
    np.testing.assert_array_equal(stored["lm_head.weight"], weights["output.weight"])


# --- tokenizer ---------------------------------------------------------------------------------------


def test_text_is_composed_before_it_is_cut_whoever_reads_the_file(converted: Path, tokenizer: Any) -> None:
    from tokenizers import Tokenizer

    plain = Tokenizer.from_file(str(converted / "tokenizer.json"))
    wanted = [LETTERS.index("Ã©")]
    for text in (COMPOSED, DECOMPOSED):
        assert tokenizer(text)["input_ids"] == plain.encode(text).ids == wanted
    assert plain.decode(wanted) == COMPOSED


def test_numbers_are_cut_into_digits_and_nothing_else_is(tokenizer: Any) -> None:
    assert tokenizer.tokenize("ab12") == ["ab", "1", "2"]


def test_padding_of_the_embedding_is_no_token(tokenizer: Any) -> None:
    """So that none of it can be drawn: the engine cuts the logits off behind the last token."""
    assert len(tokenizer) == KNOWN < len(TOKENS)
    assert not any(token.startswith("[PAD") for token in tokenizer.get_vocab())


def test_control_tokens_are_no_part_of_the_vocabulary_that_is_merged(converted: Path) -> None:
    content = json.loads((converted / "tokenizer.json").read_text(encoding="utf-8"))
    assert content["model"]["vocab"] == {letter: number for number, letter in enumerate(LETTERS)}
    assert [token["id"] for token in content["added_tokens"]] == list(range(len(LETTERS), KNOWN))


def test_tokens_keep_their_ids(tokenizer: Any) -> None:
    assert tokenizer.get_vocab() == {token: number for number, (token, _) in enumerate(TOKENS[:KNOWN])}


def test_control_tokens_are_those_of_the_original(tokenizer: Any) -> None:
    special = {number for number, token in tokenizer.added_tokens_decoder.items() if token.special}
    assert special == {END, START, STOP}
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.pad_token) == (
        None, "<|im_end|>", "<|endoftext|>",
    )  # fmt: skip
    assert tokenizer("<|fim_prefix|>ab<|im_end|>")["input_ids"] == [GAP, LETTERS.index("ab"), STOP]
    assert tokenizer.decode([START, GAP, STOP], skip_special_tokens=True) == "<|fim_prefix|>"
    assert tokenizer.model_max_length == 64


def test_both_ends_of_an_answer_are_known(converted: Path, tokenizer: Any) -> None:
    generation = transformers.GenerationConfig.from_pretrained(converted)
    assert generation.eos_token_id == [STOP, END]
    assert generation.pad_token_id == END
    assert end_of_turn(tokenizer, generation) == (STOP, END)


def test_what_is_stored_survives_saving_again(tokenizer: Any, tmp_path: Path) -> None:
    """As a trained model's tokenizer is."""
    tokenizer.save_pretrained(tmp_path)
    again = load_tokenizer(str(tmp_path))
    assert again.get_vocab() == tokenizer.get_vocab()
    assert again(DECOMPOSED + "12")["input_ids"] == tokenizer(DECOMPOSED + "12")["input_ids"]
    assert again.bos_token is None
