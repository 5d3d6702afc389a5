"""A pair's prompt computed once for both answers: the same loss from fewer tokens.

A row is [prompt without its last token | last prompt token, chosen | last prompt token, rejected]. The
three parts are numbered; a token sees the prompt and the earlier tokens of its own part, at the positions
it would have alone, so every log-probability is that of the plain computation. A judge pair, whose prompt
is most of it, costs about half.
"""

import types
from dataclasses import dataclass
from typing import Any

import torch
from torch.nn.utils.rnn import pad_sequence

from metareward.engines.loading import other_layers
from metareward.engines.memory import bears
from metareward.train.answers import NO_LOSS
from metareward.train.trunk import last_hidden_states

PAD, PROMPT, CHOSEN, REJECTED = range(4)
TOLERANCE = 1e-3  # of the largest hidden state; a wrong mask is off by more than a tenth


@dataclass
class SharedPromptCollator:
    """Batches of B pairs for a model under `share_prompts`; takes the place of TRL's collator.

    Every tensor has 2B rows of L tokens, first for chosen and then for rejected, since TRL expects so;
    the two halves differ in `completion_mask` only, and the model computes the first half.
    """

    pad_token_id: int

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One batch of token rows, with the reference's log-probabilities where they are known."""
        rows = [_row(example) for example in examples]
        ids_BL, part_BL, position_BL = (
            pad_sequence([row[i] for row in rows], batch_first=True, padding_value=value)
            for i, value in enumerate((self.pad_token_id, PAD, 0))
        )
        masks = [_answer_mask(part_BL, answer) for answer in (CHOSEN, REJECTED)]
        batch = {
            "input_ids": ids_BL.repeat(2, 1),
            "attention_mask": (part_BL != PAD).long().repeat(2, 1),
            "part_ids": part_BL.repeat(2, 1),
            "position_ids": position_BL.repeat(2, 1),
            "completion_mask": torch.cat(masks).long(),
        }
        for name in ("ref_chosen_logps", "ref_rejected_logps"):
            if name in examples[0]:
                batch[name] = torch.tensor([example[name] for example in examples])
        return batch


def share_prompts(model: Any) -> None:
    """Teach a model with TRL's fused head to answer the collator's batches. Other calls are unchanged."""
    plain_forward = model.forward

    def forward(self: Any, *args: Any, part_ids: torch.Tensor | None = None, **kwargs: Any) -> Any:
        if part_ids is None:
            return plain_forward(*args, **kwargs)
        pairs = len(part_ids) // 2
        labels_2BL = kwargs.pop("labels")
        half = {
            "input_ids": kwargs.pop("input_ids")[:pairs],
            "position_ids": kwargs.pop("position_ids")[:pairs],
        }
        kwargs["attention_mask"] = visible(part_ids[:pairs])
        both_BL = torch.maximum(labels_2BL[:pairs], labels_2BL[pairs:])
        output = plain_forward(*args, **half, **kwargs, labels=both_BL)
        return _twofold(output, labels_2BL[:, 1:] != NO_LOSS)

    model.forward = types.MethodType(forward, model)


def visible(part_BL: torch.Tensor) -> torch.Tensor:
    """Which keys a query sees, as booleans (B, 1, query L, key L). Padding sees padding only."""
    query_BL1, key_B1L = part_BL[:, :, None], part_BL[:, None, :]
    length = part_BL.shape[1]
    causal_LL = torch.ones(length, length, dtype=torch.bool, device=part_BL.device).tril()
    in_prompt = (key_B1L == PROMPT) & (query_BL1 != PAD)
    return (causal_LL & (in_prompt | (key_B1L == query_BL1)))[:, None]


def takes_masks(model: Any) -> bool:
    """Whether what a token sees may be told by a mask: with SDPA, and no layer but attention."""
    return getattr(model.config, "_attn_implementation", None) == "sdpa" and not other_layers(model.config)


def can_share(model: Any, example: dict[str, list[int]]) -> bool:
    """Whether the model gives the same hidden states both ways for a pair (take the longest one).

    False for other attention than SDPA, for recurrent layers, and where a sliding window matters.
    """
    return takes_masks(model) and bears(lambda: _same(model, example))


@torch.no_grad()
def _same(model: Any, example: dict[str, list[int]]) -> bool:
    batch = SharedPromptCollator(0)([example])
    inputs = {name: batch[name][:1].to(model.device) for name in ("input_ids", "position_ids", "part_ids")}
    part_L = inputs.pop("part_ids")[0]
    mask = visible(part_L[None])
    shared_LH = last_hidden_states(model, **inputs, attention_mask=mask)[0]
    for answer, name in ((CHOSEN, "chosen_ids"), (REJECTED, "rejected_ids")):
        ids = torch.tensor([example["prompt_ids"] + example[name]], device=model.device)
        plain_TH = last_hidden_states(model, input_ids=ids)[0]
        plain_TH = plain_TH[len(example["prompt_ids"]) - 1 :]
        difference = (shared_LH[part_L == answer] - plain_TH).abs().max()
        if not difference <= TOLERANCE * plain_TH.abs().max():
            return False
    return True


def _row(example: dict[str, Any]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Token ids, part numbers and positions of one pair, each (L,)."""
    *prompt, last = example["prompt_ids"]
    chosen, rejected = [last, *example["chosen_ids"]], [last, *example["rejected_ids"]]
    sizes = torch.tensor([len(prompt), len(chosen), len(rejected)])
    part_L = torch.repeat_interleave(torch.tensor([PROMPT, CHOSEN, REJECTED]), sizes)
    start = len(prompt)
    answers = [torch.arange(start, start + len(answer)) for answer in (chosen, rejected)]
    return torch.tensor([*prompt, *chosen, *rejected]), part_L, torch.cat([torch.arange(start), *answers])


def _answer_mask(part_BL: torch.Tensor, answer: int) -> torch.Tensor:
    """The tokens of one answer: its part without the first token, which belongs to the prompt."""
    inside = part_BL == answer
    follows = torch.zeros_like(inside)
    follows[:, 1:] = inside[:, :-1]
    return inside & follows


def _twofold(output: Any, answer_2BT: torch.Tensor) -> Any:
    """TRL's output of B rows as one of 2B rows: each per-token field where its answer is, else zero."""
    fields = {}
    for name, value in output.items():
        per_token = value.shape[1:] == answer_2BT.shape[1:]
        fields[name] = (
            torch.where(answer_2BT, value.repeat(2, 1), value.new_zeros(())) if per_token else value
        )
    return type(output)(**fields)
