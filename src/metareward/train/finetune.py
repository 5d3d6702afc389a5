"""The child process that fine-tunes on demonstrations; what it promises is what `worker` promises."""

import copy
import sys

from metareward.engines.chat import load_tokenizer
from metareward.train import lora, worker
from metareward.train.answer_trainer import answer_trainer, config_of, merge
from metareward.train.answers import encode_answers
from metareward.train.distributed import check_kind
from metareward.train.finite import require_alive
from metareward.train.job import TrainJob, TrainResult
from metareward.train.keeper import Keeper, Reporter, StopSignal, train_under
from metareward.train.moe import check_router_loss
from metareward.train.publish import publish
from metareward.train.sft import SFT
from metareward.train.tracking import environment

VERSIONS = (*worker.VERSIONS, "peft")


def finetune(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    """Fine-tune, or continue from the last complete checkpoint, and store the result."""
    with environment(job.tracking, bool(job.machine.report_to)):
        return _finetune(job, stop, report)


def _finetune(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    assert isinstance(job.dpo, SFT)
    config = config_of(job)  # first: it is what lets the processes find each other
    worker.check_processes(job)
    tokenizer, model = load_tokenizer(job.start), worker.load_weights(job.start)
    coder = worker.coder_of(tokenizer, model.generation_config, job.reasoning)
    answers = encode_answers(job.pairs, coder, job.dpo.max_length)
    before = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    check_router_loss(model.config, "sft", job.dpo.router_loss)
    worker.made_ready(model, max(answers.ids, key=len))
    trainer = answer_trainer(job.dpo, job.machine, config, answers, model, tokenizer)
    check_kind(job.machine.accelerate_config, trainer.accelerator)
    if left := lora.left_out(model, job.dpo):
        report("notice", message=left)
    report("started", demonstrations=len(answers), device=str(trainer.args.device))
    checkpoint = worker.to_continue_from(job, report)
    keeper = Keeper(job, answers.tokens, stop, report, checkpoint)
    train_under(keeper, trainer, checkpoint)
    result = worker.result_of(job, trainer, answers, keeper, VERSIONS)
    adapter = merge(trainer, job.work_dir / "adapter")
    model.config, model.generation_config = before
    require_alive(trainer.model_wrapped, answers.ids[0], result.steps, job.dpo)
    publish(job, trainer, result, adapter)
    return result


if __name__ == "__main__":
    sys.exit(worker.main(finetune))
