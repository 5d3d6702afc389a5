"""Fine-tunings of a tiny model on a few demonstrations."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from metareward.records import Demonstration, Message
from metareward.train.answers import encode_answers
from metareward.train.dpo import TrainMachine
from metareward.train.job import TrainJob, TrainResult
from metareward.train.keeper import StopSignal
from metareward.train.sft import SFT
from ranked_worlds import demonstration

SETTINGS = SFT(batch_size=4, epochs=2, stop_after_epoch=None, learning_rate=1e-2)
ADAPTED = replace(SETTINGS, lora_rank=2, lora_alpha=8.0)


def given(count: int = 6) -> list[Demonstration]:
    made = []
    for number in range(count):
        asked = "Grade it from 0 to 5." + " What a long text." * (number % 3) + f" {number}"
        text = f"So so{'!' * number}\nScore: {number % 6}"
        made.append(demonstration(number, messages=(Message("user", asked),), text=text))
    return made


def job_in(folder: Path, start: Path, sft: SFT = SETTINGS, rows: Any = None, **machine: Any) -> TrainJob:
    folder.mkdir(parents=True, exist_ok=True)
    limits = TrainMachine(**machine)
    return TrainJob(
        "key",
        sft,
        limits,
        str(start),
        str(start),
        given() if rows is None else rows,
        folder / "model",
        folder,
    )


class Said(list[tuple[str, dict[str, Any]]]):
    """A reporter that remembers."""

    def __call__(self, event: str, **facts: Any) -> None:
        self.append((event, facts))

    def beat(self) -> None:
        pass

    def losses(self) -> list[float]:
        return [facts["loss"] for event, facts in self if event == "step"]


def tune(job: TrainJob, stop: Any = None) -> tuple[TrainResult, Said]:
    from metareward.train.finetune import finetune

    said = Said()
    return finetune(job, stop or StopSignal(75), said), said  # type: ignore[arg-type]


def encoded(start: Path, rows: list[Demonstration]):
    from metareward.engines.chat import load_tokenizer
    from metareward.train.worker import coder_of

    return encode_answers(rows, coder_of(load_tokenizer(str(start))), 4096)
