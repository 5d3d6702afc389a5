"""The child process that trains by DPO. Started by `launch` with the path of job.json."""

import copy
import importlib.metadata
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from accelerate import PartialState
from datasets import Dataset
from transformers import AutoModelForCausalLM, PrinterCallback

from metareward.engines.chat import encode_chat, encode_text, end_of_turn, load_tokenizer
from metareward.engines.loading import pinned_config
from metareward.engines.stopping import Stopping
from metareward.errors import ConfigError, MetarewardError, ModelError, StoreError
from metareward.reasoning import AUTO, Reasoning
from metareward.secrets import scrub, scrub_output
from metareward.train import reference
from metareward.train.checkpoints import facts_of, last_complete, last_unharmed, remove
from metareward.train.dpo import DPO, LESS_MEMORY
from metareward.train.finite import not_finite, not_finite_in, require_alive
from metareward.train.job import RESULT, TrainJob, TrainResult, read_job
from metareward.train.keeper import Interrupted, Keeper, Reporter, StopSignal, disk_refusal, train_under
from metareward.train.lock import hold_lock
from metareward.train.moe import check_router_loss, router_loss_off
from metareward.train.pair_trainer import PairTrainer, config_of
from metareward.train.publish import partial_of, publish
from metareward.train.shared_prompt import SharedPromptCollator, can_share
from metareward.train.steady import scaling_off, steady
from metareward.train.tokens import Coder, TokenPairs, encode_pairs
from metareward.train.tracking import environment
from metareward.train.weights import WEIGHTS

STOPPED = 75  # exit status: stopped when asked, to be continued from the last checkpoint
VERSIONS = ("metareward", "torch", "transformers", "trl", "accelerate")


