"""The larger judge as it lies in the cache, if it was fetched already: a test never fetches 1.1 GB."""

import hashlib
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metareward.engines.base import Forced, Request, Sampling
from metareward.engines.chat import encode_chat, encode_text
from metareward.models.base import Model
from metareward.models.catalogue import find
from metareward.models.fetch import MANIFEST, is_fetched
from metareward.models.resolve import describe
from metareward.records import Finish, Message

pytestmark = pytest.mark.slow

NAME = "qwen2.5-coder-1.5b-instruct"
DATA = Path(__file__).parent / "data"
TOKENS: list[tuple[str, list[int]]] = json.loads((DATA / "qwen2_tokens.json").read_text(encoding="ascii"))
WEIGHTS: dict[str, str] = json.loads((DATA / "qwen2_weights.json").read_text(encoding="ascii"))
END_OF_TEXT, START, END_OF_TURN = 151643, 151644, 151645
KNOWN, ROWS = 151665, 151936  # tokens, and rows of the embedding, which is padded
INTRODUCTION = "You are Qwen, created by Alibaba Cloud. You are a helpful assistant."

# Ids that others publish for this family of tokenizers (llama.cpp's own test of "qwen2").
PUBLISHED = {
    "Führer": [37, 50753, 261],
    "ied 4 ½ months": [1122, 220, 19, 220, 26062, 3951],
    "w048 7tuijk dsdfhu": [86, 15, 19, 23, 220, 22, 83, 1963, 41808, 11472, 2940, 16739],
    "333333333": [18] * 9,
    "    Hello\n    Hello": [262, 21927, 198, 262, 21927],
    "нещо на Български": [78762, 14144, 1456, 13073, 63471, 33594, 3038, 133178, 79012],
    "\n =": [198, 284],
}

# A question, an answer that is right, and one that no reader would prefer.
EASY = [
    ("What is the capital of France?", "The capital of France is Paris.", "The capital of France is Berlin."),
    ("What is 12 + 30?", "12 + 30 = 42.", "12 + 30 = 25."),
    ("Translate 'good morning' into Spanish.", "Buenos días.", "I like turtles."),
    ("Name a primary colour.", "Red is a primary colour.", "asdf jkl qwer"),
    (
        "Write a polite refusal of a dinner invitation.",
        "Thank you so much for the invitation, but unfortunately I cannot make it this time.",
        "No. Your food is bad and I hate you.",
    ),
    (
        "Explain why leaves are green.",
        "Leaves look green because chlorophyll absorbs red and blue light and reflects green.",
        "Leaves are green because the sky paints them at night.",
    ),
    ("How many days are in a week?", "There are seven days in a week.", "There are nine days in a week."),
    ("Give a synonym for 'happy'.", "Joyful.", "Table."),
    (
        "Write a Python function that returns the square of a number.",
        "def square(x):\n    return x * x",
        "def square(x):\n    return x + 1",
    ),
    (
        "Who wrote Romeo and Juliet?",
        "William Shakespeare wrote Romeo and Juliet.",
        "Romeo and Juliet was written by Elon Musk in 2010.",
    ),
]


@pytest.fixture(scope="module")
def fetched() -> Model:
    if not is_fetched(find(NAME)):
        pytest.skip(f"{NAME} is not in the cache; `metareward models get {NAME}` fetches 1.1 GB once")
    return describe(NAME)


@pytest.fixture(scope="module")
def tokenizer(fetched: Model) -> Any:
    from metareward.engines.chat import load_tokenizer

    return load_tokenizer(fetched.path)


@pytest.fixture(scope="module")
def engine(fetched: Model) -> Iterator[Any]:
    import psutil

    from metareward.engines.transformers import open_transformers

    if psutil.virtual_memory().available < 9e9:
        pytest.skip("the model takes 6.2 GB in float32, and with what it computes 9 GB should be free")
    with open_transformers("cpu")(fetched) as opened:
        yield opened


