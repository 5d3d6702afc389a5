"""Demonstrations that begin alike computed side by side: the same loss from fewer tokens.

Judge prompts share their whole beginning, the rubric. A row is [common beginning | rest of the first | rest
of the second | ...]; a token sees the beginning and the earlier tokens of its own rest, at the positions it
would have alone, so every log-probability is that of the plain computation.
"""

from typing import Any

import torch

from metareward.train.answers import NO_LOSS
from metareward.train.shared_prompt import TOLERANCE, visible

_BEGINNING, _FIRST = 1, 2  # numbers of the parts of a row; 0 is padding, of which there is none


class PackedCollator:
    """Takes the place of TRL's collator: a batch of examples as one row of `L` tokens.

    `input_ids`, `labels`, `position_ids` are (1, L), `attention_mask` is (1, 1, L, L), true where a token
    (third axis) sees another. Each rest begins with a token of its prompt, so that the label of a token is
    always told by the token before it in the row, as TRL has it.
    """

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One batch."""
        common = _common(examples)
        first = examples[0]
        ids, labels = list(first["input_ids"][:common]), [NO_LOSS] * common
        positions, parts = list(range(common)), [_BEGINNING] * common
        for number, example in enumerate(examples):
            ids += example["input_ids"][common:]
            labels += example["labels"][common:]
            positions += range(common, len(example["input_ids"]))
            parts += [_FIRST + number] * (len(example["input_ids"]) - common)
        plain = {"input_ids": ids, "labels": labels, "position_ids": positions}
        batch = {name: torch.tensor([values]) for name, values in plain.items()}
        return {**batch, "attention_mask": visible(torch.tensor([parts]))}


@torch.no_grad()
def can_pack(model: Any, examples: list[dict[str, Any]]) -> bool:
    """Whether the model gives the same hidden states both ways for some examples (take the longest ones).

    False for other attention than SDPA, for recurrent layers, and where a sliding window matters.
    """
    if getattr(model.config, "_attn_implementation", None) != "sdpa":
        return False
    batch = {name: value.to(model.device) for name, value in PackedCollator()(examples).items()}
    del batch["labels"]
    packed_LH = model.base_model(**batch, use_cache=False).last_hidden_state[0]
    common = start = _common(examples)
    for example in examples:
        ids = torch.tensor([example["input_ids"]], device=model.device)
        rest_TH = model.base_model(input_ids=ids, use_cache=False).last_hidden_state[0, common:]
        difference = (packed_LH[start : start + len(rest_TH)] - rest_TH).abs().max()
        if not difference <= TOLERANCE * rest_TH.abs().max():
            return False
        start += len(rest_TH)
    return True


def _common(examples: list[dict[str, Any]]) -> int:
    """How many tokens all begin with alike; at least the last token of every prompt is left to its rest."""
    prompts = [example["labels"].count(NO_LOSS) - 1 for example in examples]
    rows = [example["input_ids"][: min(prompts)] for example in examples]
    columns = zip(*rows, strict=True)
    alike = 0
    for column in columns:
        if len(set(column)) > 1:
            break
        alike += 1
    return alike
