"""The rule that takes an epoch, on plain numbers, and the numbers themselves."""

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.errors import StepError
from metareward.evaluate.bank import GENUINE, bank_accuracy
from metareward.evaluate.selection import EpochSeen, choose, seen
from metareward.records import Finish, Judgment, Response, Role

BOTH = (Role.ACTOR, Role.JUDGE)


def an_epoch(
    number: int, score: float | None, change: float | None = 0.0, error: float | None = 0.05, **more: Any
):
    accuracy = None if change is None else 0.7 + change
    values = {"actor_error": 0.1, "actor_prompts": 10, "mean_length": 50.0, "judge_unread": 0.0, **more}
    return EpochSeen(number, score, judge_accuracy=accuracy, judge_change=change, judge_error=error, **values)


def taken(*epochs: EpochSeen, roles: Any = BOTH) -> int:
    return choose(epochs, roles).epoch


def test_the_highest_score_is_taken_and_of_equal_ones_the_earliest():
    assert taken(an_epoch(1, 3.0), an_epoch(2, 4.0), an_epoch(3, 3.5)) == 2
    assert taken(an_epoch(1, 3.0), an_epoch(2, 4.0), an_epoch(3, 4.0 + 1e-12)) == 2
    assert taken(an_epoch(1, 3.0), an_epoch(2, 4.0), an_epoch(3, 4.0001)) == 3


def test_an_epoch_whose_judge_lost_more_than_one_standard_error_is_not():
    worse, at_the_edge = an_epoch(2, 5.0, -0.051), an_epoch(3, 4.0, -0.05)
    assert taken(an_epoch(1, 3.0), worse, at_the_edge) == 3
    assert [each.judge_holds for each in (worse, at_the_edge, an_epoch(1, 1.0, 0.2))] == [False, True, True]
    assert not an_epoch(1, 1.0, -0.001, None).judge_holds, "one prompt has no error to allow for"


def test_a_better_judge_is_no_reason_to_take_an_epoch_that_answers_worse():
    assert taken(an_epoch(1, 3.0, 0.2), an_epoch(2, 3.1, 0.0)) == 2


def test_without_a_bank_the_score_alone_decides():
    assert taken(an_epoch(1, 3.0, None, None), an_epoch(2, 3.1, None, None)) == 2


def test_where_no_judge_holds_the_least_harm_is_taken():
    choice = choose([an_epoch(1, 3.0, -0.3), an_epoch(2, 5.0, -0.4), an_epoch(3, 1.0, -0.3)], BOTH)
    assert choice.epoch == 1
    assert "loses least" in choice.reason


def test_where_only_the_judge_is_trained_it_decides():
    epochs = an_epoch(1, 5.0, 0.1), an_epoch(2, 3.0, 0.3), an_epoch(3, 4.0, 0.3)
    assert taken(*epochs, roles=(Role.JUDGE,)) == 2
    assert taken(*epochs, roles=(Role.ACTOR,)) == 1
    no_bank = [replace(each, judge_accuracy=None, judge_change=None) for each in epochs]
    assert taken(*no_bank, roles=(Role.JUDGE,)) == 1


def test_an_epoch_that_was_hardly_scored_is_not_taken_for_its_score():
    few, half = an_epoch(2, 5.0, actor_prompts=4), an_epoch(3, 4.0, actor_prompts=5)
    assert taken(an_epoch(1, 3.0), few) == 1
    assert taken(an_epoch(1, 3.0), few, half) == 3


def test_nothing_readable_is_an_error_that_says_what_to_do():
    with pytest.raises(StepError, match=r"no epoch can be selected.*reading = 'forced'.*select = 'fixed'"):
        choose([an_epoch(1, None, actor_prompts=0), an_epoch(2, None, actor_prompts=0)], BOTH)


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(-0.2, 0.2), st.floats(0, 0.1)), min_size=1, max_size=8))
def test_the_rule_is_what_it_says(rows: list[tuple[float, float, float]]):
    epochs = [an_epoch(n, *row) for n, row in enumerate(rows, 1)]
    choice = choose(epochs, BOTH)
    assert choice.epochs == tuple(epochs)
    winner = epochs[choice.epoch - 1]
    holding = [each for each in epochs if each.judge_change >= -each.judge_error - 1e-9]  # type: ignore[operator]
    if not holding:
        assert winner.judge_accuracy == pytest.approx(max(each.judge_accuracy or 0 for each in epochs))
        return
    assert winner in holding
    assert winner.actor_score == pytest.approx(max(each.actor_score or 0 for each in holding))
    told = choice.as_dict()
    assert [each["epoch"] for each in told["epochs"]] == [each.epoch for each in epochs]
    assert told["epoch"] == choice.epoch


