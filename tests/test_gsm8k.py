"""GSM8K as published: every verdict on four models' solutions; three readings where they differ; a run."""

import json
import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.engines.fake import Reply, fake
from metareward.errors import ConfigError, DataError
from metareward.evaluate import gsm8k
from metareward.evaluate.gsm8k import GSM8K, Problem, shipped_problems
from metareward.evaluate.responses import join
from metareward.models.base import Model
from metareward.run import Run
from metareward.train.fake import FakeTrainer
from published_data import published

MODEL = Model("fake", "", "fake")
PROBLEMS = (Problem("one?", "1"), Problem("two?", "2"), Problem("thousand?", "1000"))
QUESTIONS = [problem.question for problem in shipped_problems()]
CORRECT = {"6b_finetuning": 286, "6b_verification": 515, "175b_finetuning": 458, "175b_verification": 742}


def test_every_published_verdict_on_four_models():
    path = published("gsm8k", "example_model_solutions.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    answers = gsm8k.load_responses(path)
    assert [each.model for each in answers] == list(CORRECT)
    for each in answers:
        verdicts = gsm8k.judged(shipped_problems(), join(each.given, QUESTIONS, "GSM8K").responses, each.mark)
        by_question = {verdict.problem.question: verdict for verdict in verdicts}
        for row in rows:
            correct, verdict = row[each.model]["is_correct"], by_question[row["question"]]
            assert verdict.strict is verdict.flexible is verdict.by_value is correct, row["question"]
        score = gsm8k.score_verdicts(verdicts)
        assert score["n"] == 1319
        assert {score[reading]["correct"] for reading in gsm8k.READINGS} == {CORRECT[each.model]}
        assert gsm8k.agreement(verdicts, each.verdicts) == {"verdicts": 1319, "equal": 1319}


def test_the_shipped_problems():
    assert len(QUESTIONS) == len(set(QUESTIONS)) == 1319
    answers = [problem.answer for problem in shipped_problems()]
    assert all(re.fullmatch(r"-?\d+", answer) for answer in answers)
    assert "1450000" in answers  # written 1,450,000


@pytest.mark.parametrize(
    ("response", "strict", "flexible", "by_value"),
    [
        ("so\n#### 1000", True, True, True),
        ("#### 1,000", True, True, True),
        ("#### 1000\nThat is 3 less than 1003", True, False, False),  # the first mark counts, the last number
        ("#### 7\n#### 1000", False, True, True),
        ("####1000", False, True, True),  # a space is asked for
        ("#### $1000", False, True, True),
        ("#### 1000.", False, True, True),  # the full stop is part of it
        ("#### 1000.00", False, False, True),
        ("It costs $1,000.00 dollars", False, False, True),
        ("The answer is **1000** km.", False, True, True),
        ("1000%", False, True, True),
        ("1000 or so...", False, False, True),  # the last "number" is "..."
        ("-1000", False, False, False),
        ("#### -1000", False, False, False),
        ("A: 1000", False, True, True),  # the mark of the published solutions only
        ("a thousand", False, False, False),
        ("1e3", False, False, False),
        ("#### one", False, False, False),
        ("1.000.000", False, False, False),
        ("", False, False, False),
        ("١٠٠٠", False, False, False),  # digits of another script
    ],
)
def test_the_three_readings(response, strict, flexible, by_value):
    verdict = gsm8k.judge_response(PROBLEMS[2], response)
    assert (verdict.strict, verdict.flexible, verdict.by_value) == (strict, flexible, by_value)
    assert verdict.empty is (not response)


def test_the_mark_of_the_published_solutions():
    assert gsm8k.judge_response(PROBLEMS[2], "A: 1,000", mark="A:").strict
    assert not gsm8k.judge_response(PROBLEMS[2], "#### 1000", mark="A:").strict


@given(st.text(alphabet="#0123456789.,$- \nA:x") | st.text())
def test_no_response_makes_a_reading_fail(response):
    verdict = gsm8k.judge_response(PROBLEMS[0], response)
    assert verdict.by_value or not verdict.flexible


@pytest.mark.parametrize("piece", ["1", "-", "$,.", "#### ", "#### 1", ".", "1,"])
def test_huge_responses_take_a_moment(piece):
    text, began = piece * (400_000 // len(piece)), time.process_time()
    gsm8k.judge_response(PROBLEMS[0], text)
    assert time.process_time() - began < 3


def test_scores_by_hand():
    responses = {"one?": "#### 1", "two?": "it is 2", "thousand?": " "}
    score = gsm8k.score_verdicts(gsm8k.judged(PROBLEMS, responses), missing=4, details=True)
    assert {reading: score[reading]["correct"] for reading in gsm8k.READINGS} == {
        "strict": 1,
        "flexible": 2,
        "by_value": 2,
    }
    assert (score["n"], score["missing"], score["empty"]) == (3, 4, 1)
    assert score["verdicts"][1] == {"question": "two?", "strict": False, "flexible": True, "by_value": True}
    assert score["strict"]["lower"] < 1 / 3 < score["strict"]["upper"]


def test_nothing_to_score_is_an_error():
    with pytest.raises(DataError, match="no response"):
        gsm8k.score_verdicts([])


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"question": "q"}], "1 of 1 rows are not GSM8K problems, which need question and answer"),
        ([{"question": "q", "answer": "5"}], ":1: a problem needs a question"),
        ([{"question": "q", "answer": "#### ,"}], ":1: a problem needs a question"),
        ([{"question": "q", "answer": None}], ":1: a problem needs a question"),
        ([{"question": ["q"], "answer": "#### 5"}], "'question' must be a text"),
        ([{"question": "q", "answer": "#### 5"}] * 2, "1 questions stand there more than once"),
    ],
)
def test_problems_of_another_form_are_refused(tmp_path, rows, says):
    file = tmp_path / "problems.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=says):
        gsm8k.load_problems(file)


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([{"question": "q", "ground_truth": "g", "m": "text"}], "'m' must be an object with a 'solution'"),
        (
            [
                {"question": "q", "ground_truth": "g", "m": {"solution": "s"}},
                {"question": "r", "ground_truth": "g"},
            ],
            "1 of 2 rows are not GSM8K solutions, which need question and m",
        ),
        ([{"question": None, "response": "r"}], "'question' is null"),
        ([{"question": "q", "response": 5}], "'response' must be a text"),
        ([{"prompt": "q"}], "need prompt and response"),
    ],
)
def test_responses_of_another_form_are_refused(tmp_path, rows, says):
    file = tmp_path / "responses.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(DataError, match=says):
        gsm8k.load_responses(file)


