"""What a person sees: numbers as they are, hostile text as text, and lines where there is no terminal."""

import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from metareward.cli import render, render_summary
from metareward.events import Noticed, StepFinished, StepProgress, StepStarted
from metareward.paper import Paper

NOTHING = {"iterations": [], "checkpoint": None, "supervision": "none"}


@pytest.fixture
def screen(monkeypatch):
    console = Console(width=120, record=True, highlight=False)
    monkeypatch.setattr(render, "out", console)
    return console


def model(name, **changes):
    entry = {
        "model": name,
        "held_out": True,
        "mean_score": 2.654,
        "mean_score_standard_error": 0.1,
        "referee_score": None,
        "referee_score_standard_error": None,
        "mean_length": 395.2,
        "cut_off_rate": 0.75,
        "unreadable_rate": 0.0,
        "tie_rate": None,
        "first_position_win_rate": 1.0,
    }
    return entry | changes


def iteration(**changes):
    entry = {
        "iteration": 0,
        "prompts": 8,
        "responses": 32,
        "judgments": 96,
        "battles": 48,
        "actor_pairs": 7,
        "judge_pairs": 8,
        "dropped": {"equal scores": 1},
        "loss_first": 0.69314,
        "loss_last": 0.68984,
        "seconds": {"judge": 10.4, "train": 5.0},
    }
    return entry | changes


def test_what_answers_look_like_is_told_beside_them(screen, tmp_path):
    """The main shares always, others where they failed; the held-out ones before those of an iteration."""

    def sign(value, state="passed"):
        return {"value": value, "lower": None, "upper": None, "n": 9, "state": state}

    names = (
        "verdict",
        "alike",
        "opening",
        "one_answer",
        "loops",
        "empty",
        "echo",
        "turns",
        "header",
        "cut_off",
    )
    fine = {name: sign(0.0) for name in names} | {"verdict": sign(None, "cannot tell")}
    bad = fine | {"verdict": sign(0.75, "failed"), "header": sign(1.0, "failed"), "opening": sign(0.5)}
    answers = [{"held-out": {"signs": bad, "opening": "graded \x1b[31m on"}, "training": {"signs": fine}}]
    answers.append({"training": {"signs": fine, "opening": ""}})
    models = [model(f"M{n}", answers=each) for n, each in enumerate(answers)]
    render_summary.summary(NOTHING | {"models": models}, SimpleNamespace(directory=tmp_path))  # type: ignore[arg-type]
    lines = [" ".join(line.replace("│", " ").split()) for line in screen.export_text().splitlines()]
    assert "answers that read as a verdict or a rubric 75 % ! -" in lines
    assert "answers that begin with a role's header 100 % ! 0 %" in lines
    assert "most common opening 50 % graded \\x1b[31m on 0 %" in lines
    assert not any("same again" in line for line in lines)


def test_the_table_shows_numbers_with_intervals_and_a_dash_for_nothing(screen, tmp_path):
    result = {"models": [model("M0"), model("M1")], "iterations": [iteration()]}
    result |= {"checkpoint": "models/k", "supervision": "none"}
    render_summary.summary(result, SimpleNamespace(directory=tmp_path))  # type: ignore[arg-type]
    said = screen.export_text()
    assert "2.65 ± 0.20" in said, "1.96 standard errors"
    assert "left out: equal scores" in said
    assert "0.6931 -> 0.6898" in said
    assert "100 %" in said
    assert "- │" in said, "what was not measured is a dash, never a zero"
    assert "on held-out prompts" in said
    assert "15" in said


def test_fences_in_the_data_are_told_where_there_are_any(screen, tmp_path):
    for rate, told in ((0.0, False), (0.25, True)):
        result = {
            "models": [model("M0", disarmed_rate=rate)],
            "iterations": [],
            "checkpoint": None,
            "supervision": "none",
        }
        render_summary.summary(result, SimpleNamespace(directory=tmp_path))  # type: ignore[arg-type]
        assert ("a fence in the data" in screen.export_text()) is told


def test_a_run_without_any_model_yet_does_not_break_the_table(screen, tmp_path):
    result = {
        "models": [model("M0", held_out=False)],
        "iterations": [],
        "checkpoint": None,
        "supervision": "none",
    }
    render_summary.summary(result, SimpleNamespace(directory=tmp_path))  # type: ignore[arg-type]
    assert "checkpoint" not in screen.export_text()


