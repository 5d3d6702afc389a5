"""Token ids of conversations: whatever a message says, it never adds a control token."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.engines.chat import (
    context_length,
    encode_chat,
    encode_text,
    end_of_turn,
    load_tokenizer,
)
from metareward.errors import ModelError
from metareward.models.base import Model
from metareward.records import Message
from tiny_chat_model import ADDED, CONTROLS, TEMPLATE, tiny_tokenizer

SURROGATE = re.compile("[\ud800-\udfff]")
SPECIALS = (*CONTROLS, ADDED)
CONTROL_IDS = {tiny_tokenizer().convert_tokens_to_ids(token) for token in SPECIALS}
fragments = st.one_of(
    st.sampled_from([*SPECIALS, "<|im_", "im_end|>", "<tool", "\n", "<|im_start|>system\n", "\ud800", "é"]),
    st.text(st.characters(codec=None), max_size=6),
)
contents = st.lists(fragments, max_size=6).map("".join)
roles = st.sampled_from(["user", "assistant"])
conversations = st.lists(st.builds(Message, roles, contents), min_size=1, max_size=4)


def controls(ids: list[int]) -> list[int]:
    return [token for token in ids if token in CONTROL_IDS]


@given(conversations)
@settings(max_examples=300, deadline=None)
def test_contents_never_add_control_tokens(messages: list[Message]):
    tokenizer = tiny_tokenizer()
    harmless = [Message(message.role, "harmless") for message in messages]
    assert controls(encode_chat(tokenizer, messages)) == controls(encode_chat(tokenizer, harmless))


@given(conversations)
@settings(max_examples=200, deadline=None)
def test_decoding_gives_back_what_the_template_wrote(messages: list[Message]):
    tokenizer = tiny_tokenizer()
    clean = [{"role": m.role, "content": SURROGATE.sub("\ufffd", m.content)} for m in messages]
    expected = tokenizer.apply_chat_template(clean, tokenize=False, add_generation_prompt=True)
    ids = encode_chat(tokenizer, messages)
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == expected


@given(
    st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="<|>"), max_size=20), min_size=1, max_size=3
    )
)
@settings(max_examples=100, deadline=None)
def test_ordinary_conversations_are_encoded_as_transformers_does(texts: list[str]):
    tokenizer = tiny_tokenizer()
    turns = [{"role": "user", "content": text} for text in texts]
    theirs = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=False)
    assert encode_chat(tokenizer, [Message("user", text) for text in texts]) == theirs


@given(contents)
@settings(max_examples=200, deadline=None)
def test_plain_text_has_no_control_tokens_and_loses_nothing(text: str):
    tokenizer = tiny_tokenizer()
    ids = encode_text(tokenizer, text)
    assert controls(ids) == []
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False) == SURROGATE.sub("\ufffd", text)


@pytest.mark.parametrize("token", SPECIALS)
def test_every_control_token_spelled_out_is_text(token: str):
    tokenizer = tiny_tokenizer()
    messages = [
        Message("system", token),
        Message("user", f"a{token}b{token}"),
        Message("assistant", token * 2),
    ]
    ids = encode_chat(tokenizer, messages)
    assert len(controls(ids)) == 3 * 2 + 1
    assert tokenizer.decode(ids, clean_up_tokenization_spaces=False).count(token) >= 5


@pytest.mark.parametrize("token", SPECIALS)
def test_text_around_a_spelled_out_control_token_keeps_its_tokens(token: str):
    around = "the answer is clear"
    ids = encode_text(tiny_tokenizer(), f"{around}{token}{around}")
    ordinary = encode_text(tiny_tokenizer(), around)
    assert ids[: len(ordinary) - 1] == ordinary[:-1]
    assert len(ids) <= 2 * len(ordinary) + len(token)


def test_a_control_token_made_at_the_seam_of_content_and_template_is_text():
    tokenizer = _with_template("{% for m in messages %}{{ m['content'] }}|im_end|>{% endfor %}")
    ids = encode_chat(tokenizer, [Message("user", "ends in <")])
    assert controls(ids) == []


def test_no_double_beginning_of_sequence():
    tokenizer = _with_template("{{ bos_token }}" + TEMPLATE)
    ids = encode_chat(tokenizer, [Message("user", "hello")])
    assert ids.count(tokenizer.bos_token_id) == 1


def test_a_template_that_trims_is_left_alone():
    tokenizer = _with_template("{% for m in messages %}{{ m['content'] | trim }}<|im_end|>{% endfor %}")
    assert encode_chat(tokenizer, [Message("user", "  a ")]) == [
        *encode_text(tokenizer, "a"),
        tokenizer.eos_token_id,
    ]


def test_a_refused_role_is_a_letter():
    with pytest.raises(
        ModelError, match=r"refuses the roles system, assistant.*no system role here.*first user"
    ):
        encode_chat(tiny_tokenizer(), [Message("system", "a"), Message("assistant", "a")])


def test_end_of_turn_is_what_the_template_writes_first_of_all():
    from transformers import GenerationConfig

    tokenizer = tiny_tokenizer()
    end, text = (tokenizer.convert_tokens_to_ids(token) for token in ("<|im_end|>", "<|endoftext|>"))
    assert end_of_turn(tokenizer) == (end,)
    assert end_of_turn(tokenizer, GenerationConfig(eos_token_id=[text, end])) == (end, text)
    other = _with_template(TEMPLATE.replace("<|im_end|>", "<|endoftext|>"))
    assert end_of_turn(other, GenerationConfig(eos_token_id=[end, text])) == (text, end)


def test_no_end_of_turn_is_an_error():
    tokenizer = _with_template("{% for m in messages %}{{ m['role'] }}: {{ m['content'] }}\n{% endfor %}")
    tokenizer.eos_token = None
    with pytest.raises(ModelError, match="eos_token_id"):
        end_of_turn(tokenizer)


def test_loading_says_what_is_missing(tmp_path):
    tokenizer = _with_template(TEMPLATE)
    tokenizer.pad_token = None
    tokenizer.save_pretrained(tmp_path / "no-pad")
    loaded = load_tokenizer(str(tmp_path / "no-pad"))
    assert loaded.pad_token_id == loaded.eos_token_id
    tokenizer.eos_token = None
    tokenizer.save_pretrained(tmp_path / "neither")
    with pytest.raises(ModelError, match="neither a pad nor an end-of-sequence"):
        load_tokenizer(str(tmp_path / "neither"))
    tokenizer.chat_template = None
    tokenizer.save_pretrained(tmp_path / "base")
    with pytest.raises(ModelError, match=r"no chat template.*instruct model"):
        load_tokenizer(str(tmp_path / "base"))
    with pytest.raises(ModelError, match="cannot be read"):
        load_tokenizer(str(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("config", "length"),
    [
        ({"max_position_embeddings": 8192}, 8192),
        ({"n_positions": 1024}, 1024),
        ({"text_config": {"max_position_embeddings": 77}}, 77),
        ({"model_type": "mystery"}, None),
    ],
)
def test_context_length(tmp_path, config, length):
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert context_length(str(tmp_path)) == length


@pytest.mark.model
def test_every_control_token_of_the_default_model(default_model: Model):
    tokenizer = load_tokenizer(default_model.path)
    known = set(tokenizer.added_tokens_decoder)
    clean = encode_chat(tokenizer, [Message("user", "a"), Message("assistant", "b")])
    for token in tokenizer.added_tokens_decoder.values():
        text = f"x{token.content}y {token.content}"
        ids = encode_chat(tokenizer, [Message("user", text), Message("assistant", token.content)])
        assert [i for i in ids if i in known] == [i for i in clean if i in known]
    assert context_length(default_model.path) == 8192


def _with_template(template: str):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = template
    return tokenizer
