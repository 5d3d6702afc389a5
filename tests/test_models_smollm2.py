"""The default model as it lies in the cache: its weights, tokens, template and first words."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from metareward.models.base import Model
from metareward.models.catalogue import find
from metareward.models.fetch import MANIFEST, get

pytestmark = pytest.mark.model

NAME = "smollm2-135m-instruct"
DATA = Path(__file__).parent / "data"
TOKENS: list[tuple[str, list[int]]] = json.loads((DATA / "smollm2_tokens.json").read_text(encoding="ascii"))
WEIGHTS: dict[str, str] = json.loads((DATA / "smollm2_weights.json").read_text(encoding="ascii"))
END_OF_TURN = 2
QUESTION = "Explain why the sky is blue in one sentence."
ANSWER = [504, 6376, 314, 4461, 281, 582, 6330, 975, 282, 260, 970, 260]  # The sky is blue in one ...
INTRODUCTION = "You are a helpful AI assistant named SmolLM, trained by Hugging Face"


@pytest.fixture(scope="module")
def tokenizer(default_model: Model) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(default_model.path)


@pytest.fixture(scope="module")
def model(default_model: Model) -> Any:
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(default_model.path)


def read(default_model: Model, name: str) -> dict[str, Any]:
    return json.loads((Path(default_model.path) / name).read_text())


# --- what lies there -------------------------------------------------------------------------------


def test_a_second_get_only_looks(default_model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("metareward.models.fetch._fetch", None)
    assert str(get(NAME)) == default_model.path


def test_every_weight_is_the_one_read_by_hand(default_model: Model) -> None:
    """Bit for bit, all 272 tensors; the table was made without transformers (see make_weights_table.py)."""
    from safetensors import safe_open

    with safe_open(Path(default_model.path) / "model.safetensors", framework="np") as weights:
        found = {key: hashlib.sha256(weights.get_tensor(key).tobytes()).hexdigest() for key in weights.keys()}  # noqa: SIM118
    assert found == WEIGHTS  # and so the tied output layer is stored once
    assert "lm_head.weight" not in found


def test_the_manifest_names_the_origin(default_model: Model) -> None:
    manifest, entry = read(default_model, MANIFEST), find(NAME)
    assert manifest["sha256"] == entry.sha256
    assert manifest["upstream"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert manifest["licence"] == "Apache-2.0"


def test_the_config_is_that_of_the_model(default_model: Model) -> None:
    config = read(default_model, "config.json")
    expected = {
        "model_type": "llama", "dtype": "float32", "tie_word_embeddings": True, "vocab_size": 49152,
        "max_position_embeddings": 8192, "hidden_size": 576, "num_hidden_layers": 30,
        "num_attention_heads": 9, "num_key_value_heads": 3,
        "bos_token_id": 1, "eos_token_id": END_OF_TURN, "pad_token_id": 2,
    }  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    assert config["rope_parameters"]["rope_theta"] == 100_000
    assert "quantization_config" not in config


def test_generation_is_told_where_a_turn_ends_and_nothing_about_sampling(default_model: Model) -> None:
    generation = read(default_model, "generation_config.json")
    generation.pop("transformers_version")
    assert generation == {"bos_token_id": 1, "eos_token_id": END_OF_TURN, "pad_token_id": 2}


def test_nothing_of_this_machine_is_stored(default_model: Model) -> None:
    for file in Path(default_model.path).glob("*.json"):
        assert str(Path.home()) not in file.read_text()
        assert ".fetch-" not in file.read_text()


# --- tokens ----------------------------------------------------------------------------------------


def test_the_table_is_worth_comparing_with() -> None:
    texts = [text for text, _ in TOKENS]
    assert len(set(texts)) == len(texts) >= 100
    assert sum(any(c.isdigit() for c in text) for text in texts) > 30
    assert sum(not text.isascii() for text in texts) > 30


def test_every_text_tokenises_as_an_independent_tokenizer_does(tokenizer: Any) -> None:
    assert {text: tokenizer(text)["input_ids"] for text, _ in TOKENS} == dict(TOKENS)


def test_the_table_notices_the_flaw_that_was_mended(tokenizer: Any) -> None:
    """Without the cut into digits, as GGUF is read otherwise, some texts come out differently."""
    from tokenizers import Tokenizer, pre_tokenizers

    flawed = Tokenizer.from_str(tokenizer.backend_tokenizer.to_str())
    flawed.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    assert sum(flawed.encode(text).ids != ids for text, ids in TOKENS) >= 10


def test_tokens_turn_back_into_the_text(tokenizer: Any) -> None:
    for text, ids in TOKENS:
        assert tokenizer.decode(ids) == text


def test_every_digit_is_a_token(tokenizer: Any) -> None:
    assert tokenizer.tokenize("a 12345") == ["a", "Ġ", "1", "2", "3", "4", "5"]


def test_nothing_is_put_before_or_after_a_text(tokenizer: Any) -> None:
    with_, without = tokenizer("Hello"), tokenizer("Hello", add_special_tokens=False)
    assert with_["input_ids"] == without["input_ids"]


def test_control_tokens(tokenizer: Any) -> None:
    assert (tokenizer.bos_token, tokenizer.bos_token_id) == ("<|im_start|>", 1)
    assert (tokenizer.eos_token, tokenizer.eos_token_id) == ("<|im_end|>", END_OF_TURN)
    assert (tokenizer.pad_token, tokenizer.pad_token_id) == ("<|im_end|>", END_OF_TURN)
    assert tokenizer.model_max_length == 8192
    assert tokenizer.decode([1, 19556, END_OF_TURN], skip_special_tokens=True) == tokenizer.decode([19556])


def test_a_byte_outside_the_vocabulary_vanishes(tokenizer: Any) -> None:
    """A property of this vocabulary, upstream too: who counts on a round trip should know it."""
    assert tokenizer("\x04")["input_ids"] == []


# --- the chat template -----------------------------------------------------------------------------


def chat(tokenizer: Any, *messages: tuple[str, str], answer_next: bool = True) -> str:
    turns = [{"role": role, "content": content} for role, content in messages]
    return tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=answer_next)


def test_without_a_system_message_the_model_introduces_itself(tokenizer: Any) -> None:
    system = f"<|im_start|>system\n{INTRODUCTION}<|im_end|>\n"
    expected = system + "<|im_start|>user\nHi 12<|im_end|>\n<|im_start|>assistant\n"
    assert chat(tokenizer, ("user", "Hi 12")) == expected


def test_a_system_message_replaces_the_introduction(tokenizer: Any) -> None:
    text = chat(tokenizer, ("system", "Be brief."), ("user", "Hi"), ("assistant", "Yo"), answer_next=False)
    turns = [("system", "Be brief."), ("user", "Hi"), ("assistant", "Yo")]
    assert text == "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)


def test_a_chat_becomes_the_tokens_of_its_text(tokenizer: Any) -> None:
    turns = [{"role": "user", "content": "What is 12+30?"}]
    ids = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)["input_ids"]
    assert ids == tokenizer(chat(tokenizer, ("user", "What is 12+30?")))["input_ids"]
    assert ids.count(END_OF_TURN) == 2
    assert ids[0] == 1


# --- the first words -------------------------------------------------------------------------------


def greedy(model: Any, tokenizer: Any, question: str, tokens: int) -> tuple[list[int], list[float]]:
    """The likeliest tokens, and by how much each beats the second (difference of logits)."""
    import torch

    ids: list[int] = tokenizer(chat(tokenizer, ("user", question)))["input_ids"]
    prompt, margins = len(ids), []
    with torch.inference_mode():
        while len(ids) < prompt + tokens and (len(ids) == prompt or ids[-1] != END_OF_TURN):
            best = model(torch.tensor([ids])).logits[0, -1].topk(2)
            ids.append(int(best.indices[0]))
            margins.append(float(best.values[0] - best.values[1]))
    return ids[prompt:], margins


def test_the_model_is_whole(model: Any) -> None:
    assert model.num_parameters() == find(NAME).parameters == 134_515_008
    assert model.lm_head.weight.data_ptr() == model.model.embed_tokens.weight.data_ptr()
    assert str(model.dtype) == "torch.float32"


def test_a_greedy_answer_is_the_stored_one_by_clear_margins(model: Any, tokenizer: Any) -> None:
    ids, margins = greedy(model, tokenizer, QUESTION, len(ANSWER))
    assert ids == ANSWER
    assert min(margins) > 0.05


def test_an_answer_ends_by_itself(model: Any, tokenizer: Any) -> None:
    ids, margins = greedy(model, tokenizer, "What is the capital of France?", 12)
    assert tokenizer.decode(ids) == "The capital of France is Paris.<|im_end|>"
    assert min(margins) > 0.05