def test_anchors_and_evaluations_stand_in_the_table_with_their_intervals(screen, tmp_path):
    bank = {"overall": {"value": 0.75, "lower": 0.5, "upper": 0.9, "n": 8}}
    gsm8k = {"flexible": {"accuracy": 0.25, "lower": 0.1, "upper": 0.4}}
    alpaca = {"lc_win_rate": None, "win_rate": 12.5, "win_rate_interval": [10.0, 15.0]}
    evaluations = {"gsm8k": gsm8k, "alpaca_eval": alpaca, "judge": {"error": "nothing could be read"}}
    evaluations["mt_bench"] = {"score": {"value": 6.25, "lower": 6.0, "upper": 6.5, "n": 80}}
    first = {"model": "M0", "elo": 0.0, "lower": 0.0, "upper": 0.0}
    second = {"model": "M1", "elo": 41.2, "lower": -3.0, "upper": 80.0}
    result = {
        "models": [model("M0", bank=bank, evaluations=evaluations), model("M1", bank=None)],
        "iterations": [],
        "ladders": {"referee": [first, second], "newest": None},
        "contaminated": [{}, {}],
        "checkpoint": None,
        "supervision": "none",
    }
    render_summary.summary(result, SimpleNamespace(directory=tmp_path))  # type: ignore[arg-type]
    said = screen.export_text()
    for shown in (
        "75.0 % [50.0, 90.0]",
        "41.2 [-3.0, 80.0]",
        "25.0 % [10.0, 40.0]",
        "12.5 % [10.0, 15.0]",
        "6.2 [6.0, 6.5]",
    ):
        assert shown in said
    assert "by the newest judge  " not in said
    assert "2 prompts equal or nearly equal evaluation items" in said


@pytest.mark.parametrize("hostile", ["[bold red]x[/]", "[link=file:///etc]y[/link]", "[/]", "\\[x"])
def test_hostile_text_is_shown_and_never_obeyed(screen, monkeypatch, hostile):
    story = SimpleNamespace(title=hostile, facts={"text": hostile}, children=[])
    render.story(story)
    event = StepFinished(hostile, hostile, 1, 1.0, False, hostile)
    render._Lines()(event)
    render._Lines()(Noticed(hostile, hostile))
    errors = Console(width=120, record=True, stderr=True)
    monkeypatch.setattr(render, "err", errors)
    render.complain(hostile)
    assert screen.export_text().count(hostile) == 7
    assert hostile in errors.export_text()


def test_lines_come_now_and_then_where_there_is_no_terminal(screen, monkeypatch):
    clock = iter([0.0, 0.0, 5.0, 20.0, 20.0, 40.0, 40.0])
    monkeypatch.setattr(render.time, "monotonic", lambda: next(clock))
    lines = render._Lines()
    lines(StepStarted("iteration 0", "judge", 100, 40))
    lines(StepProgress("iteration 0", "judge", 45, 100, 500))
    lines(StepProgress("iteration 0", "judge", 50, 100, 1000))
    said = screen.export_text().splitlines()
    assert said[0] == "iteration 0: judge, 40 of at most 100 done"
    assert len(said) == 2, "one line in 15 seconds"
    assert said[1] == "iteration 0: judge, 50 of 100, 50 tokens/s, about 100 s left".replace("100 s", "2 min")


def test_what_was_done_before_this_session_does_not_flatter_the_estimate():
    event = StepProgress("s", "judge", 50, 100, 0)
    assert render._remaining(event, 10.0, 40) == ", about 50.0 s left"
    assert render._remaining(event, 10.0, 50) == ""
    assert render._remaining(StepProgress("s", "judge", 100, 100, 0), 10.0, 0) == ""


@pytest.mark.parametrize(
    ("seconds", "said"), [(None, "?"), (0.04, "0.0 s"), (99.0, "99.0 s"), (600, "10 min"), (36000, "10.0 h")]
)
def test_durations(seconds, said):
    assert render._duration(seconds) == said


@pytest.mark.parametrize(
    ("tokens", "said"), [(99_999, "99,999"), (250_000, "250 k"), (137_500_000, "137.5 M")]
)
def test_token_counts(tokens, said):
    assert render._short(tokens) == said


def test_a_plan_without_speeds_says_what_to_give(screen, tmp_path):
    import loops
    import planted

    paper = Paper(tmp_path)
    batches = [paper.prompts(planted.prompts(4))]
    loops.RECIPES["self_rewarding"][0](
        paper, loops.START, batches * 2, loops.small_self(), paper.prompts(planted.prompts(1))
    )
    render.plan(paper)
    said = screen.export_text()
    assert "16 responses" in said
    assert "train_tokens_per_second in [plan]" in said


def test_the_catalogue_as_json(screen, capsys, tmp_path):
    entry = SimpleNamespace(name="n", parameters=5, licence="MIT", fetched=False, path=tmp_path)
    render.models([entry], as_json=True)
    assert json.loads(capsys.readouterr().out) == [
        {"name": "n", "parameters": 5, "licence": "MIT", "fetched": False, "path": str(tmp_path)}
    ]
    render.models([entry], as_json=False)
    assert "not fetched" in screen.export_text()
