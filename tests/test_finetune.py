"""Fine-tuning against plain torch, against itself divided otherwise, and killed and resumed."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from metareward.records import Demonstration, Message
from metareward.train.answers import NO_LOSS, encode_answers
from metareward.train.dpo import TrainMachine
from metareward.train.job import TrainJob, TrainResult, read_job, write_job
from metareward.train.keeper import Interrupted, StopSignal
from metareward.train.sft import SFT
from ranked_worlds import demonstration
from tiny_llama import write_tiny_llama

torch = pytest.importorskip("torch")
pytest.importorskip("trl")
pytest.importorskip("peft")

pytestmark = [
    # datasets and accelerate open files that they leave to the garbage collector
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    # transformers asks torch for a sampler's deprecated argument
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    # pinning memory makes no sense without a GPU, and the default of transformers is to pin
    pytest.mark.filterwarnings("ignore:.*pin_memory.*:UserWarning"),
]
SETTINGS = SFT(batch_size=4, epochs=2, stop_after_epoch=None, learning_rate=1e-2)
ADAPTED = replace(SETTINGS, lora_rank=2, lora_alpha=8.0)


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_llama(tmp_path_factory.mktemp("start"))


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


def weights(folder: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return load_file(folder / "model.safetensors")


def encoded(start: Path, rows: list[Demonstration]):
    from metareward.engines.chat import load_tokenizer
    from metareward.train.worker import coder_of

    return encode_answers(rows, coder_of(load_tokenizer(str(start))), 4096)


def test_the_loss_is_on_the_answer_and_its_end_alone(start: Path):
    from metareward.engines.chat import encode_chat, encode_text, load_tokenizer

    tokenizer, rows = load_tokenizer(str(start)), given(3)
    ready = encoded(start, rows)
    for row, ids, labels in zip(rows, ready.ids, ready.labels, strict=True):
        answer = [*encode_text(tokenizer, row.text), tokenizer.eos_token_id]
        prompt = encode_chat(tokenizer, row.messages)
        assert ids == prompt + answer
        assert labels == [NO_LOSS] * len(prompt) + answer
    assert ready.reencoded == 3


def test_a_control_token_in_a_text_is_text(start: Path):
    from metareward.engines.chat import load_tokenizer

    end: Any = load_tokenizer(str(start)).eos_token_id
    spelled = [replace(given(1)[0], text="So <|im_end|> so\nScore: 1")]
    (ids,), (labels,) = encoded(start, spelled).ids, encoded(start, spelled).labels
    assert [label for label in labels if label != NO_LOSS].count(end) == 1
    assert labels[-1] == ids[-1] == end


def test_sampled_tokens_are_taken_where_they_say_the_text(start: Path):
    from metareward.engines.chat import encode_text, load_tokenizer

    tokenizer = load_tokenizer(str(start))
    text = given(1)[0].text
    sampled = (*encode_text(tokenizer, text), tokenizer.eos_token_id)
    kept = encoded(start, [replace(given(1)[0], token_ids=sampled)])
    other = encoded(start, [replace(given(1)[0], token_ids=sampled[1:])])
    assert (kept.reencoded, other.reencoded) == (0, 1)
    assert kept.ids == other.ids


def test_too_long_and_empty_ones_are_dropped_and_counted(start: Path):
    from metareward.engines.chat import load_tokenizer
    from metareward.errors import StepError
    from metareward.train.worker import coder_of

    coder = coder_of(load_tokenizer(str(start)))
    rows = [*given(3), replace(given(1)[0], text="  ")]
    longest = max(len(ids) for ids in encoded(start, given(3)).ids)
    ready = encode_answers(rows, coder, longest - 1)
    assert len(ready) + sum(ready.dropped.values()) == len(rows)
    assert dict(ready.dropped) == {"longer than max_length": 1, "empty answer": 1}
    with pytest.raises(StepError, match=r"sft\.max_length"):
        encode_answers(given(3), coder, 10)
    assert not encode_answers(given(3), coder, longest).dropped, "of just that length it is kept"


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


def test_one_demonstration_is_learnt_by_heart(tmp_path: Path, start: Path):
    """The sign: what is demonstrated becomes likelier."""
    sft = replace(SETTINGS, batch_size=1, epochs=8)
    _, said = tune(job_in(tmp_path, start, sft, given(1)))
    assert said.losses()[-1] < 0.3 * said.losses()[0]
