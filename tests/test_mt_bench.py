"""MT-Bench scores: against the published script's own arithmetic, and on published judgments."""

import json
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from metareward.cli.app import app
from metareward.errors import DataError
from metareward.evaluate.mt_bench import Match, Rated, score_matches, score_ratings
from metareward.evaluate.mt_files import read_answers, read_questions, score_file
from metareward.stats.bootstrap import mean_of_clusters
from published_data import published

FILE = "gpt4_single_judgments_2models.jsonl"


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def single(question, score, turn: Any = 1, model: Any = "m", judge="gpt-4"):
    return {"question_id": question, "model": model, "turn": turn, "judge": [judge, "v1"], "score": score}


def pair(question, one, two, turn=1, models=("x", "y"), judge="gpt-4"):
    row = {"question_id": question, "model_1": models[0], "model_2": models[1], "turn": turn}
    return row | {"g1_winner": one, "g2_winner": two, "judge": [judge, "pair-v2"]}


def published_pairs(rows):
    """The published script's count: a tie, or games that disagree, are a tie; rows with an error are out."""
    counts = defaultdict(lambda: [0, 0, 0])
    for row in rows:
        if "error" in (row["g1_winner"], row["g2_winner"]):
            continue
        if row["g1_winner"] == "tie" or row["g1_winner"] != row["g2_winner"]:
            counts[row["model_1"]][2] += 1
            counts[row["model_2"]][2] += 1
        else:
            winner, loser = (
                ("model_1", "model_2") if row["g1_winner"] == "model_1" else ("model_2", "model_1")
            )
            counts[row[winner]][0] += 1
            counts[row[loser]][1] += 1
    found = {}
    for model, (win, loss, tie) in counts.items():
        total = win + loss + tie
        found[model] = (win / total, loss / total, tie / total, (win + 0.5 * tie) / total)
    return found


def test_a_hand_worked_example():
    """Two questions, 8 and 6, then 3 and an unread one: 17 / 3 over all; 5.5 and 6 by turn."""
    rows = [Rated("1", 1, 8, "math"), Rated("1", 2, 6, "math"), Rated("2", 1, 3, "writing")]
    said = score_ratings([*rows, Rated("2", 2, None, "writing")])
    assert said["score"]["value"] == pytest.approx(17 / 3)
    assert (said["turn_1"]["value"], said["turn_2"]["value"]) == (5.5, 6)
    assert (said["n"], said["judgments"], said["unread"]) == (2, 4, 1)
    assert {name: one["value"] for name, one in said["categories"].items()} == {"writing": 3, "math": 7}
    assert list(said["categories"]) == ["writing", "math"], "in the benchmark's order"


def test_intervals_are_over_questions_not_over_judgments():
    generator = np.random.default_rng(0)
    base = generator.uniform(1, 10, 30)
    rows = [Rated(str(q), turn, float(score)) for q, score in enumerate(base) for turn in (1, 2)]
    said = score_ratings(rows)["score"]
    expected = mean_of_clusters([[float(score)] * 2 for score in base])
    assert (said["lower"], said["upper"], said["n"]) == (expected.lower, expected.upper, 30)
    half = 1.96 * base.std(ddof=1) / np.sqrt(30)
    assert said["upper"] - said["lower"] == pytest.approx(2 * half, rel=0.1)


def test_a_turn_without_a_readable_judgment_is_none_and_not_zero():
    said = score_ratings([Rated("1", 1, 8), Rated("1", 2, None)])
    assert said["turn_2"] is None
    assert said["score"]["value"] == 8
    assert said["categories"] == {}


def test_one_question_has_no_interval(tmp_path):
    said = score_ratings([Rated("1", 1, 8, "math"), Rated("1", 2, 6, "math"), Rated("2", 1, 2, "stem")])
    assert said["categories"]["math"] == {"value": 7, "lower": None, "upper": None, "n": 1}
    assert said["score"]["lower"] < said["score"]["upper"]
    shown = command("--judgments", write(tmp_path / "j.jsonl", [single(1, 8)]))
    assert "unknown" in shown.output


@pytest.mark.parametrize(
    ("games", "won"),
    [
        ((1.0, 1.0), 1.0),
        ((0.0, 0.0), 0.0),
        ((1.0, 0.0), 0.5),
        ((1.0, 0.5), 0.5),
        ((0.5, 0.0), 0.5),
        ((0.5, 0.5), 0.5),
        ((None, 1.0), None),
        ((0.0, None), None),
    ],
)
def test_games_that_disagree_are_a_tie(games, won):
    assert Match("1", 1, games).won == won