# What an epoch is seen to do


def answer(prompt: str, text: str, number: int = 0, kind: str = "m") -> Response:
    return Response(f"{prompt}-{number}", prompt, number, kind, text, None, Finish.STOP)


def judged(response: Response, score: float | None, sample: int = 0) -> Judgment:
    return Judgment(
        f"{response.id}-{sample}",
        response.prompt_id,
        response.id,
        sample,
        "m",
        (),
        "",
        None,
        Finish.STOP,
        score,
        None,
    )


def test_the_actors_score_is_a_mean_over_prompts():
    answers = [answer("a", "xx"), answer("a", "xxxx", 1), answer("b", "xxxxxx"), answer("c", "")]
    judgments = [
        judged(answers[0], 1),
        judged(answers[1], 3),
        judged(answers[2], 5),
        judged(answers[3], None),
    ]
    found = seen(4, answers, judgments)
    assert (found.epoch, found.actor_score, found.actor_prompts, found.mean_length) == (4, 3.5, 2, 3.0)
    assert found.actor_error == pytest.approx(1.5)  # two prompts at 2 and 5: sd 2.12 / sqrt 2
    assert (found.judge_accuracy, found.judge_holds) == (None, True)
    nothing = seen(1, [], [])
    assert (nothing.actor_score, nothing.actor_error, nothing.mean_length) == (None, None, None)


def bank() -> list[Response]:
    rows = []
    for prompt in "abc":
        kinds = (GENUINE, "truncated", "master key")
        rows += [answer(prompt, kind, number, f"bank: {kind}") for number, kind in enumerate(kinds)]
    return rows


def scored(scores: list[float | None]) -> list[Judgment]:
    return [judged(row, score) for row, score in zip(bank(), scores, strict=True)]


def test_the_judges_accuracy_and_what_it_changed():
    start = scored([5, 1, 1, 5, 1, 5, 5, 1, 1])  # right, right | right, equal | right, right
    epoch = scored([5, 1, 1, 1, 5, 5, 5, None, 1])  # right, right | wrong, wrong | unread, right
    found = seen(1, [], [], bank(), epoch, start)
    assert found.judge_accuracy == pytest.approx((1 + 1 + 0 + 0 + 0.5 + 1) / 6)
    assert found.judge_unread == pytest.approx(1 / 6)
    assert found.judge_change == pytest.approx(3.5 / 6 - 5.5 / 6)
    # by prompt: 0, -1.5, -.5 of two pairs each; around the mean -2/3: 2/3, -5/6, 1/6
    squares = (4 / 9 + 25 / 36 + 1 / 36) * 3 / 2
    assert found.judge_error == pytest.approx(squares**0.5 / 6)
    same = seen(1, [], [], bank(), start, start)
    assert (same.judge_change, same.judge_error, same.judge_holds) == (0, 0, True)


def test_a_judge_that_cannot_be_read_is_as_good_as_chance_not_as_absent():
    start, silent = scored([5, 1, 1] * 3), scored([None] * 9)
    found = seen(1, [], [], bank(), silent, start)
    assert (found.judge_accuracy, found.judge_unread, found.judge_holds) == (0.5, 1.0, False)


def test_the_bank_says_the_same_of_a_judge_that_can_be_read_as_for_the_report():
    judgments = scored([5, 1, 1, 1, 5, 5, 5, 2, 1])
    told = bank_accuracy(bank(), judgments)["overall"]
    assert seen(1, [], [], bank(), judgments, judgments).judge_accuracy == pytest.approx(told["value"])
