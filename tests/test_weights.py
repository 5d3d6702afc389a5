"""A pair's weight and certainty in the loss: against the formula, TRL's smoothing, and training itself."""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import dpo_jobs as plain
import in_process
from metareward.errors import StepError
from metareward.records import PreferencePair
from metareward.train.dpo import DPO
from tiny_llama import pairs

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start
reference = plain.reference

MIXED = ((2.0, 1.0), (0.5, 0.9), (1.0, 0.3), (3.0, 0.0), (0.0, 0.6), (1.25, 1.0), (0.1, 0.75))


def weighted(given: Sequence[PreferencePair], weights: Sequence[tuple[float, float]]) -> list[PreferencePair]:
    rows = zip(given, weights, strict=True)
    return [
        dataclasses.replace(pair, weight=weight, certainty=certainty) for pair, (weight, certainty) in rows
    ]


def swapped(pair: PreferencePair) -> PreferencePair:
    return dataclasses.replace(pair, chosen=pair.rejected, rejected=pair.chosen)


def formula(
    policy: Any,
    reference: Any,
    ready: Any,
    weights: Sequence[tuple[float, float]],
    beta: float,
    nll: float = 0.0,
):
    """The weighted loss written out, with full logits."""
    losses = []
    rows = zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, weights, strict=True)
    for prompt, chosen, rejected, (weight, certainty) in rows:
        with torch.no_grad():
            ref_c, ref_r = (plain.log_probability(reference, prompt, ids) for ids in (chosen, rejected))
        pi_c, pi_r = (plain.log_probability(policy, prompt, ids) for ids in (chosen, rejected))
        right = torch.sigmoid(beta * ((pi_c - ref_c) - (pi_r - ref_r)))
        dpo = -certainty * torch.log(right) - (1 - certainty) * torch.log(1 - right)
        losses.append(weight * (dpo - nll * pi_c / len(chosen)))
    return torch.stack(losses).mean()


def in_batches(job: Any, sizes: Sequence[int]):
    """Loss and gradients of one optimiser step, its pairs divided among batches as given."""
    from metareward.train import worker

    tokenizer, ready = plain.encode(Path(job.start), job.pairs)
    model = worker.load_weights(job.start)
    trainer = worker.build(job, ready, model, tokenizer, worker.Reporter(None))
    rows = [trainer.train_dataset[i] for i in range(len(ready))]
    cuts = [sum(sizes[:n]) for n in range(len(sizes) + 1)]
    batches = [trainer.data_collator(rows[a:b]) for a, b in itertools.pairwise(cuts)]
    trainer.get_batch_samples(iter(batches), len(batches), "cpu")
    trainer.current_gradient_accumulation_steps = 1
    model.train()
    return plain.loss_and_gradients(model, sum(trainer.compute_loss(model, batch) for batch in batches))


@pytest.mark.parametrize("share_prompt", [True, False])
@pytest.mark.parametrize("sizes", [(7,), (1, 4, 2)])
def test_loss_and_gradients_are_the_formula(
    tmp_path: Path, start: Path, reference: Path, share_prompt: bool, sizes: tuple[int, ...]
):
    given = weighted(pairs(7), MIXED)
    ours = in_batches(plain.make_job(tmp_path, start, reference, given, share_prompt=share_prompt), sizes)
    policy = plain.load(start)
    _, ready = plain.encode(start, given)
    theirs = plain.loss_and_gradients(policy, formula(policy, plain.load(reference), ready, MIXED, beta=0.3))
    plain.assert_same(ours, theirs)


@pytest.mark.parametrize("share_prompt", [True, False])
def test_the_nll_term_is_weighted_with_its_pair(
    tmp_path: Path, start: Path, reference: Path, share_prompt: bool
):
    given = weighted(pairs(4), MIXED[:4])
    dpo = DPO(batch_size=4, epochs=1, beta=0.3, nll_weight=0.7)
    job = plain.make_job(tmp_path, start, reference, given, dpo=dpo, share_prompt=share_prompt)
    policy = plain.load(start)
    _, ready = plain.encode(start, given)
    theirs = formula(policy, plain.load(reference), ready, MIXED[:4], beta=0.3, nll=0.7)
    plain.assert_same(in_batches(job, (1, 1, 1, 1)), plain.loss_and_gradients(policy, theirs))


def stock_smoothed(
    folder: Path, start: Path, reference: Path, given: Sequence[PreferencePair], smoothing: float
):
    """Stock TRL's smoothed loss, a pair at a time: its `aot` has it, and sorts one pair into itself."""
    from datasets import Dataset
    from trl.trainer.dpo_config import DPOConfig
    from trl.trainer.dpo_trainer import DPOTrainer

    tokenizer, ready = plain.encode(start, list(given))
    model = plain.load(start)
    args = DPOConfig(
        output_dir=str(folder),
        per_device_train_batch_size=1,
        beta=0.3,
        loss_type=["aot"],
        label_smoothing=smoothing,
        bf16=False,
        gradient_checkpointing=False,
        max_length=None,
        report_to="none",
        disable_tqdm=True,
        use_cpu=True,
    )
    texts = {
        "prompt": [tokenizer.decode(ids) for ids in ready.prompt_ids],
        "chosen": [pair.chosen for pair in given],
        "rejected": [pair.rejected for pair in given],
    }
    stock = DPOTrainer(
        model=model,
        ref_model=plain.load(reference),
        args=args,
        train_dataset=Dataset.from_dict(texts),
        processing_class=tokenizer,
    )
    rows: list[Any] = list(stock.train_dataset)
    losses = [stock.compute_loss(model.train(), stock.data_collator([row])) for row in rows]
    return plain.loss_and_gradients(model, sum(losses) / len(losses))


