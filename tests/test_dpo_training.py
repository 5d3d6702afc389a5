"""Training by our DPO: which answers it prefers, and that the machine's settings do not change it."""

import dataclasses
from pathlib import Path

import pytest

import dpo_jobs
import in_process
from dpo_jobs import encode, make_job, margin, run
from in_process import weights
from metareward.train.dpo import DPO
from tiny_llama import pair, pairs, write_tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
reference = dpo_jobs.reference
start = in_process.start


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


@pytest.mark.parametrize("nll_weight", [0.0, 1.0])
def test_machine_settings_do_not_change_the_result(
    tmp_path: Path, start: Path, reference: Path, nll_weight: float
):
    """Seven pairs in steps of four: the last step is short, and so is its last batch."""
    machines = [
        {"pairs_per_device": 1},
        {"pairs_per_device": 2},
        {"pairs_per_device": 4, "share_prompt": False},
        {"pairs_per_device": 2, "gradient_checkpointing": True},
    ]
    dpo = DPO(batch_size=4, epochs=2, learning_rate=1e-3, nll_weight=nll_weight)
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
