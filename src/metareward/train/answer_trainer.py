"""TRL's fine-tuning on ready token ids, with the loss on answers alone, and LoRA where it is asked for."""

import json
from pathlib import Path
from typing import Any, cast

from accelerate import PartialState
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import PrinterCallback, set_seed
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import SFTTrainer
from trl.trainer.utils import FusedCausalLMOutput

from metareward.errors import ConfigError
from metareward.train import lora
from metareward.train.answers import TokenAnswers
from metareward.train.arguments import arguments
from metareward.train.dpo import TrainMachine
from metareward.train.job import TrainJob
from metareward.train.own_head import right_head
from metareward.train.packed import PackedCollator, can_pack
from metareward.train.pair_trainer import score_answers_only
from metareward.train.sft import SFT


class AnswerTrainer(SFTTrainer):
    """TRL's fine-tuning on rows that are ready: `input_ids` and `labels`."""

    def __init__(self, **kwargs: Any):
        score_answers_only()
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Our rows are what TRL would make of texts, so there is nothing to prepare."""
        return dataset

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card in a checkpoint: nobody reads it, and it would name this machine's directories."""


def config_of(job: TrainJob) -> SFTConfig:
    """What TRL and transformers call the settings of a job."""
    folder, sft = job.work_dir / "checkpoints", cast(SFT, job.dpo)
    return SFTConfig(**arguments(sft, job.machine, folder, job.tracking), packing=False)


def answer_trainer(
    sft: SFT, machine: TrainMachine, config: SFTConfig, answers: TokenAnswers, model: Any, tokenizer: Any
) -> AnswerTrainer:
    """The trainer of `model` on `answers`."""
    pack = machine.share_prompt and machine.accelerate_config is None and not sft.router_loss
    pack = pack and can_pack(model.to(PartialState().device), _longest(answers))
    trainer = AnswerTrainer(
        model=adapted(model, sft, machine.gradient_checkpointing),
        args=config,
        train_dataset=Dataset.from_dict({"input_ids": answers.ids, "labels": answers.labels}),
        processing_class=tokenizer,
        data_collator=PackedCollator() if pack else None,
    )
    under: Any = trainer.model
    under = under.get_base_model() if isinstance(under, PeftModel) else under
    right_head([under], answers.ids[0], FusedCausalLMOutput)
    trainer.remove_callback(PrinterCallback)
    return trainer


def adapted(model: Any, sft: SFT, gradient_checkpointing: bool = False) -> Any:
    """The model itself, or with an adapter whose first weights come from `sft.seed`.

    Raises ConfigError for targets that the model has not, or that merging would spoil.
    """
    set_seed(sft.seed)
    if not sft.lora_rank:
        return model
    targets = lora.targets(model, sft)
    layers = model.config.num_hidden_layers
    config = LoraConfig(
        r=sft.lora_rank,
        lora_alpha=sft.lora_alpha,  # type: ignore[arg-type] # peft multiplies by it: any number will do
        lora_dropout=sft.lora_dropout,
        target_modules=targets,
        fan_in_fan_out=lora.turned(model, targets),
        layers_to_transform=list(range(layers))[-sft.lora_layers :] if sft.lora_layers else None,
        task_type="CAUSAL_LM",
    )
    try:
        with_adapter = get_peft_model(model, config)
    except ValueError as error:
        told = str(error).partition("\n")[0]
        raise ConfigError(f"sft.lora_targets: this model has no layers of these names ({told})") from None
    if gradient_checkpointing:
        with_adapter.enable_input_require_grads()
    return with_adapter


def _longest(answers: TokenAnswers) -> list[dict[str, Any]]:
    rows = sorted(range(len(answers)), key=lambda row: len(answers.ids[row]))[-2:]
    return [{"input_ids": answers.ids[row], "labels": answers.labels[row]} for row in rows]


def merge(trainer: AnswerTrainer, folder: Path) -> Path | None:
    """Put an adapter into the weights: W + lora_alpha / lora_rank * B A. The adapter itself goes to `folder`.

    Returns None, having done nothing, where every weight was trained.
    """
    model = trainer.accelerator.unwrap_model(trainer.model_wrapped)
    if not isinstance(model, PeftModel):
        return None
    if PartialState().is_main_process:
        model.save_pretrained(str(folder), save_embedding_layers=False)
        (folder / "README.md").unlink(missing_ok=True)
        file = folder / "adapter_config.json"
        config = json.loads(file.read_text(encoding="utf-8"))
        config["base_model_name_or_path"] = None  # a directory of this machine
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    trainer.model_wrapped = trainer.model = model.merge_and_unload()
    return folder
