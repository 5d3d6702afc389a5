"""Joining streams: every row once, with its prompt, and never more than a prompt in memory."""

from collections.abc import Iterator

import pytest
from hypothesis import given

from metareward.errors import StoreError
from metareward.records import (
    Response,
)
from metareward.stages.grouping import Bundle, bundles
from pairing_worlds import T, World, a_battle, a_judgment, a_prompt, a_response, quick, worlds


@quick
@given(worlds())
def test_bundles_hand_out_every_row_once_with_its_prompt(world: World):
    found = list(bundles(*world.judge_inputs))
    assert [bundle.prompt for bundle in found] == world.prompts
    for kind in ("responses", "judgments", "battles"):
        rows = [(bundle.prompt.id, row) for bundle in found for row in getattr(bundle, kind)]
        assert [row for _, row in rows] == getattr(world, kind)
        assert all(row.prompt_id == prompt_id for prompt_id, row in rows)


def test_missing_children_are_empty_lists():
    prompts = [a_prompt("a"), a_prompt("b"), a_prompt("c")]
    only = a_response("b")
    assert list(bundles(prompts, [only])) == [
        Bundle(prompts[0], [], [], []),
        Bundle(prompts[1], [only], [], []),
        Bundle(prompts[2], [], [], []),
    ]
    assert list(bundles([])) == []


def test_bundles_read_no_further_than_one_row_past_a_prompt():
    read: list[str] = []

    def stream() -> Iterator[Response]:
        for prompt in "abcd":
            for sample in range(2):
                read.append(f"{prompt}-{sample}")
                yield a_response(prompt, sample)

    found = bundles([a_prompt(name) for name in "abcd"], stream())
    next(found)
    assert read == ["a-0", "a-1", "b-0"]
    next(found)
    assert read[-1] == "c-0"


@pytest.mark.parametrize("names", ["abx", "xab", "ba", "aba"])
def test_a_row_without_its_prompt_or_out_of_order_is_named(names: str):
    rows = [a_response(name, sample) for sample, name in enumerate(names)]
    with pytest.raises(StoreError, match=r"response .-. belongs to prompt"):
        list(bundles([a_prompt("a"), a_prompt("b")], rows))


def test_the_error_names_the_kind_and_the_row():
    response = a_response("x")
    judgment = a_judgment(response, 3, 1.0)
    with pytest.raises(StoreError, match="judgment x-0-3 belongs to prompt x"):
        list(bundles([a_prompt("a")], [], [judgment]))
    with pytest.raises(StoreError, match="battle x-0-3:x-0-3 belongs to prompt x"):
        list(bundles([a_prompt("a")], battles=[a_battle(judgment, judgment, T)]))
