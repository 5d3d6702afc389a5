"""MT-Bench asked through a run: two turns, planted judges, both forms, plans, and runs that were stopped."""

import json

import pytest
from typer.testing import CliRunner

import loops
from metareward.cli.app import app
from metareward.errors import DataError
from metareward.evaluate.mt_ask import TEMPERATURES, MTBench, by_temperature, chosen_questions
from metareward.evaluate.mt_bench import CATEGORIES
from metareward.evaluate.mt_files import TwoTurns, read_questions
from metareward.paper import Paper
from metareward.run import Run
from metareward.stages.rate import Rate
from metareward.stages.three_way import ThreeWay
from metareward.train.fake import FakeTrainer
from mt_worlds import QUESTIONS, REFERENCES, World, asked, baseline, scored
from published_data import published


@pytest.mark.parametrize("reading", ["free", "forced"])
def test_each_turn_gets_its_own_rating(tmp_path, reading):
    said = scored(tmp_path, World(8, 4), rate=Rate(reading=reading))
    assert said["turn_1"]["value"] == pytest.approx(8, abs=1e-6)
    assert said["turn_2"]["value"] == pytest.approx(4, abs=1e-6)
    assert said["score"]["value"] == pytest.approx(6, abs=1e-6)
    assert (said["n"], said["judgments"], said["unread"], said["failed_answers"]) == (6, 12, 0, 0)
    assert list(said["categories"]) == [
        name for name in CATEGORIES if name in {q.category for q in QUESTIONS}
    ]


def test_the_second_turn_is_asked_with_the_models_own_first_answer(tmp_path):
    _, _, engine = asked(tmp_path, World(8, 4))
    second = [r for r in engine.requests if r.step == "generate" and len(r.messages) == 3]
    assert len(second) == 6
    assert {r.messages[1].content for r in second} == {"Mine, worth 8."}
    assert {(r.messages[0].content, r.messages[2].content) for r in second} == {q.turns for q in QUESTIONS}


def test_temperatures_are_the_benchmarks(tmp_path):
    _, _, engine = asked(tmp_path, World())
    category = {q.turns[0]: q.category for q in QUESTIONS}
    wanted = {"writing": 0.7, "roleplay": 0.7, "stem": 0.1, "humanities": 0.1}
    assert wanted == TEMPERATURES
    for request in engine.requests:
        named = category.get(request.messages[0].content)
        if request.step == "generate":
            assert request.sampling.temperature == wanted.get(named or "", 0.0)
        else:
            assert request.sampling.temperature == 0
    groups = by_temperature(QUESTIONS)
    assert {temperature: len(group) for temperature, group in groups.items()} == {0.0: 3, 0.1: 1, 0.7: 2}


def test_the_model_is_loaded_once_and_the_judge_once(tmp_path):
    """All answers come before all judgments, for models take minutes to load."""
    _, _, engine = asked(tmp_path, World())
    steps = [request.step for request in engine.requests]
    assert steps == sorted(steps, key=lambda step: step != "generate")


def test_references_are_shown_where_the_benchmark_shows_them(tmp_path):
    said = scored(tmp_path, World(), references=REFERENCES | {"81": ("unwanted", "shown")})
    assert said["with_reference"] == 2
    _, _, engine = asked(tmp_path / "2", World(), references=REFERENCES | {"81": ("unwanted", "shown")})
    texts = [r.messages[-1].content for r in engine.requests if r.step == "rate"]
    assert sum("Reference 82 one." in text for text in texts) == 2
    assert sum("Reference 82 two." in text for text in texts) == 1
    assert sum("<reference>" in text for text in texts) == 4
    assert not any("unwanted" in text for text in texts)


@pytest.mark.parametrize("reading", ["free", "forced"])
def test_matches_against_a_baseline_are_played_in_both_orders(tmp_path, reading):
    """8 against 3 in turn 1 is won, 2 against 3 in turn 2 is lost."""
    said = scored(tmp_path, World(8, 2), baseline=baseline(), compare=ThreeWay(reading=reading))
    assert said["form"] == "pairwise"
    assert (said["turn_1"]["value"], said["turn_2"]["value"]) == (1, 0)
    assert (
        said["win_rate"]["value"] == said["loss_rate"]["value"] == said["adjusted_win_rate"]["value"] == 0.5
    )
    assert (said["matches"], said["inconsistent"], said["unread"]) == (12, 0, 0)


