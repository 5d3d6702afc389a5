"""Our DPO against the formula, against TRL on plain text, and against itself divided otherwise."""

import copy
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from metareward.records import PreferencePair
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import TrainJob, TrainResult
from tiny_llama import pair, pairs, write_tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = [
    # datasets and accelerate open files that they leave to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # transformers asks torch for a sampler's deprecated argument
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # pinning memory makes no sense without a GPU, and the default of transformers is to pin
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("start"))


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("reference"), seed=1)


def make_job(tmp_path: Path, start: Path, reference: Path, given: list[PreferencePair], **machine: Any):
    dpo = machine.pop("dpo", DPO(batch_size=4, epochs=1, learning_rate=1e-3, beta=0.3))
    tmp_path.mkdir(exist_ok=True)
    return TrainJob(
        key="key",
        dpo=dpo,
        machine=TrainMachine(**machine),
        start=str(start),
        reference=str(reference),
        pairs=given,
        output_dir=tmp_path / "model",
        work_dir=tmp_path,
    )


def encode(start: Path, given: list[PreferencePair], max_length: int = 400):
    from metareward.engines.chat import load_tokenizer
    from metareward.train.tokens import encode_pairs
    from metareward.train.worker import coder_of

    tokenizer = load_tokenizer(str(start))
    return tokenizer, encode_pairs(given, coder_of(tokenizer), max_length)


def our_loss_and_gradients(job: TrainJob, given: list[PreferencePair]):
    from metareward.train import worker

    tokenizer, ready = encode(Path(job.start), given)
    model = worker.load_weights(job.start)
    trainer = worker.build(job, ready, model, tokenizer, worker.Reporter(None))
    assert trainer._share_prompt == job.machine.share_prompt  # not given up behind our back
    batch = trainer.data_collator([trainer.train_dataset[i] for i in range(len(ready))])
    trainer.get_batch_samples(iter([batch]), 1, "cpu")
    trainer.current_gradient_accumulation_steps = 1
    return loss_and_gradients(model, trainer.compute_loss(model.train(), batch))


def loss_and_gradients(model: Any, loss: Any):
    loss.backward()
    return loss.item(), {name: value.grad.clone() for name, value in model.named_parameters()}


def log_probability(model: Any, prompt: list[int], answer: list[int]):
    """Sum of log p(answer token | what precedes it): the definition, with full logits."""
    logits_TV = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits_TV.log_softmax(-1)[range(len(answer)), answer].sum()


def formula(policy: Any, reference: Any, ready: Any, beta: float, nll_weight: float = 0.0):
    losses = []
    for prompt, chosen, rejected in zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True):
        with torch.no_grad():
            ref_c, ref_r = (log_probability(reference, prompt, ids) for ids in (chosen, rejected))
        pi_c, pi_r = (log_probability(policy, prompt, ids) for ids in (chosen, rejected))
        z = beta * ((pi_c - ref_c) - (pi_r - ref_r))
        losses.append(torch.log1p(torch.exp(-z)) - nll_weight * pi_c / len(chosen))
    return torch.stack(losses).mean()


def load(path: Path):
    from transformers import AutoModelForCausalLM

    return AutoModelForCausalLM.from_pretrained(path, dtype=torch.float32)


def assert_same(ours: Any, theirs: Any) -> None:
    assert ours[0] == pytest.approx(theirs[0], rel=1e-5)
    assert ours[1].keys() == theirs[1].keys()
    for name, gradient in theirs[1].items():
        torch.testing.assert_close(
            ours[1][name], gradient, rtol=2e-4, atol=2e-6, msg=lambda m, n=name: f"{n}: {m}"
        )
    assert max(gradient.abs().max() for gradient in theirs[1].values()) > 1e-3


@pytest.mark.parametrize("share_prompt", [True, False])
def test_loss_and_gradients_are_the_formula(tmp_path: Path, start: Path, reference: Path, share_prompt: bool):
    given = pairs(4)
    ours = our_loss_and_gradients(
        make_job(tmp_path, start, reference, given, share_prompt=share_prompt), given
    )
    policy = load(start)
    _, ready = encode(start, given)
    theirs = loss_and_gradients(policy, formula(policy, load(reference), ready, beta=0.3))
    assert_same(ours, theirs)


