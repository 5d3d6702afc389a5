"""Forced reading: the probabilities of choices are those of plain computation, after any cut."""

import math
from dataclasses import replace

import pytest

import tiny_engine
from tiny_chat_model import tiny_tokenizer
from tiny_engine import END, SCORES, ask, plain_choices, request

pytest.importorskip("torch")
from metareward.engines.base import Forced, Sampling
from metareward.engines.chat import encode_chat, encode_text
from metareward.engines.forcing import tokenise
from metareward.engines.prefill import Network
from metareward.engines.transformers import TransformersEngine
from metareward.records import Finish

model = tiny_engine.model
network = tiny_engine.network
engine = tiny_engine.engine


def alone(log_probs: dict[str, float]) -> dict[str, float]:
    """Each choice without what goes on to a longer one that begins with it."""
    return {
        choice: value
        + math.log1p(
            -sum(
                math.exp(other - value)
                for name, other in log_probs.items()
                if name != choice and name.startswith(choice)
            )
        )
        for choice, value in log_probs.items()
    }


@pytest.mark.parametrize(
    "forced",
    [
        SCORES,
        Forced("", ("0", "1")),
        Forced("\nWinner:", (" A", " B")),
        Forced("\nScore: ", ("1", "10", "105")),  # one choice begins another
        Forced("\nScore: ", ("12 points", "12 stars")),  # what they share belongs to the choices
        Forced("\nVerdict: ", ("yes",)),
    ],
)
def test_choices_are_read_as_plain_computation_does(engine: TransformersEngine, network: Network, forced):
    samplings = [
        Sampling(1.2, 0.9, 0),
        Sampling(1.2, 0.9, 1),
        Sampling(1.2, 0.9, 25),
        Sampling(1.2, 0.9, 25, ("e", "a")),
        Sampling(1.2, 0.9, 25, ("the", "s")),
    ]
    requests = [
        request(n, id=f"{n}-{i}", sampling=sampling, forced=forced)
        for i, sampling in enumerate(samplings)
        for n in range(4)
    ]
    answers = ask(engine, requests)
    for asked in requests:
        answer = answers[asked.id]
        context = [*encode_chat(tiny_tokenizer(), asked.messages), *(answer.token_ids or ())]
        expected = alone(plain_choices(network, context, forced))
        assert answer.choice_log_probs == pytest.approx(expected, abs=1e-3)
        for choice, ending in (answer.endings or {}).items():
            assert list(ending) == [*encode_text(tiny_tokenizer(), forced.prefix + choice), END]
    endings = {(answer.finish, bool(answer.text)) for answer in answers.values()}
    assert {(Finish.STOP, True), (Finish.LENGTH, True), (Finish.LENGTH, False)} <= endings


@pytest.mark.parametrize("prefix", ["", "\nWinner:"])
def test_a_reading_after_a_cut_of_several_tokens(engine: TransformersEngine, network: Network, prefix: str):
    """The cache then holds tokens behind the cut, which the reading must not see."""
    sampling, forced = Sampling(1.2, 0.95, 30), Forced(prefix, (" A", " B"))
    whole = ask(engine, [request(n, sampling=sampling) for n in range(40)])
    requests = []
    for n in range(40):
        ids = list(whole[f"r{n}"].token_ids or ())
        begin = n % 4  # every fourth row is cut to nothing
        stop = tiny_tokenizer().decode(ids[begin : begin + 4])
        if len(ids) >= begin + 5 and stop in whole[f"r{n}"].text and "\ufffd" not in stop:
            requests.append(request(n, sampling=replace(sampling, stop=(stop,)), forced=forced))
    answers = ask(engine, requests)
    for asked in requests:
        answer = answers[asked.id]
        assert answer.output_tokens >= len(answer.token_ids or ()) + 3
        context = [*encode_chat(tiny_tokenizer(), asked.messages), *(answer.token_ids or ())]
        assert answer.choice_log_probs == pytest.approx(plain_choices(network, context, forced), abs=1e-3)
    assert {answer.text == "" for answer in answers.values()} == {True, False}


def test_nothing_of_a_choice_is_taken_for_common():
    forced = tokenise(tiny_tokenizer(), Forced("\nScore: ", ("1", "10")), END)
    assert tiny_tokenizer().decode(list(forced.common)) == "\nScore:"
    assert [tiny_tokenizer().decode(list(ids)) for ids in forced.remainders.values()] == [" 1", " 10"]
    assert not forced.single
