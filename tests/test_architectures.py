"""Architectures beside plain attention: answers are those of whole forward passes, and training is right."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import Any

import pytest

import architectures
import in_process
from dpo_jobs import load, make_job, plain_losses, run
from metareward import prompt_of
from metareward.engines.base import Completion, Forced, Request, Sampling
from metareward.engines.batching import Job, Limits, Way, plan_in_step
from metareward.errors import ModelError
from metareward.records import Finish, Message
from metareward.train.dpo import DPO
from tiny_llama import _tokenizer, pairs

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
from metareward.engines.chat import encode_chat, encode_text, load_tokenizer  # noqa: E402
from metareward.engines.loading import load_network, unfit  # noqa: E402
from metareward.engines.sampling import draw, uniforms  # noqa: E402
from metareward.engines.transformers import TransformersEngine, open_transformers  # noqa: E402

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread

WAYS = {
    "llama": Way.SHARED,
    "gemma2": Way.SHARED,
    "qwen3_5_text": Way.OWN,
    "lfm2": Way.OWN,
    "kimi_linear": Way.OWN,
    "mamba2": Way.OWN,
    "bloom": Way.OWN,
    "minimax": Way.OWN,  # the cache does not know its own length: positions have to be told
    "rwkv": Way.ALONE,  # its cache is right for one row alone
    "recurrent_gemma": Way.WHOLE,  # its state lies in its layers and not in a cache
}
FEW = ("qwen3_5_text", "mamba2", "rwkv")
SCORES = Forced("\nScore: ", ("0", "1", "2", "3"))
END = _tokenizer().convert_tokens_to_ids("<|im_end|>")


def opened(folder: Path, kind: str, rows: int = 16, **changes: Any) -> TransformersEngine:
    place = str(architectures.write_any(folder, kind, **changes))
    network = load_network(place, "cpu")
    return TransformersEngine(network, load_tokenizer(place), Limits(rows, 100_000, 90))


def request(number: int, **changes: Any) -> Request:
    """Of another length than all others, some by more and some by less than prompts in step may differ."""
    text = f"Question {number}" + "?" * (4 * number + 20 * (number % 3))
    sampling = Sampling(temperature=1.0, top_p=0.9, max_tokens=8)
    return replace(Request(f"r{number}", (Message("user", text),), sampling, seed=number), **changes)


def ask(engine: TransformersEngine, requests: list[Request]) -> dict[str, Completion]:
    return {answer.request_id: answer for answer in engine.complete(requests)}


@torch.inference_mode()
def plain_logits(engine: TransformersEngine, ids: list[int]) -> Any:
    logits = engine.model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    return logits[:, : len(engine.tokenizer)]


def plain_sample(engine: TransformersEngine, asked: Request) -> list[int]:
    """One row by the definition: whole forward passes, one draw after the other."""
    sampling, ids = asked.sampling, encode_chat(engine.tokenizer, asked.messages)
    double = {"dtype": torch.float64}
    out: list[int] = []
    for number in uniforms(asked.seed, sampling.max_tokens):
        warmth, top_p = (torch.tensor([n], **double) for n in (sampling.temperature, sampling.top_p))
        logits = plain_logits(engine, [*ids, *out])[-1:]
        out.append(int(draw(logits, warmth, top_p, torch.tensor([number]))[0]))
        if out[-1] == END:
            break
    return out


def plain_choices(engine: TransformersEngine, asked: Request, answer: Completion) -> dict[str, float]:
    """The log-probability of each choice behind an answer: of one token here, read from one whole pass."""
    tokenizer = engine.tokenizer
    context = [*encode_chat(tokenizer, asked.messages), *(answer.token_ids or ())]
    log_probs = plain_logits(engine, [*context, *encode_text(tokenizer, SCORES.prefix)])[-1].log_softmax(-1)
    return {choice: float(log_probs[encode_text(tokenizer, choice)[0]]) for choice in SCORES.choices}


def check_plain(engine: TransformersEngine, requests: list[Request]) -> None:
    """Every answer of one batch is that of its request alone."""
    answers = ask(engine, requests)
    for asked in requests:
        answer, wanted = answers[asked.id], plain_sample(engine, asked)
        assert answer.error is None
        if asked.forced is None:
            assert list(answer.token_ids or ()) == wanted, asked.id
        else:
            assert list(answer.token_ids or ()) == [token for token in wanted if token != END]
            assert answer.choice_log_probs == pytest.approx(plain_choices(engine, asked, answer), abs=2e-5)


@pytest.mark.parametrize("kind", list(WAYS))
def test_rows_of_a_mixed_batch_are_those_of_plain_passes(tmp_path: Path, kind: str):
    """Sampled, greedy and forced, two of the same prompt, lengths that differ by up to 60 tokens."""
    engine = opened(tmp_path, kind)
    assert engine.way(50) is (Way.OWN if kind == "gemma2" else WAYS[kind])  # its window has 16 tokens
    assert engine.way(5) is WAYS[kind]
    greedy = Sampling(temperature=0.0, max_tokens=6)
    requests = [request(n, forced=SCORES if n % 2 else None) for n in range(5)]
    requests += [request(1, id="twin", seed=7), request(5, sampling=greedy)]
    requests += [request(2, id="verdict alone", sampling=Sampling(max_tokens=0), forced=SCORES)]
    check_plain(engine, requests)


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(set(architectures.ALL) - set(WAYS)))
def test_so_are_those_of_every_architecture(tmp_path: Path, kind: str):
    engine = opened(tmp_path, kind)
    requests = [request(n, forced=SCORES if n % 2 else None) for n in range(4)]
    check_plain(engine, [*requests, request(1, id="twin", seed=7)])


@pytest.mark.parametrize("kind", FEW)
def test_behind_a_stop_string_the_verdict_is_read_as_if_nothing_had_followed(tmp_path: Path, kind: str):
    """What was fed beyond the cut cannot be taken back from a recurrent state."""
    engine = opened(tmp_path, kind)
    free = Sampling(temperature=1.0, max_tokens=24)
    asked, text, stop = next(
        (request(n, sampling=replace(free, stop=(stop,)), forced=SCORES), answer.text, stop)
        for n in range(30)
        for answer in engine.complete([request(n, sampling=free)])
        for stop in _pairs_of_letters(answer.text)
    )
    answers = ask(engine, [asked, request(1)])
    assert answers[asked.id].finish is Finish.STOP
    assert answers[asked.id].text == text[: text.index(stop)]
    wanted = plain_choices(engine, asked, answers[asked.id])
    assert answers[asked.id].choice_log_probs == pytest.approx(wanted, abs=2e-5)


@pytest.mark.parametrize("kind", FEW)
def test_an_answer_is_the_same_in_any_company(tmp_path: Path, kind: str):
    engine = opened(tmp_path / "m", kind)
    requests = [request(n, forced=SCORES if n % 2 else None) for n in range(6)]
    together = ask(engine, requests)
    engine._limits = Limits(1, 100_000, 10)  # each row alone, and each prompt in its own forward pass
    for asked in requests:
        (alone,) = engine.complete([asked])
        assert alone.token_ids == together[asked.id].token_ids
        if asked.forced is not None:
            assert alone.choice_log_probs == pytest.approx(together[asked.id].choice_log_probs, abs=2e-5)


def _pairs_of_letters(text: str) -> Iterator[str]:
    """Two tokens each, of which the first was fed when the second turns out to end the answer."""
    return (text[n : n + 2] for n in range(2, len(text) - 1) if text[n : n + 2].isascii())


def test_a_request_longer_than_a_sliding_window_is_answered_all_the_same(tmp_path: Path):
    for kind in ("mistral", "gemma3_text", "gpt_oss"):
        engine = opened(tmp_path / kind, kind)
        assert engine.way(16) is Way.SHARED
        assert engine.way(17) is Way.OWN
        check_plain(engine, [request(n) for n in range(3)])


def test_out_of_memory_halves_batches_in_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from metareward.engines import transformers as engine_module

    engine = opened(tmp_path, "mamba2")
    requests = [request(0, id=f"s{n}", seed=n) for n in range(6)]
    wanted = ask(engine, requests)
    whole, tried = engine_module.decode, []

    def scarce(network: Any, stopping: Any, ends: Any, batch: Any, chunk: int) -> Any:
        tried.append((len(batch.jobs), batch.way))
        if len(batch.jobs) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(network, stopping, ends, batch, chunk)

    monkeypatch.setattr(engine_module, "decode", scarce)
    answers = ask(engine, requests)
    assert {name: answer.token_ids for name, answer in answers.items()} == {
        name: answer.token_ids for name, answer in wanted.items()
    }
    assert {way for _, way in tried} == {Way.OWN}
    assert [rows for rows, _ in tried] == [6, 3, 1, 2, 3, 1, 2]


def test_prompts_in_step_are_nearly_as_long_and_each_is_asked_once():
    jobs = [Job(request(n), (n,) * (3 + 5 * n)) for n in range(12) for _ in range(2)]
    batches = plan_in_step(jobs, Limits(5, 10_000, 100), Way.OWN)
    assert sorted(id(job) for batch in batches for job in batch.jobs) == sorted(map(id, jobs))
    for batch in batches:
        lengths = [len(job.prompt) for job in batch.jobs]
        assert max(lengths) - min(lengths) <= 16
        assert len(lengths) <= 5
        assert batch.way is Way.OWN
    assert len(batches) < 12, "prompts of nearly the same length go together"


def test_what_is_no_causal_model_of_text_is_refused_in_a_sentence(tmp_path: Path):
    import transformers

    for kind in ("T5Config", "BartConfig"):
        assert "with a decoder about what an encoder has read" in (unfit(getattr(transformers, kind)()) or "")
    assert "no causal language model of type vit" in (unfit(transformers.ViTConfig()) or "")
    assert unfit(transformers.MambaConfig()) is unfit(transformers.BloomConfig()) is None
    bert = transformers.BertConfig(
        vocab_size=260, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64
    )
    model = transformers.BertLMHeadModel(bert).eval()
    with pytest.raises(ModelError, match="reads what comes after a token, too"):
        TransformersEngine(model, _tokenizer(), Limits(4, 1000, 100))


def test_a_way_that_a_model_does_not_bear_is_found_out(tmp_path: Path):
    """Llama, whose cache is made wrong in steps of one token: then only whole passes are right."""
    from transformers import LlamaForCausalLM

    class Wrong(LlamaForCausalLM):
        @wraps(LlamaForCausalLM.forward)
        def forward(self, input_ids: Any, *args: Any, **kwargs: Any) -> Any:  # pyright: ignore[reportIncompatibleMethodOverride]
            if input_ids.shape[1] == 1:
                input_ids = input_ids * 0
            return super().forward(input_ids, *args, **kwargs)

    place = str(architectures.write_any(tmp_path, "llama"))
    model = Wrong.from_pretrained(place).eval()
    engine = TransformersEngine(model, load_tokenizer(place), Limits(4, 1000, 100))
    assert engine.way() is Way.WHOLE
    check_plain(engine, [request(0), request(1, forced=SCORES)])


# --- resuming ------------------------------------------------------------------------------------


@contextmanager
def stopping(engine: Any, after: int) -> Iterator[Any]:
    class Stopped:
        def complete(self, requests: Any) -> Iterator[Completion]:
            for number, answer in enumerate(engine.complete(requests)):
                if number == after:
                    raise KeyboardInterrupt
                yield answer

    yield Stopped()


def test_resumed_is_uninterrupted(tmp_path: Path):
    from metareward.models.resolve import resolve
    from metareward.run import Run
    from metareward.stages.generate import Generate
    from metareward.train.inline import train_inline

    start = resolve(str(architectures.write_any(tmp_path / "m", "lfm2", max_position_embeddings=4096)))
    stage = Generate(samples=3, max_tokens=8)
    questions = [prompt_of("Why" + "?" * n) for n in (1, 30, 4)]
    open_plain = open_transformers("cpu")

    def rows(place: str, open_engine: Any) -> list[Any]:
        with Run(tmp_path / place, open_engine, train_inline) as run:
            return [
                (row.id, row.text, row.token_ids) for row in run.ask(stage, run.prompts(questions), of=start)
            ]

    @contextmanager
    def open_stopped(model: Any) -> Iterator[Any]:
        with open_plain(model) as engine, stopping(engine, 4) as stopped:
            yield stopped

    with pytest.raises(KeyboardInterrupt):
        rows("stopped", open_stopped)
    assert rows("stopped", open_plain) == rows("whole", open_plain)


# --- training ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["qwen3_5_text", "lfm2", "mamba2", "bloom", "recurrent_gemma"])
def test_training_is_that_of_plain_torch(tmp_path: Path, kind: str):
    """Two steps of DPO by the definition, each answer alone, with the model's own logits.

    Not of xLSTM: a plain pass over one row has no gradient there.
    """
    model = architectures.write_any(tmp_path / "start", kind)
    dpo = DPO(batch_size=3, epochs=2, learning_rate=1e-3, scheduler="constant", max_grad_norm=1e9)
    given = pairs(3)
    result = run(make_job(tmp_path / "work", model, model, given, dpo=dpo, pairs_per_device=3))
    losses = plain_losses(model, given, dpo)
    assert losses[1] < losses[0] - 1e-4
    assert [result.loss_first, result.loss_last] == pytest.approx(losses, rel=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("kind", list(architectures.ALL))
def test_the_first_loss_is_ln_2_in_every_architecture(tmp_path: Path, kind: str):
    model = architectures.write_any(tmp_path / "start", kind)
    job = make_job(tmp_path / "work", model, model, pairs(4))
    assert run(job).loss_first == pytest.approx(0.693147, abs=1e-5)
    load(job.output_dir)


def test_the_fused_head_is_used_where_it_is_right_and_nowhere_else(tmp_path: Path):
    """TRL knows Gemma 2's softcap, and not the one that RecurrentGemma has under another name."""
    from trl.trainer.utils import FusedCausalLMOutput, add_fused_lm_head

    from metareward.train.own_head import agrees, right_head

    ids = list(range(40, 80))
    for kind, right in (("gemma2", True), ("granite", True), ("recurrent_gemma", False), ("xlstm", False)):
        changes: dict[str, Any] = {"final_logit_softcapping": 0.5} if kind == "gemma2" else {}
        changes |= {"logits_soft_cap": 0.5} if kind == "recurrent_gemma" else {}
        changes |= {"output_logit_soft_cap": 0.5} if kind == "xlstm" else {}
        model = load(architectures.write_any(tmp_path / kind, kind, **changes)).eval()
        add_fused_lm_head(model)
        assert agrees(model, ids) is right, kind
        right_head([model], ids, FusedCausalLMOutput)
        assert agrees(model, ids)
        tokens = torch.tensor([ids, ids])
        labels = tokens.masked_fill(torch.arange(len(ids)) < 10, -100)
        found = model(input_ids=tokens, labels=labels, fused_lm_head=True).log_probs
        plain = model(input_ids=tokens).logits[:, :-1].log_softmax(-1).gather(2, tokens[:, 1:, None])[..., 0]
        torch.testing.assert_close(found, plain * (labels[:, 1:] != -100), atol=1e-5, rtol=1e-5)