def train(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    """Train, or continue from the last complete checkpoint, and store the result."""
    with environment(job.tracking, bool(job.machine.report_to)):
        return _train(job, stop, report)


def _train(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    tokenizer, model = load_tokenizer(job.start), load_weights(job.start)
    coder = coder_of(tokenizer, model.generation_config, job.reasoning)
    pairs = encode_pairs(job.pairs, coder, job.dpo.max_length)
    before = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    trainer = build(job, pairs, model, tokenizer, report)
    checkpoint = to_continue_from(job, report)

    def passed(epoch: int) -> None:
        """Keep the weights of an epoch that is wanted."""
        for output in job.epochs:
            if output.epoch == epoch and not (output.output_dir / RESULT).is_file():
                ended = job.ending(output)
                _publish(
                    ended, trainer, replace(result_of(ended, trainer, pairs, keeper), part_of=job.key), before
                )
                report("published", epoch=epoch, key=output.key)

    keeper = Keeper(job, pairs.tokens, stop, report, checkpoint, passed)
    train_under(keeper, trainer, checkpoint)
    result = result_of(job, trainer, pairs, keeper)
    _publish(job, trainer, result, before)
    return result


def _publish(job: TrainJob, trainer: PairTrainer, result: TrainResult, configs: tuple[Any, Any]) -> None:
    """Publish with the configs that the model came with, not those that it is trained with."""
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    require_alive(trainer.model_wrapped, trainer.first_row, result.steps, job.dpo)
    own = model.config, model.generation_config
    model.config, model.generation_config = copy.deepcopy(configs)
    try:
        publish(job, trainer, result)
    finally:
        model.config, model.generation_config = own


def to_continue_from(job: TrainJob, report: Reporter) -> Path | None:
    """What to continue from. The first process looks, so that all see the same."""
    folder = job.work_dir / "checkpoints"
    with PartialState().main_process_first():
        if PartialState().is_main_process:
            found = last_unharmed(folder, lambda place: report("damaged", place=str(place)))
            if found is not None and (_left_behind(job, found) or not_finite_in(found)):
                report("restarted", checkpoint=found.name)
                remove(found)
        return last_complete(folder)


def _left_behind(job: TrainJob, checkpoint: Path) -> bool:
    """Whether an epoch that is wanted lies before a checkpoint, where training does not pass again."""
    epoch = facts_of(checkpoint).get("epoch", math.inf)  # not told by earlier versions
    wanted = (each for each in job.epochs if not (each.output_dir / RESULT).is_file())
    return any(each.epoch <= epoch for each in wanted)


def coder_of(tokenizer: Any, generation_config: Any = None, reasoning: Reasoning = AUTO) -> Coder:
    """What `encode_pairs` needs of a tokenizer: prompts and texts as the engine has them.

    generation_config: the model's; it may name further ends.
    """
    ends = end_of_turn(tokenizer, generation_config)
    return Coder(
        chat=lambda messages: encode_chat(tokenizer, messages, reasoning),
        text=lambda text: encode_text(tokenizer, text),
        decode=Stopping(tokenizer, reasoning).text,
        end=ends[0],
        ends=ends,
    )


def build(job: TrainJob, pairs: TokenPairs, model: Any, tokenizer: Any, report: Reporter) -> PairTrainer:
    """The trainer, with the reference's log-probabilities computed and the reference itself let go."""
    config = config_of(job)  # first: it is what lets the processes find each other
    check_processes(job)
    dpo = cast(DPO, job.dpo)
    check_router_loss(model.config, "dpo", dpo.router_loss)
    rows = {name: getattr(pairs, name) for name in ("prompt_ids", "chosen_ids", "rejected_ids")}
    if pairs.weighted:
        rows[WEIGHTS] = pairs.weights
    dataset = Dataset.from_dict(rows)
    reference_file = job.work_dir / "reference.npz"
    with PartialState().main_process_first():
        known = reference.usable(reference_file, len(pairs))
    longest = _longest(pairs)
    made_ready(model, longest["prompt_ids"] + longest["chosen_ids"])
    share = job.machine.share_prompt and job.machine.accelerate_config is None and not dpo.router_loss
    share = share and can_share(model, longest)
    trainer = PairTrainer(
        reference_file=reference_file,
        share_prompt=share,
        weighted=pairs.weighted,
        nll_weight=dpo.nll_weight,
        at_reference=job.start == job.reference,
        accelerate_config=job.machine.accelerate_config,
        report=report,
        model=model,
        ref_model=None if known else _reference(job),
        args=config,
        train_dataset=dataset,
        processing_class=tokenizer,
        data_collator=SharedPromptCollator(tokenizer.eos_token_id) if share else None,
    )
    trainer.first_row = pairs.prompt_ids[0] + pairs.chosen_ids[0]
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


def load_weights(path: str) -> Any:
    """A model with float32 weights: what AdamW adds at these learning rates is below bfloat16's steps.

    Raises ModelError if a weight is no number.
    """
    model: Any = AutoModelForCausalLM.from_pretrained(
        path,
        config=pinned_config(path),
        dtype=torch.float32,
        trust_remote_code=False,
        use_safetensors=True,
    )
    if name := not_finite(model.named_parameters()):
        raise ModelError(
            f"{path}: {name} holds a NaN or a number without end, so nothing trained from it can be a model. "
            "Copy or download the model again; if a training made it, do that anew with a lower learning_rate"
        )
    return model


def made_ready(model: Any, ids: Sequence[int]) -> None:
    """Put a model on its device, with all that would disturb its loss off; ids: tokens to try it with."""
    router_loss_off(model)
    scaling_off(model)
    steady(model.to(PartialState().device), ids)


def _reference(job: TrainJob) -> Any:
    model = load_weights(job.reference)
    router_loss_off(model)
    scaling_off(model)
    return model.eval()


def _longest(pairs: TokenPairs) -> dict[str, list[int]]:
    def length(row: int) -> int:
        return len(pairs.prompt_ids[row]) + len(pairs.chosen_ids[row]) + len(pairs.rejected_ids[row])

    row = max(range(len(pairs)), key=length)
    names = ("prompt_ids", "chosen_ids", "rejected_ids")
    return {name: getattr(pairs, name)[row] for name in names}


def result_of(
    job: TrainJob, trainer: Any, rows: Any, keeper: Keeper, packages: Sequence[str] = VERSIONS
) -> TrainResult:
    """What a training came to, of the `rows` that were encoded for it."""
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    versions = {name: importlib.metadata.version(name) for name in packages}
    return TrainResult(
        key=job.key,
        output_dir=job.output_dir,
        loss_first=losses[0],
        loss_last=losses[-1],
        steps=trainer.state.global_step,
        pairs_used=len(rows),
        dropped=dict(rows.dropped),
        reencoded=rows.reencoded,
        tokens=rows.tokens * job.dpo.epochs_to_train,
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
    if refused := disk_refusal(error):
        report.last_words(
            f"the disk under {job.work_dir} or {job.output_dir.parent} refused to be written ({refused}). "
            "What was stored before is kept; make room or give write permission, then run the same command "
            "again to continue from the last checkpoint."
        )
    elif isinstance(error, MetarewardError):
        report.last_words(scrub(str(error)))
    elif isinstance(error, MemoryError | torch.OutOfMemoryError):
        report.last_words(scrub(f"out of memory ({error}). {LESS_MEMORY}"))
    for output in (job, *job.epochs):
        shutil.rmtree(partial_of(output.output_dir), ignore_errors=True)
    with suppress(StoreError):
        last_complete(job.work_dir / "checkpoints")


if __name__ == "__main__":
    sys.exit(main())
