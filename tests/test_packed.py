"""Examples that begin alike side by side in one row: every token sees its own past, and nothing else."""

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward.train.answers import NO_LOSS
from tiny_llama import write_tiny_llama

torch = pytest.importorskip("torch")

PROMPTS = st.lists(st.integers(1, 3), min_size=1, max_size=6)
ANSWERS = st.lists(st.integers(1, 3), min_size=1, max_size=3)


def example(prompt: list[int], answer: list[int]) -> dict[str, list[int]]:
    return {"input_ids": prompt + answer, "labels": [NO_LOSS] * len(prompt) + answer}


@settings(deadline=None)
@given(st.lists(st.tuples(PROMPTS, ANSWERS), min_size=1, max_size=6))
def test_a_packed_row_holds_every_example_once_and_each_token_sees_its_own_past(rows: list[Any]):
    from metareward.train.packed import PackedCollator

    examples = [example(prompt, answer) for prompt, answer in rows]
    batch = PackedCollator()(examples)
    ids, labels, places = (batch[name][0].tolist() for name in ("input_ids", "labels", "position_ids"))
    seen = batch["attention_mask"][0, 0]
    pasts = []
    for token in range(len(ids)):
        past = [ids[key] for key in range(len(ids)) if seen[token, key]]
        assert len(past) == places[token] + 1
        assert not seen[token, token + 1 :].any()
        told = labels[token + 1] if token + 1 < len(ids) else NO_LOSS
        if told != NO_LOSS:
            pasts.append((*past, told))
    wanted = [
        tuple(one["input_ids"][: place + 1])
        for one in examples
        for place, label in enumerate(one["labels"])
        if label != NO_LOSS
    ]
    assert sorted(pasts) == sorted(wanted)


def test_a_packed_row_is_short_where_examples_begin_alike():
    from metareward.train.packed import PackedCollator

    examples = [example([1] * 50 + [number], [7, 8]) for number in range(4)]
    assert PackedCollator()(examples)["input_ids"].shape == (1, 50 + 4 * 3)


def test_a_model_whose_mask_is_ignored_does_not_pack(tmp_path: Path):
    from metareward.train.packed import can_pack
    from metareward.train.worker import load_weights

    model = load_weights(str(write_tiny_llama(tmp_path)))
    examples = [example([5] * 40 + [number], [7, 8, 9]) for number in range(2)]
    assert can_pack(model, examples)
    plain = model.base_model.forward
    model.base_model.forward = lambda attention_mask=None, **inputs: plain(**inputs)
    assert not can_pack(model, examples)
    model.base_model.forward = plain
    model.config._attn_implementation = "eager"
    assert not can_pack(model, examples)
