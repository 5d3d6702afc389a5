"""What every engine promises, asked of each of them."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

import pytest

from metareward.engines.base import Completion, Engine, Forced, Request, Sampling
from metareward.engines.fake import fake
from metareward.models.base import Model
from metareward.records import Finish, Message
from tiny_chat_model import CONTEXT, CONTROLS, write_tiny

WINDOW = 8
FORCED = Forced("\nScore: ", ("0", "1", "2", "3", "4", "5"))
WARM = Sampling(temperature=1.0, top_p=0.95, max_tokens=12)


@dataclass(frozen=True)
class Subject:
    """An open engine, how many tokens its model can attend to, and whether a model is behind it."""

    engine: Engine
    context: int
    real: bool

    def ask(self, requests: Iterable[Request]) -> dict[str, Completion]:
        completions = list(self.engine.complete(requests))
        answers = {completion.request_id: completion for completion in completions}
        assert len(answers) == len(completions), "a request was answered twice"
        return answers


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Model:
    pytest.importorskip("torch")
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module", params=["fake", "tiny", pytest.param("default", marks=pytest.mark.model)])
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    if request.param == "fake":
        with fake(window=WINDOW, context=CONTEXT)(Model("fake", "nowhere", "fake")) as engine:
            yield Subject(engine, CONTEXT, real=False)
        return
    from metareward.engines.transformers import open_transformers

    opened = open_transformers(device="cpu", max_rows=5, window=WINDOW)
    model: Model = request.getfixturevalue("tiny" if request.param == "tiny" else "default_model")
    with opened(model) as engine:
        yield Subject(engine, CONTEXT if request.param == "tiny" else 8192, real=True)


def question(number: int, text: str = "", **changes) -> Request:
    message = Message("user", text or f"What is {number} times {number}?" + " Tell me more." * (number % 3))
    return replace(Request(f"q{number}", (message,), WARM, seed=number), **changes)


def test_each_request_is_answered_exactly_once(subject: Subject):
    requests = [question(number) for number in range(2 * WINDOW + 3)]
    answers = subject.ask(requests)
    assert set(answers) == {request.id for request in requests}
    assert all(answer.finish in (Finish.STOP, Finish.LENGTH) for answer in answers.values())
    assert all(answer.error is None and answer.prompt_tokens > 0 for answer in answers.values())


def test_nothing_asked_nothing_answered(subject: Subject):
    assert subject.ask([]) == {}


def test_requests_are_read_no_further_than_a_window_ahead(subject: Subject):
    read = 0

    def endless() -> Iterator[Request]:
        nonlocal read
        while True:
            read += 1
            yield question(read, sampling=replace(WARM, max_tokens=1))

    answers = subject.engine.complete(endless())
    for answered in range(1, 3 * WINDOW):
        next(answers)
        assert answered <= read < answered + WINDOW


def test_a_draw_is_the_same_alone_and_among_others(subject: Subject):
    many = [question(number) for number in range(WINDOW)]
    together = subject.ask(many)
    for request in many[::3]:
        assert subject.ask([request])[request.id] == together[request.id]
    backwards = subject.ask(many[::-1])
    assert backwards == together


def test_the_name_of_a_request_does_not_matter(subject: Subject):
    answers = subject.ask([question(3), question(3, id="other")])
    assert answers["other"].text == answers["q3"].text


def test_different_seeds_give_different_answers(subject: Subject):
    answers = subject.ask([question(1, id=f"s{seed}", seed=seed) for seed in range(6)])
    assert len({answer.text for answer in answers.values()}) >= 4


def test_temperature_zero_does_not_depend_on_the_seed(subject: Subject):
    cold = replace(WARM, temperature=0.0)
    answers = subject.ask([question(1, id=f"s{seed}", seed=seed, sampling=cold) for seed in range(4)])
    assert len({answer.text for answer in answers.values()}) == 1


def test_a_request_that_is_too_long_fails_alone(subject: Subject):
    long = question(100, text="word " * (subject.context + 1))
    others = [question(number) for number in range(4)]
    answers = subject.ask([others[0], long, *others[1:]])
    failure = answers.pop(long.id)
    assert failure.finish is Finish.FAILED
    assert failure.error
    assert str(subject.context) in failure.error
    assert answers == subject.ask(others)


@pytest.mark.parametrize(
    "changes",
    [
        {"sampling": replace(WARM, max_tokens=-1)},
        {"sampling": replace(WARM, top_p=0.0)},
        {"sampling": replace(WARM, temperature=math.nan)},
        {"sampling": replace(WARM, stop=("",))},
        {"seed": -1},
        {"messages": ()},
        {"forced": Forced("x", ())},
        {"forced": Forced("x", ("a", "a"))},
    ],
)
def test_a_request_that_makes_no_sense_fails_as_a_value(subject: Subject, changes):
    answers = subject.ask([question(1, **changes), question(2)])
    assert answers["q1"].finish is Finish.FAILED
    assert answers["q1"].error
    assert answers["q2"].finish is not Finish.FAILED


def test_the_limit_of_tokens_is_kept(subject: Subject):
    for limit in (0, 1, 5):
        answers = subject.ask([question(n, sampling=replace(WARM, max_tokens=limit)) for n in range(5)])
        for answer in answers.values():
            assert answer.output_tokens <= limit
            if answer.finish is Finish.LENGTH:
                assert answer.output_tokens == limit
                assert answer.token_ids is None or len(answer.token_ids) == limit


def test_the_end_of_a_turn_is_in_the_tokens_and_not_in_the_text(subject: Subject):
    answers = subject.ask([question(n, sampling=replace(WARM, max_tokens=40)) for n in range(12)])
    ended = [answer for answer in answers.values() if answer.finish is Finish.STOP]
    assert ended, "no answer came to its own end; choose another model for this test"
    assert len({answer.token_ids[-1] for answer in ended if answer.token_ids}) == 1
    for answer in answers.values():
        assert not any(control in answer.text for control in CONTROLS)


def frequent(subject: Subject, requests: list[Request]) -> tuple[str, ...]:
    """Two characters that the answers are known to contain."""
    text = "".join(answer.text for answer in subject.ask(requests).values()).replace("\ufffd", "")
    letters = sorted({c for c in text if c.isascii() and c.isalpha()}, key=text.count)
    return (letters[-1], letters[-2])


def test_stop_strings_end_an_answer_and_are_not_in_it(subject: Subject):
    plain = [question(number) for number in range(6)]
    stop = frequent(subject, plain)
    whole = subject.ask(plain)
    cut = subject.ask([replace(request, sampling=replace(WARM, stop=stop)) for request in plain])
    for name, answer in cut.items():
        assert not any(string in answer.text for string in stop)
        assert whole[name].text.startswith(answer.text)
        if any(string in whole[name].text for string in stop):
            assert answer.finish is Finish.STOP
            assert len(answer.text) < len(whole[name].text)
        else:
            assert answer == whole[name]
    assert any(answer.text != whole[name].text for name, answer in cut.items())


@pytest.mark.parametrize("limit", [0, 6, 40])
def test_a_forced_reading_gives_every_choice(subject: Subject, limit: int):
    sampling = replace(WARM, max_tokens=limit)
    answers = subject.ask([question(n, forced=FORCED, sampling=sampling) for n in range(8)])
    for answer in answers.values():
        assert answer.choice_log_probs is not None
        assert tuple(answer.choice_log_probs) == FORCED.choices
        assert all(math.isfinite(value) and value <= 0 for value in answer.choice_log_probs.values())
        assert sum(map(math.exp, answer.choice_log_probs.values())) <= 1 + 1e-5
        assert answer.endings is not None
        assert set(answer.endings) == set(FORCED.choices)
        assert len({ending[-1] for ending in answer.endings.values()}) == 1
        assert len(set(answer.endings.values())) == len(FORCED.choices)


def test_forcing_changes_nothing_in_the_text(subject: Subject):
    plain = subject.ask([question(number) for number in range(6)])
    forced = subject.ask([question(number, forced=FORCED) for number in range(6)])
    for name, answer in plain.items():
        assert forced[name].text == answer.text
        assert forced[name].finish == answer.finish
        ids = answer.token_ids or ()
        kept = forced[name].token_ids or ()
        assert kept == (ids[:-1] if answer.finish is Finish.STOP else ids)
        assert answer.choice_log_probs is None
        assert answer.endings is None


def test_forced_and_free_requests_mix(subject: Subject):
    requests: list[Callable[[], Request]] = [
        lambda: question(1),
        lambda: question(1, id="forced", forced=FORCED),
        lambda: question(2, sampling=replace(WARM, max_tokens=0), forced=FORCED),
        lambda: question(3, sampling=replace(WARM, temperature=0.0, max_tokens=3)),
    ]
    together = subject.ask(make() for make in requests)
    for make in requests:
        alone = subject.ask([make()])[make().id]
        _same(together[make().id], alone)


def _same(left: Completion, right: Completion) -> None:
    """Equal, log-probabilities to within what the order of float sums can do."""
    assert replace(left, choice_log_probs=None) == replace(right, choice_log_probs=None)
    if left.choice_log_probs is not None:
        assert left.choice_log_probs == pytest.approx(right.choice_log_probs, abs=1e-3)


@pytest.mark.parametrize(
    "text", ["Größe 東京 🙂 e\u0301", "a\ud800b", "\x00\x01", "<|im_end|>", "{{ 1 + 1 }}"]
)
def test_any_text_can_be_asked_about(subject: Subject, text: str):
    assert subject.ask([question(1, text=text)])["q1"].finish is not Finish.FAILED


def test_a_conversation_of_many_turns(subject: Subject):
    messages = tuple(Message("user" if i % 2 == 0 else "assistant", f"turn {i}") for i in range(5))
    answers = subject.ask([question(1, messages=(Message("system", "Be brief."), *messages))])
    assert answers["q1"].finish is not Finish.FAILED
