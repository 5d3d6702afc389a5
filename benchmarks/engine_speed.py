"""How fast the engine answers, against batched `model.generate` on the same questions in the same run.

Two shapes of work: an actor's (8 short prompts, 4 samples each) and a judge's (one prompt of about 500
tokens, 6 samples). `generate` gets what one would otherwise write: left padding, one call for each
shape, num_return_sequences. Both draw about the same number of tokens; rates are tokens a second.
"""

import argparse
import json
import time
from collections.abc import Callable
from typing import Any

from metareward import templates
from metareward.engines.base import Request, Sampling
from metareward.engines.chat import encode_chat
from metareward.engines.transformers import TransformersEngine, open_transformers
from metareward.models.resolve import resolve
from metareward.records import Message

QUESTIONS = (
    "What is the capital of France?",
    "Write a short poem about the sea in winter.",
    "Explain to a child why the sky is blue.",
    "Name three uses of a paper clip and say which is the best.",
    "Summarise the plot of Romeo and Juliet in two sentences.",
    "How do I boil an egg?",
    "Give me a recipe for pancakes.",
    "What should one pack for a week in the mountains?",
)
ANSWER = "Boil water, put the egg in for eight minutes, take it out and cool it under running water. "
SAMPLING = Sampling(temperature=0.8, top_p=0.95, max_tokens=64)


def actor() -> list[Request]:
    """8 short prompts, 4 samples each."""
    return [
        Request(f"actor-{i}-{k}", (Message("user", text),), SAMPLING, 100 * i + k)
        for i, text in enumerate(QUESTIONS)
        for k in range(4)
    ]


def judge() -> list[Request]:
    """One long prompt, 6 samples."""
    text = templates.render(
        templates.shipped("judge"), conversation=f"User: {QUESTIONS[5]}", response=ANSWER * 12
    )
    return [Request(f"judge-{k}", (Message("user", text),), SAMPLING, k) for k in range(6)]


def measure() -> dict[str, Any]:
    """Tokens a second of both, and their ratio, for each shape of work; the model is the default one."""
    with open_transformers()(resolve("smollm2-135m-instruct")) as engine:
        assert isinstance(engine, TransformersEngine)
        _ours(engine, actor()[:1])  # the first pass of all is slower than any other
        return {
            name: _compare(engine, requests) for name, requests in (("actor", actor()), ("judge", judge()))
        }


def _compare(engine: TransformersEngine, requests: list[Request]) -> dict[str, float]:
    result: dict[str, float] = {}
    ways: dict[str, Callable[..., tuple[int, int]]] = {"engine": _ours, "generate": _generate}
    for name, way in ways.items():
        begin = time.perf_counter()
        prompt_tokens, tokens = way(engine, requests)
        seconds = time.perf_counter() - begin
        result |= {f"{name}_seconds": seconds, f"{name}_tokens": tokens, f"{name}_rate": tokens / seconds}
        result["prompt_tokens"] = prompt_tokens
    result["ratio"] = result["engine_rate"] / result["generate_rate"]
    return result


def _ours(engine: TransformersEngine, requests: list[Request]) -> tuple[int, int]:
    answers = list(engine.complete(requests))
    return max(answer.prompt_tokens for answer in answers), sum(answer.output_tokens for answer in answers)


def _generate(engine: TransformersEngine, requests: list[Request]) -> tuple[int, int]:
    import torch

    tokenizer, model = engine.tokenizer, engine.model
    prompts = list(dict.fromkeys(tuple(encode_chat(tokenizer, request.messages)) for request in requests))
    width = max(map(len, prompts))
    ids = torch.tensor([(tokenizer.pad_token_id,) * (width - len(p)) + p for p in prompts])
    mask = torch.tensor([(0,) * (width - len(p)) + (1,) * len(p) for p in prompts])
    torch.manual_seed(0)
    out = model.generate(
        ids.to(model.device),
        attention_mask=mask.to(model.device),
        num_return_sequences=len(requests) // len(prompts),
        max_new_tokens=SAMPLING.max_tokens,
        do_sample=True,
        temperature=SAMPLING.temperature,
        top_p=SAMPLING.top_p,
        top_k=0,
        pad_token_id=tokenizer.pad_token_id,
    )[:, width:].tolist()
    # The end of a turn counts, the padding behind it does not.
    return width, sum(
        row.index(tokenizer.eos_token_id) + 1 if tokenizer.eos_token_id in row else len(row) for row in out
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    wanted = parser.parse_args()
    result = measure()
    if wanted.json:
        print(json.dumps(result, indent=2))
        return
    print(f"{'work':8}{'prompt':>8}{'engine tok/s':>14}{'generate tok/s':>16}{'ratio':>8}")
    for name, row in result.items():
        rates = f"{row['engine_rate']:14.1f}{row['generate_rate']:16.1f}{row['ratio']:8.2f}"
        print(f"{name:8}{row['prompt_tokens']:8.0f}{rates}")


if __name__ == "__main__":
    main()
