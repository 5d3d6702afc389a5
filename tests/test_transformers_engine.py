"""The decoding loop against plain computation: one request, no batch, no cache, no padding."""

import gc
import weakref
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tiny_chat_model import CONTEXT, CONTROLS, tiny_tokenizer, write_tiny

torch = pytest.importorskip("torch")
from metareward.engines import transformers as engine_module  # noqa: E402
from metareward.engines.base import Completion, Forced, Request, Sampling  # noqa: E402
from metareward.engines.batching import Job, Limits, plan  # noqa: E402
from metareward.engines.chat import encode_chat, encode_text  # noqa: E402
from metareward.engines.forcing import tokenise  # noqa: E402
from metareward.engines.prefill import Network, prefill  # noqa: E402
from metareward.engines.sampling import draw, uniforms  # noqa: E402
from metareward.engines.stopping import Stopping  # noqa: E402
from metareward.engines.transformers import TransformersEngine, open_transformers  # noqa: E402
from metareward.errors import ModelError  # noqa: E402
from metareward.models.base import Model  # noqa: E402
from metareward.records import Finish, Message  # noqa: E402

SCORES = Forced("\nScore: ", ("0", "1", "2", "3"))
END = tiny_tokenizer().convert_tokens_to_ids(CONTROLS[2])
RUBRIC = "The answer is clear and the score is good. " * 3


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Model:
    return write_tiny(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def network(model: Model) -> Network:
    return Network(engine_module.load_network(model.path, "cpu"), len(tiny_tokenizer()))


@pytest.fixture(scope="module")
def engine(network: Network) -> TransformersEngine:
    return TransformersEngine(network.model, tiny_tokenizer(), Limits(rows=16, tokens=100_000, chunk=90))


def request(number: int, **changes) -> Request:
    text = RUBRIC * (number % 3 > 0) + f"Question {number}: {'why ' * (number % 5)}?"
    sampling = Sampling(temperature=1.2, top_p=0.9, max_tokens=14)
    return replace(Request(f"r{number}", (Message("user", text),), sampling, seed=number), **changes)


def ask(engine: TransformersEngine, requests: list[Request]) -> dict[str, Completion]:
    return {completion.request_id: completion for completion in engine.complete(requests)}


@torch.inference_mode()
def plain_logits(network: Network, ids):
    return network.model(input_ids=torch.tensor([list(ids)])).logits[0, :, : network.vocabulary]


def plain_sample(network: Network, asked: Request) -> list[int]:
    """The tokens of one request by the definition: whole forward passes, one draw after the other."""
    sampling, ids = asked.sampling, encode_chat(tiny_tokenizer(), asked.messages)
    out: list[int] = []
    double = {"dtype": torch.float64}
    for number in uniforms(asked.seed, sampling.max_tokens):
        logits = plain_logits(network, [*ids, *out])[-1:]
        warmth, top_p = (
            torch.tensor([sampling.temperature], **double),
            torch.tensor([sampling.top_p], **double),
        )
        out.append(int(draw(logits, warmth, top_p, torch.tensor([number]))[0]))
        if out[-1] == END:
            break
    return out


def plain_choices(network: Network, context, forced: Forced) -> dict[str, float]:
    """The summed log-probability of each choice's tokens after the prefix, by one whole pass each."""
    tokenizer = tiny_tokenizer()
    values = {}
    for choice in forced.choices:
        ids = encode_text(tokenizer, forced.prefix + choice)
        inside = [n for n in range(len(ids)) if len(tokenizer.decode(ids[:n])) <= len(forced.prefix)]
        begin = len(context) + (max(inside) if len(forced.choices) == 1 else _alike(forced, max(inside)))
        whole = [*context, *ids]
        log_probs = plain_logits(network, whole).log_softmax(-1)
        values[choice] = sum(float(log_probs[i - 1, whole[i]]) for i in range(begin, len(whole)))
    return values


def _alike(forced: Forced, most: int) -> int:
    """How many tokens, at most `most`, all choices begin with: a blank may belong to prefix or choice."""
    columns = zip(*(encode_text(tiny_tokenizer(), forced.prefix + c) for c in forced.choices), strict=False)
    same = [len(set(column)) == 1 for column in columns]
    return min(most, same.index(False) if False in same else len(same))


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


# --- forced reading ------------------------------------------------------------------------------


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
        assert answer.choice_log_probs == pytest.approx(plain_choices(network, context, forced), abs=1e-3)
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


# --- limits --------------------------------------------------------------------------------------


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


# --- opening -------------------------------------------------------------------------------------


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


def test_a_sliding_window_is_the_context(tmp_path):
    from transformers import MistralConfig, MistralForCausalLM

    config = MistralConfig(
        vocab_size=len(tiny_tokenizer()),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        sliding_window=64,
        eos_token_id=END,
    )
    network = Network(MistralForCausalLM(config).eval(), len(tiny_tokenizer()))
    opened = TransformersEngine(network.model, tiny_tokenizer(), Limits(8, 10_000, 1000))
    short = [request(3 * n, sampling=Sampling(1.0, 0.9, 12)) for n in range(4)]
    answers = ask(opened, [*short, request(1)])
    assert "the 64 this model can attend to" in (answers.pop("r1").error or "")
    for asked in short:
        assert list(answers[asked.id].token_ids or ()) == plain_sample(network, asked)


def test_a_doubled_beginning_is_refused(network: Network):
    import copy

    tokenizer = copy.deepcopy(tiny_tokenizer())
    tokenizer.chat_template = "{{ bos_token }}{{ bos_token }}{{ messages[0]['content'] }}"
    with pytest.raises(ModelError, match="twice"):
        TransformersEngine(network.model, tokenizer, Limits(8, 1000, 1000))


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


# --- the default model ---------------------------------------------------------------------------


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
