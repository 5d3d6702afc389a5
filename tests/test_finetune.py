"""Fine-tuning against plain torch, and against itself divided otherwise; adapters, settings, counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import in_process
from finetune_jobs import ADAPTED, SETTINGS, encoded, given, job_in, tune
from in_process import weights
from metareward.records import Demonstration
from metareward.train.answers import NO_LOSS
from metareward.train.sft import SFT

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start


def plain(start: Path, sft: SFT, rows: list[Demonstration], order: list[list[int]]):
    """Torch alone: per-row forward passes, a mean over the answer tokens of each step, AdamW."""
    from transformers import AutoModelForCausalLM, get_cosine_schedule_with_warmup

    model = AutoModelForCausalLM.from_pretrained(start, dtype=torch.float32)
    optimiser = torch.optim.AdamW(model.parameters(), lr=sft.learning_rate, weight_decay=0.0)
    schedule = get_cosine_schedule_with_warmup(optimiser, 0, len(order))
    ready, losses = encoded(start, rows), []
    for step in order:
        total, count = torch.zeros(()), 0
        for row in step:
            ids, labels = torch.tensor([ready.ids[row]]), torch.tensor(ready.labels[row])
            logs = model(ids).logits[0, :-1].log_softmax(-1)
            learnt = labels[1:] != NO_LOSS
            total = total - logs[learnt, labels[1:][learnt]].sum()
            count += int(learnt.sum())
        loss = total / count
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), sft.max_grad_norm)
        optimiser.step()
        schedule.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
    return losses, {name: value.detach() for name, value in model.named_parameters()}


@pytest.mark.parametrize("share", [False, True])
def test_it_is_what_plain_torch_does(tmp_path: Path, start: Path, share: bool):
    sft = replace(SETTINGS, batch_size=6, epochs=3)  # one batch an epoch: its order does not matter
    losses, after = plain(start, sft, given(), [[0, 1, 2, 3, 4, 5]] * 3)
    _, said = tune(job_in(tmp_path, start, sft, pairs_per_device=3, share_prompt=share))
    assert said.losses() == pytest.approx(losses, abs=2e-4)
    assert losses[-1] < losses[0] - 0.1
    trained = weights(tmp_path / "model")
    for name, value in after.items():
        assert torch.allclose(trained[name], value, atol=2e-3), name


def test_how_examples_share_memory_changes_nothing(tmp_path: Path, start: Path):
    seen = []
    for number, machine in enumerate(
        ({"pairs_per_device": 1}, {"pairs_per_device": 4}, {"share_prompt": False})
    ):
        _, said = tune(job_in(tmp_path / str(number), start, ADAPTED, **{"pairs_per_device": 2, **machine}))
        seen.append(said.losses())
    assert seen[1] == pytest.approx(seen[0], abs=2e-4)
    assert seen[2] == pytest.approx(seen[0], abs=2e-4)


def test_an_adapter_is_merged_as_scale_b_a_into_the_layers_it_names_and_no_others(
    tmp_path: Path, start: Path
):
    from safetensors.torch import load_file

    sft = replace(ADAPTED, lora_layers=1)
    tune(job_in(tmp_path, start, sft))
    before, after = weights(start), weights(tmp_path / "model")
    adapter = load_file(tmp_path / "model" / "adapter" / "adapter_model.safetensors")
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved
    assert all(".layers.1." in name for name in moved)
    for name in moved:
        stem = "base_model.model." + name.removesuffix(".weight")
        down, up = adapter[f"{stem}.lora_A.weight"], adapter[f"{stem}.lora_B.weight"]
        assert torch.allclose(after[name], before[name] + 8 / 2 * up @ down, atol=1e-6), name
    assert len(adapter) == 2 * len(moved)
    assert "tmp" not in (tmp_path / "model" / "adapter" / "adapter_config.json").read_text()


def test_an_adapter_drops_out_as_it_is_told(start: Path):
    from metareward.train.answer_trainer import adapted
    from metareward.train.worker import load_weights

    model = adapted(load_weights(str(start)), replace(ADAPTED, lora_dropout=0.25))
    shares = {part.p for part in model.modules() if isinstance(part, torch.nn.Dropout)}
    assert shares == {0.25}


def settings_of(folder: Path) -> list[dict[str, Any]]:
    from transformers import AutoConfig, GenerationConfig

    kinds = (AutoConfig, GenerationConfig)
    return [{**kind.from_pretrained(folder).to_dict(), "_name_or_path": ""} for kind in kinds]


@pytest.mark.parametrize("sft", [SETTINGS, ADAPTED], ids=["every weight", "adapter"])
def test_the_model_keeps_the_settings_it_came_with(tmp_path: Path, start: Path, sft: SFT):
    """What TRL and transformers change for training (tokens of padding, of the end) does not stay."""
    tune(job_in(tmp_path, start, replace(sft, epochs=1)))
    assert settings_of(tmp_path / "model") == settings_of(start)


def test_steps_and_the_result_count_the_tokens_of_prompts_and_answers(tmp_path: Path, start: Path):
    result, said = tune(job_in(tmp_path, start, replace(SETTINGS, stop_after_epoch=1)))
    told = [facts["tokens"] for event, facts in said if event == "step"]
    assert told[-1] == result.tokens == sum(len(ids) for ids in encoded(start, given()).ids)
    assert 0 < told[0] < told[-1]


def test_targets_that_the_model_has_not_are_refused(tmp_path: Path, start: Path):
    from metareward.errors import ConfigError

    with pytest.raises(ConfigError, match=r"sft\.lora_targets"):
        tune(job_in(tmp_path, start, replace(ADAPTED, lora_targets=("nowhere",))))


def test_one_demonstration_is_learnt_by_heart(tmp_path: Path, start: Path):
    """The sign: what is demonstrated becomes likelier."""
    sft = replace(SETTINGS, batch_size=1, epochs=8)
    _, said = tune(job_in(tmp_path, start, sft, given(1)))
    assert said.losses()[-1] < 0.3 * said.losses()[0]