def test_responses_by_prompt_or_question(tmp_path):
    file = tmp_path / "responses.jsonl"
    for name in ("prompt", "question"):
        file.write_text(json.dumps({name: "one?", "response": "1"}))
        (answers,) = gsm8k.load_responses(file)
        assert [(given.prompt, given.response) for given in answers.given] == [("one?", "1")]


def test_a_model_is_asked_and_scored(tmp_path):
    def script(request, model):
        prompt = request.messages[-1].content
        assert "####" in prompt
        assert request.sampling.temperature == 0
        return Reply("let me see " * 30) if prompt.startswith("two?") else Reply("#### 1")

    evaluation = GSM8K(problems=PROBLEMS, max_tokens=40)
    with Run(tmp_path, fake(script), FakeTrainer()) as run:
        score = evaluation.score(*evaluation.ask(run, MODEL, MODEL))
    assert (score["n"], score["strict"]["correct"], score["truncated"]) == (3, 1, 1)


def test_a_question_is_data_not_a_template(tmp_path):
    problem = Problem("What is {question} in {0}?", "3")
    with Run(tmp_path, fake(lambda request, model: "#### 3"), FakeTrainer()) as run:
        evaluation = GSM8K(problems=(problem,))
        prompts, responses = evaluation.ask(run, MODEL, MODEL)
        (prompt,) = prompts
        assert prompt.messages[-1].content.startswith("What is {question} in {0}?\n\nReason")
        assert evaluation.score(prompts, responses)["strict"]["correct"] == 1


def test_a_template_of_ones_own_may_have_braces(tmp_path):
    evaluation = GSM8K(problems=PROBLEMS, template='{question} Answer as {"n": 1}, then #### 1')
    with Run(tmp_path, fake(lambda request, model: "#### 1"), FakeTrainer()) as run:
        prompts, responses = evaluation.ask(run, MODEL, MODEL)
        assert next(iter(prompts)).messages[-1].content == 'one? Answer as {"n": 1}, then #### 1'
        assert evaluation.score(prompts, responses)["strict"]["correct"] == 1


@pytest.mark.parametrize(
    "settings",
    [{"limit": 0}, {"max_tokens": 0}, {"template": "no place for it"}],
    ids=["limit", "max", "template"],
)
def test_settings_that_make_no_sense_are_refused(settings):
    with pytest.raises(ConfigError, match=rf"gsm8k\.{next(iter(settings))}"):
        GSM8K(problems=PROBLEMS, **settings)
