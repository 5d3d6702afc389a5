"""Label and scale stand in a template's head, and everything that reads a score goes by them."""

import math

import pytest

from metareward import templates
from metareward.eft.demonstrate import Asking, FromRanks, justification_of
from metareward.engines.base import Completion
from metareward.engines.forcing import ForcedTokens
from metareward.errors import ConfigError
from metareward.models.base import Model
from metareward.readers import Scale, read_score, read_winner
from metareward.recipes.judge_gate import JudgeGate, hold
from metareward.recipes.judge_signals import Scores
from metareward.records import Demonstration, Finish, Judgment, Message, Outcome, Prompt, Rating, Response
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge
from metareward.stages.meta_judge import MetaJudge
from metareward.stages.redact import HIDDEN, without_scores
from metareward.stats.bootstrap import Estimate

OWN = "{# verdict: Rating, 1 to 10 #}\n{{ conversation }}\n{{ response }}\nRating: N"
TEN = Scale("Rating", 1, 10)
MODEL = Model("m", "", "f")
PROMPT = Prompt("p", (Message("user", "Why?"),))
RESPONSE = Response("r", "p", 0, "m", "So.", None, Finish.STOP)


def test_a_template_without_a_head_asks_as_before():
    assert templates.scale_of(templates.shipped("judge")) == Scale("Score", 0, 5) == Judge().scale
    assert templates.winner_label_of(templates.shipped("meta_judge")) == "Winner"


def test_the_head_says_label_and_scale_and_is_not_shown():
    judge = Judge(template=OWN)
    assert judge.scale == TEN
    (message,) = judge.ask(PROMPT, RESPONSE)
    assert message.content == "Why?\nSo.\nRating: N"


@pytest.mark.parametrize(
    ("text", "score", "unread"),
    [
        ("Rating: 7", 7, None),
        ("**Rating: 10/10**", 10, None),
        ("Score: 7", 7, None),
        ("Rating: 7/5", None, "off the scale"),
        ("Rating: 0", None, "off the scale"),
        ("Rating: 11", None, "off the scale"),
    ],
)
def test_the_reader_goes_by_the_declared_scale(text, score, unread):
    reading = read_score(text, Finish.STOP, TEN)
    assert (reading.score, reading.unread) == (score, unread)


def test_an_unknown_label_stands_for_itself_alone():
    helpful = Scale("Helpfulness", 1, 7)
    assert read_score("Helpfulness: 6/7", Finish.STOP, helpful).score == 6
    assert read_score("Final helpfulness: 6", Finish.STOP, helpful).score == 6
    assert read_score("Score: 6", Finish.STOP, helpful).unread == "no verdict line"


def asked(judge, **more):
    (question,) = list(judge.questions(MODEL, [PROMPT], [RESPONSE]))
    text, request = "Good.", question.request
    return judge.read(question, Completion(request.id, text, Finish.STOP, None, 1, 1, **more), MODEL), request


def test_a_forced_reading_asks_for_the_declared_verdict():
    logs = {str(n): math.log({9: 0.3, 10: 0.6}.get(n, 1e-12)) for n in range(1, 11)}
    judgment, request = asked(Judge(1, reading="forced", template=OWN), choice_log_probs=logs)
    assert request.forced is not None
    assert (request.forced.prefix, request.forced.choices) == ("\nRating: ", tuple(map(str, range(1, 11))))
    assert request.sampling.stop == ("Rating:",)
    assert judgment.score == pytest.approx((9 * 0.3 + 10 * 0.6) / 0.9, abs=1e-6)
    assert judgment.text == "Good.\nRating: 10"
    assert read_score(judgment.text, Finish.STOP, TEN).score == 10


def test_ten_in_two_tokens_does_not_lend_its_probability_to_one():
    """p(1) = .6 before `0`, of which .45 goes on to 10: what is left for 1 is .15."""
    tokens = ForcedTokens((), {"1": (1,), "10": (1, 0), "2": (2,)}, {})
    logs = {"1": math.log(0.6), "10": math.log(0.45), "2": math.log(0.4)}
    found = {choice: math.exp(log) for choice, log in tokens.exclusive(logs).items()}
    assert found == pytest.approx({"1": 0.15, "10": 0.45, "2": 0.4})
    alone = ForcedTokens((), {"1": (1,), "10": (7,)}, {})
    assert alone.exclusive({"1": -1.0, "10": -2.0}) == {"1": -1.0, "10": -2.0}


def test_a_winners_label_is_declared_alike():
    head = "{# verdict: Truer, A or B #}\n"
    template = head + "{{ conversation }} {{ response_a }} {{ response_b }} Truer: A or B"
    stage = Compare(reading="forced", template=template)
    other = Response("s", "p", 1, "m", "No.", None, Finish.STOP)
    question = next(stage.questions(MODEL, [PROMPT], [RESPONSE, other]))
    assert question.request.forced is not None
    assert question.request.forced.prefix == "\nTruer: "
    assert read_winner("Truer: B", Finish.STOP, "Truer") is Outcome.SECOND
    assert read_winner("Winner: B", Finish.STOP, "Truer") is Outcome.UNREADABLE


