"""What a program hands to a run: records of one kind, and prompts where prompts are wanted."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import is_dataclass
from typing import TypeVar

from metareward.errors import DataError
from metareward.records import Prompt
from metareward.settings import shown

R = TypeVar("R")


def kind_of(rows: Sequence[R]) -> type[R]:
    """The one kind that all rows are of; DataError if there are no rows, or rows of several kinds."""
    kinds = {type(row) for row in rows}
    if odd := next((kind for kind in kinds if not is_dataclass(kind)), None):
        raise DataError(f"records to keep must be records, such as Response, and there is a {odd.__name__}")
    if len(kinds) != 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise DataError(f"records to keep must be of one kind, and at least one of them; given: {names}")
    return kinds.pop()


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """DataError unless it is a list of prompts, each of them once."""
    if isinstance(prompts, str | Prompt):
        raise DataError("run.prompts takes a list of prompts, not a single one: put it in a list")
    for place, prompt in enumerate(prompts):
        if not isinstance(prompt, Prompt):
            raise DataError(
                f"run.prompts takes what prompt_of makes, and at place {place} there is {shown(prompt)}: "
                "give [prompt_of(text) for text in ...]"
            )
    for name, count in Counter(prompt.id for prompt in prompts).items():
        if count > 1:
            raise DataError(
                f"run.prompts was given prompt {name} {count} times; give each once (more answers to it are "
                "had with Generate(samples=...))"
            )
