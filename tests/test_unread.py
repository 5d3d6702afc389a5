"""A run whose verdicts cannot be read says so with an example, and stops before everything is paid."""

import dataclasses

import pytest

from metareward.engines.fake import Reply, fake
from metareward.errors import StepError
from metareward.events import StepProgress
from metareward.models.base import Model
from metareward.records import Finish, Message, Prompt, Response
from metareward.run import Run
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge
from metareward.train.fake import FakeTrainer
from metareward.unread import FIRST, Watch, ending

MODEL = Model("fake", "", "fake")
PROMPTS = [Prompt(f"p{n}", (Message("user", f"{n}?"),)) for n in range(60)]
RESPONSES = [
    Response(f"r{n}{k}", f"p{n}", k, "m", f"{n}{k}.", None, Finish.STOP) for n in range(60) for k in (0, 1)
]


def asked(tmp_path, stage, script, section="iteration 0", **settings):
    heard = []
    with (
        Run(tmp_path, fake(script), FakeTrainer(), listen=heard.append, **settings) as run,
        run.within(section),
    ):
        rows = run.ask(stage, run.prompts(PROMPTS), run.given(RESPONSES), of=MODEL)
        return list(rows), heard


def unread(request, model):
    return Reply("I like it.\x1b[31m My grade: 7/10")


def test_a_judge_that_cannot_be_read_ends_the_run_early(tmp_path):
    with pytest.raises(StepError) as stopped:
        asked(tmp_path, Judge(samples=4), unread)
    said = str(stopped.value)
    assert "iteration 0: judge: of the first 73 answers 0 have a verdict that can be read (0 %)" in said
    assert "73 no verdict line" in said
    assert r"'I like it.\x1b[31m My grade: 7/10'" in said
    assert "metareward parse" in said
    assert 'reading = "forced" in [judge]' in said
    assert "fewest_read = 0" in said


def test_what_was_answered_is_kept_and_the_setting_goes_on(tmp_path):
    with pytest.raises(StepError):
        asked(tmp_path, Judge(samples=4), unread)
    paid = []

    def script(request, model):
        paid.append(request.id)
        return unread(request, model)

    rows, _ = asked(tmp_path, Judge(samples=4), script, fewest_read=0)
    assert len(rows) == 480
    assert len(paid) <= 480 - FIRST
    assert all(row.score is None for row in rows)


def test_a_step_that_was_ended_is_not_paid_for_again(tmp_path):
    """Not even the 64 answers that the rule needs: those that lie there say it."""
    with pytest.raises(StepError):
        asked(tmp_path, Judge(samples=4), unread)
    paid = []

    def script(request, model):
        paid.append(request.id)
        return unread(request, model)

    with pytest.raises(StepError, match=r"of the first 73 answers 0 have a verdict") as stopped:
        asked(tmp_path, Judge(samples=4), script)
    assert "7/10" in str(stopped.value)
    assert paid == []


def test_comparisons_are_watched_too(tmp_path):
    with pytest.raises(StepError, match=r"compare: of the first 73 answers 0 .* 73 without a winner"):
        asked(tmp_path, Compare(), lambda request, model: Reply("Both are fine."))


@pytest.mark.parametrize(
    ("stage", "section", "settings"),
    [
        (Judge(samples=4, reading="forced"), "iteration 0", {}),
        (Judge(samples=4), "evaluation fine-tuning", {}),
        (Judge(samples=4), "attack m", {}),
        (Judge(samples=4), "iteration 0", {"fewest_read": 0}),
        (Judge(samples=1), "iteration 0", {"fewest_read": 0}),
    ],
)
def test_where_nothing_is_stopped(tmp_path, stage, section, settings):
    rows, _ = asked(tmp_path, stage, unread, section, **settings)
    assert len(rows) == 120 * stage.samples


def test_a_judge_that_is_often_read_goes_on(tmp_path):
    def script(request, model):
        return Reply("Score: 4" if int(request.id[:4], 16) % 5 == 0 else "No idea.")

    rows, _ = asked(tmp_path, Judge(samples=4), script)
    assert 0.1 < sum(row.score == 4 for row in rows) / len(rows) < 0.3


def test_the_rule_by_hand():
    """Wilson's upper end of 0 in n is z² / (n + z²): below 5 % from n = 73 on, for z = 1.96."""
    watch = Watch(Judge(), "iteration 0", 0.05)
    judgment = dataclasses.replace(
        Judge().read(next(Judge().questions(MODEL, PROMPTS[:1], RESPONSES[:1])), _completion(), MODEL)
    )
    for _ in range(72):
        watch.put(judgment)
        watch.check()
    assert watch.note == "72 of 72 verdicts unread, one ends in 'Hm.'"
    watch.put(judgment)
    with pytest.raises(StepError):
        watch.check()
    for finish in (Finish.FAILED,) * 100:
        watch.put(dataclasses.replace(judgment, finish=finish))
    assert watch.note.startswith("73 of 73")


def _completion():
    from metareward.engines.base import Completion

    return Completion("x", "Hm.", Finish.STOP, None, 1, 1)


def test_progress_says_what_the_judge_wrote(tmp_path, monkeypatch):
    monkeypatch.setattr("metareward.run._REPORT_SECONDS", -1)
    heard = []
    with (
        Run(tmp_path, fake(unread), FakeTrainer(), listen=heard.append) as run,
        run.within("iteration 0"),
        pytest.raises(StepError),
    ):
        run.ask(Judge(samples=4), run.prompts(PROMPTS), run.given(RESPONSES), of=MODEL)
    notes = [event.note for event in heard if isinstance(event, StepProgress)]
    assert r"1 of 1 verdicts unread, one ends in 'I like it.\x1b[31m My grade: 7/10'" in notes


@pytest.mark.parametrize(
    ("text", "shown"),
    [("", "nothing at all"), ("a\nb \n", r"'a\nb'"), ("x" * 100, f"'…{'x' * 80}'"), ("\u202e", r"'\u202e'")],
)
def test_the_end_of_a_text_is_fit_to_be_shown(text, shown):
    assert ending(text) == shown
