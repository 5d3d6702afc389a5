"""AlpacaEval through a run: planted preferences come back whatever the order on display, once each."""

import math

import numpy as np
import pytest

from alpaca_worlds import write_lines
from loops import Asked
from metareward.engines.base import Request
from metareward.engines.fake import Reply, fake
from metareward.errors import ConfigError, DataError
from metareward.evaluate.alpaca_ask import AlpacaEval, choose, paired, read_outputs
from metareward.evaluate.alpaca_eval import LengthControl, score
from metareward.evaluate.annotations import Instruction, read_annotations
from metareward.evaluate.length_control import Weights
from metareward.ids import seed_of
from metareward.models.base import Model
from metareward.paper import Paper
from metareward.run import Run
from metareward.stages.generate import Generate
from metareward.train.fake import FakeTrainer

MODEL, JUDGE = Model("own", "here", "f-own"), Model("judge", "there", "f-judge")
SET = tuple(Instruction(n, f"Task number {n}, please.", "ab"[n % 2]) for n in range(40))
BASE = tuple(f"Baseline's text for {n}." for n in range(40))
OWN = tuple(f"Our words, for {n}!" + "?" * n for n in range(40))


def planted(number: int) -> float:
    """How far the model's output is to be preferred for an instruction."""
    return (1 + seed_of("planted", number) % 98) / 100


def judge(request: Request, model: Model) -> Reply:
    """Knows the model's outputs by their look and prefers them as planted, wherever they are shown."""
    assert model == JUDGE
    shown = request.messages[0].content
    number = int(shown.split("Task number ")[1].split(",")[0])
    first = shown.index("Our words") < shown.index("Baseline's")
    p = planted(number) if first else 1 - planted(number)
    return Reply("", {"A": p, "B": 1 - p})


def both(request: Request, model: Model) -> Reply:
    if request.step == "generate":
        assert model == MODEL
        return Reply("  " + OWN[int(request.messages[0].content.split()[2].strip(","))] + "\n")
    return judge(request, model)


def run(evaluation, directory, script=judge, **more):
    asked = Asked(script, **more)
    with Run(directory, asked, FakeTrainer()) as made:
        artifacts = evaluation.ask(made, MODEL, JUDGE)
        return evaluation.score(*artifacts), asked


def test_planted_preferences_come_back(tmp_path):
    result, asked = run(AlpacaEval(SET, BASE, OWN, details=True), tmp_path)
    expected = [planted(n) for n in range(40)]
    assert result["win_rate"] == pytest.approx(100 * np.mean(expected))
    assert [row["preference"] for row in result["annotations"]] == pytest.approx([1 + p for p in expected])
    assert [row["len_model"] for row in result["annotations"]] == [len(text) for text in OWN]
    assert len(asked.requests) == 40
    firsts = [request.messages[0].content.index("Our words") for request in asked.requests]
    assert sum(place < 900 for place in firsts) > 5 or len(set(firsts)) > 1


def test_generated_outputs_are_stripped_and_judged_alike(tmp_path):
    given, _ = run(AlpacaEval(SET, BASE, OWN), tmp_path / "a")
    made, asked = run(AlpacaEval(SET, BASE), tmp_path / "b", both)
    assert made["win_rate"] == pytest.approx(given["win_rate"])
    assert made["avg_length"] == given["avg_length"]
    steps = [request.step for request in asked.requests]
    assert (steps.count("generate"), steps.count("prefer")) == (40, 40)
    assert {request.sampling.temperature for request in asked.requests} == {0.0}


def test_what_was_answered_is_not_asked_again(tmp_path):
    first, _ = run(AlpacaEval(SET, BASE, OWN), tmp_path)
    again, asked = run(AlpacaEval(SET, BASE, OWN), tmp_path)
    assert (again, asked.requests) == (first, [])


def test_paper_counts_the_same_steps(tmp_path):
    paper = Paper(tmp_path)
    AlpacaEval(SET, BASE).ask(paper, MODEL, JUDGE)
    assert [(step.step, step.calls) for step in paper.steps] == [("generate", 40), ("prefer", 40)]


def test_equal_outputs_are_ties_that_no_judge_sees(tmp_path):
    own = (*BASE[:10], *OWN[10:])
    result, asked = run(AlpacaEval(SET, BASE, own, details=True), tmp_path)
    assert len(asked.requests) == 30
    assert [row["preference"] for row in result["annotations"]][:10] == [1.5] * 10
    assert result["n_ties"] >= 10


def test_a_judge_that_fails_too_often_is_no_score(tmp_path):
    def fails(request, model):
        number = int(request.messages[0].content.split("Task number ")[1].split(",")[0])
        return Reply(fail="too long") if number < 3 else judge(request, model)

    with pytest.raises(DataError, match="3 of 40 annotations have no readable preference"):
        run(AlpacaEval(SET, BASE, OWN), tmp_path, fails)
    result, _ = run(AlpacaEval(SET, BASE, OWN, allow_unread=0.1), tmp_path, fails)
    assert (result["n"], result["unread"]) == (37, 3)
    assert result["win_rate"] == pytest.approx(100 * np.mean([planted(n) for n in range(3, 40)]))


def test_a_model_that_fails_is_unread_and_not_empty(tmp_path):
    def fails(request, model):
        if request.step == "generate" and "number 7," in request.messages[0].content:
            return Reply(fail="too long")
        return both(request, model)

    base = tuple("" if n == 7 else text for n, text in enumerate(BASE))  # as empty as a failure
    result, asked = run(AlpacaEval(SET, base, allow_unread=0.1, details=True), tmp_path, fails)
    assert result["unread"] == 1
    assert result["annotations"][7]["preference"] is None
    assert sum(request.step == "prefer" for request in asked.requests) == 39


