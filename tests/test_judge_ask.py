"""A judge asked about pairs and rankings through a run: planted judges come out as they are."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import loops
from metareward.cli.app import app
from metareward.engines.fake import Reply
from metareward.errors import DataError
from metareward.evaluate.judge_ask import JudgePairs, JudgeRanks, chosen_prompts
from metareward.evaluate.judge_data import read_pairs, read_ranked
from metareward.paper import Paper
from metareward.run import Run
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge
from metareward.train.fake import FakeTrainer


class World:
    """A response says what it is worth. The judge: knows, is turned round, names the first, mumbles."""

    def __init__(self, how="knows"):
        self.how = how

    def __call__(self, request, model):
        worths = [int(part[0]) for part in request.messages[-1].content.split("worth ")[1:]]
        if self.how == "mumbles":
            return "Hard to say."
        if request.step == "judge":
            worth = worths[-1] if self.how == "knows" else 5 - worths[-1]
            return Reply("Well.", {str(worth): 1.0}) if request.forced else f"Well.\nScore: {worth}"
        first, second = worths[-2:]
        if self.how == "first":
            winner = "A"
        else:
            winner = "AB"[(second > first) == (self.how == "knows")] if first != second else "tie"
        if request.forced:
            return Reply("Well.", {"A": 0.9 if winner == "A" else 0.1, "B": 0.1 if winner == "A" else 0.9})
        return f"Well.\nWinner: {winner}"


def files(tmp_path: Path):
    pairs = [
        {
            "input": f"Q{n}?",
            "output_1": f"worth {n % 4}",
            "output_2": f"worth {4 - n % 4}." + " long" * n,
            "label": 0,
        }
        for n in range(12)
    ]
    for row in pairs:
        first, second = int(row["output_1"][6]), int(row["output_2"][6])
        row["label"] = 1 if first > second else 2 if second > first else 0
    ranked = [
        {"prompt": f"Q{n}?", "response": f"worth {quality}" + "!" * (5 - quality), "quality": quality / 5}
        for n in range(5)
        for quality in (4, 1, 3)
    ]
    ranked.append({"prompt": "Q0?", "response": "worth 2", "quality": None})
    for name, rows in (("pairs", pairs), ("ranked", ranked)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return read_pairs(tmp_path / "pairs.jsonl"), read_ranked(tmp_path / "ranked.jsonl")


def scored(tmp_path, evaluation, how):
    with Run(tmp_path / "run", loops.Asked(World(how)), FakeTrainer()) as run:
        return evaluation.score(*evaluation.ask(run, loops.START, loops.START))


@pytest.mark.parametrize("reading", ["free", "forced"])
@pytest.mark.parametrize("form", ["pairwise", "pointwise"])
@pytest.mark.parametrize(("how", "accuracy"), [("knows", 1.0), ("turned", 0.0)])
def test_a_planted_judge_is_known_for_what_it_is(tmp_path, reading, form, how, accuracy):
    pairs, _ = files(tmp_path)
    judge, compare = Judge(samples=2, reading=reading), Compare(reading=reading)
    said = scored(tmp_path, JudgePairs(pairs, form, compare, judge), how)
    assert said["accuracy"]["value"] == accuracy
    assert said["n"] == 12
    assert said["equal_pairs"] == sum(pair.better == 0.5 for pair in pairs) > 0
    assert said["unread_verdicts"] == 0
    assert (said["calibration"] is not None) == (form == "pairwise" and reading == "forced")
    assert (said["position_consistency"] is not None) == (form == "pairwise")


def test_a_judge_that_names_the_first_is_found_out(tmp_path):
    pairs, _ = files(tmp_path)
    said = scored(tmp_path, JudgePairs(pairs), "first")
    assert said["accuracy"]["value"] == 0.5
    assert said["first_shown_wins"]["value"] == 1.0
    assert said["position_consistency"]["value"] == 0.0


@pytest.mark.parametrize("form", ["pairwise", "pointwise"])
def test_a_judge_that_never_gives_a_readable_verdict_is_one_error_with_counts(tmp_path, form):
    pairs, _ = files(tmp_path)
    with pytest.raises(DataError, match=r"none of 12 pairs has a readable verdict"):
        scored(tmp_path, JudgePairs(pairs, form), "mumbles")


@pytest.mark.parametrize(("how", "sign"), [("knows", 1), ("turned", -1)])
def test_rankings_have_the_sign_of_the_judge(tmp_path, how, sign):
    _, (ranked, unrated) = files(tmp_path)
    said = scored(tmp_path, JudgeRanks(ranked, Judge(samples=1), unrated), how)
    assert said["spearman"]["value"] == sign
    assert said["unrated_rows"] == 1
    assert said["length_baseline"]["value"] == 0.0
    with pytest.raises(DataError, match="no prompt has two readable scores"):
        scored(tmp_path / "other", JudgeRanks(ranked, Judge(samples=1)), "mumbles")


def test_the_same_prompt_may_stand_in_several_pairs(tmp_path):
    rows = [{"prompt": "Q?", "chosen": f"worth {n}", "rejected": "worth 0"} for n in (1, 2, 3)]
    (tmp_path / "p.jsonl").write_text("\n".join(map(json.dumps, rows)))
    pairs = read_pairs(tmp_path / "p.jsonl")
    said = scored(tmp_path, JudgePairs(pairs), "knows")
    assert (said["accuracy"]["value"], said["n"], said["accuracy"]["n"]) == (1.0, 3, 1)


def test_a_limit_draws_prompts_and_a_larger_one_contains_a_smaller(tmp_path):
    pairs, _ = files(tmp_path)
    few, more = chosen_prompts(pairs, 3, 1), chosen_prompts(pairs, 6, 1)
    assert len(few) == 3
    assert set(few) <= set(more)
    assert chosen_prompts(pairs, None) == pairs


def test_it_is_planned_on_paper(tmp_path):
    pairs, (ranked, _) = files(tmp_path)
    paper = Paper(tmp_path / "run")
    JudgePairs(pairs).ask(paper, loops.START, loops.START)
    JudgeRanks(ranked).ask(paper, loops.START, loops.START)
    assert [step.calls for step in paper.steps] == [24, 45]


def test_the_command_asks_saves_and_compares(tmp_path, monkeypatch):
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = (
        "eval judge --judge fake --engine fake --pairs pairs.jsonl --reading forced --temperature 0.8 --json"
    )
    asked = CliRunner().invoke(app, [*words.split(), "--save", "one.jsonl"])
    assert asked.exit_code == 0, asked.output
    said = json.loads(asked.output)
    words = "eval judge --verdicts one.jsonl --against one.jsonl --json"
    again = CliRunner().invoke(app, words.split())
    from_file = json.loads(again.output)
    assert from_file["accuracy"] == said["accuracy"]
    assert from_file["length_baseline"] == said["length_baseline"]
    assert from_file["calibration"] == said["calibration"]
    assert from_file["compared"]["difference"]["value"] == 0.0
