"""The redactor: whatever the score, the meta-judge sees the same; what counts something else stays."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward import templates
from metareward.readers import read_score
from metareward.records import Finish, Outcome
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.pair_judge import JudgePairs
from metareward.stages.redact import HIDDEN, without_scores
from pairing_worlds import a_battle, a_judgment, a_prompt, a_response, pairs

WORDS = ("zero", "one", "two", "three", "four", "five")
REMARKS = "The answer names the capital and two rivers, but its third step is wrong."

ENDINGS = """Score: {}
**Score: {}/5**
**Score:** {}
__Score: {}__
`Score: {}`
SCORE: {}
Score : {}
Score: {} (good)
- Score - {}
> Score: {}
Final Score -> {}
**Total Score:** {}
Total = {}
Grade: {}
Points: {}
Final verdict: {}
Rating: **{}** out of 5 stars
({}/5)
[{}/5]
{} points.
{} stars
So: {}."""

MENTIONS = """The answer is relevant. I give it {} points.
I give this response a {}.
I'm giving this {}.
It gets {} out of 5 because the last step is wrong.
Overall, {}/5 is fair.
I would rate this {} / 5.
The total comes to {}.
That makes {} points in total.
This is a solid {}.
I'd score the answer {} since it omits units.
The response earns {} points: relevant, complete.
My final score is {}.
The score should be {}, not more.
For these reasons, I settle on {}.
I award a score of {} for this.
It deserves {} out of the five points.
It scores "{}" overall.
Hence the total is {} of 5.
A score of {}/5 would be appropriate.
I would give it a {} out of 5.
This response is worth {} points.
It is a {}-star answer.
It is a {}-point answer.
It receives {} because it is short.
Therefore {} out of five.
A {} for effort.
I gave it {} points out of 5.
I'd say {}.
I would go for {}.
My rating is between {} and {}, so {}.
It scored {} points, relevance included.
Out of 5, I give {}.
It meets {} of the 5 criteria.
It satisfies {} criteria.
The score is therefore {} (out of 5).
I would award {} marks, as it lacks sources.
So it earns the {} points for relevance."""

WITHOUT_NUMBERS = (
    "Full marks.",
    "All five criteria are met.",
    "A perfect score.",
    "It earns no points.",
    "★★★★☆",
)

KEPT = """The response lists 5 steps, and step 4 is wrong.
Point 4 is not met, but points 1, 2 and 3 are.
It gives 3 examples of each kind.
It meets criterion 4, but not 5.
4 out of 5 examples are right.
The total of 3 planets is wrong.
The recipe needs 2 eggs, 1 cup of flour and 0.5 l of milk.
On 4/5/2023 the treaty was signed.
It covers one of the two questions.
The answer makes three good arguments.
It is 5% too long.
The response is about version 3.5 of the software.
It gets point 4 wrong.
It earns criterion 4, but not the last.
It makes step 4, though late.
The response gives rule 2.
One could say more about the second part.
The list has two entries and no conclusion.
She was born in 1985, in a family of four.
It explains one thing at a time.
The response gives two reasons.
The sum 2 + 2 = 4 is right.
1. It is relevant.
2. It is short."""


@pytest.mark.parametrize("form", [*ENDINGS.splitlines(), *MENTIONS.splitlines()])
@pytest.mark.parametrize("values", ["012345", WORDS], ids=["digits", "words"])
def test_no_two_scores_can_be_told_apart(form, values):
    shown = {without_scores(f"{REMARKS}\n{form.replace('{}', value)}") for value in values}
    assert len(shown) == 1
    (text,) = shown
    assert text.startswith(REMARKS), "the remarks stay as they are"


@pytest.mark.parametrize("form", ["Score: {}", "I give it {} points.", "{}/5", "My final score is {}."])
def test_fractions_of_a_point_are_hidden_too(form):
    assert (
        len({without_scores(f"{REMARKS}\n{form.format(value)}") for value in ("3.5", "4.25", "0.5", "2")})
        == 1
    )


@pytest.mark.parametrize("text", WITHOUT_NUMBERS)
def test_totals_without_a_number_are_hidden(text):
    assert HIDDEN in f"{without_scores(f'{REMARKS} {text}')}"


def test_a_sum_of_points_is_hidden():
    assert without_scores(f"{REMARKS}\n1 + 1 + 1 + 0 + 0 = 3") == REMARKS


@pytest.mark.parametrize("text", KEPT.splitlines())
def test_what_is_no_total_stays(text):
    assert without_scores(text) == text


@pytest.mark.parametrize("text", [f"{REMARKS}\n{form.replace('{}', '4')}" for form in MENTIONS.splitlines()])
def test_hiding_twice_is_hiding_once(text):
    assert without_scores(without_scores(text)) == without_scores(text)


@given(st.lists(st.sampled_from([*KEPT.splitlines(), "Nothing more to say."]), max_size=4), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_the_line_that_the_reader_reads_is_gone(remarks, score):
    text = "\n".join([*remarks, f"Score: {score}"])
    assert read_score(text, Finish.STOP).score == score
    assert read_score(without_scores(text), Finish.STOP).score is None
    assert without_scores(text) == "\n".join(remarks)


def test_both_verdict_lines_of_a_forced_judgment_are_gone():
    """A forced judge's text ends in the line written for it, whatever it had said before."""
    assert without_scores("Clear, I would say a 4.\nScore: 3") == f"Clear, I would say a {HIDDEN}."


