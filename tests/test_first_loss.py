"""The first loss of a training that starts from its own reference is known, whatever the architecture."""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import architectures
import in_process
from dpo_jobs import encode, load, log_probability, make_job, plain_losses, run
from finetune_jobs import ADAPTED, job_in, tune
from metareward.errors import ConfigError, StepError
from metareward.train.dpo import DPO
from metareward.train.sft import SFT
from tiny_llama import pairs

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start

LN2 = math.log(2)
MIXTURES = ("qwen3 moe", "mixtral", "olmoe")


def started(job: Any) -> dict[str, Any]:
    lines = (job.work_dir / "progress.jsonl").read_text().splitlines()
    return next(event for event in map(json.loads, lines) if event["event"] == "started")


@pytest.mark.parametrize("share", [True, False], ids=["shared", "apart"])
@pytest.mark.parametrize("kind", list(architectures.KINDS))
def test_it_is_ln_2(tmp_path: Path, kind: str, share: bool):
    """Dropout, jitter, experts drawn at random, routers' losses: all of it is off."""
    model = architectures.write(tmp_path / "start", kind)
    job = make_job(tmp_path / "work", model, model, pairs(4), share_prompt=share)
    assert run(job).loss_first == pytest.approx(LN2, abs=1e-6)
    if kind in (*MIXTURES, "llama"):
        assert started(job)["shared_prompt"] is share
    before, after = (json.loads((place / "config.json").read_text()) for place in (model, job.output_dir))
    assert {n: v for n, v in after.items() if "drop" in n or "router" in n} == {
        n: v for n, v in before.items() if "drop" in n or "router" in n
    }


def test_dropout_is_off_in_fine_tuning_too(tmp_path: Path):
    """The same loss twice, and that of the model at rest; an adapter's own dropout stays."""
    from metareward.train.answer_trainer import adapted
    from metareward.train.steady import steady
    from metareward.train.worker import load_weights

    model = load_weights(str(architectures.write(tmp_path / "start", "gpt neox")))
    ids = torch.tensor([list(range(40))])
    with torch.no_grad():
        at_rest = model.eval()(ids).logits
        steady(model, list(range(40)))
        assert torch.equal(model.train()(ids).logits, at_rest)
    tuned = adapted(model, replace(ADAPTED, lora_dropout=0.25)).train()
    assert {part.p for part in tuned.modules() if isinstance(part, torch.nn.Dropout)} == {0.0, 0.25}


def test_what_is_random_beyond_dropout_rests_or_is_refused():
    from metareward.train.steady import steady

    class Noisy(torch.nn.Module):
        def __init__(self, always: bool):
            super().__init__()
            self.inner, self.always = torch.nn.Linear(2, 2), always
            self.inner.register_forward_hook(
                lambda part, _, out: out + torch.rand(()) if part.training or always else out
            )

        device = "cpu"

        @property
        def base_model(self):
            from types import SimpleNamespace

            return lambda input_ids, use_cache: SimpleNamespace(
                last_hidden_state=self.inner(input_ids.float().expand(1, 2))
            )

    model = Noisy(always=False)
    steady(model, [3])
    assert model.train().training
    assert not model.inner.training
    with pytest.raises(StepError, match="computes in training another thing"):
        steady(Noisy(always=True), [3])


@pytest.mark.parametrize("share", [True, False])
@pytest.mark.parametrize("kind", MIXTURES)
def test_a_mixture_trains_as_plain_torch_does(tmp_path: Path, kind: str, share: bool):
    """Two steps of DPO by the definition, with full logits and no library's loss."""
    model = architectures.write(tmp_path / "start", kind, attention_dropout=0.0)
    dpo = DPO(batch_size=3, epochs=2, learning_rate=1e-3, scheduler="constant", max_grad_norm=1e9)
    given = pairs(3)
    result = run(make_job(tmp_path / "work", model, model, given, dpo=dpo, share_prompt=share))
    losses = plain_losses(model, given, dpo)
    assert losses[1] < losses[0] - 1e-3
    assert [result.loss_first, result.loss_last] == pytest.approx(losses, rel=1e-4)


def test_mixtures_are_fine_tuned_in_a_packed_row_too(tmp_path: Path):
    model = architectures.write(tmp_path / "start", "qwen3 moe")
    seen = []
    for share in (True, False):
        _, said = tune(job_in(tmp_path / str(share), model, share_prompt=share, pairs_per_device=2))
        seen.append(said.losses())
    assert seen[0] == pytest.approx(seen[1], abs=1e-4)
    assert seen[0][-1] < seen[0][0]


