"""Verdicts as data, in sentences, in other scripts, beside those of others: what a person reads in them."""

import time

import pytest

from metareward.readers import Scale, read_score, read_winner
from metareward.reasoning import AUTO
from metareward.records import Finish, Outcome
from verdict_forms import FORMS, SCALED


@pytest.mark.parametrize(("text", "score"), FORMS.items(), ids=lambda given: repr(given)[:50])
def test_a_form(text, score):
    answer = AUTO.answer(text)
    assert read_score(answer, Finish.STOP).score == score
    assert read_score(answer.replace("\n", "\r\n"), Finish.STOP).score == score
    assert read_score(answer, Finish.LENGTH).score is None


@pytest.mark.parametrize(("scale", "text", "score"), SCALED, ids=lambda given: repr(given)[:50])
def test_a_form_on_another_scale(scale, text, score):
    assert read_score(text, Finish.STOP, Scale(*scale)).score == score


def test_there_are_forms_enough():
    assert sum(score is not None for score in FORMS.values()) >= 300
    assert sum(score is None for score in FORMS.values()) >= 200


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ('{"reason": "truer", "winner": "A"}', Outcome.FIRST),
        ('```json\n{"winner": "Judgment B"}\n```', Outcome.SECOND),
        ('{"clarity": {"winner": "A"}, "depth": {"winner": "A"}}', Outcome.UNREADABLE),
        ("<reason>truer</reason><winner>B</winner>", Outcome.SECOND),
        ("| Winner | A |", Outcome.FIRST),
        ("Winner: A. It is truer and names the gap.", Outcome.FIRST),
        ("Winner: A - it is truer and names the gap.", Outcome.FIRST),
        ("Winner: A, because it is truer.", Outcome.FIRST),
        ("Winner: A Winner: A", Outcome.UNREADABLE),
        ("Winner: A. Or rather both.\nWinner: B", Outcome.UNREADABLE),
        ("The judgment crowns itself with a verdict:\nWinner: A", Outcome.UNREADABLE),
        ("Winner: A\n\nHmm, it is closer than that.", Outcome.UNREADABLE),
        ("It names the gap, which is what the user asked for.\nWinner: B", Outcome.SECOND),
    ],
)
def test_a_winner_in_such_forms(text, outcome):
    assert read_winner(text, Finish.STOP) is outcome


@pytest.mark.parametrize(
    "junk",
    [
        *("```json\n{\n", '{"score": ', "</a><b>", "<score>\n4\n", "| a | b |\n", "| ", "~~", "[response] "),
        *('"', "Score: ★★★", "\\text{", "So, the score is, so ", "Clarity: 1\n", "Score: 4. It is ", "1,"),
    ],
)
def test_megabytes_of_such_forms_are_read_in_linear_time(junk):
    text = junk * (60_000 // len(junk))
    began = time.process_time()
    for end in ("x", "}", "```"):
        read_score(text + end, Finish.STOP)
    assert time.process_time() - began < 10