def test_nll_term_is_the_formula(tmp_path: Path, start: Path, reference: Path):
    given = pairs(1)
    job = make_job(
        tmp_path, start, reference, given, dpo=DPO(batch_size=4, epochs=1, beta=0.3, nll_weight=0.7)
    )
    policy = load(start)
    _, ready = encode(start, given)
    theirs = loss_and_gradients(policy, formula(policy, load(reference), ready, beta=0.3, nll_weight=0.7))
    assert_same(our_loss_and_gradients(job, given), theirs)


@pytest.mark.parametrize("share_prompt", [True, False])
def test_loss_and_gradients_are_those_of_stock_trl_on_text(
    tmp_path: Path, start: Path, reference: Path, share_prompt: bool, monkeypatch: pytest.MonkeyPatch
):
    from trl.kernels import chunked_logprob
    from trl.trainer import utils
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    given = pairs(4)
    tokenizer, ready = encode(start, given)
    texts = {
        "prompt": [tokenizer.decode(ids) for ids in ready.prompt_ids],
        "chosen": [pair.chosen for pair in given],
        "rejected": [pair.rejected for pair in given],
    }
    from datasets import Dataset

    monkeypatch.setattr(utils, "_use_triton", chunked_logprob._use_triton)  # the worker changes it
    model = load(start)
    args = DPOConfig(
        output_dir=str(tmp_path / "stock"),
        per_device_train_batch_size=4,
        beta=0.3,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    stock = DPOTrainer(
        model=model,
        ref_model=load(reference),
        args=args,
        train_dataset=Dataset.from_dict(texts),
        processing_class=tokenizer,
    )
    rows: list[Any] = list(stock.train_dataset)
    assert [row["prompt_ids"] for row in rows] == ready.prompt_ids
    assert [row["chosen_ids"] for row in rows] == ready.chosen_ids
    batch = stock.data_collator(rows)
    theirs = loss_and_gradients(model, stock.compute_loss(model.train(), batch))
    job = make_job(tmp_path / "ours", start, reference, given, share_prompt=share_prompt)
    assert_same(our_loss_and_gradients(job, given), theirs)


def run(job: TrainJob) -> TrainResult:
    from metareward.train import worker

    return worker.train(job, worker.StopSignal(75), worker.Reporter(job.work_dir / "progress.jsonl"))


def margin(path: Path, ready: Any) -> float:
    model = load(path)
    rows = zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True)
    with torch.no_grad():
        values = [log_probability(model, p, c) - log_probability(model, p, r) for p, c, r in rows]
    return float(torch.stack(values).mean())


def test_training_prefers_the_chosen_and_swapped_pairs_the_other(tmp_path: Path, start: Path):
    given = pairs(8)
    swapped = [dataclasses.replace(p, chosen=p.rejected, rejected=p.chosen) for p in given]
    _, ready = encode(start, given)
    before = margin(start, ready)
    dpo = DPO(batch_size=4, epochs=2, learning_rate=2e-3, scheduler="constant")
    for name, data, sign in (("straight", given, 1), ("swapped", swapped, -1)):
        result = run(make_job(tmp_path / name, start, start, data, dpo=dpo))
        assert sign * (margin(result.output_dir, ready) - before) > 1
        assert result.loss_first == pytest.approx(0.693147, abs=1e-4)  # the start is the reference
        assert result.loss_last < 0.6
        assert (result.steps, result.pairs_used, dict(result.dropped)) == (4, 8, {})


