"""The bank: every pair's worse side is worse by construction, and accuracy on it has the right sign."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import ConfigError
from metareward.evaluate.bank import (
    CONSTANT,
    GENUINE,
    KINDS,
    MASTER_KEYS,
    Bank,
    bank_accuracy,
    changed,
    truncated,
)
from metareward.records import Dropped, Finish, Judgment, Response
from metareward.sources import prompt_of
from metareward.stages.base import Shape

TEXTS = [
    f"Answer number {n} speaks about topic{'abcdefgh'[n] * 5} at some length, {n + 10} words."
    for n in range(8)
]


def asked(texts):
    prompts = [prompt_of(f"Question {number}?") for number in range(len(texts))]
    responses = [
        Response(f"r{n}", prompt.id, 0, "m", text, None, Finish.STOP)
        for n, (prompt, text) in enumerate(zip(prompts, texts, strict=True))
    ]
    return prompts, responses


def made(texts=TEXTS, **settings) -> list[Any]:
    return list(Bank(**settings).apply(*asked(texts)))


def judged(bank, score_of):
    """A judgment of each row; `score_of` takes its kind and number and gives a score or None."""
    return [
        Judgment(
            f"j{n}", row.prompt_id, row.id, 0, "m", (), "", None, Finish.STOP, score, None if score else "x"
        )
        for n, row in enumerate(bank)
        if (score := score_of(row.model.removeprefix("bank: "), n)) is not Ellipsis
    ]


def test_each_prompt_has_its_genuine_response_and_one_of_each_kind():
    rows = made()
    assert len(rows) == len(TEXTS) * (1 + len(KINDS))
    assert all(isinstance(row, Response) for row in rows)
    by_kind = {kind: [row for row in rows if row.model == f"bank: {kind}"] for kind in (GENUINE, *KINDS)}
    assert [row.text for row in by_kind[GENUINE]] == TEXTS
    assert len({row.id for row in rows}) == len(rows)
    own = dict(zip([row.prompt_id for row in by_kind[GENUINE]], TEXTS, strict=True))
    for row in by_kind["other instruction"]:
        assert row.text in TEXTS
        assert row.text != own[row.prompt_id]
    assert sorted(row.text for row in by_kind["other instruction"]) == sorted(TEXTS), "each is used once"
    for row in by_kind["truncated"]:
        assert own[row.prompt_id].startswith(row.text)
        assert len(row.text) < 0.5 * len(own[row.prompt_id])
    for row in by_kind["changed details"]:
        assert row.text != own[row.prompt_id]
        assert len(row.text.split()) == len(own[row.prompt_id].split())
    assert {row.text for row in by_kind["constant answer"]} == {CONSTANT}
    assert {row.text for row in by_kind["master key"]} <= set(MASTER_KEYS)


def test_the_bank_is_the_same_for_the_same_seed_and_ids_name_their_text():
    assert made() == made()
    assert made(seed=1) != made()
    same = {row.text: row.id for row in made() if row.model == "bank: constant answer"}
    assert len(same) == 1


def test_what_cannot_be_made_is_counted():
    rows = made(["Yes.", TEXTS[1], "", CONSTANT])
    assert len(rows) == 3 * (1 + len(KINDS)) + 1
    dropped = [row.reason for row in rows if isinstance(row, Dropped)]
    assert sorted(dropped) == [
        "cannot be made: changed details",
        "cannot be made: constant answer",
        "cannot be made: truncated",
        "no usable response",
    ]


def test_one_prompt_alone_has_no_other_answer():
    reasons = {row.reason for row in made([TEXTS[0]]) if isinstance(row, Dropped)}
    assert "cannot be made: other instruction" in reasons


def test_a_failed_response_is_passed_over():
    prompts, responses = asked(TEXTS[:2])
    failed = Response("f", prompts[0].id, 0, "m", "broken", None, Finish.FAILED, "error")
    rows = list(Bank().apply(prompts, [failed, *responses]))
    genuine = [row for row in rows if isinstance(row, Response) and row.model == "bank: genuine"]
    assert [row.text for row in genuine] == TEXTS[:2]


def test_a_limit_takes_the_first_prompts_and_is_checked():
    assert len(made(limit=3)) == 3 * (1 + len(KINDS))
    assert Bank(limit=3).shape(Shape(8, 5.0), Shape(8, 20.0)).rows == 3 * (1 + len(KINDS))
    with pytest.raises(ConfigError, match=r"bank\.limit"):
        Bank(limit=1)


words = st.text(st.characters(exclude_categories=["Z", "C"]), min_size=1, max_size=9)


@given(st.lists(words, max_size=20).map(" ".join), st.text(max_size=80), st.integers(0, 2**62))
def test_any_text_can_be_cut_and_changed(text, other, seed):
    cut, size = truncated(text), len(text.split())
    assert (cut is None) == (changed(text, other, seed) is None) == (size < 6)
    if cut is not None:
        assert text.startswith(cut)
        assert len(cut.split()) == size // 3


def test_an_answer_of_five_words_is_too_short_to_be_worse():
    assert truncated("One two three four five") is None
    assert changed("One two three four 5", "Another answer altogether", 0) is None
    assert truncated("One two three four five six") == "One two"


def test_every_number_is_changed_and_half_of_the_long_words_are_anothers():
    long = "Paris became capital 7 times, say seven historians whose number is 987."
    theirs = {"another", "bridge", "castle"}
    told = [changed(long, " ".join(sorted(theirs)), seed) or "" for seed in range(300)]
    assert not any({"7", "987"} & set(text.replace(".", "").split()) for text in told)
    kept = [word in text.split() for text in told for word in ("Paris", "became", "historians")]
    assert 0.4 < sum(kept) / len(kept) < 0.6
    foreign = [word in theirs for text in told for word in text.replace(".", "").split()]
    assert 0.4 < sum(foreign) / (7 * len(told)) < 0.6


def test_each_prompt_draws_its_own_key():
    keys = {row.text for row in made() if row.model == "bank: master key"}
    assert len(keys) > 1


def test_a_response_is_worth_the_mean_of_its_judgments():
    prompts, responses = asked(TEXTS[:2])
    bank = [row for row in Bank().apply(prompts, responses) if isinstance(row, Response)]
    judgments = [
        Judgment(f"{n} {score}", row.prompt_id, row.id, 0, "m", (), "", None, Finish.STOP, score, None)
        for n, row in enumerate(bank)
        for score in ((5.0, 1.0) if row.model == f"bank: {GENUINE}" else (4.0, 4.0))
    ]
    assert bank_accuracy(bank, judgments)["overall"]["value"] == 0, "3 is less than 4"


def test_a_judge_that_knows_is_right_and_one_that_prefers_the_worse_is_wrong():
    bank = made()
    knows = bank_accuracy(bank, judged(bank, lambda kind, _: 5.0 if kind == GENUINE else 1.0))
    assert knows["overall"]["value"] == 1.0
    fooled = bank_accuracy(bank, judged(bank, lambda kind, _: 1.0 if kind == GENUINE else 5.0))
    assert fooled["overall"]["value"] == 0.0
    same = bank_accuracy(bank, judged(bank, lambda *_: 4.0))
    assert same["overall"]["value"] == 0.5
    one = bank_accuracy(bank, judged(bank, lambda kind, _: {GENUINE: 3.0, "master key": 5.0}.get(kind, 1.0)))
    assert one["kinds"]["master key"]["value"] == 0.0
    assert one["overall"]["value"] == pytest.approx(0.8)
    assert one["kinds"]["master key"]["n"] == len(TEXTS)


def test_the_interval_is_over_prompts_and_widens_with_disagreement():
    bank = made()
    half = {row.prompt_id for row in bank[: len(bank) // 2]}
    judgments = [
        Judgment(str(n), row.prompt_id, row.id, 0, "m", (), "", None, Finish.STOP, score, None)
        for n, row in enumerate(bank)
        for score in [5.0 if (row.model == "bank: genuine") == (row.prompt_id in half) else 1.0]
    ]
    found = bank_accuracy(bank, judgments)["overall"]
    assert found["value"] == 0.5
    assert found["lower"] <= 0.25
    assert found["upper"] >= 0.75
    assert found["n"] == len(TEXTS)


def test_an_unreadable_side_is_neither_right_nor_wrong():
    bank = made()
    found = bank_accuracy(
        bank, judged(bank, lambda kind, n: None if kind == "truncated" else 5.0 if kind == GENUINE else 1.0)
    )
    assert found["kinds"]["truncated"]["value"] is None
    assert found["kinds"]["truncated"]["unread"] == len(TEXTS)
    assert found["overall"] == {**found["overall"], "value": 1.0, "unread": len(TEXTS)}
    nothing = bank_accuracy(bank, [])
    assert nothing["overall"]["value"] is None
    assert nothing["overall"]["unread"] == len(TEXTS) * len(KINDS)
