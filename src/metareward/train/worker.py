"""The child process that trains by DPO. Started by `launch` with the path of job.json."""

import copy
import importlib.metadata
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from accelerate import PartialState
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import AutoModelForCausalLM, PrinterCallback
from trl.trainer import utils as trl_utils
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from metareward.engines.chat import encode_chat, encode_text, load_tokenizer
from metareward.errors import ConfigError, MetarewardError, StoreError
from metareward.secrets import scrub, scrub_output
from metareward.train import reference
from metareward.train.checkpoints import last_complete, last_unharmed
from metareward.train.dpo import DPO, LESS_MEMORY, accumulation
from metareward.train.job import TrainJob, TrainResult, read_job
from metareward.train.keeper import Interrupted, Keeper, Reporter, StopSignal, disk_refusal
from metareward.train.lock import hold_lock
from metareward.train.publish import partial_of, publish
from metareward.train.shared_prompt import SharedPromptCollator, can_share, share_prompts
from metareward.train.tokens import Coder, TokenPairs, encode_pairs

STOPPED = 75  # exit status: stopped when asked, to be continued from the last checkpoint
VERSIONS = ("metareward", "torch", "transformers", "trl", "accelerate")


class PairTrainer(DPOTrainer):
    """TRL's DPO on ready token ids, with a stored reference and batches that weigh every pair the same."""

    def __init__(self, *, reference_file: Path, share_prompt: bool, report: Reporter, **kwargs: Any):
        self._reference_file, self._share_prompt, self._report = reference_file, share_prompt, report
        self._pairs_in_step = 0
        _score_answers_only()
        super().__init__(**kwargs)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Our rows are what TRL would make of texts, so there is nothing to prepare."""
        return dataset

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Reference log-probabilities from the file, so that a resumed training has those it began with."""
        if self._share_prompt:
            for model in filter(None, (self.model, self.ref_model)):
                share_prompts(model)
        if not self._reference_file.exists():
            self._store_reference(dataset, batch_size)
        for name, column in reference.load(self._reference_file, len(dataset)).items():
            dataset = dataset.add_column(name, column)
        return dataset

    def _store_reference(self, dataset: Any, batch_size: int) -> None:
        loader = self.accelerator.prepare(DataLoader(dataset, batch_size, collate_fn=self.data_collator))
        parts = []
        for number, batch in enumerate(loader):
            both = self.accelerator.gather_for_metrics(self.compute_ref_log_probs(self.ref_model, batch))
            parts.append([value.float().cpu().numpy() for value in both])
            self._report("reference", done=number + 1, of=len(loader))
        chosen, rejected = (np.concatenate(values) for values in zip(*parts, strict=True))
        if self.accelerator.is_main_process:
            reference.store(self._reference_file, chosen, rejected)
        self.accelerator.wait_for_everyone()

    def get_batch_samples(self, epoch_iterator: Any, num_batches: int, device: Any) -> Any:
        """As in transformers, and counts the pairs of the coming optimiser step."""
        batches, items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self._pairs_in_step = sum(len(batch["input_ids"]) // 2 for batch in batches)
        return batches, items

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ):
        """A mean over the pairs of the optimiser step, however they were divided among batches."""
        loss = super().compute_loss(model, inputs, return_outputs, num_items_in_batch)
        share = len(inputs["input_ids"]) / 2 / self._pairs_in_step
        return loss * share * self.current_gradient_accumulation_steps

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card in a checkpoint: nobody reads it, and it would name this machine's directories."""


def _score_answers_only() -> None:
    """Let TRL's fused head skip prompts on a CPU too, as it does on a GPU.

    It asks whether there is Triton because compiled devices want fixed shapes; a CPU does not mind. A judge
    pair takes a quarter less time. Where TRL has changed, nothing happens.
    """
    if hasattr(trl_utils, "_use_triton"):
        trl_utils.__dict__["_use_triton"] = lambda device: True