@pytest.mark.parametrize(
    ("head", "says"),
    [
        ("{# verdict Rating #}", "as in {# verdict: Rating, 1 to 10 #}"),
        ("{# verdict: Rating, 1-10 #}", "cannot read the comment"),
        ("{# verdict: Rating, 10 to 1 #}", "from a whole number of 0 or more to a higher one"),
        ("{# verdict: Rating, 0 to 1000 #}", "at most 100"),
        ("{# verdict: R2D2, 1 to 10 #}", "words of letters"),
        ("{# verdict: Winner, A or B #}", "cannot read the comment"),
        ("{# judgments: Rating, 1 to 10 #}", "form of what is read here is fixed"),
        ("Grade. {# verdict: Rating, 1 to 10 #}", "very beginning"),
    ],
)
def test_a_head_that_cannot_be_read_is_refused(head, says):
    with pytest.raises(ConfigError, match=f"judge.template: .*{says}"):
        Judge(template=head + "{{ conversation }} {{ response }} Score: N")


def test_a_verdict_that_is_asked_for_without_its_scale_is_refused():
    """Half of the ratings from 1 to 10 would else be read as if they were from 0 to 5."""
    with pytest.raises(ConfigError, match="asks for the line 'Rating' and does not say on what scale"):
        Judge(template="{{ conversation }} {{ response }} End with Rating: N")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ("How good is it?", "never asks for a line 'Score: <number from 0 to 5>'"),
        ("Give a score from 1 to 10, as in Score: N", "speaks of a scale to 10"),
        ("Score it, out of 10. Score: N", "speaks of a scale to 10"),
        ("Score: X/10", "speaks of a scale to 10"),
        (
            "Rate it from 1 to 10 in this form: Rating: [[N]], such as Rating: [[5]]",
            "speaks of a scale to 10",
        ),
        ("Score: <0 to 5>", None),
        ("Score: <total out of 5>; at most 100 words", None),
        ("Each part is rated from 1 to 10, the whole from 0 to 5. Score: N", None),
        ("**Score**: N", None),
        ("End with [[N]], between 0 and 5", None),
    ],
)
def test_a_template_that_never_asks_is_spoken_of(words, says):
    said = templates.unasked(f"{{{{ conversation }}}} {{{{ response }}}} {words}", "judge.template", "score")
    assert (said is None) if says is None else (says in str(said))


@pytest.mark.parametrize("text", ["Rating: 9", "I give it 9/10.", "It earns 9 out of 10.", "**Rating:** 10"])
def test_scores_of_another_scale_are_hidden(text):
    shown = without_scores(f"It is fine.\n{text}", TEN)
    assert not set("0123456789") & set(shown.replace("/10", "").replace("of 10", "")), shown
    assert "9" not in shown


def test_the_meta_judge_hides_by_its_own_head():
    text = "{{ conversation }} {{ response }} {{ judgment_a }} {{ judgment_b }} Winner: A or B"
    meta = MetaJudge(template="{# judgments: Rating, 1 to 10 #}" + text, show_scores=False)
    said = "Well. I give it 9/10.\nRating: 9"
    judgment = Judgment("j", "p", "r", 0, "m", (), said, None, Finish.STOP, 9.0, None)
    (message,) = meta.ask(PROMPT, RESPONSE, judgment, judgment)
    assert "9" not in message.content
    assert HIDDEN in message.content


def test_demonstrations_are_written_on_the_scale():
    rule = FromRanks(Asking(OWN), "neutral")
    responses = [Response(f"r{n}", "p", n, "m", "So.", None, Finish.STOP) for n in range(10)]
    ratings = [Rating(f"q{n}", "p", f"r{n}", n / 10) for n in range(10)]
    made = list(rule.apply([PROMPT], responses, ratings))
    texts = [demonstration.text for demonstration in made if isinstance(demonstration, Demonstration)]
    assert [text.rpartition("\n")[2] for text in texts] == [f"Rating: {n}" for n in range(1, 11)]
    said = justification_of("It is good. Rating: is due.\nRating: 7", "Rating")
    assert said == "It is good. Rating: is due.", "a label within a line is no verdict"


def test_signals_and_limits_go_by_the_scale():
    scores = Scores(TEN)
    judged = [Judgment("j", "p", "r", 0, "m", (), "", None, Finish.STOP, float(s), None) for s in (1, 10, 10)]
    scores.add(judged)
    assert scores.counts == [[1, 0, 0, 0, 0, 0, 0, 0, 0, 2]]
    rise = {"mean_change": Estimate(0.45, 0.4, 0.5, 50)}
    assert not hold(JudgeGate(), rise, ()).passed
    assert hold(JudgeGate(), rise, (), scale=TEN).passed, (
        "the limit of .3 is .54 where nine points lie between"
    )
    assert not hold(JudgeGate(max_mean_rise=0.2), rise, (), scale=TEN).passed