@pytest.mark.parametrize("certainty", [0.7, 0.95])
def test_one_certainty_for_all_is_trls_label_smoothing(
    tmp_path: Path, start: Path, reference: Path, certainty: float
):
    given = weighted(pairs(4), [(1.0, certainty)] * 4)
    theirs = stock_smoothed(tmp_path / "stock", start, reference, given, 1 - certainty)
    ours = in_batches(plain.make_job(tmp_path / "ours", start, reference, given), (4,))
    plain.assert_same(ours, theirs)


def test_pairs_that_all_weigh_one_are_trained_as_before(tmp_path: Path, start: Path, reference: Path):
    """No weight reaches the trainer, so there is nothing that could change a bit."""
    from metareward.train import worker
    from metareward.train.weights import WEIGHTS

    job = plain.make_job(tmp_path, start, reference, pairs(4))
    tokenizer, ready = plain.encode(start, pairs(4))
    assert not ready.weighted
    trainer = worker.build(job, ready, worker.load_weights(job.start), tokenizer, worker.Reporter(None))
    assert WEIGHTS not in trainer.train_dataset.column_names
    assert WEIGHTS not in next(iter(trainer.get_train_dataloader()))
    _, other = plain.encode(start, weighted(pairs(4), [(1.0, 1.0)] * 3 + [(1.0, 0.99)]))
    assert other.weighted
    trainer = worker.build(job, other, worker.load_weights(job.start), tokenizer, worker.Reporter(None))
    assert next(iter(trainer.get_train_dataloader()))[WEIGHTS].shape == (1, 2)


def test_a_pair_of_no_weight_still_counts_as_one_of_its_step(tmp_path: Path, start: Path, reference: Path):
    """Divided by the number of pairs: half of the pairs at weight nothing is half of the gradient."""
    given = pairs(4)
    alone = in_batches(plain.make_job(tmp_path / "two", start, reference, given[:2]), (2,))
    silent = weighted(given, [(1.0, 1.0)] * 2 + [(0.0, 1.0)] * 2)
    among = in_batches(plain.make_job(tmp_path / "four", start, reference, silent), (4,))
    assert among[0] == pytest.approx(alone[0] / 2, rel=1e-5)
    for name, gradient in alone[1].items():
        torch.testing.assert_close(among[1][name], gradient / 2, rtol=2e-4, atol=2e-6)


def test_no_certainty_is_the_pair_the_other_way_round(tmp_path: Path, start: Path, reference: Path):
    given = pairs(3)
    other = in_batches(
        plain.make_job(tmp_path / "swapped", start, reference, [swapped(pair) for pair in given]), (3,)
    )
    none = weighted(given, [(1.0, 0.0)] * 3)
    plain.assert_same(in_batches(plain.make_job(tmp_path / "none", start, reference, none), (3,)), other)


def test_training_follows_the_certainty(tmp_path: Path, start: Path):
    """Towards the chosen above a half, away from it below, and nowhere at a half or without weight."""
    given = pairs(8)
    _, ready = plain.encode(start, given)
    before = plain.margin(start, ready)
    dpo = DPO(batch_size=4, epochs=2, learning_rate=2e-3, scheduler="constant")
    moved = {}
    for weights in ((1.0, 0.99), (1.0, 0.01), (0.0, 0.99), (0.5, 0.99)):
        data = weighted(given, [weights] * 8)
        result = plain.run(plain.make_job(tmp_path / str(weights), start, start, data, dpo=dpo))
        moved[weights] = plain.margin(result.output_dir, ready) - before
        assert result.loss_first == pytest.approx(weights[0] * 0.693147, abs=1e-4)
    assert moved[1.0, 0.99] > 1
    assert moved[1.0, 0.01] < -1
    assert moved[0.5, 0.99] > 1
    assert abs(moved[0.0, 0.99]) < 1e-4


@pytest.mark.parametrize("nll_weight", [0.0, 1.0])
def test_machine_settings_do_not_change_the_result(
    tmp_path: Path, start: Path, reference: Path, nll_weight: float
):
    """Seven pairs in steps of four: the last step is short, and so is its last batch."""
    machines = [
        {"pairs_per_device": 1},
        {"pairs_per_device": 4, "share_prompt": False},
        {"pairs_per_device": 2},
    ]
    dpo = DPO(batch_size=4, epochs=2, learning_rate=1e-3, nll_weight=nll_weight)
    given, results = weighted(pairs(7), MIXED), []
    for number, machine in enumerate(machines):
        job = plain.make_job(tmp_path / str(number), start, reference, given, dpo=dpo, **machine)
        results.append((plain.run(job), in_process.weights(job.output_dir)))
    first, expected = results[0]
    for result, values in results[1:]:
        assert result.loss_last == pytest.approx(first.loss_last, rel=1e-4)
        for name in expected:
            torch.testing.assert_close(values[name], expected[name], rtol=0, atol=2e-4)


@pytest.mark.parametrize(
    "weights",
    [(-0.1, 1.0), (float("inf"), 1.0), (float("nan"), 1.0), (1.0, 1.01), (1.0, -0.01), (1.0, float("nan"))],
)
def test_weights_without_sense_are_refused(start: Path, weights: tuple[float, float]):
    given = weighted(pairs(2), [(1.0, 1.0), weights])
    with pytest.raises(StepError, match=r"pair pair-1: its weight is .* a probability in \[0, 1\]"):
        plain.encode(start, given)
