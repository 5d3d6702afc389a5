"""The child process that fine-tunes on demonstrations; what it promises is what `worker` promises."""

import copy
import sys

from metareward.engines.chat import load_tokenizer
from metareward.train import worker
from metareward.train.answer_trainer import answer_trainer, merge
from metareward.train.answers import encode_answers
from metareward.train.job import TrainJob, TrainResult
from metareward.train.keeper import Keeper, Reporter, StopSignal, train_under
from metareward.train.publish import publish
from metareward.train.sft import SFT

VERSIONS = (*worker.VERSIONS, "peft")


def finetune(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    """Fine-tune, or continue from the last complete checkpoint, and store the result."""
    assert isinstance(job.dpo, SFT)
    worker.check_processes(job)
    tokenizer = load_tokenizer(job.start)
    answers = encode_answers(job.pairs, worker.coder_of(tokenizer, job.reasoning), job.dpo.max_length)
    model = worker.load_weights(job.start)
    before = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    folder = job.work_dir / "checkpoints"
    trainer = answer_trainer(job.dpo, job.machine, folder, answers, model, tokenizer)
    report("started", demonstrations=len(answers), device=str(trainer.args.device))
    checkpoint = worker.to_continue_from(job, report)
    keeper = Keeper(job, answers.tokens, stop, report, checkpoint)
    train_under(keeper, trainer, checkpoint)
    result = worker.result_of(job, trainer, answers, keeper, VERSIONS)
    adapter = merge(trainer, job.work_dir / "adapter")
    model.config, model.generation_config = before
    publish(job, trainer, result, adapter)
    return result


if __name__ == "__main__":
    sys.exit(worker.main(finetune))
