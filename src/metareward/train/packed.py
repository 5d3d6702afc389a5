"""Demonstrations that begin alike computed side by side: the same loss from fewer tokens.

Judge prompts share their rubric, and those about one prompt also the conversation. A batch is one row, laid
out like a tree: what several examples begin with stands there once, followed by what each goes on with. A
token sees the earlier tokens on its own way from the root, at the positions it would have alone, so every
log-probability is that of the plain computation.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from metareward.engines.memory import bears
from metareward.train.answers import NO_LOSS
from metareward.train.shared_prompt import TOLERANCE, takes_masks
from metareward.train.trunk import last_hidden_states


class PackedCollator:
    """Takes the place of TRL's collator: a batch of examples as one row of L tokens.

    `input_ids`, `labels`, `position_ids` are (1, L), `attention_mask` is (1, 1, L, L), true where a token
    (third axis) sees another. What an example goes on with alone begins with a token of its prompt, so that
    the label of a token is always told by the token before it in the row, as TRL has it.
    """

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, torch.Tensor]:
        """One batch."""
        return _Row.of(examples).batch()


def can_pack(model: Any, examples: list[dict[str, Any]]) -> bool:
    """Whether the model gives the same hidden states both ways for some examples (take the longest ones).

    False for other attention than SDPA, for recurrent layers, and where a sliding window matters.
    """
    return takes_masks(model) and bears(lambda: _same(model, examples))


@torch.no_grad()
def _same(model: Any, examples: list[dict[str, Any]]) -> bool:
    row = _Row.of(examples)
    batch = {name: value.to(model.device) for name, value in row.batch().items() if name != "labels"}
    packed_LH = last_hidden_states(model, **batch)[0]
    for number, (start, end) in row.alone.items():
        ids = torch.tensor([examples[number]["input_ids"]], device=model.device)
        plain_TH = last_hidden_states(model, input_ids=ids)[0, start - end :]
        difference = (packed_LH[start:end] - plain_TH).abs().max()
        if not difference <= TOLERANCE * plain_TH.abs().max():
            return False
    return True


@dataclass
class _Row:
    """Tokens of a tree in the order in which its nodes are reached.

    ways: for each node the nodes on the way to it, itself included. alone: for each example the places of
    the tokens that are its alone.
    """

    ids: list[int] = field(default_factory=list)
    labels: list[int] = field(default_factory=list)
    positions: list[int] = field(default_factory=list)
    nodes: list[int] = field(default_factory=list)
    ways: list[set[int]] = field(default_factory=list)
    alone: dict[int, tuple[int, int]] = field(default_factory=dict)

    @classmethod
    def of(cls, examples: Sequence[dict[str, Any]]) -> "_Row":
        """The row of some examples."""
        row = cls()
        row._lay(dict(enumerate(examples)), 0, set())
        return row

    def batch(self) -> dict[str, torch.Tensor]:
        """The row as a model takes it."""
        plain = {"input_ids": self.ids, "labels": self.labels, "position_ids": self.positions}
        nodes_L = torch.tensor(self.nodes)
        seen_NN = torch.zeros(len(self.ways), len(self.ways), dtype=torch.bool)
        for node, way in enumerate(self.ways):
            seen_NN[node, list(way)] = True
        earlier_LL = torch.ones(len(nodes_L), len(nodes_L), dtype=torch.bool).tril()
        mask_LL = earlier_LL & seen_NN[nodes_L][:, nodes_L]
        batch = {name: torch.tensor([values]) for name, values in plain.items()}
        return {**batch, "attention_mask": mask_LL[None, None]}

    def _lay(self, examples: dict[int, dict[str, Any]], start: int, way: set[int]) -> None:
        """Add what all examples have in common from `start` on, and then each group that goes on alike."""
        first = next(iter(examples.values()))
        is_alone = len(examples) == 1
        end = len(first["input_ids"]) if is_alone else _alike(list(examples.values()), start)
        node, place = len(self.ways), len(self.ids)
        way = way | {node}
        self.ways.append(way)
        self.ids += first["input_ids"][start:end]
        self.labels += first["labels"][start:end]
        self.positions += range(start, end)
        self.nodes += [node] * (end - start)
        if is_alone:
            self.alone[next(iter(examples))] = (place, len(self.ids))
            return
        for group in _groups(examples, end):
            self._lay(group, end, way)


def _prompt(example: dict[str, Any]) -> int:
    """How many tokens of an example others may share: its prompt but for the last one."""
    return example["labels"].count(NO_LOSS) - 1


def _alike(examples: Sequence[dict[str, Any]], start: int) -> int:
    """Where examples that are alike up to `start` differ first, or the first of their prompts ends."""
    end = min(_prompt(example) for example in examples)
    columns = zip(*(example["input_ids"][start:end] for example in examples), strict=True)
    return next((place for place, column in enumerate(columns, start) if len(set(column)) > 1), end)


def _groups(examples: dict[int, dict[str, Any]], end: int) -> list[dict[int, dict[str, Any]]]:
    """Examples by their next token; one whose prompt ends here goes on alone."""
    groups: dict[tuple[int, int], dict[int, dict[str, Any]]] = {}
    for number, example in examples.items():
        ends = _prompt(example) <= end
        token = (1, number) if ends else (0, example["input_ids"][end])
        groups.setdefault(token, {})[number] = example
    return list(groups.values())
