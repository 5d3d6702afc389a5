"""Accuracy where the truth is known, and whether a judge knows it: by hand, and against scikit-learn."""

import json

import pytest
from sklearn.metrics import roc_auc_score

from metareward.config import load
from metareward.errors import ConfigError, DataError
from metareward.evaluate.verifiable import Verifiable, difference, judge_auc, read_problems
from metareward.problems import FOR_TRAINING, Problem, arithmetic
from metareward.records import Finish, Judgment, Message, Prompt, Response
from metareward.session import execute

PROBLEMS = (Problem("1 + 1?", "2"), Problem("2 + 2?", "4"), Problem("3 + 3?", "6"))
PROMPTS = [Prompt(f"p{n}", (Message("user", p.question),)) for n, p in enumerate(PROBLEMS)]


def response(name: str, prompt: str, text: str, finish: Finish = Finish.STOP) -> Response:
    return Response(name, prompt, 0, "m", text, None, finish)


def judgment(of: str, score: float | None, sample: int = 0) -> Judgment:
    unread = None if score is not None else "no verdict line"
    return Judgment(f"{of}{sample}", "", of, sample, "m", (), "", None, Finish.STOP, score, unread)


def test_shares_of_right_answers_by_way():
    one = Verifiable(problems=PROBLEMS, first=0)
    greedy = [response("a", "p0", "2"), response("b", "p1", "5"), response("c", "p2", "6", Finish.FAILED)]
    sampled = [
        response(f"s{n}", f"p{n // 2}", text) for n, text in enumerate(["2", "3", "4", "so 4", "", "7"])
    ]
    score = one.score(PROMPTS, greedy, sampled)
    assert score["n"] == 3
    assert score["greedy"]["value"] == pytest.approx(1 / 3)
    assert score["sampled"]["value"] == pytest.approx(3 / 6)
    assert score["greedy"]["lower"] < 1 / 3 < score["greedy"]["upper"]
    with pytest.raises(DataError, match="no answer"):
        one.score([], [])


def test_a_number_in_the_reasoning_is_no_answer():
    text = "<think>\n1 + 1 = 2\n</think>\n\nI do not know."
    (begin,) = [text.index("I do")]
    thought = Response("a", "p0", 0, "m", text, None, Finish.STOP, reasoning=begin)
    one = Verifiable(problems=PROBLEMS, first=0, samples=0)
    assert one.marks(PROMPTS, [thought]) == {"1 + 1?": [False]}
    scored = [judgment("a", 5.0), judgment("b", 0.0)]
    known = {p.question: p.answer for p in PROBLEMS}
    found = judge_auc(known, PROMPTS, [thought, response("b", "p0", "2")], scored)
    assert found is not None
    assert found["value"] == 0, "the wrong answer was scored above the right one"


def test_the_difference_is_paired_and_its_sign_is_now_less_then():
    then = {"a": [False], "b": [False], "c": [True], "d": [True, False]}
    now = {"a": [True], "b": [True], "c": [True], "d": [False, False]}
    found = difference(now, then)
    assert found["value"] == pytest.approx((1 + 1 + 0 - 0.5) / 4)
    assert (found["gained"], found["lost"], found["n"]) == (2, 1, 4)
    assert found["lower"] < found["value"] < found["upper"]
    assert difference(then, now)["value"] == -found["value"]


def test_auc_within_prompts_as_scikit_learn_has_it():
    texts = ["2", "it is 2", "3", "9", "2."]
    scores = [[4.0, 5.0], [2.0], [2.0], [3.0, 1.0], [None]]
    responses = [response(f"r{n}", "p0", text) for n, text in enumerate(texts)]
    judgments = [judgment(f"r{n}", score, k) for n, each in enumerate(scores) for k, score in enumerate(each)]
    found = judge_auc({p.question: p.answer for p in PROBLEMS}, PROMPTS, responses, judgments)
    assert found is not None
    assert found["value"] == pytest.approx(roc_auc_score([1, 1, 0, 0], [4.5, 2.0, 2.0, 2.0]))
    assert (found["n"], found["pairs"]) == (1, 4)


def test_auc_needs_a_right_and_a_wrong_answer_to_one_prompt():
    known = {p.question: p.answer for p in PROBLEMS}
    apart = [response("r0", "p0", "2"), response("r1", "p1", "5")]
    judgments = [judgment("r0", 5.0), judgment("r1", 0.0)]
    assert judge_auc(known, PROMPTS, apart, judgments) is None
    assert judge_auc({}, PROMPTS, [response("r0", "p0", "2"), response("r1", "p0", "3")], judgments) is None


def test_what_is_asked_is_never_among_the_prompts_for_training():
    training = {problem.question for problem in arithmetic()[:FOR_TRAINING]}
    asked = list(Verifiable(limit=150).items())
    assert len(set(asked)) == 150
    assert not training & set(asked)
    assert set(asked) != set(Verifiable(limit=150, seed=1).items())


def test_problems_of_a_file(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text('{"prompt": "2 + 2?", "answer": 4}\n{"question": "half?", "answer": "0.50"}\n')
    assert read_problems(path) == (Problem("2 + 2?", "4"), Problem("half?", "0.50"))
    for bad in ('{"prompt": "a"}', '{"prompt": "a", "answer": "blue"}', '{"prompt": " ", "answer": 1}'):
        path.write_text(bad + "\n")
        with pytest.raises(DataError, match=r"own\.jsonl:1: a problem is"):
            read_problems(path)
    path.write_text('{"prompt": "a", "answer": 1}\n' * 2)
    with pytest.raises(DataError, match="more than once"):
        read_problems(path)


CONFIG = """
[prompts]
source = "arithmetic"
per_iteration = 4
[generate]
samples = 3
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 1
[watch]
bank_prompts = 0
[evaluate]
threshold = 1.0
[evaluate.verifiable]
limit = 6
samples = 2
[[iterations]]
rho = 0.3
[machine]
engine = "fake"
"""


def test_a_run_measures_every_model_and_shows_what_it_wrote(tmp_path):
    (tmp_path / "run.toml").write_text(CONFIG)
    said = execute(load(tmp_path / "run.toml", tmp_path / "run"), lambda _: None)
    first, last = (model["accuracy"] for model in said["models"])
    assert first["n"] == last["n"] == 6
    assert first["above_first"] is None
    assert set(last["above_first"]) == {"greedy", "sampled"}
    assert {"value", "lower", "upper", "gained", "lost", "n"} == set(last["above_first"]["greedy"])
    assert len(said["samples"]["answers"]) == 3
    for answer in said["samples"]["answers"]:
        assert answer["prompt"].startswith("What is ")
        assert {"model", "text", "right"} == set(answer["first"])
        assert (answer["first"]["model"], answer["last"]["model"]) == ("M0", "M1")
    assert [pair["role"] for pair in said["samples"]["pairs"]] == ["actor", "judge"]
    assert "the judge gave" in said["samples"]["pairs"][0]["why"]
    assert "of 2 battles" in said["samples"]["pairs"][1]["why"]
    assert json.loads((tmp_path / "run/summary.json").read_text()) == said


@pytest.mark.parametrize(("line", "told"), [("limit = 0", "verifiable.limit"), ("samples = -1", "samples")])
def test_settings_that_cannot_be(tmp_path, line, told):
    (tmp_path / "run.toml").write_text(f"[evaluate.verifiable]\n{line}\n")
    with pytest.raises(ConfigError, match=told):
        load(tmp_path / "run.toml")
