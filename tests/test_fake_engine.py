"""The fake engine says what its script says; what it makes up by itself can be read."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward import readers
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.engines.fake import END_OF_TURN, Reply, Script, default_script, fake, token_id, words
from metareward.models.base import Model
from metareward.records import Finish, Message, Outcome

MODEL = Model("fake", "nowhere", "fake")
LETTERS = Forced("\nWinner: ", ("A", "B"))


def ask(script: Script, *requests: Request, window: int = 16) -> list[Completion]:
    with fake(script, window=window)(MODEL) as engine:
        return list(engine.complete(requests))


def request(
    number: int = 0, step: str = "", forced: Forced | None = None, verdicts: tuple[str, ...] = (), **sampling
) -> Request:
    messages = (Message("user", "Say it."),)
    return Request(f"r{number}", messages, Sampling(**sampling), number, forced, step, verdicts)


def test_the_script_sees_request_and_model():
    (answer,) = ask(lambda asked, model: f"{asked.step} of {model.name}", request(step="judge"))
    assert answer.text == "judge of fake"
    assert answer.finish is Finish.STOP
    assert answer.token_ids == (*map(token_id, ("judge", " of", " fake")), END_OF_TURN)
    assert answer.output_tokens == 4
    assert answer.prompt_tokens == 2


def test_answers_come_in_another_order_than_asked():
    order = [answer.request_id for answer in ask(default_script, *map(request, range(5)), window=3)]
    assert order == ["r2", "r1", "r0", "r4", "r3"]


def test_a_scripted_failure_is_a_value():
    answers = ask(
        lambda asked, _: Reply(fail="the tape broke") if asked.seed == 1 else "fine", request(0), request(1)
    )
    assert {a.request_id: (a.finish, a.error) for a in answers} == {
        "r0": (Finish.STOP, None),
        "r1": (Finish.FAILED, "the tape broke"),
    }


def test_scripted_probabilities_are_read():
    (answer,) = ask(lambda asked, _: Reply("Both fine.", {"A": 0.25}), request(forced=LETTERS))
    assert answer.choice_log_probs is not None
    assert answer.choice_log_probs["A"] == pytest.approx(math.log(0.25))
    assert answer.choice_log_probs["B"] < -20
    assert answer.token_ids == tuple(map(token_id, ("Both", " fine.")))
    assert answer.endings == {
        letter: (*map(token_id, ("\nWinner:", f" {letter}")), END_OF_TURN) for letter in "AB"
    }


def test_a_script_that_names_no_such_choice_is_a_mistake():
    with pytest.raises(ValueError, match="'C'"):
        ask(lambda asked, _: Reply("", {"C": 1.0}), request(forced=LETTERS))


def test_made_up_probabilities_add_up_and_differ_by_seed():
    answers = ask(default_script, *(request(n, forced=LETTERS) for n in range(20)))
    firsts = [math.exp((answer.choice_log_probs or {})["A"]) for answer in answers]
    seconds = [math.exp((answer.choice_log_probs or {})["B"]) for answer in answers]
    assert [a + b for a, b in zip(firsts, seconds, strict=True)] == pytest.approx([1.0] * 20)
    assert min(firsts) < 0.5 < max(firsts)


SCORES = tuple(f"Score: {n}" for n in range(6))
WINNERS = ("Winner: A", "Winner: B")


def test_made_up_verdicts_can_be_read_and_differ():
    grades = ask(default_script, *(request(n, step="judge", verdicts=SCORES) for n in range(40)))
    scores = {readers.read_score(answer.text, answer.finish).score for answer in grades}
    assert scores == {0, 1, 2, 3, 4, 5}
    battles = ask(default_script, *(request(n, step="meta_judge", verdicts=WINNERS) for n in range(40)))
    winners = {readers.read_winner(answer.text, answer.finish) for answer in battles}
    assert winners == {Outcome.FIRST, Outcome.SECOND}


def test_a_forced_judge_leaves_the_verdict_to_the_reading():
    forced = Forced("\nScore: ", ("0", "5"))
    (answer,) = ask(default_script, request(step="judge", forced=forced, stop=("Score:",)))
    assert "Score" not in answer.text
    assert answer.text


@pytest.mark.parametrize(
    ("limit", "text", "finish"),
    [(2, "one two", Finish.LENGTH), (3, "one two three", Finish.LENGTH), (4, "one two three", Finish.STOP)],
)
def test_words_are_tokens(limit: int, text: str, finish: Finish):
    (answer,) = ask(lambda *_: "one two three", request(max_tokens=limit))
    assert (answer.text, answer.finish) == (text, finish)
    last = END_OF_TURN if finish is Finish.STOP else token_id(" " + text.split(" ")[-1])
    assert answer.token_ids is not None
    assert answer.token_ids[-1] == last


@given(st.text(max_size=40))
def test_words_joined_are_the_text(text: str):
    assert "".join(words(text)) == text


@given(st.text(max_size=30), st.text(min_size=1, max_size=2), st.integers(0, 12))
def test_a_stop_string_is_never_in_the_text(text: str, stop: str, limit: int):
    (answer,) = ask(lambda *_: text, request(stop=(stop,), max_tokens=limit))
    assert stop not in answer.text
    assert text.startswith(answer.text)
    assert len(answer.token_ids or ()) <= limit
