"""A model that reasons before everything it says, through whole runs: nothing but the answers counts."""

from dataclasses import replace

import pytest

import loops
import planted
from metareward import summary
from metareward.cli.render_summary import _reasoning_rows  # pyright: ignore[reportPrivateUsage]
from metareward.engines.fake import Reply, Script, fake, token_id, words
from metareward.models.base import Model
from metareward.reasoning import DID_NOT_END, NO_ANSWER, Reasoning
from metareward.records import Finish, Message, PreferencePair, Prompt, Role
from metareward.show.explain import explain
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stages.pair import KeepDistinct
from metareward.stages.rate import Rate
from metareward.stages.turns import FollowUp
from metareward.store import Store

CONTRARY = "quality 1, quality 5, off by {}.\nScore: 1\nWinner: B\nScore: 5\n[[2]] Rating: [[3]]\n"


def thoughtful(script: Script, opened: bool) -> Script:
    """The same script with thoughts that say the opposite before every answer, of any length."""

    def say(request, model):
        reply = script(request, model)
        reply = Reply(reply) if isinstance(reply, str) else reply
        thoughts = CONTRARY.format(request.seed % 3) * (1 + request.seed % 4)
        text = f"{'' if opened else '<think>'}\n{thoughts}</think>\n\n{reply.text}"
        return replace(reply, text=text, opened=opened)

    return say


def pairs_of(run) -> list[PreferencePair]:
    return [pair for round in run.history.rounds for part in round.pairs for pair in part]


@pytest.mark.parametrize(("reading", "opened"), [("free", False), ("forced", True)])
@pytest.mark.parametrize("name", sorted(loops.RECIPES))
def test_a_run_that_reasons_makes_the_pairs_of_one_that_does_not(tmp_path, name, reading, opened):
    settings = loops.RECIPES[name][1](reading)
    plain, _ = loops.loop(tmp_path / "plain", fake(planted.World()), name, settings)
    script = thoughtful(planted.World(), opened)
    run, _ = loops.loop(tmp_path / "thoughtful", fake(script), name, settings)
    ours, theirs = pairs_of(run), pairs_of(plain)
    assert len(ours) == len(theirs) > 4
    for pair, bare in zip(ours, theirs, strict=True):
        assert (pair.id, pair.messages) == (bare.id, bare.messages)
        assert (pair.chosen_answer, pair.rejected_answer) == (bare.chosen, bare.rejected)
        assert (pair.chosen_score, pair.rejected_score) == (bare.chosen_score, bare.rejected_score)
        assert "Winner: B" in pair.chosen[: pair.chosen_reasoning], "what was sampled is trained on"
        assert pair.chosen_token_ids is not None
        assert pair.chosen_token_ids[:-1] == tuple(map(token_id, words(pair.chosen)))
        assert pair.chosen_token_ids[-1] == 2


def test_what_the_summary_says(tmp_path):
    plain, _ = loops.loop(tmp_path / "plain", fake(planted.World()))
    run, _ = loops.loop(tmp_path / "run", fake(thoughtful(planted.World(), False)))
    bare, told = (summary.summarise(each.history, each.store.root) for each in (plain, run))
    assert not any("reasoning" in name for model in bare["models"] for name in model)
    assert list(_reasoning_rows(bare["models"])) == []
    first, own = bare["models"][0], told["models"][0]
    assert own["mean_length"] == first["mean_length"]
    assert own["mean_score"] == first["mean_score"]
    assert (own["reasoning_rate"], own["reasoning_cut_off_rate"]) == (1.0, 0.0)
    assert own["judgment_reasoning_rate"] == 1.0
    answers = run.history.looks[0].answers
    assert own["mean_reasoning_length"] == sum(row.reasoning for row in answers) / len(answers)
    rows = dict(_reasoning_rows(told["models"]))
    assert rows["answers with reasoning"] == ["100 %"] * len(told["models"])
    assert "answers whose reasoning was cut off" not in rows
    lengths = [entry["actor_length_margin"] for entry in bare["iterations"]]
    assert [entry["actor_length_margin"] for entry in told["iterations"]] == lengths


def test_show_tells_the_reasoning_apart(tmp_path):
    run, _ = loops.loop(tmp_path, fake(thoughtful(planted.World(), False)))
    response = next(iter(run.history.rounds[0].responses))
    story = explain(Store(tmp_path), response.id)
    assert story.facts["text"] == response.answer
    assert "Winner: B" in story.facts["reasoning"]
    assert story.facts["characters"] == len(response.answer)


