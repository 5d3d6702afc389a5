"""IFEval as published: every verdict on GPT-4's responses; scores, files that do not fit, and a run."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metareward.engines.fake import Reply, fake
from metareward.errors import DataError
from metareward.evaluate import ifeval
from metareward.evaluate.ifeval import IFEval, Instruction, Task, shipped_tasks
from metareward.evaluate.responses import join
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.run import Run
from metareward.train.fake import FakeTrainer
from published_data import published

MODEL = Model("fake", "", "fake")
NO_COMMA = Instruction("punctuation:no_comma", {})
TITLE = Instruction("detectable_format:title", {})
TASKS = (Task(1, "one", (NO_COMMA,)), Task(2, "two", (NO_COMMA, TITLE)), Task(3, "three", (TITLE,)))


@pytest.fixture(scope="module")
def gpt4():
    path = published("ifeval", "golden_gpt4_20231107.jsonl")
    responses, given = ifeval.load_responses(path, shipped_tasks())
    joined = join(responses, [task.prompt for task in shipped_tasks()], "IFEval")
    return ifeval.judged(shipped_tasks(), joined.responses), given


def test_every_published_verdict_on_gpt4(gpt4):
    verdicts, published_verdicts = gpt4
    assert len(verdicts) == 541
    for verdict in verdicts:
        theirs = published_verdicts[verdict.task.prompt]
        assert list(verdict.strict) == theirs["strict"], verdict.task.key
        assert list(verdict.loose) == theirs["loose"], verdict.task.key
    assert ifeval.agreement(verdicts, published_verdicts) == {"verdicts": 1668, "equal": 1668}


def test_the_published_scores_of_gpt4(gpt4):
    score = ifeval.score_verdicts(gpt4[0])
    accuracies = {
        (way, level): score[way][level] for way in ("strict", "loose") for level in ("prompt", "instruction")
    }
    assert {name: share["accuracy"] for name, share in accuracies.items()} == {
        ("strict", "prompt"): 0.7689463955637708,
        ("strict", "instruction"): 0.8357314148681055,
        ("loose", "prompt"): 0.7948243992606284,
        ("loose", "instruction"): 0.854916067146283,
    }
    assert all(share["lower"] < share["accuracy"] < share["upper"] for share in accuracies.values())
    assert (score["n"], score["instructions"], score["missing"], score["empty"]) == (541, 834, 0, 0)


def test_the_published_scores_by_category_and_type(gpt4):
    """The log of the benchmark's own run: each of its lines, strict and loose."""
    log = published("ifeval", "golden_gpt4_result_log.txt").read_text(encoding="utf-8")
    score, seen = ifeval.score_verdicts(gpt4[0]), 0
    for way, part in zip(("strict", "loose"), log.split("prompt-level:")[1:], strict=True):
        groups = score[way]["by_category"] | score[way]["by_type"]
        for line in part.splitlines():
            name, _, value = line.partition(" ")
            if name in groups:
                assert groups[name]["accuracy"] == float(value), line
                seen += 1
    assert seen == 2 * (9 + 25)


def test_a_sign_is_not_counted_as_the_published_scores_have_it(gpt4):
    """Key 1122 asks for four "#"; GPT-4 wrote them, and the published verdict is no."""
    (verdict,) = [verdict for verdict in gpt4[0] if verdict.task.key == 1122]
    assert verdict.strict == verdict.loose == (True, False)


def test_loose_forms_by_hand():
    assert ifeval.loose_forms("*a*\n b \n*c*") == [
        *("*a*\n b \n*c*", "a\n b \nc"),
        *("b \n*c*", "b \nc"),
        *("*a*\n b", "a\n b"),
        *("b", "b"),
    ]
    assert ifeval.loose_forms("a") == ["a", "a", "", "", "", "", "", ""]


@given(st.text())
def test_loose_is_never_stricter(text):
    for task in TASKS:
        verdict = ifeval.judge_response(task, text)
        assert all(loose or not strict for strict, loose in zip(verdict.strict, verdict.loose, strict=True))


def test_loose_forgives_a_first_line():
    task = Task(9, "x", (Instruction("startend:quotation", {}), NO_COMMA))
    assert ifeval.judge_response(task, 'Sure, here it is:\n"quoted"') == ifeval.Verdict(
        task, (False, False), (True, True), False
    )


def test_scores_by_hand():
    responses = {"one": "a, b", "two": "<<t>> a, b", "three": "<<t>>"}
    score = ifeval.score_verdicts(ifeval.judged(TASKS, responses), details=True)
    strict = score["strict"]
    assert (strict["prompt"]["correct"], strict["prompt"]["n"]) == (1, 3)
    assert (strict["instruction"]["correct"], strict["instruction"]["n"]) == (2, 4)
    assert strict["by_category"]["punctuation"]["accuracy"] == 0
    assert strict["by_type"]["detectable_format:title"]["accuracy"] == 1
    assert score["verdicts"][1] == {"key": 2, "strict": [False, True], "loose": [False, True]}
    assert "verdicts" not in ifeval.score_verdicts(ifeval.judged(TASKS, responses))


