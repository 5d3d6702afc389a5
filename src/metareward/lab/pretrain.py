"""Makes a base model of the lab: a small decoder trained from nothing on lessons in all roles.

    python -m metareward.lab.pretrain --seed 0 --out DIRECTORY

takes about eight minutes on one core; what came of it is written beside the weights.
"""

import argparse
import json
import math
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from metareward.ids import seed_of
from metareward.lab.habits import WORLDS
from metareward.lab.lessons import SHARES, Lesson, batch, lesson
from metareward.lab.tokenizer import IDS, save_tokenizer
from metareward.lab.words import END, GO, PAD, VOCABULARY

SHAPE = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 160}
STEPS, BATCH, LEARNING_RATE, WARMUP = 7000, 64, 2e-3, 100
_PARTS = 2  # of a batch, by length, so that little is padding


def network(seed: int) -> Any:
    """A new network, its weights drawn by `seed`."""
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed_of("lab weights", seed) % 2**32)
    words = -(-len(VOCABULARY) // 8) * 8
    settings: dict[str, Any] = {
        "vocab_size": words,
        "max_position_embeddings": 128,
        "tie_word_embeddings": True,
        "pad_token_id": IDS[PAD],
        "eos_token_id": IDS[END],
        "bos_token_id": None,
        **SHAPE,
    }
    config: Any = LlamaConfig(**settings)
    return LlamaForCausalLM(config)


def pretrain(seed: int, steps: int = STEPS, say: Any = print, world: str = "plain") -> Any:
    """Train a network on `steps` batches of fresh lessons; a seed gives the first weights and the lessons."""
    model, draw = network(seed), random.Random(seed_of("lab lessons", seed))
    optimiser = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.05, betas=(0.9, 0.95))
    began = time.monotonic()
    for step in range(steps):
        for group in optimiser.param_groups:
            group["lr"] = LEARNING_RATE * schedule(step, steps)
        loss = _step(model, optimiser, batch(BATCH, draw, WORLDS[world]))
        if (step + 1) % 500 == 0:
            say(f"step {step + 1} of {steps}, loss {loss:.4f}, {time.monotonic() - began:.0f} s")
    return model.eval()


def schedule(step: int, steps: int) -> float:
    """The share of the learning rate: a warm-up, then a cosine down to 3 %."""
    warm = min(1.0, (step + 1) / WARMUP)
    return warm * (0.03 + 0.97 * 0.5 * (1 + math.cos(math.pi * step / steps)))


def _step(model: Any, optimiser: torch.optim.Optimizer, lessons: Sequence[Lesson]) -> float:
    ordered = sorted(lessons, key=lambda each: len(each.prompt) + len(each.answer))
    learnt = sum(len(each.answer) + 1 for each in ordered)
    size, total = -(-len(ordered) // _PARTS), 0.0
    optimiser.zero_grad()
    for begin in range(0, len(ordered), size):
        token_BT, label_BT = tensors(ordered[begin : begin + size])
        logits_BTV = model(input_ids=token_BT, use_cache=False).logits[:, :-1]
        loss = cross_entropy(logits_BTV.flatten(0, 1), label_BT[:, 1:].flatten(), reduction="sum") / learnt
        loss.backward()
        total += float(loss.detach())
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimiser.step()
    return total


def tensors(lessons: Sequence[Lesson]) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] and labels [B, T], -100 on what is not learnt: prompts and padding."""
    rows = [[*_ids(each.prompt), IDS[GO], *_ids(each.answer), IDS[END]] for each in lessons]
    width = max(map(len, rows))
    token_BT = torch.tensor([row + [IDS[PAD]] * (width - len(row)) for row in rows])
    label_BT = torch.full_like(token_BT, -100)
    for place, (row, each) in enumerate(zip(rows, lessons, strict=True)):
        begin = len(each.prompt) + 1
        label_BT[place, begin : len(row)] = token_BT[place, begin : len(row)]
    return token_BT, label_BT


@torch.inference_mode()
def right(model: Any, role: str, count: int = 512, world: str = "plain") -> float:
    """How often the likeliest word is the one a lesson has, over the answers of `count` fresh lessons."""
    draw = random.Random(seed_of("lab examination", role))
    token_BT, label_BT = tensors([lesson(role, draw, WORLDS[world]) for _ in range(count)])
    guess_BT = model(input_ids=token_BT, use_cache=False).logits[:, :-1].argmax(-1)
    asked_BT = label_BT[:, 1:] != -100
    asked_BT &= label_BT[:, 1:] != IDS[END]
    return float((guess_BT == label_BT[:, 1:])[asked_BT].float().mean())


def _ids(words: Sequence[str]) -> list[int]:
    return [IDS[word] for word in words]


def save(model: Any, folder: Path, about: dict[str, Any], dtype: torch.dtype = torch.float32) -> None:
    """A directory that any of the project's engines loads."""
    model.to(dtype).save_pretrained(folder)
    save_tokenizer(folder)
    (folder / "about.json").write_text(json.dumps(about, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Train a base model and write it down, in half precision."""
    parser = argparse.ArgumentParser(prog="python -m metareward.lab.pretrain", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--world", choices=tuple(WORLDS), default="plain")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    began = time.monotonic()
    model = pretrain(given.seed, given.steps, lambda line: print(line, flush=True), given.world)
    how = f"--world {given.world} --seed {given.seed} --steps {given.steps} --out DIRECTORY"
    about = {
        "command": f"python -m metareward.lab.pretrain {how}",
        "seconds": round(time.monotonic() - began),
        "threads": torch.get_num_threads(),
        "lessons": given.steps * BATCH,
        "parameters": sum(each.numel() for each in model.parameters()),
        "versions": {"torch": torch.__version__},
        "right": {role: round(right(model, role, world=given.world), 3) for role in SHARES},
    }
    save(model, given.out, about, torch.float16)
    print(json.dumps(about, indent=2))


if __name__ == "__main__":
    main()