def test_a_judge_that_always_names_the_first_makes_only_ties(tmp_path):
    said = scored(tmp_path, World(how="biased"), baseline=baseline())
    assert (said["tie_rate"]["value"], said["adjusted_win_rate"]["value"]) == (1, 0.5)
    assert said["inconsistent"] == 12


def test_games_that_are_ties_are_ties(tmp_path):
    said = scored(tmp_path, World(3, 3), baseline=baseline())
    assert said["tie_rate"]["value"] == 1
    assert said["inconsistent"] == 0


@pytest.mark.parametrize("form", [{}, {"baseline": baseline()}])
def test_a_judge_without_a_verdict_is_an_error_with_counts(tmp_path, form):
    with pytest.raises(
        DataError, match=r"none of 12 (judgments|matches) has .* can be read.*reading = 'forced'"
    ):
        scored(tmp_path, World(how="mumbles"), **form)


def test_ratings_off_the_scale_are_unread(tmp_path):
    with pytest.raises(DataError, match="none of 12 judgments"):
        scored(tmp_path, World(how="loud"))


def test_a_question_whose_first_answer_failed_is_counted_and_not_judged(tmp_path):
    def fail(request):
        return request.step == "generate" and "question 0" in request.messages[0].content

    evaluation, artifacts, engine = asked(tmp_path, World(8, 4), fail=fail)
    said = evaluation.score(*artifacts)
    assert (said["failed_answers"], said["missing"], said["judgments"], said["n"]) == (1, 2, 10, 5)
    assert not any("Second question 0" in request.messages[-1].content for request in engine.requests)


def test_a_second_answer_that_failed_leaves_the_first(tmp_path):
    def fail(request):
        return request.step == "generate" and "Second question 1" in request.messages[-1].content

    evaluation, artifacts, _ = asked(tmp_path, World(8, 4), fail=fail, baseline=baseline())
    said = evaluation.score(*artifacts)
    assert (said["failed_answers"], said["missing"], said["matches"]) == (1, 1, 11)


def test_given_answers_are_judged_as_generated_ones_would_be(tmp_path):
    answers = {q.id: ("Given, worth 7.", "Given, worth 5.") for q in QUESTIONS}
    evaluation, artifacts, engine = asked(tmp_path, World(), answers=answers)
    said = evaluation.score(*artifacts)
    assert (said["turn_1"]["value"], said["turn_2"]["value"]) == (7, 5)
    assert {request.step for request in engine.requests} == {"rate"}
    same = scored(tmp_path / "2", World(), answers=answers, baseline=answers)
    assert same["tie_rate"]["value"] == 1


def test_a_run_that_was_stopped_goes_on_and_repeats_nothing(tmp_path):
    whole, artifacts, engine = asked(tmp_path / "whole", World(8, 4), references=REFERENCES)
    expected = whole.score(*artifacts)
    for stop in (4, 9, 15, 20):
        place = tmp_path / str(stop)
        with pytest.raises(KeyboardInterrupt):
            asked(place, World(8, 4), references=REFERENCES, break_at=stop)
        evaluation, rest, again = asked(place, World(8, 4), references=REFERENCES)
        assert evaluation.score(*rest) == expected
        assert len(again.answered) == len(engine.answered) - stop
    _, _, third = asked(tmp_path / "whole", World(8, 4), references=REFERENCES)
    assert third.requests == []


@pytest.mark.parametrize("form", [{}, {"baseline": baseline()}])
def test_a_plan_counts_what_the_run_then_asks(tmp_path, form):
    evaluation = MTBench(QUESTIONS, REFERENCES, **form)
    paper = Paper(tmp_path)
    evaluation.ask(paper, loops.START, loops.START)
    _, _, engine = asked(tmp_path, World(), references=REFERENCES, **form)
    assert sum(step.calls for step in paper.steps) == len(engine.requests)
    after = Paper(tmp_path)
    evaluation.ask(after, loops.START, loops.START)
    assert {step.state for step in after.steps} == {"done"}


