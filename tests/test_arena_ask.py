"""Arena-Hard asked through a run: both orders, planted judges, files of questions and answers."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

import loops
from metareward.cli.app import app
from metareward.engines.fake import Reply
from metareward.errors import DataError
from metareward.evaluate.arena_ask import QA, ArenaHard, paired, read_answers, read_questions
from metareward.evaluate.arena_hard import Method
from metareward.run import Run
from metareward.stages.five_way import VERDICTS, FiveWay, verdict_of
from metareward.train.fake import FakeTrainer

QUESTIONS = tuple(QA(f"What is {n} plus {n}?", f"It is worth {n % 3}.") for n in range(8))


class World:
    """Answers say what they are worth; the judge prefers the dearer, much or a little, or names the first."""

    def __init__(self, worth=2, biased=False, mumbles=False):
        self.worth, self.biased, self.mumbles = worth, biased, mumbles

    def __call__(self, request, model):
        if request.step == "generate":
            return f"It is worth {self.worth}."
        worths = [int(part[0]) for part in request.messages[-1].content.split("It is worth ")[1:]]
        gap = worths[0] - worths[1]
        verdict = "A>B" if self.biased else ("B>>A", "B>A", "A=B", "A>B", "A>>B")[gap + 2]
        if self.mumbles:
            return "I like them both."
        if request.forced:
            return Reply("Well.", {f"{verdict}]]": 1.0})
        return f"Well.\n[[{verdict}]]"


def asked(tmp_path, world, method: Method = "bradley-terry", answers=None, **judge):
    evaluation = ArenaHard(QUESTIONS, answers, judge=FiveWay(**judge), method=method)
    with Run(tmp_path, loops.Asked(world), FakeTrainer()) as run:
        artifacts = evaluation.ask(run, loops.START, loops.START)
        return evaluation.score(*artifacts), list(artifacts[1])


@pytest.mark.parametrize("reading", ["free", "forced"])
@pytest.mark.parametrize(("worth", "low", "high"), [(2, 80, 100), (0, 0, 20)])
def test_the_better_answers_win(tmp_path, reading, worth, low, high):
    said, games = asked(tmp_path, World(worth), reading=reading)
    assert low <= said["score"] <= high
    assert (said["n"], said["games"], said["unread_games"], len(games)) == (8, 16, 0, 16)


def test_much_better_counts_three_times(tmp_path):
    """Baselines are worth 0, 1, 2, 0, 1, 2, 0, 1 and the model 2: 3 wins of 3, 3 of 1, 2 ties; twice."""
    said, _ = asked(tmp_path, World(2))
    assert said["battles"] == 2 * (3 * 3 + 3 + 2)
    assert said["score"] == pytest.approx(100 * (9 + 3 + 1) / 14)


def test_a_judge_that_always_names_the_first_gives_fifty(tmp_path):
    said, _ = asked(tmp_path, World(biased=True))
    assert said["score"] == pytest.approx(50)


def test_both_orders_are_asked_and_the_baseline_is_first_in_game_one(tmp_path):
    _, games = asked(tmp_path, World())
    assert games[0].first_id == games[1].second_id
    assert games[0].second_id == games[1].first_id
    assert "It is worth 0." in games[0].messages[0].content.split("</response_a>")[0]


def test_given_answers_are_not_generated(tmp_path):
    said, _ = asked(tmp_path, World(0), answers=tuple("It is worth 2." for _ in QUESTIONS))
    assert said["score"] > 80


def test_a_judge_without_a_verdict_is_an_error_with_counts(tmp_path):
    with pytest.raises(DataError, match="none of 16 games has a verdict"):
        asked(tmp_path, World(mumbles=True))


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("so [[A>B]]", "A>B"),
        ("[[A>B]] again [[A>B]]", "A>B"),
        ("[[A>B]] or [[B>A]]", None),
        ("[[A<B]]", None),
        ("A>B", None),
        ("[[C>A]]", None),
        ("", None),
    ],
)
def test_the_benchmarks_reading_of_a_verdict(text, verdict):
    assert verdict_of(text) == verdict


def test_every_verdict_is_read_back():
    assert [verdict_of(f"x [[{one}]]") for one in VERDICTS] == list(VERDICTS)


def files(tmp_path: Path):
    questions = [{"uid": str(n), "prompt": qa.question} for n, qa in enumerate(QUESTIONS)]
    base = [{"uid": str(n), "model": "b", "answer": qa.baseline} for n, qa in enumerate(QUESTIONS)]
    own = [
        {"question_id": str(n), "choices": [{"turns": [{"content": "It is worth 2."}]}]}
        for n in range(len(QUESTIONS))
    ]
    for name, rows in (("questions", questions), ("base", base), ("own", own)):
        (tmp_path / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return questions, base, own


def test_questions_and_answers_of_every_form_are_read(tmp_path):
    files(tmp_path)
    known, base = read_questions(tmp_path / "questions.jsonl"), read_answers(tmp_path / "base.jsonl")
    own = read_answers(tmp_path / "own.jsonl")
    qas, texts = paired(known, base, own)
    assert list(qas) == list(QUESTIONS)
    assert set(texts or ()) == {"It is worth 2."}
    few, _ = paired(known, base, own, limit=3, seed=1)
    assert len(few) == 3
    assert set(few) <= set(qas)


def test_answers_that_are_missing_are_counted(tmp_path):
    files(tmp_path)
    known, base = read_questions(tmp_path / "questions.jsonl"), read_answers(tmp_path / "base.jsonl")
    base.pop("0")
    with pytest.raises(DataError, match="of 8 questions these answers are missing: 1 of the baseline's"):
        paired(known, base)


def test_the_command_asks_a_judge_and_resumes(tmp_path, monkeypatch):
    files(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = "eval arena-hard --questions questions.jsonl --baseline base.jsonl --answers own.jsonl"
    more = "--judge fake --engine fake --reading forced --json --limit 4"
    first = CliRunner().invoke(app, f"{words} {more}".split())
    assert first.exit_code == 0, first.output
    said = json.loads(first.output)
    assert said["models"]["own"]["games"] == 8
    assert json.loads(CliRunner().invoke(app, f"{words} {more}".split()).output) == said