MODEL = Model("m", "p", "f")
PROMPT = Prompt("p0", (Message("user", "Well?"),))


def answered(stage, script, *inputs, model: Model = MODEL):
    with fake(script)(model) as engine:
        questions = list(stage.questions(model, *inputs))
        found = {c.request_id: c for c in engine.complete([q.request for q in questions])}
        return [stage.read(q, found[q.request.id], model) for q in questions]


def test_responses_without_an_answer_are_left_out_and_counted():
    texts = iter(
        ["<think>on and on", "<think>no</think>\n", "", "<think>a</think>Yes.", "<think>b</think>Yes."]
    )
    rows = answered(Generate(samples=5), lambda *_: next(texts), [PROMPT])
    reasons = [getattr(row, "reason", None) for row in KeepDistinct().apply(rows)]
    assert sorted(map(str, reasons)) == sorted(
        [NO_ANSWER, NO_ANSWER, "empty response", "None", "duplicate response"]
    )
    assert sum(not row.reasoning_ended for row in rows) == 1


def response(text="<think>hidden</think>Yes."):
    return answered(Generate(samples=1), lambda *_: text, [PROMPT])[0]


@pytest.mark.parametrize("opened", [True, False])
@pytest.mark.parametrize("reading", ["free", "forced"])
def test_reasoning_of_a_judge_that_is_cut_off(opened, reading):
    """Free: not read, and the reason says why. Forced: ended first, then read; never inside."""
    text = ("" if opened else "<think>") + "Score: 1 " + "and on " * 30
    script = lambda *_: Reply(text, {"4": 0.5, "5": 0.5} if reading == "forced" else None, opened=opened)  # noqa: E731
    for stage in (Judge(samples=1, max_tokens=12, reading=reading), Rate(max_tokens=12, reading=reading)):
        if reading == "forced" and isinstance(stage, Rate):
            continue  # its choices have other names
        (row,) = answered(stage, script, [PROMPT], [response()])
        assert "hidden" not in row.messages[0].content
        assert not row.reasoning_ended
        if reading == "free":
            assert (row.score, row.unread, row.answer) == (None, DID_NOT_END, "")
            continue
        assert row.score == pytest.approx(4.5)
        assert row.answer == "\nScore: 5"
        assert row.text.count("</think>") == 1
        assert row.token_ids is not None
        assert row.token_ids[:-1] == tuple(map(token_id, words(row.text)))


def test_a_judge_that_writes_a_verdict_in_its_reasoning_goes_on():
    text = "<think>\nScore: 2? No.\n</think>\nClear."
    (row,) = answered(
        Judge(samples=1, reading="forced"), lambda *_: Reply(text, {"4": 1.0}), [PROMPT], [response()]
    )
    assert row.text == text + "\nScore: 4"
    assert row.answer == "Clear.\nScore: 4"
    assert row.reasoning_ended


def test_reasoning_is_kept_where_a_setting_says_so():
    keep = MODEL.with_reasoning(Reasoning("keep"))
    (row,) = answered(Generate(samples=1), lambda *_: "<think>hidden</think>Yes.", [PROMPT], model=keep)
    assert row.answer == "<think>hidden</think>Yes."
    (judged,) = answered(
        Judge(samples=1), lambda *_: "<think>\nScore: 2\n</think>\nScore: 4", [PROMPT], [row], model=keep
    )
    assert "hidden" in judged.messages[0].content
    assert (judged.reasoning, judged.score) == (0, 4), "a draft between its tags is no verdict"


def test_a_second_turn_follows_the_answer_alone():
    (second,) = FollowUp(("And now?",)).apply([PROMPT], [response()])
    assert isinstance(second, Prompt)
    assert second.messages[1] == Message("assistant", "Yes.")


def test_a_failure_is_no_reasoning():
    (row,) = answered(Generate(samples=1), lambda *_: Reply(fail="broke", opened=True), [PROMPT])
    assert (row.finish, row.reasoning, row.reasoning_ended) == (Finish.FAILED, 0, True)


def test_pairs_name_their_roles(tmp_path):
    run, _ = loops.loop(tmp_path, fake(thoughtful(planted.World(), False)))
    assert {pair.role for pair in pairs_of(run)} == {Role.ACTOR, Role.JUDGE}
    assert all(pair.rejected_reasoning for pair in pairs_of(run))
