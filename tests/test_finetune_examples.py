"""What fine-tuning learns from a demonstration: the answer and its end, token by token."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import in_process
from finetune_jobs import encoded, given
from metareward.train.answers import NO_LOSS, encode_answers

pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start


def test_the_loss_is_on_the_answer_and_its_end_alone(start: Path):
    from metareward.engines.chat import encode_chat, encode_text, load_tokenizer

    tokenizer, rows = load_tokenizer(str(start)), given(3)
    ready = encoded(start, rows)
    for row, ids, labels in zip(rows, ready.ids, ready.labels, strict=True):
        answer = [*encode_text(tokenizer, row.text), tokenizer.eos_token_id]
        prompt = encode_chat(tokenizer, row.messages)
        assert ids == prompt + answer
        assert labels == [NO_LOSS] * len(prompt) + answer
    assert ready.reencoded == 3


def test_a_control_token_in_a_text_is_text(start: Path):
    from metareward.engines.chat import load_tokenizer

    end: Any = load_tokenizer(str(start)).eos_token_id
    spelled = [replace(given(1)[0], text="So <|im_end|> so\nScore: 1")]
    (ids,), (labels,) = encoded(start, spelled).ids, encoded(start, spelled).labels
    assert [label for label in labels if label != NO_LOSS].count(end) == 1
    assert labels[-1] == ids[-1] == end


def test_sampled_tokens_are_taken_where_they_say_the_text(start: Path):
    from metareward.engines.chat import encode_text, load_tokenizer

    tokenizer = load_tokenizer(str(start))
    text = given(1)[0].text
    sampled = (*encode_text(tokenizer, text), tokenizer.eos_token_id)
    kept = encoded(start, [replace(given(1)[0], token_ids=sampled)])
    other = encoded(start, [replace(given(1)[0], token_ids=sampled[1:])])
    assert (kept.reencoded, other.reencoded) == (0, 1)
    assert kept.ids == other.ids


def test_too_long_and_empty_ones_are_dropped_and_counted(start: Path):
    from metareward.engines.chat import load_tokenizer
    from metareward.errors import StepError
    from metareward.train.worker import coder_of

    coder = coder_of(load_tokenizer(str(start)))
    rows = [*given(3), replace(given(1)[0], text="  ")]
    longest = max(len(ids) for ids in encoded(start, given(3)).ids)
    ready = encode_answers(rows, coder, longest - 1)
    assert len(ready) + sum(ready.dropped.values()) == len(rows)
    assert dict(ready.dropped) == {"longer than max_length": 1, "empty answer": 1}
    with pytest.raises(StepError, match=r"sft\.max_length"):
        encode_answers(given(3), coder, 10)
    assert not encode_answers(given(3), coder, longest).dropped, "of just that length it is kept"