def read(fetched: Model, name: str) -> dict[str, Any]:
    return json.loads((Path(fetched.path) / name).read_text())


# --- what lies there -------------------------------------------------------------------------------


def test_every_weight_is_the_one_read_by_hand(fetched: Model) -> None:
    """Bit for bit, all 338 tensors; the table was made without transformers (see make_weights_table.py)."""
    from safetensors import safe_open

    with safe_open(Path(fetched.path) / "model.safetensors", framework="np") as weights:
        found = {key: hashlib.sha256(weights.get_tensor(key).tobytes()).hexdigest() for key in weights.keys()}  # noqa: SIM118
    assert len(found) == 338
    assert found == WEIGHTS


def test_the_manifest_names_the_origin(fetched: Model) -> None:
    manifest, entry = read(fetched, MANIFEST), find(NAME)
    assert manifest["sha256"] == entry.sha256
    assert len(manifest["parts"]) == 22
    assert manifest["licence"] == entry.licence
    assert manifest["fingerprint"] == fetched.fingerprint


def test_the_config_is_that_of_the_model(fetched: Model) -> None:
    config = read(fetched, "config.json")
    expected = {
        "model_type": "qwen2", "dtype": "float16", "tie_word_embeddings": True, "vocab_size": ROWS,
        "max_position_embeddings": 32768, "hidden_size": 1536, "intermediate_size": 8960,
        "num_hidden_layers": 28, "num_attention_heads": 12, "num_key_value_heads": 2,
        "bos_token_id": END_OF_TEXT, "eos_token_id": END_OF_TURN, "use_sliding_window": False,
    }  # fmt: skip
    assert {key: config[key] for key in expected} == expected
    assert config["rope_parameters"] == {"rope_theta": 1_000_000.0, "rope_type": "default"}
    assert config["rms_norm_eps"] == pytest.approx(1e-6)


def test_both_ends_of_an_answer_are_stored(fetched: Model) -> None:
    generation = read(fetched, "generation_config.json")
    assert generation["eos_token_id"] == [END_OF_TURN, END_OF_TEXT]
    assert generation["pad_token_id"] == END_OF_TEXT


def test_nothing_of_this_machine_is_stored(fetched: Model) -> None:
    for file in Path(fetched.path).glob("*.json"):
        text = file.read_text()
        assert str(Path(fetched.path).parent) not in text  # a shorter path may well be a token
        assert ".fetch-" not in text


# --- tokens ----------------------------------------------------------------------------------------


def test_every_text_tokenises_as_an_independent_tokenizer_does(tokenizer: Any) -> None:
    assert {text: tokenizer(text)["input_ids"] for text, _ in TOKENS} == dict(TOKENS)


def test_every_text_tokenises_as_others_publish(tokenizer: Any) -> None:
    assert {text: tokenizer(text)["input_ids"] for text in PUBLISHED} == PUBLISHED


def test_the_table_notices_the_flaw_that_was_mended(tokenizer: Any) -> None:
    """Without composing, as GGUF is read otherwise, some texts come out differently."""
    from tokenizers import Tokenizer

    content = json.loads(tokenizer.backend_tokenizer.to_str()) | {"normalizer": None}
    flawed = Tokenizer.from_str(json.dumps(content))
    assert sum(flawed.encode(text).ids != ids for text, ids in TOKENS) >= 5


def test_control_tokens(tokenizer: Any) -> None:
    assert len(tokenizer) == KNOWN
    assert (tokenizer.bos_token, tokenizer.eos_token_id, tokenizer.pad_token_id) == (
        None, END_OF_TURN, END_OF_TEXT,
    )  # fmt: skip
    special = [number for number, token in tokenizer.added_tokens_decoder.items() if token.special]
    assert special == list(range(END_OF_TEXT, 151657))
    assert sorted(tokenizer.added_tokens_decoder) == list(range(END_OF_TEXT, KNOWN))
    assert tokenizer.convert_tokens_to_ids(["<|fim_prefix|>", "<|file_sep|>"]) == [151659, 151664]
    assert tokenizer.model_max_length == 32768