def test_the_length_control_goes_by_instruction_in_a_sample(tmp_path):
    chosen = choose(SET, 15, seed=3)
    base, own = (tuple(side[one.number] for one in chosen) for side in (BASE, OWN))
    difficulty, weights = np.linspace(-1, 1, 40), Weights(-1.0, 1.5, 0.25)
    control = LengthControl(difficulty, weights=weights)
    result, _ = run(AlpacaEval(chosen, base, own, control, sampled_from=40), tmp_path)
    numbers = [one.number for one in chosen]
    assert numbers != list(range(15))
    expected = 100 * weights.win_probabilities(difficulty[numbers]).mean()
    assert result["lc_win_rate"] == pytest.approx(expected)
    assert (result["n"], result["sampled_from"], result["missing"]) == (15, 40, 0)


def test_saved_annotations_score_the_same(tmp_path):
    result, _ = run(AlpacaEval(SET, BASE, OWN, details=True), tmp_path / "run")
    read = read_annotations(write_lines(tmp_path / "a.jsonl", result["annotations"]))
    again = score(read)
    for name in ("n", "win_rate", "standard_error", "avg_length"):
        assert again[name] == pytest.approx(result[name])
    for name, part in result["datasets"].items():
        assert again["datasets"][name]["win_rate"] == pytest.approx(part["win_rate"])


def test_samples_are_nested_and_in_order():
    small, large = choose(SET, 10), choose(SET, 25)
    assert set(small) < set(large)
    assert [one.number for one in large] == sorted(one.number for one in large)
    assert choose(SET, 10, seed=1) != small
    with pytest.raises(ConfigError, match="limit must be 1 to 40"):
        choose(SET, 41)


def test_sides_of_other_lengths_are_refused():
    with pytest.raises(ConfigError, match=r"alpaca_eval.baseline must be 40 texts"):
        AlpacaEval(SET, BASE[:3])
    with pytest.raises(ConfigError, match=r"alpaca_eval.outputs must be 40 texts"):
        AlpacaEval(SET, BASE, OWN[:3])
    with pytest.raises(ConfigError, match=r"generate.samples must be 1"):
        AlpacaEval(SET, BASE, generate=Generate(samples=2))


def test_outputs_by_number_or_by_text(tmp_path):
    by_number = write_lines(tmp_path / "a", [{"i": n, "output": OWN[n]} for n in (2, 0)])
    assert read_outputs(by_number, SET) == {0: OWN[0], 2: OWN[2]}
    by_text = write_lines(tmp_path / "b", [{"instruction": SET[5].text, "output": "", "generator": "x"}])
    assert read_outputs(by_text, SET) == {5: ""}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"i": 40, "output": "x"}, "1 of 2 rows are of no instruction in the set"),
        ({"i": True, "output": "x"}, "of no instruction in the set"),
        ({"instruction": "Another.", "output": "x"}, "of no instruction in the set"),
        ({"instruction": ["x"], "output": "x"}, "of no instruction in the set"),
        ({"i": 0, "output": "x"}, "1 of 2 rows repeat an instruction"),
        ({"i": 1, "output": None}, "1 of 2 rows have an output that is no text"),
        ({"i": 1, "text": "x"}, "1 of 2 rows are of another form"),
    ],
)
def test_outputs_that_cannot_be_used_are_counted(tmp_path, row, message):
    path = write_lines(tmp_path / "a", [{"i": 0, "output": "first"}, row])
    with pytest.raises(DataError, match=message):
        read_outputs(path, SET)


def test_instructions_without_an_output():
    full = dict(enumerate(BASE))
    assert paired(SET, full, None) == SET
    many = tuple(Instruction(n, str(n)) for n in range(200))
    base = dict.fromkeys(range(200), "x")
    own = dict.fromkeys(range(2, 200), "y")
    assert len(paired(many, base, own)) == 198
    with pytest.raises(DataError, match="3 of 200 instructions have no output"):
        paired(many, base, dict.fromkeys(range(3, 200), "y"))
    with pytest.raises(DataError, match="40 of 40"):
        paired(SET, full, {})


def test_a_fake_judge_without_a_script_is_readable(tmp_path):
    evaluation = AlpacaEval(SET, BASE, OWN)
    with Run(tmp_path, fake(), FakeTrainer()) as made:
        result = evaluation.score(*evaluation.ask(made, MODEL, JUDGE))
    assert result["n"] == 40
    assert math.isfinite(result["win_rate"])


@pytest.mark.model
def test_the_default_model_as_judge_is_always_readable(tmp_path, default_model):
    """Nothing is sampled: the answer is read right after the prompt, by the engine that runs use."""
    from metareward.engines.transformers import open_transformers

    evaluation = AlpacaEval(SET[:4], BASE[:4], OWN[:4], details=True)
    with Run(tmp_path, open_transformers(device="cpu"), FakeTrainer()) as made:
        outputs, comparisons = evaluation.ask(made, default_model, default_model)
        result = evaluation.score(outputs, comparisons)
        rows = list(comparisons)
    assert (result["n"], result["unread"]) == (4, 0)
    assert all(row.p_first is not None and 0 < row.p_first < 1 for row in rows)
    assert {row.text for row in rows} <= {"A", "B"}