@given(st.lists(st.tuples(*[st.sampled_from(["model_1", "model_2", "tie", "error"])] * 2), min_size=1))
def test_rates_are_those_of_the_published_count(winners):
    values = {"model_1": 1.0, "model_2": 0.0, "tie": 0.5, "error": None}
    matches = [Match(str(n), 1, (values[a], values[b])) for n, (a, b) in enumerate(winners)]
    expected = published_pairs([pair(n, a, b) for n, (a, b) in enumerate(winners)])
    if not expected:
        with pytest.raises(DataError, match=f"none of {len(winners)} matches"):
            score_matches(matches)
        return
    said = score_matches(matches)
    rates = [said[n]["value"] for n in ("win_rate", "loss_rate", "tie_rate", "adjusted_win_rate")]
    assert rates == pytest.approx(expected["x"])
    assert said["unread"] == sum("error" in both for both in winners)
    assert said["inconsistent"] == sum("error" not in both and both[0] != both[1] for both in winners)


def test_both_models_of_a_file_are_scored_and_mirror_each_other(tmp_path):
    winners = [("model_1", "model_1"), ("model_2", "model_2"), ("model_1", "model_1"), ("tie", "model_1")]
    rows = [pair(n, a, b, turn) for n, (a, b) in enumerate(winners) for turn in (1, 2)]
    rows[-1] |= {"g1_winner": "error"}
    said = score_file(write(tmp_path / "p.jsonl", rows))
    assert said["form"] == "pairwise"
    for model, rates in published_pairs(rows).items():
        names = ("win_rate", "loss_rate", "tie_rate", "adjusted_win_rate")
        assert [said["models"][model][name]["value"] for name in names] == pytest.approx(rates)
        assert said["models"][model]["unread"] == 1
    assert said["models"]["x"]["turn_1"]["value"] == pytest.approx(2.5 / 4)
    assert said["models"]["y"]["turn_1"]["value"] == pytest.approx(1.5 / 4)


def test_the_published_judgments_have_their_plain_means():
    path, questions = published("mt_bench", FILE), published("mt_bench", "question.jsonl")
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    category = {q["question_id"]: q["category"] for q in map(json.loads, questions.read_text().splitlines())}
    said = score_file(path, read_questions(questions))["models"]
    assert said["mistral-orpo-capybara"]["score"]["value"] == pytest.approx(6.81875, abs=1e-9)
    assert said["mistral-orpo-mix"]["score"]["value"] == pytest.approx(6.003125, abs=1e-9)
    for model, one in said.items():
        own = [row for row in rows if row["model"] == model]
        for turn in (1, 2):
            mean = np.mean([row["score"] for row in own if row["turn"] == turn])
            assert one[f"turn_{turn}"]["value"] == pytest.approx(mean)
        for name, estimate in one["categories"].items():
            mean = np.mean([row["score"] for row in own if category[row["question_id"]] == name])
            assert estimate["value"] == pytest.approx(mean)
            assert estimate["n"] == 10
        assert (one["n"], one["judgments"], one["unread"], one["missing"]) == (80, 160, 0, 0)
        assert len(one["categories"]) == 8


def test_minus_one_and_what_is_off_the_scale_are_unread(tmp_path):
    rows = [single(1, 9), single(2, -1), single(3, 0), single(4, 11), single(5, 10), single(6, 1)]
    said = score_file(write(tmp_path / "j.jsonl", rows))["models"]["m"]
    assert said["score"]["value"] == pytest.approx(20 / 3)
    assert said["unread"] == 3


BAD = [
    ([{"i": 0, "preference": 1.5}], r"1 of 1 rows are of another form \(row 1, which has i, preference\)"),
    ([{"judge": "j", "model_a": "a", "model_b": "b", "winner": "tie"}], "eval judge --verdicts"),
    ([single(1, "9")], "have a score that is no number"),
    ([single(1, None)], "have a score that is no number"),
    ([single(1, float("nan")), single(2, float("inf"))], "2 of 2 rows have a score that is no number"),
    ([single(1, True)], "have a score that is no number"),
    ([single(1, 5, turn=3)], "have a turn that is not 1 or 2"),
    ([single(1, 5, turn=[1])], "have a turn that is not 1 or 2"),
    ([single(1, 5, model=7)], "name no model"),
    ([single(1, 5), single(1, 6)], r"1 of 2 rows repeat an earlier one \(row 2: 1\)"),
    ([single(1, -1), single(2, -1)], "m: none of 2 judgments has a rating that can be read"),
    ([single(1, 5), single(2, 5, judge="claude")], r"are of 2 judges \(1 by gpt-4, 1 by claude\)"),
    ([single(1, 5), single(1, 5, model="k"), single(2, 5)], "of 2 turns these have no judgment: 1 of k"),
    ([single(1, 5), pair(1, "tie", "tie")], "1 of 2 rows are of another form"),
    ([pair(1, "A", "tie")], "have a winner that is not one of model_1, model_2, tie, error"),
    ([pair(1, [], "tie")], "have a winner that is not one of"),
    ([pair(1, "tie", "tie", models=("x", "x"))], "name no two models"),
    ([pair(1, "tie", "tie"), pair(1, "tie", "tie", models=("y", "x"))], "repeat an earlier one"),
    ([pair(1, "error", "tie")], "x: none of 1 matches has two verdicts that can be read"),
]


