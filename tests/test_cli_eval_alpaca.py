"""`metareward eval alpaca-eval`: one JSON object, a table with intervals, one error for a mistake."""

import json

import pytest

from alpaca_worlds import (
    full_row,
    short_row,
    world,
    write_difficulty,
    write_gamed,
    write_lines,
    write_table,
)
from metareward.cli import main
from metareward.evaluate import alpaca_eval
from metareward.evaluate.alpaca_eval import LengthControl, score
from test_alpaca_ask import BASE, OWN, SET


def call(monkeypatch, capsys, *arguments):
    monkeypatch.setattr("sys.argv", ["metareward", "eval", *map(str, arguments)])
    try:
        main()
        code = 0
    except SystemExit as stop:
        code = int(stop.code or 0)
    said = capsys.readouterr()
    return code, said.out, said.err


@pytest.fixture
def tell(monkeypatch, capsys, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(alpaca_eval, "_RESAMPLES", 5)
    return lambda *arguments: call(monkeypatch, capsys, *arguments)


@pytest.fixture
def files(tmp_path):
    made, difficulty, gamed = world(60)
    rows = [short_row(row.number, 1 + row.preference, row.len_baseline, row.len_model) for row in made.rows]
    return (
        write_lines(tmp_path / "model.jsonl", rows),
        write_difficulty(tmp_path / "difficulty.csv", difficulty.tolist()),
        write_gamed(tmp_path / "gamed.csv", gamed, 60),
    )


@pytest.fixture
def asking(tmp_path):
    instructions = [{"instruction": one.text, "dataset": one.dataset} for one in SET]
    base, own = ([{"i": n, "output": text} for n, text in enumerate(side)] for side in (BASE, OWN))
    return (
        "alpaca-eval",
        *("--instructions", write_lines(tmp_path / "set.jsonl", instructions)),
        *(
            "--baseline",
            write_lines(tmp_path / "base.jsonl", base),
        ),
        *(
            "--outputs",
            write_lines(tmp_path / "own.jsonl", own),
        ),
        *("--judge", "fake", "--engine", "fake"),
    )


def test_annotations_as_json(tell, files):
    path, difficulty, gamed = files
    made, hard, rows = world(60)
    code, out, err = tell(
        "alpaca-eval", "--annotations", path, "--difficulty", difficulty, "--baseline-rows", gamed, "--json"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    expected = score(made, LengthControl(hard, rows))
    names = ("n", "win_rate", "standard_error", "lc_win_rate", "lc_standard_error", "avg_length")
    assert {name: found[name] for name in names} == pytest.approx({name: expected[name] for name in names})
    assert found["model"] == "model"


def test_without_its_tables_the_length_controlled_rate_is_null_with_a_reason(tell, files):
    code, out, _ = tell("alpaca-eval", "--annotations", files[0], "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["lc_win_rate"], found["lc_standard_error"]) == (None, None)
    assert "--difficulty" in found["lc_reason"]


def test_the_baselines_rows_bring_the_difficulties(tell, files):
    tables = ("--difficulty", files[1], "--baseline-rows", files[2])
    _, both, _ = tell("alpaca-eval", "--annotations", files[0], *tables, "--json")
    _, one, _ = tell("alpaca-eval", "--annotations", files[0], "--baseline-rows", files[2], "--json")
    assert json.loads(one) == json.loads(both)


def test_weights_by_the_files_name_the_models_or_the_one_given(tell, tmp_path, files):
    header = ",np.tanh(std_delta_len),instruction_difficulty,not_gamed_baseline.astype(float)"
    table = write_table(
        tmp_path / "w.csv", header, [("model", 0, 0, 0), ("other", 0, 0, 1), ("own", 0, 0, 2)]
    )
    basic = ("alpaca-eval", "--difficulty", files[1], "--weights", table, "--json", "--annotations")
    assert json.loads(tell(*basic, files[0])[1])["lc_win_rate"] == pytest.approx(50.0)
    assert json.loads(tell(*basic, files[0], "--name", "other")[1])["lc_win_rate"] == pytest.approx(
        73.1058578
    )
    full = write_lines(tmp_path / "annotations.jsonl", [full_row(n, 1.2) for n in range(60)])
    assert json.loads(tell(*basic, full)[1])["lc_win_rate"] == pytest.approx(88.0797078)


def test_a_table_for_a_person(tell, files):
    code, out, _ = tell("alpaca-eval", "--annotations", files[0], "--baseline-rows", files[2])
    assert code == 0
    for said in ("AlpacaEval 2: model", "at equal lengths", "95 % interval", "mean length", "row position"):
        assert said in out


def test_hostile_names_are_shown_as_they_are(tell, tmp_path):
    rows = [full_row(n, 1.2, dataset="[bold]x[/bold]", generator_2="[red]m") for n in range(3)]
    code, out, _ = tell("alpaca-eval", "--annotations", write_lines(tmp_path / "a.jsonl", rows))
    assert code == 0
    assert "[bold]x[/bold]" in out
    assert "[red]m" in out


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([short_row(0, None), short_row(1)], "1 of 2 annotations have no readable preference"),
        ([short_row(0, float("nan")), short_row(1)], "1 of 2 annotations have no readable preference"),
        ([short_row(n) for n in range(0, 60, 2)], "30 of the set's 60 instructions have no annotation"),
        ([short_row(n) for n in range(70)], "10 of 70 annotations are not of the set"),
        ([{"question_id": "a", "winner": "model_a"}], "1 of 1 rows are of another form"),
    ],
)
def test_bad_annotations_are_one_counted_error(tell, tmp_path, files, rows, said):
    path = write_lines(tmp_path / "bad.jsonl", rows)
    code, out, err = tell("alpaca-eval", "--annotations", path, "--difficulty", files[1], "--json")
    if "readable" in said:
        code, out, err = tell("alpaca-eval", "--annotations", path, "--json")
    assert (code, out) == (2, "")
    assert said in err
    assert err.count("metareward:") == 1
    assert "Traceback" not in err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "missing: --instructions, --baseline, --judge"),
        (("--model", "x", "--outputs", "y", "--judge", "z"), "either --model or --outputs"),
        (("--annotations", "a", "--judge", "x"), "leave out --judge"),
        (("--annotations", "nothing.jsonl"), "no such file"),
    ],
)
def test_options_that_do_not_go_together(tell, options, said):
    code, out, err = tell("alpaca-eval", *options)
    assert (code, out) == (2, "")
    assert said in err


