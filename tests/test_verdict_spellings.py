"""Every spelling of a verdict is read as a careful person reads it, and nothing is that is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.readers import read_score, read_winner
from metareward.records import Finish
from verdict_spellings import LINES, TEXTS, WINNER_TEXTS, WINNERS, W

READ = {line: value for line, value in LINES.items() if value is not None}


@pytest.mark.parametrize(("line", "value"), LINES.items(), ids=lambda given: repr(given)[:40])
def test_a_line_wherever_it_stands(line, value):
    for text in (line, f"{W}\n\n{line}", f"{line}\n\n{W}", f"{W}\n\n{line}\n\n---\n</s>"):
        assert read_score(text, Finish.STOP).score == value, text[:200]


@pytest.mark.parametrize(("text", "value"), TEXTS.items(), ids=lambda given: repr(given)[:60])
def test_a_text(text, value):
    assert read_score(text, Finish.STOP).score == value
    assert read_score(text.replace("\n", "\r\n"), Finish.STOP).score == value


@pytest.mark.parametrize(("line", "won"), WINNERS.items(), ids=lambda given: repr(given)[:40])
def test_a_winner_wherever_it_stands(line, won):
    for text in (line, f"{W}\n\n{line}", f"{line}\n\n{W}"):
        assert read_winner(text, Finish.STOP) == (won or "unreadable"), text[:200]


@pytest.mark.parametrize(("text", "won"), WINNER_TEXTS.items(), ids=lambda given: repr(given)[:60])
def test_a_text_between_two(text, won):
    assert read_winner(text, Finish.STOP) == (won or "unreadable")


def test_there_are_spellings_enough():
    assert len(READ) >= 200
    assert sum(value is None for value in LINES.values()) >= 100


@given(
    st.sampled_from(sorted(READ)), st.sampled_from(sorted(READ)), st.sampled_from(["\n", "\n\n", f"\n{W}\n"])
)
def test_two_different_verdicts_are_never_read(first, second, between):
    reading = read_score(f"{first}{between}{second}", Finish.STOP)
    if READ[first] != READ[second]:
        assert reading.score is None
    else:
        assert reading.score in (None, READ[first])


@given(
    st.lists(st.sampled_from(sorted(LINES) + sorted(TEXTS) + [W, "", "Clarity", "```", "> ", "<response>"]))
)
def test_what_is_read_was_written(lines):
    """Whatever is put together, a score that is read stands in it, on the scale."""
    text = "\n".join(lines)
    score = read_score(text, Finish.STOP).score
    assert score is None or score in {
        *READ.values(),
        *(value for value in TEXTS.values() if value is not None),
    }
    assert read_score(text, Finish.LENGTH).score is None
