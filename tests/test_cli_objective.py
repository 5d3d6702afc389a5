"""`metareward eval ifeval` and `eval gsm8k` as a user meets them."""

import json
import signal
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

from metareward.cli import main
from metareward.evaluate.gsm8k import shipped_problems
from metareward.evaluate.ifeval import shipped_tasks
from published_data import published


class Ran(NamedTuple):
    stdout: str
    stderr: str


@pytest.fixture
def evaluate(monkeypatch, capsys, tmp_path):
    """Runs `metareward eval ...` in this process, in a directory of its own."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, code: int = 0) -> Ran:
        monkeypatch.setattr(sys, "argv", ["metareward", "eval", *map(str, arguments)])
        with pytest.raises(SystemExit) as end:
            main()
        ran = Ran(*capsys.readouterr())
        assert (end.value.code or 0) == code, ran
        return ran

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


def write(path: Path, rows) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def half_right(tmp_path_factory):
    """Right answers to the even problems, in the strict form; to the odd ones without the mark."""
    marks = ["#### {}", "It is {}."]
    rows = [
        {"question": problem.question, "response": marks[number % 2].format(problem.answer)}
        for number, problem in enumerate(shipped_problems())
    ]
    return write(tmp_path_factory.mktemp("gsm") / "responses.jsonl", rows)


def test_gsm8k_of_a_file(half_right, evaluate):
    score = json.loads(evaluate("gsm8k", "--responses", half_right, "--json").stdout)
    assert score["benchmark"] == "gsm8k"
    assert (score["strict"]["correct"], score["flexible"]["correct"], score["n"]) == (660, 1319, 1319)
    assert "verdicts" not in score
    more = json.loads(evaluate("gsm8k", "--responses", half_right, "--json", "--verdicts").stdout)
    assert sum(verdict["strict"] for verdict in more["verdicts"]) == 660
    shown = evaluate("gsm8k", "--responses", half_right).stdout
    assert "50.04 % [47.3, 52.7] of 1319" in shown


def test_gsm8k_of_the_published_solutions(evaluate):
    path = published("gsm8k", "example_model_solutions.jsonl")
    score = json.loads(evaluate("gsm8k", "--responses", path, "--json").stdout)
    counts = {name: model["strict"]["correct"] for name, model in score["models"].items()}
    assert counts == {
        "6b_finetuning": 286,
        "6b_verification": 515,
        "175b_finetuning": 458,
        "175b_verification": 742,
    }
    for model in score["models"].values():
        assert model["agreement_with_file"] == {"verdicts": 1319, "equal": 1319}


def test_ifeval_of_the_published_responses(evaluate):
    path = published("ifeval", "golden_gpt4_20231107.jsonl")
    score = json.loads(evaluate("ifeval", "--responses", path, "--json").stdout)
    assert round(100 * score["strict"]["prompt"]["accuracy"], 2) == 76.89
    assert round(100 * score["strict"]["instruction"]["accuracy"], 2) == 83.57
    assert score["agreement_with_file"] == {"verdicts": 1668, "equal": 1668}
    shown = evaluate("ifeval", "--responses", path).stdout
    assert "76.89 %" in shown
    assert "1668 of 1668 verdicts equal those in the file" in shown


def test_a_part_of_the_responses_needs_a_word(tmp_path, evaluate):
    rows = [{"prompt": task.prompt, "response": ""} for task in shipped_tasks()[:5]]
    file = write(tmp_path / "five.jsonl", rows)
    said = evaluate("ifeval", "--responses", file, "--json", code=2)
    assert said.stdout == ""
    assert "536 prompts without a response" in said.stderr
    score = json.loads(evaluate("ifeval", "--responses", file, "--allow-missing", "--json").stdout)
    assert (score["n"], score["missing"], score["empty"]) == (5, 536, 5)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("ifeval",), "give either --responses FILE, to score a file, or --model NAME"),
        (("gsm8k", "--responses", "x", "--model", "y"), "give either --responses FILE"),
        (("gsm8k", "--responses", "x", "--limit", "3"), "--limit and --directory go with --model"),
        (("gsm8k", "--responses", "none.jsonl"), "none.jsonl: there is no such file"),
        (("ifeval", "--responses", "alpaca.jsonl"), "1 of 1 rows are not IFEval responses"),
        (("ifeval", "--responses", "alpaca.jsonl"), "these look like AlpacaEval outputs"),
        (("gsm8k", "--responses", "alpaca.jsonl", "--data", "alpaca.jsonl"), "rows are not GSM8K problems"),
        (("gsm8k", "--model", "x", "--engine", "vllm"), "machine.engine must be 'transformers' or 'fake'"),
        (("gsm8k", "--model", "no-such-model"), "no-such-model"),
        (("gsm8k", "--model", "x", "--engine", "fake", "-d", "run"), "run is the directory of a run"),
    ],
)
def test_mistakes(tmp_path, evaluate, arguments, says):
    write(tmp_path / "alpaca.jsonl", [{"instruction": "i", "output": "o", "generator": "g"}])
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "config.json").write_text("{}")
    said = evaluate(*arguments, code=2)
    assert says in said.stderr
    assert "Traceback" not in said.stderr


def test_a_benchmark_file_of_ones_own(tmp_path, evaluate):
    row = {"key": 1, "prompt": "p", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]}
    prompts = write(tmp_path / "prompts.jsonl", [row])
    problems = write(tmp_path / "problems.jsonl", [{"question": "p", "answer": "so\n#### 7"}])
    responses = write(tmp_path / "responses.jsonl", [{"prompt": "p", "response": "#### 7"}])
    for name, data in (("ifeval", prompts), ("gsm8k", problems)):
        score = json.loads(evaluate(name, "--data", data, "--responses", responses, "--json").stdout)
        share = score["strict"]["prompt"] if name == "ifeval" else score["strict"]
        assert (share["correct"], share["n"]) == (1, 1)
        asked = json.loads(
            evaluate(name, "--data", data, "--model", "fake", "--engine", "fake", "--json").stdout
        )
        assert asked["n"] == 1


@pytest.mark.parametrize("name", ["ifeval", "gsm8k"])
def test_a_model_is_asked_once(name, tmp_path, evaluate):
    """The second time every answer is kept from before; the score is the same."""
    arguments = (name, "--model", "org/fake", "--engine", "fake", "--limit", 7, "--seed", 3)
    first = json.loads(evaluate(*arguments, "--json").stdout)
    assert (first["n"], first["seed"], first["model"]) == (7, 3, "fake")
    shown = evaluate(*arguments).stdout
    assert "kept from before" in shown
    assert "by seed 3" in shown
    assert (tmp_path / "runs" / f"eval-{name}-org-fake" / "artifacts").is_dir()
    assert json.loads(evaluate(*arguments, "--json").stdout) == first
