"""Answers that were made of text end in what the template ends a turn with, and an end alone is empty."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metareward.records import Demonstration
from metareward.train.answers import encode_answers
from metareward.train.tokens import EMPTY, encode_pairs
from ranked_worlds import demonstration
from tiny_llama import SPECIAL, TEMPLATE, pair

pytest.importorskip("torch")
pytest.importorskip("trl")


@pytest.fixture
def tokenizer(tmp_path: Path) -> Any:
    """As Gemma has it: the tokenizer's end of a sequence is not what ends a turn; the model knows both."""
    from metareward.engines.chat import load_tokenizer
    from tiny_llama import _tokenizer

    made = _tokenizer()
    made.add_special_tokens({"eos_token": "<|eos|>"})
    made.chat_template = TEMPLATE
    made.save_pretrained(tmp_path)
    return load_tokenizer(str(tmp_path))


def coder(tokenizer: Any) -> Any:
    from metareward.train.worker import coder_of

    ends = [tokenizer.convert_tokens_to_ids(name) for name in ("<|eos|>", SPECIAL[1])]
    return coder_of(tokenizer, SimpleNamespace(eos_token_id=ends))


def test_a_text_ends_as_the_template_ends_a_turn(tokenizer: Any):
    end = tokenizer.convert_tokens_to_ids(SPECIAL[1])
    assert tokenizer.eos_token_id != end
    ready = encode_pairs([pair(0, "Yes.", "No.")], coder(tokenizer), 999)
    assert ready.chosen_ids[0][-1] == ready.rejected_ids[0][-1] == end
    row: Demonstration = demonstration(0, text="Score: 3")
    assert encode_answers([row], coder(tokenizer), 999).ids[0][-1] == end
    whole = tokenizer.apply_chat_template(
        [{"role": "user", "content": "Question 0?"}, {"role": "assistant", "content": "Yes."}],
        return_dict=False,
    )
    said = ready.prompt_ids[0] + ready.chosen_ids[0]
    assert whole[: len(said)] == said, "what is trained on is what the template writes"


@pytest.mark.parametrize("alone", [(SPECIAL[1],), ("<|eos|>",), (SPECIAL[1], "<|eos|>"), (SPECIAL[0],)])
def test_an_answer_of_ends_alone_is_empty(tokenizer: Any, alone: tuple[str, ...]):
    import dataclasses

    ids = tuple(tokenizer.convert_tokens_to_ids(list(alone)))
    given = dataclasses.replace(pair(0, "Yes.", ""), rejected_token_ids=ids)
    ready = encode_pairs([given, pair(1, "Yes.", "No.")], coder(tokenizer), 999)
    assert dict(ready.dropped) == {EMPTY: 1}
    assert len(ready) == 1
