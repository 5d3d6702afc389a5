"""What does not fit: memory, context and roles fail as values, and batches are halved before that."""

from dataclasses import replace

import pytest

import tiny_engine
from tiny_chat_model import CONTEXT, tiny_tokenizer
from tiny_engine import END, SCORES, ask, plain_sample, request

torch = pytest.importorskip("torch")
from metareward.engines import transformers as engine_module  # noqa: E402
from metareward.engines.base import Sampling  # noqa: E402
from metareward.engines.batching import Limits, Way  # noqa: E402
from metareward.engines.chat import encode_chat  # noqa: E402
from metareward.engines.forcing import tokenise  # noqa: E402
from metareward.engines.prefill import Network  # noqa: E402
from metareward.engines.transformers import TransformersEngine  # noqa: E402
from metareward.records import Finish, Message  # noqa: E402

model = tiny_engine.model
network = tiny_engine.network
engine = tiny_engine.engine


def scarce(monkeypatch, rows: int, error: BaseException) -> list[int]:
    """Let batches of more than `rows` rows run out of memory."""
    tried = []
    whole = engine_module.decode

    def decode(network, stopping, ends, batch, chunk):
        tried.append(len(batch.jobs))
        if len(batch.jobs) > rows:
            raise error
        return whole(network, stopping, ends, batch, chunk)

    monkeypatch.setattr(engine_module, "decode", decode)
    return tried


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory"),
    MemoryError(),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory: you tried ..."),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: type(error).__name__)
def test_out_of_memory_halves_the_batch(monkeypatch, network: Network, error):
    fresh = TransformersEngine(network.model, tiny_tokenizer(), Limits(16, 100_000, 1000))
    requests = [request(n) for n in range(8)]
    expected = ask(fresh, requests)
    tried = scarce(monkeypatch, 3, error)
    assert ask(fresh, requests) == expected
    assert tried == [8, 4, 2, 2, 4, 2, 2]
    ask(fresh, requests)
    assert max(tried[7:]) < 8, "later windows begin smaller"


def test_a_single_row_that_does_not_fit_fails_as_a_value(monkeypatch, network: Network):
    fresh = TransformersEngine(network.model, tiny_tokenizer(), Limits(16, 100_000, 1000))
    scarce(monkeypatch, 0, MemoryError())
    answers = ask(fresh, [request(n) for n in range(3)])
    assert {answer.finish for answer in answers.values()} == {Finish.FAILED}
    assert all("out of memory" in (answer.error or "") for answer in answers.values())


def test_any_other_error_is_not_hidden(monkeypatch, engine: TransformersEngine):
    scarce(monkeypatch, 0, RuntimeError("shapes do not match"))
    with pytest.raises(RuntimeError, match="shapes"):
        ask(engine, [request(1)])


def test_the_context_may_be_filled_to_the_last_token(engine: TransformersEngine):
    prompt = len(encode_chat(tiny_tokenizer(), request(1).messages))
    longest = tokenise(tiny_tokenizer(), SCORES, END).longest
    fits = Sampling(1.2, 0.9, CONTEXT - prompt)
    shorter = replace(fits, max_tokens=fits.max_tokens - longest)
    answers = ask(
        engine,
        [
            request(1, id="fits", sampling=fits),
            request(1, id="over", sampling=replace(fits, max_tokens=fits.max_tokens + 1)),
            request(1, id="forced", sampling=shorter, forced=SCORES),
            request(1, id="forced over", sampling=fits, forced=SCORES),
        ],
    )
    failed = {name for name, answer in answers.items() if answer.finish is Finish.FAILED}
    assert failed == {"over", "forced over"}
    assert "shorten the prompt or lower max_tokens" in (answers["over"].error or "")


def test_a_refused_conversation_fails_as_a_value(engine: TransformersEngine):
    answers = ask(
        engine, [request(1, messages=(Message("system", "a"), Message("assistant", "a"))), request(2)]
    )
    assert "refuses the roles" in (answers["r1"].error or "")
    assert answers["r2"].finish is not Finish.FAILED


def test_what_is_longer_than_a_sliding_window_is_answered_without_shared_prefixes():
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        sliding_window=48,
        eos_token_id=END,
    )
    network = Network(MistralForCausalLM(config).eval(), len(tiny_tokenizer()))
    opened = TransformersEngine(network.model, tiny_tokenizer(), Limits(8, 10_000, 1000))
    short = [request(3 * n, sampling=Sampling(1.0, 0.9, 12)) for n in range(4)]
    answers = ask(opened, [*short, request(1)])
    assert (opened.way(48), opened.way(49)) == (Way.SHARED, Way.OWN)
    assert len(encode_chat(tiny_tokenizer(), request(1).messages)) > 48
    for asked in (*short, request(1)):
        assert list(answers[asked.id].token_ids or ()) == plain_sample(network, asked)
