"""The child process that fine-tunes on demonstrations; what it promises is what `worker` promises."""

import copy
import importlib.metadata
import platform
import sys

from metareward.engines.chat import load_tokenizer
from metareward.train import worker
from metareward.train.answer_trainer import AnswerTrainer, answer_trainer, merge
from metareward.train.answers import TokenAnswers, encode_answers
from metareward.train.job import TrainJob, TrainResult
from metareward.train.keeper import Interrupted, Keeper, Reporter, StopSignal
from metareward.train.publish import publish
from metareward.train.sft import SFT

VERSIONS = (*worker.VERSIONS, "peft")


def finetune(job: TrainJob, stop: StopSignal, report: Reporter) -> TrainResult:
    """Fine-tune, or continue from the last complete checkpoint, and store the result."""
    assert isinstance(job.dpo, SFT)
    worker.check_processes(job)
    tokenizer = load_tokenizer(job.start)
    answers = encode_answers(job.pairs, worker.coder_of(tokenizer), job.dpo.max_length)
    model = worker.load_weights(job.start)
    before = copy.deepcopy(model.config), copy.deepcopy(model.generation_config)
    folder = job.work_dir / "checkpoints"
    trainer = answer_trainer(job.dpo, job.machine, folder, answers, model, tokenizer)
    report("started", demonstrations=len(answers), device=str(trainer.args.device))
    checkpoint = worker.to_continue_from(job, report)
    keeper = Keeper(job, answers.tokens, stop, report, checkpoint)
    trainer.add_callback(keeper)
    try:
        trainer.train(resume_from_checkpoint=str(checkpoint) if checkpoint else None)
    except Interrupted:
        if trainer.state.global_step > keeper.saved_step:
            trainer._save_checkpoint(model, trial=None)
            keeper.seal(trainer.state)
        raise
    result = _result(job, trainer, answers, keeper)
    adapter = merge(trainer, job.work_dir / "adapter")
    model.config, model.generation_config = before
    publish(job, trainer, result, adapter)
    return result


def _result(job: TrainJob, trainer: AnswerTrainer, answers: TokenAnswers, keeper: Keeper) -> TrainResult:
    losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    versions = {name: importlib.metadata.version(name) for name in VERSIONS}
    return TrainResult(
        key=job.key,
        output_dir=job.output_dir,
        loss_first=losses[0],
        loss_last=losses[-1],
        steps=trainer.state.global_step,
        pairs_used=len(answers),
        dropped=dict(answers.dropped),
        reencoded=answers.reencoded,
        tokens=answers.tokens * job.dpo.epochs_to_train,
        seconds=keeper.seconds,
        versions={"python": platform.python_version(), **versions},
        resumed_from=keeper.resumed_from,
    )


if __name__ == "__main__":
    sys.exit(worker.main(finetune))