@pytest.mark.parametrize(
    "text", ["<|im_end|>", "<|fim_middle|>", "<tool_call>", "a<|endoftext|>b", "[PAD151700]"]
)
def test_what_a_user_writes_is_no_control_token(tokenizer: Any, text: str) -> None:
    assert max(encode_text(tokenizer, text)) < END_OF_TEXT
    ids = encode_chat(tokenizer, [Message("user", text)])
    assert [token for token in ids if token >= END_OF_TEXT] == [START, END_OF_TURN, START, END_OF_TURN, START]


# --- the chat template -----------------------------------------------------------------------------


def test_without_a_system_message_the_model_introduces_itself(tokenizer: Any) -> None:
    expected = (
        f"<|im_start|>system\n{INTRODUCTION}<|im_end|>\n"
        "<|im_start|>user\nHi 12<|im_end|>\n<|im_start|>assistant\n"
    )
    assert tokenizer.decode(encode_chat(tokenizer, [Message("user", "Hi 12")])) == expected


def test_a_system_message_replaces_the_introduction(tokenizer: Any) -> None:
    turns = [
        Message("system", "Be brief."),
        Message("user", "Hi"),
        Message("assistant", "Yo"),
        Message("user", "?"),
    ]
    written = "".join(f"<|im_start|>{turn.role}\n{turn.content}<|im_end|>\n" for turn in turns)
    assert tokenizer.decode(encode_chat(tokenizer, turns)) == written + "<|im_start|>assistant\n"


# --- answering and judging ---------------------------------------------------------------------------


def ask(number: int, text: str, tokens: int, forced: Forced | None = None) -> Request:
    sampling = Sampling(temperature=0.0, top_p=1.0, max_tokens=tokens)
    return Request(str(number), (Message("user", text),), sampling, number, forced)


def test_it_answers_and_ends_by_itself(engine: Any) -> None:
    questions = {"What is the capital of France?": "Paris", "What is 12 + 30? Say only the number.": "42"}
    requests = [ask(number, question, 24) for number, question in enumerate(questions)]
    answers = {answer.request_id: answer for answer in engine.complete(requests)}
    for number, wanted in enumerate(questions.values()):
        assert wanted in answers[str(number)].text
        assert answers[str(number)].finish is Finish.STOP
        assert answers[str(number)].token_ids[-1] == END_OF_TURN


def test_a_score_can_be_forced(engine: Any) -> None:
    scores = Forced("\nScore: ", tuple("012345"))
    text = "How good is the answer, from 0 to 5?\nQuestion: What is 1 + 1?\nAnswer: {}\nSay only the score."
    requests = [ask(number, text.format(answer), 0, scores) for number, answer in enumerate(("2", "a fish"))]
    good, bad = (
        _mean(a.choice_log_probs) for a in sorted(engine.complete(requests), key=lambda a: a.request_id)
    )
    assert good > bad + 1


def _mean(log_probs: dict[str, float]) -> float:
    weights = {score: math.exp(value) for score, value in log_probs.items()}
    return sum(int(score) * weight for score, weight in weights.items()) / sum(weights.values())


def _compare(number: int, question: str, first: str, second: str) -> Request:
    text = (
        f"Which response answers the question better?\n\n[Question]\n{question}\n\n[Response A]\n{first}\n\n"
        f"[Response B]\n{second}\n\nSay only the letter of the better response."
    )
    return ask(number, text, 0, Forced("", ("A", "B")))


def test_easy_pairs_are_judged_right_whichever_comes_first(engine: Any) -> None:
    requests = []
    for number, (question, right, wrong) in enumerate(EASY):
        requests.append(_compare(2 * number, question, right, wrong))
        requests.append(_compare(2 * number + 1, question, wrong, right))
    right = 0
    for answer in engine.complete(requests):
        better = "AB"[int(answer.request_id) % 2]
        right += max(answer.choice_log_probs, key=answer.choice_log_probs.get) == better
    assert right == len(requests)
