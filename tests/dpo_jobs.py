"""Trainings by DPO of a tiny model, their losses and their gradients."""

from pathlib import Path
from typing import Any

import pytest

from metareward.records import PreferencePair
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import TrainJob, TrainResult
from tiny_llama import write_tiny_llama

torch = pytest.importorskip("torch")


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


def loss_and_gradients(model: Any, loss: Any):
    loss.backward()
    return loss.item(), {name: value.grad.clone() for name, value in model.named_parameters()}


def log_probability(model: Any, prompt: list[int], answer: list[int]):
    """Sum of log p(answer token | what precedes it): the definition, with full logits."""
    logits_TV = model(input_ids=torch.tensor([prompt + answer])).logits[0, len(prompt) - 1 : -1]
    return logits_TV.log_softmax(-1)[range(len(answer)), answer].sum()


def plain_losses(model: Path, given: list[PreferencePair], dpo: DPO) -> list[float]:
    """Losses of two steps of DPO by the definition: all pairs in each, every answer alone, full logits."""
    plain = load(model)
    _, ready = encode(model, given)
    rows = list(zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True))

    def ratios() -> Any:
        return torch.stack([log_probability(plain, p, c) - log_probability(plain, p, r) for p, c, r in rows])

    with torch.no_grad():
        at_start = ratios()
    optimiser = torch.optim.AdamW(plain.parameters(), lr=dpo.learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(2):
        loss = torch.nn.functional.softplus(-dpo.beta * (ratios() - at_start)).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    return losses


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


def run(job: TrainJob) -> TrainResult:
    from metareward.train import worker

    return worker.train(job, worker.StopSignal(75), worker.Reporter(job.work_dir / "progress.jsonl"))


def margin(path: Path, ready: Any) -> float:
    model = load(path)
    rows = zip(ready.prompt_ids, ready.chosen_ids, ready.rejected_ids, strict=True)
    with torch.no_grad():
        values = [log_probability(model, p, c) - log_probability(model, p, r) for p, c, r in rows]
    return float(torch.stack(values).mean())