@pytest.mark.parametrize(("rows", "said"), BAD)
def test_files_that_do_not_fit_are_one_error_with_counts(tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        score_file(write(tmp_path / "x.jsonl", rows))


def question(number, turns=("a?", "b?"), **more):
    return {"question_id": number, "category": "math", "turns": [f"{number} {turn}" for turn in turns]} | more


def test_judgments_must_be_of_the_questions(tmp_path):
    known = read_questions(write(tmp_path / "q.jsonl", [question(1), question(2)]))
    rows = [single(q, 5, turn) for q in (1, 2) for turn in (1, 2)]
    assert score_file(write(tmp_path / "a.jsonl", rows), known)["models"]["m"]["categories"]["math"]["n"] == 2
    with pytest.raises(DataError, match=r"1 of 5 rows have a question_id that is not among .* \(row 5: 3"):
        score_file(write(tmp_path / "b.jsonl", [*rows, single(3, 5)]), known)
    few = write(tmp_path / "c.jsonl", rows[:3])
    with pytest.raises(DataError, match=r"of 4 turns these have no judgment: 1 of m\. With --allow-missing"):
        score_file(few, known)
    assert score_file(few, known, allow_missing=True)["models"]["m"]["missing"] == 1


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([{"prompt": "x", "uid": 1}], r"1 of 1 rows are of another form \(row 1, which has prompt, uid\)"),
        ([question(1, ("only",))], "have not two turns"),
        ([question(1, turns=[]) | {"turns": ["a", 3]}], "have not two turns"),
        ([question(1) | {"turns": ["a", " "]}], "have a blank turn"),
        ([question(1, category=None)], "have no category"),
        ([question(1), question(1)], "repeat an earlier one"),
        ([question(1), question(2) | {"turns": question(1)["turns"]}], "repeat an earlier one"),
    ],
)
def test_questions_that_cannot_be_asked_are_counted(tmp_path, rows, said):
    with pytest.raises(DataError, match=said):
        read_questions(write(tmp_path / "q.jsonl", rows))


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"question_id": 1, "answer": "x"}, "are of another form"),
        ({"question_id": 1, "choices": []}, "are of another form"),
        ({"question_id": 1, "choices": [{"turns": ["x"]}]}, "have not two turns"),
        ({"question_id": 1, "choices": [{"turns": ["x", None]}]}, "have not two turns"),
        ({"choices": [{"turns": ["x", "y"]}]}, "are of another form"),
    ],
)
def test_answers_of_another_form_are_counted(tmp_path, row, said):
    with pytest.raises(DataError, match=said):
        read_answers(write(tmp_path / "a.jsonl", [row]))


def test_the_published_files_are_read():
    known = read_questions(published("mt_bench", "question.jsonl"))
    references = read_answers(published("mt_bench", "reference_gpt-4.jsonl"))
    assert len(known) == 80
    needed = {q.id for q in known if q.category in ("reasoning", "math", "coding")}
    assert set(references) == needed


def command(*words):
    return CliRunner().invoke(app, ["eval", "mt-bench", *map(str, words)])


def test_the_command_scores_a_file(tmp_path):
    rows = [single(q, 5 + q, turn, "[bold]m") for q in (1, 2) for turn in (1, 2)]
    path = write(tmp_path / "j.jsonl", rows)
    said = json.loads(command("--judgments", path, "--json").output)
    assert said["models"]["[bold]m"]["score"]["value"] == 6.5
    shown = command("--judgments", path)
    assert shown.exit_code == 0
    assert "[bold]m" in shown.output
    assert "6.50" in shown.output
    assert "4 judgments" in shown.output


def test_the_command_scores_matches(tmp_path):
    path = write(tmp_path / "j.jsonl", [pair(1, "model_1", "model_1"), pair(2, "tie", "model_1")])
    shown = command("--judgments", path)
    assert shown.exit_code == 0, shown.output
    assert "0.750" in shown.output
    assert "1 ties of two games that disagree" in shown.output


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--judgments", "j", "--model", "m"), "leave out --model"),
        (("--judgments", "j", "--limit", "3"), "leave out --limit"),
        (("--questions", "q"), "give --judgments FILE"),
        (("--questions", "q", "--judge", "j"), "give --judgments FILE"),
        (("--questions", "q", "--judge", "j", "--model", "m", "--answers", "a"), "give --judgments FILE"),
    ],
)
def test_mistakes_of_the_command_are_named(words, said):
    result = command(*words)
    assert said in str(result.exception)