def test_methods_and_subsets(tell, tmp_path, files):
    path, difficulty, gamed = files
    basic = ("alpaca-eval", "--annotations", path, "--difficulty", difficulty)
    code, out, _ = tell(*basic, "--method", "length_controlled_noreg", "--json")
    assert (code, json.loads(out)["lc_method"]) == (0, "length_controlled_noreg")
    assert tell(*basic, "--method", "guess")[0] == 2
    assert tell(*basic, "--method", "length_controlled_noreg", "--baseline-rows", gamed)[0] == 2
    part = write_lines(
        tmp_path / "part.jsonl", [short_row(n, 1.3, 50 + n, 60 + 2 * n) for n in range(0, 60, 3)]
    )
    code, out, _ = tell("alpaca-eval", "--annotations", part, "--baseline-rows", gamed, "--subset", "--json")
    found = json.loads(out)
    assert (found["n"], found["missing"], found["lc_difficulty"]) == (20, 40, "by instruction")


def test_a_judge_is_asked_and_its_annotations_are_kept(tell, tmp_path, asking):
    code, out, _ = tell(*asking, "--save", "kept.jsonl", "--json")
    found = json.loads(out)
    assert code == 0
    assert (found["model"], found["judge"], found["n"]) == ("own", "fake", 40)
    code, out, _ = tell("alpaca-eval", "--annotations", "kept.jsonl", "--json")
    assert json.loads(out)["win_rate"] == pytest.approx(found["win_rate"])
    assert (tmp_path / "runs" / "eval-alpaca-own").is_dir()


def test_a_sample_says_so(tell, asking):
    code, out, _ = tell(*asking, "--limit", "10")
    assert code == 0
    assert "a sample of a set of 40 instructions" in out
    code, _, err = tell(*asking, "--limit", "41")
    assert (code, "limit must be 1 to 40" in err) == (2, True)


def test_a_template_of_either_form(tell, tmp_path, asking):
    ours = tmp_path / "ours.txt"
    ours.write_text("{{ instruction }} {{ output_1 }} {{ output_2 }}")
    theirs = tmp_path / "theirs.txt"
    theirs.write_text("{instruction} {output_1} {output_2}")
    assert tell(*asking, "--template", ours, "--json")[0] == 0
    assert tell(*asking, "--template", theirs, "--choices", "x,y", "--json")[0] == 0
    ours.write_text("{{ instruction }}")
    code, _, err = tell(*asking, "--template", ours)
    assert (code, "never shows {{ output_1 }}" in err) == (2, True)
    assert tell(*asking, "--template", tmp_path / "none")[0] == 2
    assert tell(*asking, "--choices", "one")[0] == 2


def test_an_unknown_evaluation_names_the_near_one_and_all(tell):
    code, out, err = tell("alpaca-evl")
    assert (code, out) == (2, "")
    assert "no evaluation named 'alpaca-evl'; did you mean alpaca-eval? there are: " in err
    assert "gsm8k" in err
    assert err.count("metareward:") == 1