def weights(path: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(path / "model.safetensors")


def test_machine_settings_do_not_change_the_result(tmp_path: Path, start: Path, reference: Path):
    """Seven pairs in steps of four: the last step is short, and so is its last batch."""
    machines = [
        {"pairs_per_device": 1},
        {"pairs_per_device": 2},
        {"pairs_per_device": 4, "share_prompt": False},
        {"pairs_per_device": 2, "gradient_checkpointing": True},
    ]
    dpo = DPO(batch_size=4, epochs=2, learning_rate=1e-3)
    results = []
    for number, machine in enumerate(machines):
        job = make_job(tmp_path / str(number), start, reference, pairs(7), dpo=dpo, **machine)
        results.append((run(job), weights(job.output_dir)))
    first, expected = results[0]
    assert first.steps == 4
    for result, values in results[1:]:
        assert result.loss_last == pytest.approx(first.loss_last, rel=1e-4)
        for name in expected:
            torch.testing.assert_close(values[name], expected[name], rtol=0, atol=2e-4)


def test_stopping_early_keeps_the_long_schedule(tmp_path: Path, start: Path, reference: Path):
    import json

    dpo = DPO(batch_size=4, epochs=4, stop_after_epoch=2, learning_rate=1e-3)
    job = make_job(tmp_path, start, reference, pairs(8), dpo=dpo)
    result = run(job)
    assert result.steps == 4
    events = [json.loads(line) for line in (tmp_path / "progress.jsonl").read_text().splitlines()]
    steps = [event for event in events if event["event"] == "step"]
    assert [event["step"] for event in steps] == [1, 2, 3, 4]
    assert {event["steps"] for event in steps} == {4}
    # a cosine over eight steps is at half its height after four, so step 4 is taken above that
    assert steps[0]["learning_rate"] > steps[3]["learning_rate"] > 0.5e-3
    assert steps[-1]["tokens"] == result.tokens


def test_the_sampled_tokens_reach_the_model(tmp_path: Path, start: Path, reference: Path):
    """'ab' sampled as two tokens that the tokenizer would never choose stays as sampled."""
    from metareward.train import worker

    tokenizer, _ = encode(start, pairs(1))
    sampled = tuple(tokenizer.encode("Sure", add_special_tokens=False))  # cut off: no end of turn
    given = [dataclasses.replace(pair(0, "Sure", "Nope"), chosen_token_ids=sampled)]
    _, ready = encode(start, given)
    assert ready.chosen_ids == [list(sampled)]
    assert ready.rejected_ids == [[*tokenizer.encode("Nope"), tokenizer.eos_token_id]]
    assert ready.reencoded == 1
    for share_prompt in (True, False):
        job = make_job(tmp_path / str(share_prompt), start, reference, given, share_prompt=share_prompt)
        trainer = worker.build(job, ready, worker.load_weights(job.start), tokenizer, worker.Reporter(None))
        batch = next(iter(trainer.get_train_dataloader()))
        seen = [
            ids[mask.bool()].tolist()
            for ids, mask in zip(batch["input_ids"], batch["completion_mask"], strict=True)
        ]
        assert seen == [ready.chosen_ids[0], ready.rejected_ids[0]]


def test_output_is_a_plain_model_in_the_number_format_of_the_start(tmp_path: Path, reference: Path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    start = write_tiny_llama(tmp_path / "start", dtype="bfloat16")
    job = make_job(
        tmp_path / "work", start, reference, pairs(4), dpo=DPO(batch_size=2, epochs=1, learning_rate=0.01)
    )
    run(job)
    model = AutoModelForCausalLM.from_pretrained(job.output_dir, dtype="auto")
    before = AutoModelForCausalLM.from_pretrained(start, dtype="auto")
    assert model.dtype == torch.bfloat16
    assert {value.dtype for value in weights(job.output_dir).values()} == {torch.bfloat16}
    assert not torch.equal(model.lm_head.weight, before.lm_head.weight)
    assert model.generation_config.to_dict() == before.generation_config.to_dict()
    theirs, ours = (AutoTokenizer.from_pretrained(path) for path in (start, job.output_dir))
    assert theirs.chat_template == ours.chat_template
    assert theirs("<|im_end|>A b 12").input_ids == ours("<|im_end|>A b 12").input_ids


def test_a_model_whose_mask_is_ignored_does_not_share_prompts(start: Path):
    from metareward.train.shared_prompt import can_share

    _, ready = encode(start, pairs(3))
    example = {name: getattr(ready, name)[2] for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
    model = load(start)
    assert can_share(model, example)
    other = copy.deepcopy(model)
    plain = other.base_model.forward
    other.base_model.forward = lambda attention_mask=None, **inputs: plain(**inputs)
    assert not can_share(other, example)
    model.config._attn_implementation = "eager"
    assert not can_share(model, example)