def test_the_order_of_the_files_rows_decides_nothing(tmp_path):
    forth, back = tmp_path / "forth", tmp_path / "back"
    with Run(forth, loops.Asked(World(8, 2)), FakeTrainer()) as run:
        one = MTBench(QUESTIONS)
        said = one.score(*one.ask(run, loops.START, loops.START))
    with Run(back, loops.Asked(World(8, 2)), FakeTrainer()) as run:
        other = MTBench(QUESTIONS[::-1])
        again = other.score(*other.ask(run, loops.START, loops.START))
    assert said["categories"] == again["categories"]
    assert said["score"]["value"] == again["score"]["value"]


def test_items_are_both_turns():
    assert list(MTBench(QUESTIONS).items()) == [turn for q in QUESTIONS for turn in q.turns]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"answers": {}}, "6 of the model's answers, first 81"),
        ({"baseline": {"81": ("a", "b")}}, "5 of the baseline's answers, first 82"),
        ({"references": {"82": ("a", "b")}}, r"1 of the references \(reasoning, math, coding\), first 84"),
    ],
)
def test_answers_and_references_that_are_missing_are_counted(given, said):
    with pytest.raises(DataError, match=f"of 6 questions these are missing: {said}"):
        chosen_questions(QUESTIONS, **given)


def test_limits_draw_by_seed():
    few = chosen_questions(QUESTIONS, 3, 1)
    assert len(few) == 3
    assert few == chosen_questions(QUESTIONS, 3, 1)
    assert few != chosen_questions(QUESTIONS, 3, 2)
    assert chosen_questions(QUESTIONS, 99) == QUESTIONS


def test_the_published_questions_fall_into_the_published_temperatures():
    groups = by_temperature(read_questions(published("mt_bench", "question.jsonl")))
    assert {temperature: len(group) for temperature, group in groups.items()} == {0.0: 40, 0.1: 20, 0.7: 20}


def files(tmp_path):
    def turns(question: TwoTurns):
        return {"question_id": int(question.id), "category": question.category, "turns": question.turns}

    own = {q.id: ("Own, worth 7.", "Own, worth 5.") for q in QUESTIONS}
    tables = {"questions": [turns(q) for q in QUESTIONS]}
    for name, answers in (("own", own), ("base", baseline()), ("refs", REFERENCES)):
        tables[name] = [{"question_id": int(q), "choices": [{"turns": a}]} for q, a in answers.items()]
    for name, rows in tables.items():
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))


ASKED = "eval mt-bench --questions questions.jsonl --judge fake --engine fake --json --reading forced"


@pytest.mark.parametrize("whose", ["--model fake", "--answers own.jsonl"])
@pytest.mark.parametrize("form", ["", "--baseline base.jsonl"])
def test_the_command_asks_a_judge_and_its_judgments_score_the_same(tmp_path, monkeypatch, whose, form):
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = f"{ASKED} {whose} {form} --references refs.jsonl --save made.jsonl"
    first = CliRunner().invoke(app, words.split())
    assert first.exit_code == 0, first.output
    (one,) = json.loads(first.output)["models"].values()
    assert one["n"] == 6
    again = CliRunner().invoke(app, ["eval", "mt-bench", "--judgments", "made.jsonl", "--json"])
    name = "fake" if "--model" in whose else "own"
    other = json.loads(again.output)["models"][name]
    main = "adjusted_win_rate" if form else "score"
    assert other[main] == one[main]
    assert other["turn_2"] == one["turn_2"]
    assert json.loads(CliRunner().invoke(app, words.split()).output) == json.loads(first.output)


def test_the_command_shows_a_table(tmp_path, monkeypatch):
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    shown = CliRunner().invoke(app, f"{ASKED} --model fake --limit 2".replace("--json ", "").split())
    assert shown.exit_code == 0, shown.output
    assert "MT-Bench: fake" in shown.output
    assert "no reference answers" in shown.output
