"""Files of verdicts: the published statistics of LLMBar's judges and of MT-Bench's votes, and bad files."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from metareward.cli.app import app
from metareward.errors import DataError
from metareward.evaluate.judge_data import read_pairs
from metareward.evaluate.judge_verdicts import compare_files, llmbar_statistics, score_file
from metareward.evaluate.pair_forms import majority

DATA = Path(os.environ.get("METAREWARD_DATA", Path(__file__).parents[2] / "shared" / "data"))


def real(*parts):
    path = DATA.joinpath(*parts)
    if not path.is_file():
        pytest.skip(f"{path} is not here")
    return path


def write(path, rows):
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_every_statistic_that_llmbar_publishes_of_every_judge_run():
    path = real("llmbar", "evaluator_verdicts_natural_neighbor.jsonl")
    published = [json.loads(line)["published_statistics"] for line in path.read_text().splitlines()]
    ours = [run["statistics"] for run in score_file(path)["runs"]]
    assert len(ours) == len(published) == 130
    for mine, theirs in zip(ours, published, strict=True):
        for name, value in theirs.items():
            assert mine[name] == (value if isinstance(value, str) else pytest.approx(value, abs=1e-12)), name


def test_our_accuracy_is_theirs_where_every_verdict_was_read():
    path = real("llmbar", "evaluator_verdicts_natural_neighbor.jsonl")
    for run in score_file(path)["runs"]:
        if not run["unread_verdicts"]:
            average = float(run["statistics"]["correct_average"].rstrip("%")) / 100
            assert run["accuracy"]["value"] == pytest.approx(average)
            equal = float(run["statistics"]["equal"].split("= ")[1].rstrip("%")) / 100
            assert run["position_consistency"]["value"] == pytest.approx(equal)


def test_a_judge_that_always_says_one_thing_has_no_kappa_of_agreement():
    said = llmbar_statistics([1, 2, 1], ["1", "1", "1"], ["1", "1", "1"])
    assert said["kappa_agreement"] is None
    assert said["correct_False"] == f"2 / 3 = {2 / 3 * 100}%"
    assert json.loads(json.dumps(said, allow_nan=False)) == said


def test_the_published_agreement_of_gpt4_with_experts():
    """66 % with ties (S1) and 85 % without (S2), table 5 of the paper; to the digit 66.0 and 84.6."""
    gpt4 = real("mt_bench", "judgments_gpt4_pair_turn1.jsonl")
    human = real("mt_bench", "judgments_human_turn1.jsonl")
    both = score_file(gpt4, against=human)["agreement"]["gpt4_pair / expert"]
    assert (both["with_ties"]["agreed"], both["with_ties"]["votes"]) == (886, 1343)
    assert round(100 * both["with_ties"]["value"], 1) == 66.0
    assert round(100 * both["without_ties"]["value"], 1) == 84.6
    turned = score_file(human, against=gpt4)["agreement"]["expert / gpt4_pair"]
    assert turned["with_ties"]["value"] == both["with_ties"]["value"]


def test_experts_agree_with_each_other_about_as_published():
    """63 % with ties and 81 % without, table 5."""
    human = real("mt_bench", "judgments_human_turn1.jsonl")
    among = score_file(human)["agreement"]["expert / expert"]
    assert round(among["with_ties"]["value"], 2) == 0.63
    assert round(among["without_ties"]["value"], 2) == 0.81


def test_pandalms_judges_are_scored_against_the_majority():
    said = score_file(real("pandalm", "testset_v1_first500.jsonl"))["judges"]
    assert said["gpt35"]["accuracy"]["value"] > said["pandalm7b"]["accuracy"]["value"] > 0.7
    assert said["pandalm7b"]["accuracy"]["lower"] > said["pandalm7b"]["length_baseline"]["value"]
    assert majority([1, 1, 2]) == 1.0
    assert majority([1, 2, 0]) == 0.5
    assert majority([2, 2, 0]) == 0.0


def test_pairs_of_every_published_form_are_read():
    llmbar = read_pairs(real("llmbar", "llmbar_natural_neighbor.jsonl"))
    assert len(llmbar) == 234
    assert {pair.category for pair in llmbar} == {"natural", "adv_neighbor"}
    assert sum(pair.better == 1.0 for pair in llmbar) == 75 + 42
    panda = read_pairs(real("pandalm", "testset_v1_first500.jsonl"))
    assert len(panda) == 500
    assert {pair.better for pair in panda} == {0.0, 0.5, 1.0}
    mini = read_pairs(real("ultrafeedback_mini", "train_1000.jsonl"))
    assert len(mini) == 1000
    assert {pair.better for pair in mini} == {1.0}


def rows(*verdicts: tuple[Any, ...], label: Any = 1) -> list[Any]:
    return [{"label": label, "verdicts": list(both)} for both in verdicts]


def test_one_row_a_pair_is_read_and_two_judges_are_compared(tmp_path):
    good = write(tmp_path / "good.jsonl", rows((1, 1), ("1", "1"), (1, "tie")))
    poor = write(tmp_path / "poor.jsonl", rows((2, 1), (2, None), (2, "tie")))
    assert score_file(good)["accuracy"]["value"] == pytest.approx(5.5 / 6)
    assert score_file(poor)["unread_verdicts"] == 1
    assert compare_files(good, poor)["difference"]["value"] == pytest.approx(
        ((1 - 0.5) + 1 + (0.75 - 0.25)) / 3
    )


def test_one_order_alone_is_enough(tmp_path):
    said = score_file(write(tmp_path / "v.jsonl", rows((1,), (2,))))
    assert said["accuracy"]["value"] == 0.5
    assert said["position_consistency"] is None
    assert said["unread_verdicts"] == 0


BAD = [
    ([{"i": 0, "preference": 1.5}], "1 of 1 rows are of another form"),
    (rows((1, 3)), "a label or a verdict that is not 1, 2, tie or None"),
    (rows((1, 1), label=None), "have no label"),
    (rows((1, 1, 1)), "have not one or two verdicts"),
    (rows((None, None)), "none of 1 pairs has a readable verdict"),
    ([{"label": 1, "verdicts": [1], "lengths": [1]}], "lengths that are not two numbers"),
    ([{"winners_order1": ["1"], "winners_order2_unswapped": ["1"], "subset": "x"}], "LLMBar's pairs"),
    ([{"judge": "j", "model_a": "a", "model_b": "b", "winner": "c"}], "have another winner"),
    ([{"judge": "j", "model_a": "a", "model_b": "b", "winner": "tie"}], "voted on by two judges"),
    ([{"annotator1": 1, "annotator2": 1}], "hold no judge's verdicts"),
]


@pytest.mark.parametrize(("given", "said"), BAD)
def test_files_that_do_not_fit_are_one_error_with_counts(tmp_path, given, said):
    with pytest.raises(DataError, match=said):
        score_file(write(tmp_path / "x.jsonl", given))


def test_runs_that_do_not_fit_their_pairs_are_counted(tmp_path):
    pairs = write(
        tmp_path / "p.jsonl", [{"subset": "s", "i": 0, "output_1": "a", "output_2": "b", "label": 2}]
    )
    runs = [
        {"subset": "s", "winners_order1": ["2"], "winners_order2_unswapped": ["2"]},
        {"subset": "s", "winners_order1": ["2", "1"], "winners_order2_unswapped": ["2", "1"]},
        {"subset": "t", "winners_order1": ["2"], "winners_order2_unswapped": ["2"]},
        {"subset": "s", "winners_order1": ["7"], "winners_order2_unswapped": ["2"]},
    ]
    with pytest.raises(DataError) as caught:
        score_file(write(tmp_path / "v.jsonl", runs))
    for part in ("another number of winners", "a subset that the pairs do not have", "a winner that is not"):
        assert f"1 of 4 rows have {part}" in str(caught.value) or f"1 of 4 rows are of {part}" in str(
            caught.value
        )
    fine = score_file(write(tmp_path / "v.jsonl", runs[:1]), pairs)
    assert fine["runs"][0]["accuracy"]["value"] == 1.0


def test_the_command_scores_files(tmp_path):
    path = write(tmp_path / "v.jsonl", rows((1, 1), (2, 1)))
    result = CliRunner().invoke(app, ["eval", "judge", "--verdicts", str(path), "--json"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["accuracy"]["value"] == 0.75
    shown = CliRunner().invoke(app, ["eval", "judge", "--verdicts", str(path), "--against", str(path)])
    assert "accuracy" in shown.output
