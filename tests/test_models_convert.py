"""Converting: a GGUF file of a few kilobytes, written here, goes through the whole conversion."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from metareward.errors import ModelError
from metareward.models.catalogue import Entry, find
from metareward.models.convert import convert
from metareward.models.directory import check_directory
from tiny_gguf import CONTROL, HEADS, HIDDEN, NORMAL, WIDTH, random_weights, write_gguf

pytest.importorskip("gguf")
pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

CONTROLS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
LETTERS = [*"0123456789abcdefgh.!", "Ġ", "Ċ", "ĠĠ", "ab", "12"]  # a merge of digits that must never be used
TOKENS = [*((token, CONTROL) for token in CONTROLS), *((token, NORMAL) for token in LETTERS)]
TEMPLATE = "{% for message in messages %}<|im_start|>{{ message['content'] }}<|im_end|>{% endfor %}"
PARAMETERS = len(TOKENS) * WIDTH + 4 * WIDTH**2 + 3 * WIDTH * HIDDEN + 3 * WIDTH
ENTRY = replace(find("smollm2-135m-instruct"), name="tiny", parameters=PARAMETERS)


def write(path: Path, *, template: str | None = TEMPLATE) -> dict[str, np.ndarray]:
    """A llama; returns its weights by their name in the file."""
    weights = random_weights(len(TOKENS))
    special = {"bos": 1, "eos": 2, "unk": 0, "pad": 2}
    write_gguf(path, "llama", weights, TOKENS, ["Ġ Ġ", "a b", "1 2"], special, template)
    return weights


@pytest.fixture(scope="module")
def weights_and_converted(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, np.ndarray], Path]:
    source, destination = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("converted")
    weights = write(source / "model.gguf")
    convert(source / "model.gguf", ENTRY, destination)
    return weights, destination


@pytest.fixture
def converted(weights_and_converted: tuple[dict[str, np.ndarray], Path]) -> Path:
    return weights_and_converted[1]


def test_the_weights_arrive_and_the_tied_ones_once(
    weights_and_converted: tuple[dict[str, np.ndarray], Path],
) -> None:
    from safetensors.numpy import load_file

    weights, converted = weights_and_converted
    stored = load_file(converted / "model.safetensors")
    assert sum(values.size for values in stored.values()) == PARAMETERS
    assert {values.dtype.name for values in stored.values()} == {"float32"}
    np.testing.assert_array_equal(stored["model.embed_tokens.weight"], weights["token_embd.weight"])
    value_projection = stored["model.layers.0.self_attn.v_proj.weight"]
    np.testing.assert_array_equal(value_projection, weights["blk.0.attn_v.weight"])
    # Within a head GGUF's rows are 0 h 1 h+1 2 h+2 ... for halves of h rows: even ones are the first half.
    queries, rows = weights["blk.0.attn_q.weight"], WIDTH // HEADS
    first_head = np.concatenate([queries[0:rows:2], queries[1:rows:2]])
    np.testing.assert_array_equal(stored["model.layers.0.self_attn.q_proj.weight"][:rows], first_head)


def test_it_loads_like_any_model(converted: Path) -> None:
    check_directory(converted)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(converted)
    assert model.num_parameters() == PARAMETERS
    assert model.config.rope_parameters["rope_theta"] == 100_000
    assert model.config.max_position_embeddings == 64


def test_numbers_are_cut_into_digits_and_nothing_else_is(converted: Path) -> None:
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(converted)
    assert tokenizer.tokenize("ab12") == ["ab", "1", "2"]
    assert tokenizer.tokenize("  1") == ["ĠĠ", "1"]
    assert tokenizer.tokenize("ab") == ["ab"]
    assert tokenizer.model_max_length == 64


def test_a_tokenizer_that_does_not_cut_digits_is_left_alone(tmp_path: Path) -> None:
    write(tmp_path / "model.gguf")
    convert(tmp_path / "model.gguf", replace(ENTRY, split_digits=False), tmp_path / "out")
    tokenizer: Any = transformers.AutoTokenizer.from_pretrained(tmp_path / "out")
    assert tokenizer.tokenize("ab12") == ["ab", "12"]


def test_template_and_end_of_turn_are_stored(converted: Path) -> None:
    assert (converted / "chat_template.jinja").read_text() == TEMPLATE
    generation = json.loads((converted / "generation_config.json").read_text())
    assert (generation["bos_token_id"], generation["eos_token_id"], generation["pad_token_id"]) == (1, 2, 2)
    assert "_from_model_config" not in generation
    stored = json.loads((converted / "tokenizer_config.json").read_text())
    assert (stored["eos_token"], stored["pad_token"]) == ("<|im_end|>", "<|im_end|>")
    assert not {"is_local", "local_files_only"} & stored.keys()
    assert "A tiny model" not in (converted / "config.json").read_text()


@pytest.mark.parametrize(
    ("entry", "template", "expected"),
    [
        (replace(ENTRY, parameters=PARAMETERS + 1), TEMPLATE, f"{PARAMETERS:,} parameters"),
        (ENTRY, None, "no chat template"),
    ],
)
def test_a_file_that_is_not_the_one_described_is_refused(
    tmp_path: Path, entry: Entry, template: str | None, expected: str
) -> None:
    write(tmp_path / "model.gguf", template=template)
    with pytest.raises(ModelError, match=expected):
        convert(tmp_path / "model.gguf", entry, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_nothing_is_printed_and_the_libraries_are_left_as_they_were(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    logging = transformers.utils.logging
    logging.enable_progress_bar()
    logging.set_verbosity_info()
    try:
        write(tmp_path / "model.gguf")
        capfd.readouterr()
        convert(tmp_path / "model.gguf", ENTRY, tmp_path / "out")
        assert capfd.readouterr() == ("", "")
        assert logging.is_progress_bar_enabled()
        assert logging.get_verbosity() == logging.INFO
    finally:
        logging.set_verbosity_warning()
