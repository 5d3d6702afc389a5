"""A model's own answers to a benchmark: which prompts are asked, and what came back."""

import random
from collections.abc import Iterable, Sequence
from typing import TypeVar

from metareward.evaluate.responses import Given
from metareward.records import Finish, Prompt, Response

_T = TypeVar("_T")


def chosen(tasks: Sequence[_T], limit: int | None, seed: int) -> list[_T]:
    """All tasks, or `limit` of them drawn without replacement by `seed`; always in the benchmark's order."""
    if limit is None or limit >= len(tasks):
        return list(tasks)
    places = random.Random(seed).sample(range(len(tasks)), limit)
    return [tasks[place] for place in sorted(places)]


def answers_of(prompts: Iterable[Prompt], responses: Iterable[Response]) -> tuple[list[Given], int]:
    """Answers by the text of the prompt's last turn, and how many were cut off at max_tokens.

    What the engine could not answer has no response.
    """
    texts = {prompt.id: prompt.messages[-1].content for prompt in prompts}
    given, truncated = [], 0
    for response in responses:
        failed = response.finish is Finish.FAILED
        where = f"response {response.id}: {response.error}" if failed else response.id
        given.append(Given(where, texts[response.prompt_id], None if failed else response.answer))
        truncated += response.finish is Finish.LENGTH
    return given, truncated
