"""Prompts are divided into iterations, held-out and dev prompts, each in one place or refused."""

import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError, DataError
from metareward.records import Prompt
from metareward.sources import prompt_of, split_prompts


def many(count: int) -> list[Prompt]:
    return [prompt_of(f"Prompt {number}.") for number in range(count)]


@given(
    st.integers(0, 40),
    st.integers(1, 4),
    st.integers(1, 9) | st.none(),
    st.integers(0, 9),
    st.integers(0, 2**40),
)
def test_every_prompt_is_in_one_place_or_the_split_is_refused(
    count, iterations, per_iteration, held_out, seed
):
    prompts = many(count)
    needed = held_out + iterations * (per_iteration or 1)
    if needed > count:
        with pytest.raises(DataError, match=f"need {needed} prompts, and there are {count};"):
            split_prompts(prompts, iterations, per_iteration, held_out, seed)
        return
    split = split_prompts(prompts, iterations, per_iteration, held_out, seed)
    placed = [p.id for part in (split.held_out, *split.batches) for p in part]
    assert len(placed) == len(set(placed)) == count - split.unused
    assert set(placed) <= {p.id for p in prompts}
    assert len(split.held_out) == held_out
    size = per_iteration or (count - held_out) // iterations
    assert [len(batch) for batch in split.batches] == [size] * iterations
    if per_iteration is None:
        assert split.unused < iterations
    assert split == split_prompts(prompts, iterations, per_iteration, held_out, seed)


def test_more_prompts_an_iteration_keep_what_was_paid_for():
    small, large = (split_prompts(many(60), 2, size, 10, 7) for size in (5, 20))
    assert large.held_out == small.held_out
    assert large.batches[0][:10] == [*small.batches[0], *small.batches[1]]


def test_the_shuffle_is_pinned_and_follows_the_seed_alone():
    expected = many(9)
    random.Random(3).shuffle(expected)
    split = split_prompts(many(9), 2, None, 1, 3)
    assert [*split.held_out, *split.batches[0], *split.batches[1]] == expected
    numbers = [int(re.findall(r"\d+", p.messages[0].content)[0]) for p in expected]
    assert numbers == [1, 5, 6, 0, 8, 4, 7, 2, 3]
    assert split_prompts(many(9), 2, None, 1, 4) != split


def test_settings_of_a_split_are_checked():
    for iterations, per_iteration, held_out in ((0, 1, 0), (1, 0, 0), (1, 1, -1)):
        with pytest.raises(ConfigError):
            split_prompts(many(5), iterations, per_iteration, held_out, 0)


@given(
    st.integers(4, 60), st.integers(1, 3), st.integers(1, 6) | st.none(), st.integers(0, 6), st.integers(0, 6)
)
def test_dev_prompts_are_apart_from_all_others_and_move_none_of_them(count, iterations, each, held_out, dev):
    prompts = many(count)
    needed = held_out + dev + iterations * (each or 1)
    if needed > count:
        with pytest.raises(DataError, match=f"need {needed} prompts, and there are {count};"):
            split_prompts(prompts, iterations, each, held_out, 5, dev)
        return
    split = split_prompts(prompts, iterations, each, held_out, 5, dev)
    placed = [p.id for part in (split.held_out, split.dev, *split.batches) for p in part]
    assert len(placed) == len(set(placed)) == count - split.unused
    assert len(split.dev) == dev
    without = split_prompts(prompts, iterations, each, held_out, 5)
    assert split.held_out == without.held_out
    if each is not None:
        assert split.batches == without.batches
    assert without.dev == []


def test_too_few_prompts_for_dev_are_said_with_the_setting():
    with pytest.raises(
        DataError, match=r"and 3 in dev, need 6 prompts.*lower per_iteration, dev or held_out"
    ):
        split_prompts(many(5), 1, 2, 1, 0, 3)
