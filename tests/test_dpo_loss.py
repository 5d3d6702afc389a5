"""The loss of our DPO and its gradients: against the formula, and against TRL on plain text."""

import copy
from pathlib import Path
from typing import Any

import pytest

import dpo_jobs
import in_process
from dpo_jobs import assert_same, encode, load, log_probability, loss_and_gradients, make_job
from metareward.records import PreferencePair
from metareward.train.dpo import DPO
from metareward.train.job import TrainJob
from tiny_llama import pairs

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
reference = dpo_jobs.reference
start = in_process.start


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


def formula(policy: Any, reference: Any, ready: Any, beta: float, nll_weight: float = 0.0):
    losses = []
    for prompt, chosen, rejected in zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True):
        with torch.no_grad():
            ref_c, ref_r = (log_probability(reference, prompt, ids) for ids in (chosen, rejected))
        pi_c, pi_r = (log_probability(policy, prompt, ids) for ids in (chosen, rejected))
        z = beta * ((pi_c - ref_c) - (pi_r - ref_r))
        losses.append(torch.log1p(torch.exp(-z)) - nll_weight * pi_c / len(chosen))
    return torch.stack(losses).mean()


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