def test_empty_responses_follow_nothing_and_are_counted():
    score = ifeval.score_verdicts(ifeval.judged(TASKS, dict.fromkeys(("one", "two", "three"), " \n")))
    assert score["empty"] == 3
    assert score["strict"]["instruction"]["correct"] == score["loose"]["instruction"]["correct"] == 0


def test_nothing_to_score_is_an_error():
    with pytest.raises(DataError, match="no response"):
        ifeval.score_verdicts([])


def test_the_earlier_wording_of_a_prompt_is_known(tmp_path):
    (task,) = [task for task in shipped_tasks() if task.key == 2785]
    earlier = task.prompt.replace("at least 3 placeholders (an", "at least one placeholder (an")
    assert earlier != task.prompt
    file = tmp_path / "r.jsonl"
    file.write_text(json.dumps({"prompt": earlier, "response": "x"}))
    (given,), _ = ifeval.load_responses(file, shipped_tasks())
    assert given.prompt == task.prompt


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"prompt": "p"}, "1 of 1 rows are not IFEval prompts"),
        ({"key": 1, "prompt": "p", "instruction_id_list": [], "kwargs": []}, ":1: a prompt needs a text"),
        ({"key": 1, "prompt": "p", "instruction_id_list": ["a:b"], "kwargs": [{}]}, "no instruction 'a:b'"),
        ({"key": 1, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [7]}, ":1: "),
        (
            {"key": 1, "prompt": None, "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
            "needs a text",
        ),
    ],
)
def test_prompts_of_another_form_are_refused(tmp_path, row, says):
    file = tmp_path / "prompts.jsonl"
    file.write_text(json.dumps(row))
    with pytest.raises(DataError, match=says):
        ifeval.load_tasks(file)


def test_prompts_that_stand_twice_are_refused(tmp_path):
    row = {"key": 1, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    file = tmp_path / "prompts.jsonl"
    file.write_text("\n".join([json.dumps(row)] * 3))
    with pytest.raises(DataError, match="2 prompts stand there more than once"):
        ifeval.load_tasks(file)


def answer(request, model):
    """Follows TITLE always; has a comma where the prompt is the second."""
    prompt = request.messages[-1].content
    assert request.sampling.temperature == 0
    return "<<t>> a, b" if prompt == "two" else "<<t>>"


def test_a_model_is_asked_and_scored(tmp_path):
    evaluation = IFEval(tasks=TASKS, max_tokens=50)
    with Run(tmp_path, fake(answer), FakeTrainer()) as run:
        score = evaluation.score(*evaluation.ask(run, MODEL, MODEL))
    assert score["strict"]["prompt"]["correct"] == 2
    assert (score["n"], score["truncated"], score["max_tokens"]) == (3, 0, 50)
    assert "sampled_from" not in score


def test_a_limit_is_a_seeded_sample_and_says_so(tmp_path):
    asked = []
    for seed in (0, 0, 1):
        evaluation = IFEval(limit=10, seed=seed)
        with Run(tmp_path, fake(), FakeTrainer()) as run:
            prompts, responses = evaluation.ask(run, MODEL, MODEL)
            asked.append([prompt.messages[-1].content for prompt in prompts])
            score = evaluation.score(prompts, responses)
        assert (score["n"], score["sampled_from"], score["seed"]) == (10, 541, seed)
    assert asked[0] == asked[1] != asked[2]
    order = [task.prompt for task in shipped_tasks()]
    assert asked[2] == sorted(asked[2], key=order.index)


def test_answers_are_kept_and_a_larger_sample_asks_only_the_rest(tmp_path):
    calls = []

    def script(request, model):
        calls.append(request.id)
        return Reply("text")

    for limit in (5, 5, 541):
        evaluation = IFEval(limit=limit)
        with Run(tmp_path, fake(script), FakeTrainer()) as run:
            evaluation.ask(run, MODEL, MODEL)
    assert len(calls) == len(set(calls)) == 541


def test_what_the_engine_could_not_answer_is_never_a_zero(tmp_path):
    def script(request, model):
        return Reply(fail="out of memory") if request.messages[-1].content == "two" else Reply("<<t>>")

    with Run(tmp_path, fake(script), FakeTrainer()) as run:
        asked = IFEval(tasks=TASKS).ask(run, MODEL, MODEL)
        with pytest.raises(DataError, match=r"1 responses that are null or failed .*out of memory"):
            IFEval(tasks=TASKS).score(*asked)
        score = IFEval(tasks=TASKS, allow_missing=True).score(*asked)
    assert (score["n"], score["missing"], score["strict"]["prompt"]["correct"]) == (2, 1, 2)


def test_it_is_planned_without_a_model(tmp_path):
    paper = Paper(tmp_path)
    IFEval(limit=20, max_tokens=100).ask(paper, MODEL, MODEL)
    (step,) = paper.steps
    assert (step.step, step.calls, step.output_tokens) == ("generate", 20, 2000)
