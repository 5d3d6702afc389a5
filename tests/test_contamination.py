"""Contamination: equal and nearly equal prompts are found, others are left alone; checked on real data."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.evaluate.contamination import overlaps, same_text, words
from metareward.sources import load_prompts, prompt_of
from metareward.templates import shipped

DATA = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parents[2] / "shared" / "data"))
ITEM = "Write a eulogy for my grandmother, who was married twice and has over thirty grandchildren."


def found(text, *items, **settings):
    return list(overlaps([prompt_of(text, "mine:1")], {"bench": items or (ITEM,)}, **settings))


@pytest.mark.parametrize(
    "text",
    [
        ITEM,
        ITEM.upper(),
        ITEM.replace(",", " ;").replace(" ", "\n\t"),
        "ＷＲＩＴＥ" + ITEM[5:],
        ITEM.replace("thirty", "forty"),
        f"Please do this for me. {ITEM} Thank you so much in advance!",
    ],
)
def test_equal_nearly_equal_and_embedded_items_are_found(text):
    (overlap,) = found(text)
    assert (overlap.evaluation, overlap.item, overlap.source) == ("bench", ITEM, "mine:1")
    assert overlap.similarity >= 0.7


@pytest.mark.parametrize(
    "text", ["Write a poem for my grandmother.", "Write a eulogy for my dog, who was very fond of cheese."]
)
def test_what_only_begins_alike_is_left_alone(text):
    assert not found(text)


def test_short_items_must_be_equal():
    assert found("who made berlin?", "Who made Berlin")
    assert not found("Who made Paris?", "Who made Berlin")
    assert not found("I wonder who made Berlin so attractive to young artists.", "Who made Berlin")


def test_accents_written_apart_and_marks_do_not_count():
    assert words("Café!") == words("cafe\u0301")


def test_the_nearest_item_is_named_and_equality_is_one():
    (overlap,) = found(ITEM, ITEM.replace("thirty", "forty"), ITEM)
    assert overlap.item == ITEM
    assert overlap.similarity == 1.0


def test_only_what_the_user_says_is_compared():
    from metareward.records import Message

    prompt = prompt_of([Message("system", ITEM), Message("user", "Hello there.")])
    assert not list(overlaps([prompt], {"bench": [ITEM]}))


@pytest.mark.parametrize("threshold", [0.0, 1.1])
def test_a_threshold_outside_its_range_is_refused(threshold):
    with pytest.raises(ConfigError, match="threshold"):
        found(ITEM, threshold=threshold)


@given(st.text(max_size=120))
def test_any_text_equals_itself(text):
    if words(text):
        assert found("x " + text, "x " + text)[0].similarity == 1.0


def test_templates_of_judges_are_compared_both_ways():
    judge = shipped("judge")
    assert same_text(judge, judge.replace("\n", "  "))
    assert not same_text(judge, shipped("meta_judge"))
    assert not same_text(judge, shipped("judge_brief"))


def real(*parts):
    path = DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_the_sixteen_prompts_that_two_public_sets_share():
    """16 of the 799 OASST prompts are in AlpacaEval (as its data card says), none by chance beside them."""
    items = [row["instruction"] for row in real("alpaca_eval", "instructions.jsonl")]
    prompts = {
        row["prompt_text"]: prompt_of(row["prompt_text"]) for row in real("oasst", "oasst2_eft_quality.jsonl")
    }
    matches = list(overlaps(prompts.values(), {"alpaca_eval": items}))
    assert len(prompts) == 799
    assert len(matches) == 16
    assert all(match.similarity == 1.0 for match in matches)


def test_the_shipped_prompts_are_in_no_benchmark_at_hand():
    items = {
        "alpaca_eval": [row["instruction"] for row in real("alpaca_eval", "instructions.jsonl")],
        "ifeval": [row["prompt"] for row in real("ifeval", "input_data.jsonl")],
        "gsm8k": [row["question"] for row in real("gsm8k", "test.jsonl")],
        "arena_hard": [row["prompt"] for row in real("arena_hard", "questions_v0.1.jsonl")],
    }
    assert not list(overlaps(load_prompts("shipped").prompts, items))