@pytest.mark.parametrize(
    "piece", ["4 of ", "Score: ", "1 + ", "I give it ", "*_`'", "a 4", "4/", "five points "]
)
def test_it_takes_linear_time(piece):
    def least(times: int) -> float:
        text = piece * times
        taken = []
        for _ in range(3):
            started = time.perf_counter()
            without_scores(text)
            taken.append(time.perf_counter() - started)
        return min(taken)

    assert least(8_000) < 20 * least(1_000) + 0.05


class TestMetaJudge:
    response = a_response("p", 0, "Paris.")
    high = a_judgment(response, 0, 5.0, "Right and short.\nScore: 5")
    low = a_judgment(response, 1, 2.0, "Too short, 2/5 at most.\nScore: 2")

    def shown(self, **settings):
        stage = MetaJudge(**settings)
        return stage.ask(a_prompt("p"), self.response, self.high, self.low)[0].content

    def test_scores_are_shown_by_default_and_hidden_on_demand(self):
        assert "Score: 5" in self.shown()
        assert "2/5" in self.shown()
        hidden = self.shown(show_scores=False)
        assert "Right and short." in hidden
        assert "Score: 5" not in hidden
        assert "2/5" not in hidden
        assert hidden.count(HIDDEN) == 1

    def test_swapping_the_scores_of_two_alike_remarks_changes_nothing_that_is_shown(self):
        twin = a_judgment(self.response, 2, 0.0, "Right and short.\nScore: 0")
        stage = MetaJudge(show_scores=False)
        one, other = (stage.ask(a_prompt("p"), self.response, j, self.low) for j in (self.high, twin))
        assert one == other

    def test_what_is_trained_on_stays_whole(self):
        prompt = a_prompt("p")
        battles = [
            a_battle(self.high, self.low, Outcome.FIRST),
            a_battle(self.low, self.high, Outcome.SECOND),
        ]
        (pair,) = pairs(JudgePairs().apply([prompt], [self.response], [self.high, self.low], battles))
        assert (pair.chosen, pair.rejected) == (self.high.text, self.low.text)

    def test_the_template_for_hidden_scores_speaks_of_none(self):
        text = templates.shipped("meta_judge_no_scores")
        MetaJudge(template=text, show_scores=False)
        assert "total" not in text.lower()
        assert "score" not in text.lower().replace("scored", "")

    def test_the_rubric_of_the_shipped_judge_is_what_it_was_made_for(self):
        assert "between 0 and 5" in Judge().template
