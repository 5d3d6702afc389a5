"""Processes that share a model do so as the config asks, and what is saved is whole."""

import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from metareward.errors import ConfigError

pytest.importorskip("torch")
pytest.importorskip("accelerate")


def found(kind: str) -> Any:
    return SimpleNamespace(
        state=SimpleNamespace(distributed_type=SimpleNamespace(value=kind)),
        device=SimpleNamespace(type="cpu"),
    )


@pytest.mark.parametrize("kind", ["FSDP", "DEEPSPEED", "MEGATRON_LM"])
def test_sharding_that_accelerate_gave_up_is_refused(tmp_path: Path, kind: str):
    from metareward.train.distributed import check_kind

    file = tmp_path / "accelerate.yaml"
    file.write_text(f"distributed_type: {kind}\nnum_processes: 2\n")
    with pytest.raises(
        ConfigError, match=rf"asks for distributed_type {kind}, but accelerate made it MULTI_CPU"
    ):
        check_kind(str(file), found("MULTI_CPU"))
    check_kind(str(file), found(kind))


@pytest.mark.parametrize("text", ["distributed_type: MULTI_GPU\n", "num_processes: 2\n", ""])
def test_a_config_that_asks_for_no_sharding_is_let_pass(tmp_path: Path, text: str):
    from metareward.train.distributed import check_kind

    file = tmp_path / "accelerate.yaml"
    file.write_text(text)
    check_kind(str(file), found("MULTI_CPU"))
    check_kind(None, found("NO"))


@pytest.mark.model
def test_fsdp_on_a_cpu_is_refused_by_the_worker(tmp_path: Path):
    """accelerate itself decides here; one process is enough to see it."""
    from dataclasses import replace

    from launched_jobs import make_job
    from metareward.errors import StepError
    from metareward.train.dpo import TrainMachine
    from metareward.train.launch import launch
    from tiny_llama import pairs, write_tiny_llama

    file = tmp_path / "accelerate.yaml"
    file.write_text(
        "compute_environment: LOCAL_MACHINE\ndistributed_type: FSDP\nnum_machines: 1\nmachine_rank: 0\n"
        "num_processes: 1\nmixed_precision: 'no'\nuse_cpu: true\nfsdp_config: {fsdp_version: 2}\n"
    )
    start = write_tiny_llama(tmp_path / "start")
    job = make_job(tmp_path, pairs(4), str(start))
    with pytest.raises(StepError, match="asks for distributed_type FSDP"):
        launch(replace(job, machine=TrainMachine(accelerate_config=str(file))))


SHARDED = """
    import sys
    import torch
    from torch.distributed.fsdp import fully_shard
    from torch.distributed.tensor import DTensor, init_device_mesh
    from metareward.train.distributed import full_weights
    from metareward.train.finite import not_finite

    torch.distributed.init_process_group("gloo")
    mesh = init_device_mesh("cpu", (2,))
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(4, 6), torch.nn.Linear(6, 2))
    whole = {name: value.clone() for name, value in model.state_dict().items()}
    fully_shard(model, mesh=mesh)
    assert any(isinstance(value, DTensor) for value in model.parameters())
    assert not_finite(model.named_parameters()) is None
    weights = full_weights(None, model)
    if torch.distributed.get_rank() == 0:
        assert weights.keys() == whole.keys()
        assert all(torch.equal(weights[name], whole[name]) for name in whole)
        assert not any(isinstance(value, DTensor) for value in weights.values())
        print("whole")
    torch.distributed.destroy_process_group()
"""


@pytest.mark.slow
def test_weights_spread_over_two_processes_are_gathered(tmp_path: Path):
    script = tmp_path / "sharded.py"
    script.write_text(textwrap.dedent(SHARDED))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run([*command, str(script)], capture_output=True, text=True, check=False, timeout=1200)
    assert done.returncode == 0, done.stderr
    assert "whole" in done.stdout
