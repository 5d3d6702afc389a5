"""Settings that cannot be meant are refused; pairs become tokens, and every pair is accounted for."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError, StepError
from metareward.records import Message
from metareward.train.dpo import DPO, TrainMachine, accumulation
from metareward.train.tokens import EMPTY, SAME, TOO_LONG, Coder, encode_pairs
from tiny_llama import pair

END = 0


def letters(text: str) -> list[int]:
    return [ord(letter) for letter in text]


CODER = Coder(
    chat=lambda messages: [1, *letters("".join(message.content for message in messages)), 2],
    text=letters,
    decode=lambda ids: "".join(chr(token) for token in ids if token > 2),
    end=END,
)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("learning_rate", 0.0),
        ("beta", 0.0),
        ("beta", -0.1),
        ("batch_size", 0),
        ("epochs", 0),
        ("stop_after_epoch", 11),
        ("stop_after_epoch", 0),
        ("scheduler", "cosin"),
        ("warmup_ratio", 1.0),
        ("max_grad_norm", 0.0),
        ("max_length", 1),
        ("nll_weight", -1.0),
        ("weight_decay", -1.0),
        ("seed", -1),
        ("learning_rate", float("nan")),
    ],
)
def test_impossible_settings_are_refused_by_name(setting: str, value: Any):
    with pytest.raises(ConfigError, match=rf"dpo\.{setting}"):
        DPO(**{setting: value})


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("processes", 0),
        ("pairs_per_device", 0),
        ("dtype", "int8"),
        ("checkpoint_minutes", 0),
        ("timeout_minutes_without_progress", -1),
        ("stop_seconds", 0),
    ],
)
def test_impossible_machines_are_refused_by_name(setting: str, value: Any):
    with pytest.raises(ConfigError, match=rf"machine\.training\.{setting}"):
        TrainMachine(**{setting: value})


def test_defaults_are_those_of_the_paper():
    dpo = DPO()
    assert (dpo.learning_rate, dpo.beta, dpo.batch_size, dpo.epochs) == (5e-6, 0.1, 32, 10)
    assert (dpo.scheduler, dpo.warmup_ratio, dpo.nll_weight, dpo.epochs_to_train) == ("cosine", 0.0, 0.0, 10)
    assert DPO(stop_after_epoch=6).epochs_to_train == 6


@given(st.integers(1, 64), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.0, 0.5]))
def test_accumulation_makes_up_the_batch_or_is_refused(batch: int, processes: int, pairs: int, nll: float):
    dpo, machine = DPO(batch_size=batch, nll_weight=nll), TrainMachine(processes, pairs)
    try:
        at_once, steps = accumulation(dpo, machine)
    except ConfigError:
        assert batch % (processes * min(pairs, batch))
    else:
        assert (at_once * steps * processes, at_once) == (batch, min(pairs, batch))


texts = st.text("ab", max_size=6)


@given(st.lists(st.tuples(texts, texts, texts), min_size=1, max_size=30), st.integers(2, 12))
def test_counts_add_up_and_nothing_is_cut(rows: list[tuple[str, str, str]], max_length: int):
    given_pairs = [pair(i, chosen, rejected, prompt) for i, (prompt, chosen, rejected) in enumerate(rows)]
    try:
        ready = encode_pairs(given_pairs, CODER, max_length)
    except StepError:
        return  # no pair is left: see below
    assert len(ready) + sum(ready.dropped.values()) == len(rows)
    assert ready.reencoded == 2 * len(ready)
    said = [(p, f"{c}", f"{r}") for p, c, r in rows]
    for prompt, chosen, rejected in zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True):
        assert len(prompt) + max(len(chosen), len(rejected)) <= max_length
        assert chosen[-1] == rejected[-1] == END
        text = CODER.decode(prompt)
        assert any(
            (CODER.decode(chosen), CODER.decode(rejected)) == (c, r) and text in (p, text) for p, c, r in said
        )
    lengths = zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True)
    assert ready.tokens == sum(2 * len(p) + len(c) + len(r) for p, c, r in lengths)


def test_each_reason_is_counted_on_its_own():
    rows = [
        pair(0, "aaaa", "b", "q"),
        pair(1, "", "b", "q"),
        pair(2, "a", "a", "q"),
        pair(3, "a", "bbbb", "q"),
        pair(4, "a", "b", "q"),
    ]
    ready = encode_pairs(rows, CODER, max_length=6)  # the prompt has three tokens and an answer one more
    assert ready.dropped == {TOO_LONG: 2, EMPTY: 1, SAME: 1}
    assert (ready.prompt_ids, ready.chosen_ids, ready.rejected_ids) == (
        [[1, ord("q"), 2]],
        [[ord("a"), END]],
        [[ord("b"), END]],
    )


@pytest.mark.parametrize(("max_length", "kept"), [(6, 1), (5, 0)])
@pytest.mark.parametrize("sides", [("aa", "b"), ("b", "aa")])
def test_a_pair_of_just_max_length_is_kept(sides: tuple[str, str], max_length: int, kept: int):
    """Three tokens of the prompt, two of the longer answer, and its end; the shorter one does not matter."""
    rows = [pair(0, *sides, "q"), pair(1, "b", "c", "q")]
    assert len(encode_pairs(rows, CODER, max_length)) == 1 + kept


@given(texts.filter(bool), st.booleans())
def test_sampled_tokens_are_kept_when_they_say_the_text(text: str, ended: bool):
    from dataclasses import replace

    sampled = (*letters(text), *([END] if ended else []))
    kept = encode_pairs([replace(pair(0, text, "c"), chosen_token_ids=sampled)], CODER, 50)
    assert kept.chosen_ids == [list(sampled)]
    assert kept.reencoded == 1  # the rejected one
    other = encode_pairs([replace(pair(0, text + "b", "c"), chosen_token_ids=sampled)], CODER, 50)
    assert other.chosen_ids == [[*letters(text + "b"), END]]
    assert other.reencoded == 2


def test_when_nothing_is_left_the_error_says_why_and_what_to_do():
    with pytest.raises(StepError, match=r"none of 2 pairs.*2 longer than max_length.*raise dpo.max_length"):
        encode_pairs([pair(0, "aaaa", "b"), pair(1, "a", "bbbb")], CODER, 3)
    with pytest.raises(StepError, match="no pairs were given"):
        encode_pairs([], CODER, 3)


def test_all_turns_reach_the_prompt():
    from dataclasses import replace

    turns = (Message("system", "s"), Message("user", "u"), Message("assistant", "v"), Message("user", "w"))
    ready = encode_pairs([replace(pair(0, "a", "b"), messages=turns)], CODER, 50)
    assert ready.prompt_ids == [[1, *letters("suvw"), 2]]
