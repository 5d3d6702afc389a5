"""A run: stopped anywhere it goes on, pays for nothing twice, and ends as if it had not been stopped."""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import loops
import planted
from metareward.errors import NoPairsError, StepError
from metareward.events import StepFinished, StepStarted
from metareward.recipes.settings import Iteration
from metareward.records import Finish
from metareward.run import Run
from metareward.stages.base import Shape, Work, question_key, step_key
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.store import Store
from metareward.train.fake import FakeTrainer

WORLD = planted.World()
ONE = (Iteration(rho=0.2),)


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    asked = loops.Asked(WORLD)
    run, model = loops.loop(
        tmp_path_factory.mktemp("whole"), asked, settings=loops.small_meta(iterations=ONE)
    )
    return len(asked.answered), loops.everything(run), model.fingerprint


@given(st.data())
@settings(max_examples=10, deadline=None)
def test_stopped_anywhere_it_goes_on_and_repeats_nothing(tmp_path_factory, undisturbed, data):
    total, expected, fingerprint = undisturbed
    directory = tmp_path_factory.mktemp("stopped")
    answered: list[str] = []
    small = loops.small_meta(iterations=ONE)
    for stop in sorted(data.draw(st.lists(st.integers(0, total - 1), min_size=1, max_size=3, unique=True))):
        asked = loops.Asked(WORLD, break_at=max(0, stop - len(answered)))
        with pytest.raises(KeyboardInterrupt):
            loops.loop(directory, asked, settings=small)
        answered += asked.answered
    last = loops.Asked(WORLD)
    run, model = loops.loop(directory, last, settings=small)
    answered += last.answered
    assert len(answered) == len(set(answered)) == total, "every question was paid for exactly once"
    assert loops.everything(run) == expected
    assert model.fingerprint.split("/")[-1] == fingerprint


def test_more_samples_reuse_what_was_paid_for(tmp_path):
    first = loops.Asked(WORLD)
    loops.loop(tmp_path, first, settings=loops.small_meta(samples=3, iterations=ONE))
    more = loops.Asked(WORLD)
    run, _ = loops.loop(tmp_path, more, settings=loops.small_meta(samples=4, iterations=ONE))
    generated = [r for r in more.requests if r.step == "generate"]
    assert len(run.history.rounds[0].answers) == 24
    assert len([r for r in generated if r.id in {q.id for q in first.requests}]) == 0
    whole = loops.Asked(WORLD)
    fresh, _ = loops.loop(tmp_path / "fresh", whole, settings=loops.small_meta(samples=4, iterations=ONE))
    assert loops.everything(run) == loops.everything(fresh), (
        "reused rows are the rows that would have been asked"
    )


def test_more_prompts_reuse_what_was_paid_for(tmp_path):
    def ask(count):
        asked = loops.Asked(WORLD)
        with Run(tmp_path, asked, FakeTrainer()) as run:
            rows = run.ask(Generate(samples=2), run.prompts(planted.prompts(count)), of=loops.START)
        return asked, rows

    ask(5)
    asked, rows = ask(8)
    assert len(rows) == 16
    assert len(asked.requests) == 6


def test_a_changed_setting_redoes_only_what_depends_on_it(tmp_path):
    first = loops.Asked(WORLD)
    loops.loop(tmp_path, first, settings=loops.small_meta(iterations=ONE))
    before = {request.id for request in first.requests}
    again = loops.Asked(WORLD)
    changed = loops.small_meta(iterations=(Iteration(rho=0.4),))
    loops.loop(tmp_path, again, settings=changed)
    assert "f0" in again.opened, "the first model referees the new one"
    of_first = [r for r in again.requests if r.id in before]
    assert not of_first, "nothing that was answered is asked again"
    assert {r.step for r in again.requests} == {"generate", "judge", "meta_judge"}, (
        "the new model is looked at"
    )


def test_what_the_last_run_used_can_be_told_from_what_lies_beside_it(tmp_path):
    def pairs(rho):
        run, _ = loops.loop(
            tmp_path, loops.Asked(WORLD), settings=loops.small_meta(iterations=(Iteration(rho=rho),))
        )
        return [m.key for _, m in Store(tmp_path).manifests(current=True) if m.name == "actor_pairs"], run

    first, _ = pairs(0.2)
    second, run = pairs(0.4)
    assert len(first) == len(second) == 1
    assert first != second == [run.history.rounds[0].pairs[0].key]
    assert len([m for _, m in Store(tmp_path).manifests() if m.name == "actor_pairs"]) == 2, (
        "nothing is deleted"
    )


def test_a_failure_is_asked_once_more_and_then_recorded(tmp_path):
    tried: dict[str, int] = {}

    def fails(request):
        tried[request.id] = tried.get(request.id, 0) + 1
        return request.step == "generate" and (
            request.seed % 3 == 0 or (tried[request.id] == 1 and request.seed % 3 == 1)
        )

    with Run(tmp_path, loops.Asked(WORLD, fail=fails), FakeTrainer()) as run:
        rows = list(run.ask(Generate(samples=4), run.prompts(planted.prompts(5)), of=loops.START))
    failed = [row for row in rows if row.finish is Finish.FAILED]
    assert len(rows) == 20
    assert 0 < len(failed) < 20
    assert all(row.error == "made to fail" for row in failed)
    assert max(tried.values()) == 2


