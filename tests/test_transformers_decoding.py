"""The decoding loop against plain computation: one request, no batch, no cache, no padding."""

from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import tiny_engine
from tiny_chat_model import tiny_tokenizer
from tiny_engine import END, ask, plain_logits, plain_sample, request

torch = pytest.importorskip("torch")
from metareward.engines.base import Sampling  # noqa: E402
from metareward.engines.batching import Job, plan  # noqa: E402
from metareward.engines.chat import encode_chat, encode_text  # noqa: E402
from metareward.engines.prefill import Network, prefill  # noqa: E402
from metareward.engines.stopping import Stopping  # noqa: E402
from metareward.engines.transformers import TransformersEngine  # noqa: E402
from metareward.records import Finish  # noqa: E402

model = tiny_engine.model
network = tiny_engine.network
engine = tiny_engine.engine

# --- prefill -------------------------------------------------------------------------------------

tokens = st.lists(st.integers(0, 300), min_size=1, max_size=30).map(tuple)
stems = st.sampled_from([(), tuple(range(50)), (*range(50), *range(100, 130)), (*range(50), 7, 8, 9)])


@given(
    st.lists(st.tuples(stems, tokens, st.integers(1, 3)), min_size=1, max_size=7),
    st.sampled_from([1, 40, 10_000]),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_logits_are_those_of_the_unpadded_prompt(network: Network, drawn, chunk):
    jobs = [
        Job(request(index), stem + rest)
        for index, (stem, rest, samples) in enumerate(drawn)
        for _ in range(samples)
    ]
    batch = plan(jobs)
    filled = prefill(network, batch, chunk)
    for row, job in enumerate(batch.jobs):
        torch.testing.assert_close(
            filled.logits_BV[row], plain_logits(network, job.prompt)[-1], atol=1e-4, rtol=1e-4
        )
        assert int(filled.real_BL[row].sum()) == len(job.prompt)


def test_a_prompt_is_computed_once_for_all_its_samples(engine: TransformersEngine, network: Network):
    seen = []
    handle = network.model.get_input_embeddings().register_forward_hook(
        lambda module, inputs, output: seen.append(inputs[0].numel())
    )
    one = request(1, sampling=Sampling(max_tokens=1))
    ask(engine, [replace(one, id=f"s{seed}", seed=seed) for seed in range(6)])
    handle.remove()
    assert sum(seen) == len(encode_chat(tiny_tokenizer(), one.messages))


# --- decoding ------------------------------------------------------------------------------------


def test_samples_are_those_of_plain_computation(engine: TransformersEngine, network: Network):
    requests = [request(n % 6, id=f"{n}", seed=n, sampling=Sampling(1.2, 0.95, 40)) for n in range(12)]
    answers = ask(engine, requests)
    for asked in requests:
        assert list(answers[asked.id].token_ids or ()) == plain_sample(network, asked)
    assert {answer.finish for answer in answers.values()} == {Finish.STOP, Finish.LENGTH}


def test_greedy_is_that_of_generate(engine: TransformersEngine, network: Network):
    requests = [request(n, sampling=Sampling(temperature=0.0, max_tokens=20)) for n in range(10)]
    answers = ask(engine, requests)
    for asked in requests:
        ids = torch.tensor([encode_chat(tiny_tokenizer(), asked.messages)])
        # Our loop never draws an id that the tokenizer does not know.
        beyond = list(range(network.vocabulary, network.model.config.vocab_size))
        out = network.model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=20,
            do_sample=False,
            suppress_tokens=beyond,
        )
        assert list(answers[asked.id].token_ids or ()) == out[0, ids.shape[1] :].tolist()


@pytest.mark.parametrize("stop", [(), ("e",), ("a", "the"), (" ",), ("\n", "é")])
def test_the_text_is_what_its_tokens_decode_to(engine: TransformersEngine, stop):
    tokenizer, sampling = tiny_tokenizer(), Sampling(1.2, 0.95, 30, stop)
    for answer in ask(engine, [request(n, sampling=sampling) for n in range(10)]).values():
        ids = list(answer.token_ids or ())
        ended = ids[-1:] == [END]
        assert answer.text == tokenizer.decode(ids, skip_special_tokens=True)
        assert END not in ids[:-1]
        assert ended <= (answer.finish is Finish.STOP)
        if not stop:
            assert ended == (answer.finish is Finish.STOP)
        assert not any(string in answer.text for string in stop)


def test_stop_strings_cut_where_a_search_would(engine: TransformersEngine, network: Network):
    """The oracle: sample without stop strings, then look for the first place."""
    sampling = Sampling(1.2, 0.95, 30)
    requests = [request(n, sampling=sampling) for n in range(8)]
    whole = ask(engine, requests)
    for stop in product("aeiost", repeat=1):
        cut = ask(engine, [replace(r, sampling=replace(sampling, stop=stop)) for r in requests])
        for name, answer in cut.items():
            place = whole[name].text.find(stop[0])
            if place < 0:
                assert answer == whole[name]
            else:
                ids = list(answer.token_ids or ())
                assert ids == list(whole[name].token_ids or ())[: len(ids)]
                longer = tiny_tokenizer().decode(list(whole[name].token_ids or ())[: len(ids) + 1])
                assert len(answer.text) <= place < len(longer)


# --- stop strings --------------------------------------------------------------------------------


@given(st.text(max_size=40), st.lists(st.text(min_size=1, max_size=4), min_size=1, max_size=3))
@settings(deadline=None)
def test_the_tail_shows_every_stop_string_when_it_is_complete(text: str, stop: list[str]):
    tokenizer = tiny_tokenizer()
    stopping, ids = Stopping(tokenizer), encode_text(tokenizer, text)
    for count in range(1, len(ids) + 1):
        whole = stopping.text(ids[:count])
        if any(string in whole for string in stop) and "\ufffd" not in whole:
            assert any(stopping.hit(ids[:k], tuple(stop)) for k in range(1, count + 1))
            break


@given(st.text(max_size=40), st.text(min_size=1, max_size=3))
@settings(deadline=None)
def test_a_cut_keeps_whole_tokens_before_the_stop_string(text: str, stop: str):
    tokenizer = tiny_tokenizer()
    stopping, ids = Stopping(tokenizer), encode_text(tokenizer, text)
    count, kept, cut = stopping.cut(ids, (stop,))
    assert kept == stopping.text(ids[:count])
    assert stopping.text(ids).startswith(kept)
    assert stop not in kept
    assert cut == (stop in stopping.text(ids))
    assert cut or count == len(ids)
