"""TRL's DPO trainer, made to train on ready token ids: the only importer of TRL's preference training."""

from pathlib import Path
from typing import Any, cast

import numpy as np
from torch.utils.data import DataLoader
from trl.trainer import utils as trl_utils
from trl.trainer.dpo_config import DPOConfig
from trl.trainer.dpo_trainer import DPOTrainer

from metareward.errors import StepError
from metareward.train import first_loss, reference
from metareward.train.arguments import arguments
from metareward.train.distributed import check_kind
from metareward.train.dpo import DPO
from metareward.train.job import TrainJob
from metareward.train.keeper import Reporter
from metareward.train.own_head import right_head
from metareward.train.shared_prompt import share_prompts
from metareward.train.weights import WEIGHTS, Heard, WeighingCollator, change_of_loss


class PairTrainer(DPOTrainer):
    """TRL's DPO on ready token ids, with a stored reference and batches in which a pair's say is its weight.

    weighted: rows have a column `WEIGHTS`, and the loss is that of `weights`. Without it every pair weighs
    the same, and the loss is TRL's own but for the NLL term, which is a mean over pairs. at_reference: the
    model starts as its own reference, so the first loss is known (`first_loss`). accelerate_config: must be
    what the processes found themselves in.
    """

    def __init__(
        self,
        *,
        reference_file: Path,
        share_prompt: bool,
        weighted: bool,
        nll_weight: float,
        at_reference: bool,
        accelerate_config: str | None,
        report: Reporter,
        **kwargs: Any,
    ):
        self.first_row: list[int] = []  # tokens to try the trained model with
        self._at_reference, self._accelerate_config = at_reference, accelerate_config
        self._reference_file, self._share_prompt, self._report = reference_file, share_prompt, report
        self._nll_weight, self._pairs_in_step = nll_weight, 0
        score_answers_only()
        super().__init__(**kwargs)
        if weighted:  # after the reference's pass, which needs no weights
            self.data_collator = WeighingCollator(self.data_collator)

    def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
        """Our rows are what TRL would make of texts, so there is nothing to prepare."""
        return dataset

    def _set_signature_columns_if_needed(self) -> None:
        """Weights reach the collator, too."""
        super()._set_signature_columns_if_needed()
        if WEIGHTS not in self._signature_columns:
            self._signature_columns = [*self._signature_columns, WEIGHTS]

    def _precompute_ref_logps(self, dataset: Any, name: str, batch_size: int) -> Any:
        """Reference log-probabilities from the file, so that a resumed training has those it began with."""
        check_kind(self._accelerate_config, self.accelerator)
        row = dataset[0]["prompt_ids"] + dataset[0]["chosen_ids"]
        models = [model for model in (self.model, self.ref_model) if model is not None]
        right_head(models, row, trl_utils.FusedCausalLMOutput)
        for model in models if self._share_prompt else ():
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
        if not (np.isfinite(chosen).all() and np.isfinite(rejected).all()):
            raise StepError(
                "the reference model gives an answer a log-probability that is no number, so there is "
                "nothing to stay near. Set machine.training.dtype = 'float32', or look at its weights"
            )
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
        """A mean over the pairs of the optimiser step, however they were divided among batches.

        The divisor is the number of pairs, not the sum of their weights (see docs/training.md).
        """
        weights_B2 = inputs.pop(WEIGHTS, None)
        differs = weights_B2 is not None or bool(self._nll_weight)
        heard: Any = Heard(model) if differs else model
        loss = super().compute_loss(heard, inputs, return_outputs, num_items_in_batch)
        if differs:
            loss = loss + change_of_loss(heard.log_probs, inputs, weights_B2, self.beta, self._nll_weight)
        if self._at_reference and self.state.global_step == 0:
            self._check_first(float(loss.detach()), inputs, weights_B2)
        share = len(inputs["input_ids"]) / 2 / self._pairs_in_step
        return loss * share * self.current_gradient_accumulation_steps

    def _check_first(self, loss: float, inputs: Any, weights_B2: Any) -> None:
        """Of each batch of the first optimiser step: nothing has moved yet."""
        wanted = first_loss.expected(inputs, weights_B2, self._nll_weight)
        if self.aux_loss_enabled:
            wanted += self.router_aux_loss_coef * self._metrics["train"]["aux_loss"][-1]
        allowed = first_loss.tolerance(inputs, self.beta, self.accelerator.mixed_precision != "no")
        first_loss.check(loss, wanted, allowed, self._reference_file)

    def create_model_card(self, *args: Any, **kwargs: Any) -> None:
        """No card in a checkpoint: nobody reads it, and it would name this machine's directories."""


def score_answers_only() -> None:
    """Let TRL's fused head skip prompts on a CPU too, as it does on a GPU.

    It asks whether there is Triton because compiled devices want fixed shapes; a CPU does not mind. A judge
    pair takes a quarter less time. Where TRL has changed, nothing happens.
    """
    if hasattr(trl_utils, "_use_triton"):
        trl_utils.__dict__["_use_triton"] = lambda device: True


def config_of(job: TrainJob) -> DPOConfig:
    """What TRL and transformers call the settings of a job."""
    dpo = cast(DPO, job.dpo)
    return DPOConfig(
        **arguments(dpo, job.machine, job.work_dir / "checkpoints", job.tracking),
        beta=dpo.beta,
        loss_type=["sigmoid", "sft"] if dpo.nll_weight else ["sigmoid"],
        loss_weights=[1.0, dpo.nll_weight] if dpo.nll_weight else None,
        precompute_ref_log_probs=True,
    )
