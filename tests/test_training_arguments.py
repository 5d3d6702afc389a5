"""Every setting of a training reaches transformers under its name there, in both kinds of training."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metareward.errors import ConfigError
from metareward.train.dpo import DPO, TrainMachine
from metareward.train.job import TrainJob
from metareward.train.sft import SFT

torch = pytest.importorskip("torch")
pytest.importorskip("trl")

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")  # of names that transformers 6 will not know

# No value is a default of ours, of TRL, or of transformers.
SETTINGS: dict[str, Any] = {
    "learning_rate": 3e-4,
    "batch_size": 12,
    "epochs": 7,
    "stop_after_epoch": 2,
    "scheduler": "linear",
    "warmup_ratio": 0.25,
    "max_grad_norm": 0.7,
    "weight_decay": 0.03,
    "seed": 11,
}
MACHINE = TrainMachine(pairs_per_device=3, gradient_checkpointing=True, report_to=("tensorboard",))
REACHES = {
    "learning_rate": 3e-4,
    "num_train_epochs": 7,  # of the schedule; that it ends after 2 is the keeper's doing
    "per_device_train_batch_size": 3,
    "gradient_accumulation_steps": 4,
    "lr_scheduler_type": "linear",
    "warmup_steps": 0.25,
    "max_grad_norm": 0.7,
    "weight_decay": 0.03,
    "seed": 11,
    "max_length": None,
    "gradient_checkpointing": True,
    "save_strategy": "no",
    "logging_steps": 1,
}


def preferences(folder: Path, dpo: DPO, machine: TrainMachine) -> Any:
    from metareward.train.pair_trainer import config_of

    return config_of(TrainJob("key", dpo, machine, "start", "start", (), folder / "out", folder))


def answers(folder: Path, sft: SFT, machine: TrainMachine) -> Any:
    from trl.trainer.sft_config import SFTConfig

    from metareward.train.arguments import arguments

    return SFTConfig(**arguments(sft, machine, folder / "checkpoints"))


KINDS = pytest.mark.parametrize(("made", "kind"), [(preferences, DPO), (answers, SFT)], ids=["DPO", "SFT"])


@KINDS
def test_each_setting_reaches_its_argument(tmp_path: Path, made: Any, kind: Any):
    found = made(tmp_path, kind(**SETTINGS), replace(MACHINE, report_to=()))
    assert {name: getattr(found, name) for name in REACHES} == REACHES
    assert found.output_dir == str(tmp_path / "checkpoints")
    assert found.report_to == []
    assert not found.logging_nan_inf_filter, "a loss that is no number must show"
    assert found.get_warmup_steps(200) == 50, "a share of the schedule"


@KINDS
def test_a_constant_schedule_warms_up_only_if_it_is_to(tmp_path: Path, made: Any, kind: Any):
    for ratio, name in ((0.0, "constant"), (0.1, "constant_with_warmup")):
        settings = kind(scheduler="constant", warmup_ratio=ratio)
        assert made(tmp_path, settings, TrainMachine()).lr_scheduler_type == name


@KINDS
def test_without_a_gpu_that_has_it_only_the_machine_asks_for_bfloat16(
    tmp_path: Path, made: Any, kind: Any, monkeypatch: pytest.MonkeyPatch
):
    from metareward.train.arguments import arguments

    settings = kind()
    for there, dtype, expected in (
        (False, "auto", False),
        (True, "auto", True),
        (True, "float32", False),
        (False, "bfloat16", True),
    ):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda there=there: there)
        told = arguments(settings, TrainMachine(dtype=dtype), tmp_path)
        assert told["bf16"] is expected, (there, dtype)


def test_what_is_reported_to_is_handed_on(tmp_path: Path):
    from metareward.train.arguments import arguments

    assert arguments(DPO(), TrainMachine(report_to=("wandb",)), tmp_path)["report_to"] == ["wandb"]
    assert arguments(SFT(), TrainMachine(), tmp_path)["report_to"] == "none"


@pytest.mark.parametrize("kind", [DPO, SFT])
def test_a_batch_that_cannot_be_made_up_is_refused_by_name(tmp_path: Path, kind: Any):
    from metareward.train.arguments import arguments

    with pytest.raises(ConfigError, match=rf"{kind.__name__.lower()}\.batch_size must be a multiple"):
        arguments(kind(batch_size=5), TrainMachine(pairs_per_device=2), tmp_path)


def test_the_nll_term_is_a_second_loss_with_its_weight(tmp_path: Path):
    plain, with_nll = (preferences(tmp_path, DPO(nll_weight=w, beta=0.3), TrainMachine()) for w in (0.0, 0.7))
    assert (plain.loss_type, plain.loss_weights) == (["sigmoid"], None)
    assert (with_nll.loss_type, with_nll.loss_weights) == (["sigmoid", "sft"], [1.0, 0.7])
    assert plain.beta == 0.3
    assert plain.precompute_ref_log_probs
