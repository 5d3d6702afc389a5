"""Opening and closing the engine: what is refused, that weights are given back, the default model."""

import gc
import weakref
from dataclasses import replace

import pytest

import tiny_engine
from tiny_chat_model import tiny_tokenizer, write_tiny
from tiny_engine import ask, request

pytest.importorskip("torch")
from metareward.engines.base import Forced, Request, Sampling
from metareward.engines.batching import Limits
from metareward.engines.prefill import Network
from metareward.engines.transformers import TransformersEngine, open_transformers
from metareward.errors import ModelError
from metareward.models.base import Model
from metareward.records import Message

model = tiny_engine.model
network = tiny_engine.network


def test_closing_gives_the_weights_back(model: Model):
    with open_transformers(device="cpu")(model) as opened:
        assert isinstance(opened, TransformersEngine)
        weights = weakref.ref(opened._network.model.lm_head.weight)
        answer = ask(opened, [request(1)])["r1"]
    gc.collect()
    assert weights() is None
    assert answer.text


def test_a_model_that_is_not_there(tmp_path):
    with (
        pytest.raises(ModelError, match="cannot be read"),
        open_transformers()(Model("x", str(tmp_path), "x")),
    ):
        pass


def test_a_tokenizer_that_does_not_fit(tmp_path):
    small = write_tiny(tmp_path, vocab_size=100, eos_token_id=1)
    with pytest.raises(ModelError, match="only 100"), open_transformers(device="cpu")(small):
        pass


def test_a_doubled_beginning_is_refused(network: Network):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = "{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}"
    with pytest.raises(ModelError, match="twice"):
        TransformersEngine(network.model, tokenizer, Limits(8, 1000, 1000))


@pytest.mark.model
def test_the_default_model_answers_sensibly(default_model: Model):
    capital = Request("a", (Message("user", "What is the capital of France?"),), Sampling(0.0, 1.0, 16), 0)
    forced = Forced("The capital is", (" Paris", " Berlin"))
    with open_transformers(device="cpu")(default_model) as opened:
        answers = {
            completion.request_id: completion
            for completion in opened.complete(
                [capital, replace(capital, id="b", sampling=Sampling(max_tokens=0), forced=forced)]
            )
        }
    assert "Paris" in answers["a"].text
    read = answers["b"].choice_log_probs or {}
    assert read[" Paris"] > read[" Berlin"]