def test_a_routers_loss_is_added_where_it_is_asked_for(tmp_path: Path):
    """ln 2, and that much of the balance that transformers computes on the very batch."""
    model = architectures.write(tmp_path / "start", "qwen3 moe")
    given = pairs(1)
    dpo = DPO(batch_size=1, epochs=1, router_loss=0.5)
    job = make_job(tmp_path / "work", model, model, given, dpo=dpo)
    result = run(job)
    tokenizer, ready = encode(model, given)
    rows = [ready.prompt_ids[0] + answer for answer in (ready.chosen_ids[0], ready.rejected_ids[0])]
    longest = max(map(len, rows))
    ids = torch.tensor([row + [tokenizer.pad_token_id] * (longest - len(row)) for row in rows])
    mask = torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows])
    balance = load(model)(input_ids=ids, attention_mask=mask, output_router_logits=True).aux_loss
    assert result.loss_first == pytest.approx(LN2 + 0.5 * balance.item(), abs=1e-5)
    assert not started(job)["shared_prompt"]


def test_a_routers_loss_of_a_model_without_one_is_refused(tmp_path: Path, start: Path):
    for made in (
        lambda: run(
            make_job(tmp_path / "dpo", start, start, pairs(2), dpo=DPO(batch_size=2, router_loss=0.1))
        ),
        lambda: tune(job_in(tmp_path / "sft", start, SFT(batch_size=2, router_loss=0.1))),
    ):
        with pytest.raises(ConfigError, match=r"(dpo|sft)\.router_loss is 0\.1, but a model of type llama"):
            made()


@pytest.mark.parametrize("share", [True, False])
def test_weights_certainties_and_an_nll_term_change_what_it_must_be(tmp_path: Path, start: Path, share: bool):
    given = [
        replace(p, weight=w, certainty=c)
        for p, w, c in zip(pairs(3), (0.5, 2, 1), (0.9, 0.2, 1), strict=True)
    ]
    dpo = DPO(batch_size=3, epochs=1, nll_weight=0.7)
    result = run(make_job(tmp_path, start, start, given, dpo=dpo, share_prompt=share))
    _, ready = encode(start, given)
    plain = load(start)
    with torch.no_grad():
        nll = [
            -log_probability(plain, prompt, answer).item() / len(answer)
            for prompt, answer in zip(ready.prompt_ids, ready.chosen_ids, strict=True)
        ]
    wanted = sum(w * (LN2 + 0.7 * each) for w, each in zip((0.5, 2, 1), nll, strict=True)) / 3
    assert result.loss_first == pytest.approx(wanted, rel=1e-5)


@pytest.mark.parametrize(("weights", "nll"), [((1, 1), 0.0), ((0.5, 1), 0.0), ((1, 1), 0.5)])
def test_a_first_loss_that_is_another_ends_the_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, weights: Any, nll: float
):
    """With dropout left on by hand nothing is trained, and the sentence names it."""
    from metareward.train import worker

    monkeypatch.setattr(worker, "steady", lambda model, ids: None)
    model = architectures.write(tmp_path / "start", "gpt neox")
    given = [replace(p, weight=w) for p, w in zip(pairs(2), weights, strict=True)]
    job = make_job(tmp_path / "work", model, model, given, dpo=DPO(batch_size=2, epochs=1, nll_weight=nll))
    with pytest.raises(StepError, match=r"the first loss is .* and must be .*dropout or noise"):
        run(job)
    assert not job.output_dir.exists()


def test_what_starts_elsewhere_is_held_to_no_first_loss(tmp_path: Path, start: Path):
    other = architectures.write(tmp_path / "other", "llama")
    assert run(make_job(tmp_path / "work", start, other, pairs(2))).loss_first != pytest.approx(LN2, abs=1e-2)


def test_bfloat16_is_allowed_its_rounding_and_no_more(tmp_path: Path, start: Path):
    from metareward.train import first_loss

    result = run(make_job(tmp_path, start, start, pairs(6), dtype="bfloat16", pairs_per_device=2))
    assert result.loss_first == pytest.approx(LN2, abs=2e-2)
    batch = {
        "ref_chosen_logps": torch.tensor([-200.0]),
        "ref_rejected_logps": torch.tensor([-300.0]),
        "completion_mask": torch.ones(2, 50),
    }
    assert first_loss.tolerance(batch, 0.1, mixed=False) == pytest.approx(1e-4 + 2.5e-4)
    assert first_loss.tolerance(batch, 0.1, mixed=True) == pytest.approx(0.02 + 0.03)
    first_loss.check(0.6935, LN2, 5e-4, "file")
    with pytest.raises(StepError, match=r"0\.6952 and must be 0\.6931"):
        first_loss.check(0.6952, LN2, 5e-4, "file")
