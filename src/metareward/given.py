"""What a program hands to a run: records of one kind, and prompts where prompts are wanted."""

from collections.abc import Sequence
from typing import TypeVar

from metareward.errors import DataError
from metareward.records import Prompt
from metareward.settings import shown

R = TypeVar("R")


def kind_of(rows: Sequence[R]) -> type[R]:
    """The one kind that all rows are of; DataError if there are no rows, or rows of several kinds."""
    kinds = {type(row) for row in rows}
    if len(kinds) != 1:
        names = ", ".join(sorted(kind.__name__ for kind in kinds)) or "none"
        raise DataError(f"records to keep must be of one kind, and at least one of them; given: {names}")
    return kinds.pop()


def check_prompts(prompts: Sequence[Prompt]) -> None:
    """DataError unless it is a list of prompts."""
    if isinstance(prompts, str | Prompt):
        raise DataError("run.prompts takes a list of prompts, not a single one: put it in a list")
    for place, prompt in enumerate(prompts):
        if not isinstance(prompt, Prompt):
            raise DataError(
                f"run.prompts takes what prompt_of makes, and at place {place} there is {shown(prompt)}: "
                "give [prompt_of(text) for text in ...]"
            )