def test_if_everything_fails_nothing_is_stored_and_the_reason_is_said(tmp_path):
    with Run(tmp_path, loops.Asked(WORLD, fail=lambda _: True), FakeTrainer()) as run:
        with pytest.raises(StepError, match="every one of 6 requests failed; the first said: made to fail"):
            run.ask(Generate(samples=3), run.prompts(planted.prompts(2)), of=loops.START)
    with Run(tmp_path, loops.Asked(WORLD), FakeTrainer()) as run:
        rows = run.ask(Generate(samples=3), run.prompts(planted.prompts(2)), of=loops.START)
    assert len(rows) == 6
    assert all(row.finish is Finish.STOP for row in rows)


class Cheat:
    """An engine that breaks its promise in one of three ways."""

    def __init__(self, how):
        self.how = how

    def complete(self, requests, /):
        from metareward.engines.base import Completion

        requests = list(requests)
        if self.how == "silent":
            requests.pop()
        for request in requests:
            yield Completion(request.id, "x", Finish.STOP)
        if self.how == "twice":
            yield Completion(requests[0].id, "x", Finish.STOP)
        if self.how == "unasked":
            yield Completion("unasked", "x", Finish.STOP)


@pytest.mark.parametrize(
    ("how", "said"), [("silent", "left 1 "), ("twice", "before"), ("unasked", "not asked")]
)
def test_an_engine_that_breaks_its_promise_is_found_out(tmp_path, how, said):
    from contextlib import nullcontext

    with Run(tmp_path, lambda _: nullcontext(Cheat(how)), FakeTrainer()) as run:
        with pytest.raises(StepError, match=said):
            run.ask(Generate(samples=2), run.prompts(planted.prompts(2)), of=loops.START)


def test_no_pairs_says_why_and_what_to_change(tmp_path):
    class Same(planted.World):
        def judge(self, request):
            return "All alike. This is off by 0.\nScore: 3"

    with pytest.raises(NoPairsError) as caught:
        loops.loop(tmp_path, loops.Asked(Same()), settings=loops.small_meta(iterations=ONE))
    said = str(caught.value)
    assert "iteration 0: no preference pair is left" in said
    assert "actor_pairs: 6 equal scores" in said
    assert "judge_pairs: 6 " in said
    assert "What to change" in said


def test_the_model_in_memory_is_given_back_before_training(tmp_path):
    open_now: list[str] = []

    class Open(loops.Asked):
        def __call__(self, model):
            from contextlib import contextmanager

            @contextmanager
            def opened():
                open_now.append(model.fingerprint)
                with loops.Asked.__call__(self, model) as engine:
                    yield engine
                open_now.remove(model.fingerprint)

            return opened()

    class Trainer(FakeTrainer):
        def __call__(self, job, listener=lambda _: None):
            assert not open_now, "the accelerator must be free when training starts"
            return super().__call__(job, listener)

    loops.loop(tmp_path, Open(WORLD), trainer=Trainer(), settings=loops.small_meta(iterations=ONE))
    assert not open_now


def test_events_tell_the_whole_story(tmp_path):
    heard = loops.Heard()
    loops.loop(tmp_path, loops.Asked(WORLD), settings=loops.small_meta(iterations=ONE), listen=heard)
    finished = [(e.section, e.step) for e in heard if isinstance(e, StepFinished)]
    assert ("iteration 0", "meta_judge") in finished
    assert ("iteration 0", "train") in finished
    assert ("held-out M1", "judge") in finished
    started = [e for e in heard if isinstance(e, StepStarted)]
    assert all(e.total >= e.done for e in started)
    generated = next(e for e in started if (e.section, e.step) == ("iteration 0", "generate"))
    assert generated.total == 24


def test_ids_do_not_depend_on_counts_but_keys_do():
    few, many = Judge(samples=2), Judge(samples=9)
    assert question_key(few, loops.START) == question_key(many, loops.START)
    assert step_key(few, "a") != step_key(many, "a")
    for change in ({"temperature": 0.5}, {"seed": 1}, {"reading": "forced"}, {"max_tokens": 7}):
        assert question_key(dataclasses.replace(few, **change), loops.START) != question_key(few, loops.START)
    other = dataclasses.replace(loops.START, fingerprint="f1")
    assert question_key(few, other) != question_key(few, loops.START)
    moved = dataclasses.replace(loops.START, name="M0", path="elsewhere")
    assert question_key(few, moved) == question_key(few, loops.START), "a name and a place mean nothing"


def test_the_papers_numbers_of_calls():
    from metareward.recipes.meta_rewarding import MetaRewarding
    from metareward.stages.base import Guess

    paper, prompts = MetaRewarding(), Shape(5000, 100)
    assert paper.generate.work(Guess(), prompts) == Work(35_000, 100, 452)
    responses = Shape(35_000, 452)
    assert paper.judge.work(Guess(), prompts, responses).calls == 385_000
    judgments = Shape(385_000, 160)
    assert paper.meta_judge.work(Guess(), prompts, responses, judgments).calls == 550_000