def train(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    """Train, or continue from the last complete checkpoint, and store the result."""
    tokenizer = load_tokenizer(job.start)
    pairs = encode_pairs(job.pairs, coder_of(tokenizer), job.dpo.max_length)
    model = load_weights(job.start)
    before = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    trainer = build(job, pairs, model, tokenizer, report)
    checkpoint = to_continue_from(job, report)
    keeper = Keeper(job, pairs.tokens, stop, report, checkpoint)
    trainer.add_callback(keeper)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Interrupted:
        if trainer.state.global_step > keeper.saved_step:
            trainer._save_checkpoint(model, trial=None)
            keeper.seal(trainer.state)
        raise
    result = _result(job, trainer, pairs, keeper)
    model.config, model.generation_config = before
    publish(job, trainer, result)
    return result


def to_continue_from(job: TrainJob, report: Reporter) -> Path | None:
    """What to continue from. The first process looks, so that all see the same."""
    folder = job.work_dir / "checkpoints"
    with PartialState().main_process_first():
        if PartialState().is_main_process:
            last_unharmed(folder, lambda place: report("damaged", place=str(place)))
        return last_complete(folder)


def coder_of(tokenizer: Any) -> Coder:
    """What `encode_pairs` needs of a tokenizer."""
    return Coder(
        chat=lambda messages: encode_chat(tokenizer, messages),
        text=lambda text: encode_text(tokenizer, text),
        decode=lambda ids: tokenizer.decode(
            ids, skip_special_tokens=True, clean_up_tokenization_spaces=False
        ),
        end=tokenizer.eos_token_id,
    )


def build(job: TrainJob, pairs: TokenPairs, model: Any, tokenizer: Any, report: Reporter) -> PairTrainer:
    """The trainer, with the reference's log-probabilities computed and the reference itself let go."""
    config = _config(job)
    check_processes(job)
    dataset = Dataset.from_dict(
        {"prompt_ids": pairs.prompt_ids, "chosen_ids": pairs.chosen_ids, "rejected_ids": pairs.rejected_ids}
    )
    reference_file = job.work_dir / "reference.npz"
    with PartialState().main_process_first():
        known = reference.usable(reference_file, len(pairs))
    share = job.machine.share_prompt and job.machine.accelerate_config is None
    share = share and can_share(model.to(PartialState().device), _longest(pairs))
    trainer = PairTrainer(
        reference_file=reference_file,
        share_prompt=share,
        report=report,
        model=model,
        ref_model=None if known else load_weights(job.reference),
        args=config,
        train_dataset=dataset,
        processing_class=tokenizer,
        data_collator=SharedPromptCollator(tokenizer.eos_token_id) if share else None,
    )
    trainer.ref_model = None
    trainer.accelerator.free_memory()
    trainer.remove_callback(PrinterCallback)
    report("started", pairs=len(pairs), shared_prompt=share, device=str(trainer.args.device))
    return trainer


def check_processes(job: TrainJob) -> None:
    """Processes that do not find each other would each train alone, on other batches than were asked for."""
    found = PartialState().num_processes
    if found != job.machine.processes:
        raise ConfigError(
            f"machine.training.processes is {job.machine.processes}, but {found} processes found each other; "
            f"make them agree (machine.training.accelerate_config: {job.machine.accelerate_config})"
        )


def _config(job: TrainJob) -> DPOConfig:
    dpo, machine = cast(DPO, job.dpo), job.machine
    pairs_at_once, accumulate = accumulation(dpo, machine)
    warm = "constant_with_warmup" if dpo.scheduler == "constant" and dpo.warmup_ratio else dpo.scheduler
    auto = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
    return DPOConfig(
        output_dir=str(job.work_dir / "checkpoints"),
        learning_rate=dpo.learning_rate,
        beta=dpo.beta,
        loss_type=["sigmoid", "sft"] if dpo.nll_weight else ["sigmoid"],
        loss_weights=[1.0, dpo.nll_weight] if dpo.nll_weight else None,
        num_train_epochs=dpo.epochs,
        per_device_train_batch_size=pairs_at_once,
        gradient_accumulation_steps=accumulate,
        lr_scheduler_type=warm,
        warmup_steps=dpo.warmup_ratio,
        max_grad_norm=dpo.max_grad_norm,
        weight_decay=dpo.weight_decay,
        seed=dpo.seed,
        max_length=None,
        precompute_ref_log_probs=True,
        gradient_checkpointing=machine.gradient_checkpointing,
        bf16=machine.dtype == "bfloat16" or (machine.dtype == "auto" and auto),
        use_cpu=not torch.accelerator.is_available(),
        logging_steps=1,
        logging_nan_inf_filter=False,
        save_strategy="no",
        report_to=list(machine.report_to) or "none",
        disable_tqdm=True,
    )


def load_weights(path: str) -> Any:
    """A model with float32 weights: what AdamW adds at these learning rates is below bfloat16's steps."""
    return AutoModelForCausalLM.from_pretrained(
        path, dtype=torch.float32, trust_remote_code=False, use_safetensors=True
    )


def _longest(pairs: TokenPairs) -> dict[str, list[int]]:
    def length(row: int) -> int:
        return len(pairs.prompt_ids[row]) + len(pairs.chosen_ids[row]) + len(pairs.rejected_ids[row])

    row = max(range(len(pairs)), key=length)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return {name: getattr(pairs, name)[row] for name in names}


def _result(job: TrainJob, trainer: PairTrainer, pairs: TokenPairs, keeper: Keeper) -> TrainResult:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    return TrainResult(
        key=job.key,
        output_dir=job.output_dir,
        loss_first=losses[0],
        loss_last=losses[-1],
        steps=trainer.state.global_step,
        pairs_used=len(pairs),
        dropped=dict(pairs.dropped),
        reencoded=pairs.reencoded,
        tokens=pairs.tokens * job.dpo.epochs_to_train,
        seconds=keeper.seconds,
        versions={"python": platform.python_version(), **versions},
        resumed_from=keeper.resumed_from,
    )


def main(work: Callable[[TrainJob, StopSignal, Reporter], TrainResult] = train) -> int:
    """Carry out the job whose file is the only argument; the exit status is 0, 1 or `STOPPED`."""
    scrub_output()
    job = read_job(Path(sys.argv[1]))
    main_process, launched = int(os.environ.get("RANK", "0")) == 0, "METAREWARD_PARENT_PIPE" in os.environ
    report = Reporter(job.work_dir / "progress.jsonl" if main_process else None, launched)
    stop = StopSignal(STOPPED)
    stop.listen(parent_pipe=launched)
    lock = hold_lock(job.work_dir / "worker.lock", wait_seconds=10) if main_process else None
    began = time.monotonic()
    try:
        work(job, stop, report)
    except Interrupted:
        report("stopped", seconds=time.monotonic() - began)
        return STOPPED
    except Exception as error:
        _give_up(job, report, error)
        raise
    finally:
        if lock is not None:
            lock.close()
    report("done", seconds=time.monotonic() - began)
    return 0


def _give_up(job: TrainJob, report: Reporter, error: Exception) -> None:
    """Say why, if it can be said in a sentence, and leave no half-written gigabytes on a full disk."""
    if isinstance(error, MetarewardError):
        report.last_words(scrub(str(error)))
    elif refused := disk_refusal(error):
        report.last_words(
            f"the disk under {job.work_dir} or {job.output_dir.parent} refused to be written ({refused}). "
            "What was stored before is kept; make room or give write permission, then run the same command "
            "again to continue from the last checkpoint."
        )
    elif isinstance(error, MemoryError | torch.OutOfMemoryError):
        report.last_words(scrub(f"out of memory ({error}). {LESS_MEMORY}"))
    shutil.rmtree(partial_of(job), ignore_errors=True)
    with suppress(StoreError):
        last_complete(job.work_dir / "checkpoints")


if __name__ == "__main__":
    sys.exit(main())
