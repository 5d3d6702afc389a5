"""A fine-tuning that is stopped goes on to the same bits, and runs in a process of its own."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import in_process
from finetune_jobs import ADAPTED, SETTINGS, Said, given, job_in, tune
from in_process import weights
from metareward.train.job import read_job, write_job
from metareward.train.keeper import Interrupted, StopSignal
from metareward.train.sft import SFT

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

pytestmark = in_process.IGNORED_WARNINGS
one_thread = in_process.one_thread
start = in_process.start


class StopsAt(StopSignal):
    """Asks for the end when so many steps are done."""

    def __init__(self, said: Said, steps: int) -> None:
        super().__init__(75)
        self._said, self._steps = said, steps

    @property
    def asked(self) -> bool:
        return len(self._said.losses()) >= self._steps


@pytest.mark.parametrize(
    ("sft", "steps"),
    [(SETTINGS, 1), (ADAPTED, 1), (SETTINGS, 2)],
    ids=["every weight", "adapter", "at the end of an epoch"],
)
def test_stopped_and_continued_it_ends_in_the_same_bits(tmp_path: Path, start: Path, sft: SFT, steps: int):
    """An epoch has two steps."""
    from metareward.train.finetune import finetune

    tune(job_in(tmp_path / "whole", start, sft))
    said = Said()
    with pytest.raises(Interrupted):
        finetune(job_in(tmp_path / "cut", start, sft), StopsAt(said, steps), said)  # type: ignore[arg-type]
    assert not (tmp_path / "cut" / "model").exists()
    result, after = tune(job_in(tmp_path / "cut", start, sft))
    assert result.resumed_from == steps
    assert (len(said.losses()), len(after.losses())) == (steps, 4 - steps)
    whole, cut = weights(tmp_path / "whole" / "model"), weights(tmp_path / "cut" / "model")
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_job_comes_back_from_its_file(tmp_path: Path, start: Path):
    rows = [replace(row, token_ids=(1, 2)) for row in given(2)]
    job = job_in(tmp_path, start, ADAPTED, rows)
    back = read_job(write_job(job))
    assert list(back.pairs) == rows
    assert replace(back, pairs=job.pairs) == job


def test_the_launcher_starts_it_in_a_process_of_its_own(tmp_path: Path, start: Path):
    from metareward.train.launch import launch

    heard: list[Any] = []
    job = job_in(tmp_path, start, replace(ADAPTED, epochs=1))
    result = launch(replace(job, work_dir=tmp_path / "work"), heard.append)
    assert result.pairs_used == 6
    assert [event["event"] for event in heard if event["event"] == "step"] == ["step", "step"]
    assert (tmp_path / "model" / "adapter" / "adapter_model.safetensors").is_file()
    assert not (tmp_path / "work" / "pairs.jsonl").exists()


@pytest.mark.model
@pytest.mark.parametrize("sft", [SETTINGS, ADAPTED], ids=["every weight", "adapter"])
def test_two_processes_give_the_model_of_one(
    tmp_path: Path, start: Path, sft: SFT, monkeypatch: pytest.MonkeyPatch
):
    """Eight demonstrations in steps of four: nothing to fill up."""
    from metareward.train.launch import launch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    found = []
    for processes in (1, 2):
        job = job_in(tmp_path / str(processes), start, sft, given(8), pairs_per_device=2, processes=processes)
        found.append(launch(replace(job, work_dir=job.work_dir / "work")))
    one, two = found
    assert (two.steps, two.tokens, two.pairs_used) == (one.steps, one.tokens, one.pairs_used)
    assert two.loss_first == pytest.approx(one.loss_first, rel=1e-4)
    assert two.loss_last == pytest.approx(one.loss_last, rel=1e-3)
    ours, theirs, began = (weights(folder) for folder in (two.output_dir, one.output_dir, start))
    assert any(not torch.equal(theirs[name], began[name]) for name in began)
    for name in ours:
        torch.testing.assert_close(ours[name], theirs[name], rtol=0, atol=5e-4)
