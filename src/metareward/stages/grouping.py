"""Joins the streams of a run prompt by prompt, so that only one prompt's rows are ever in memory."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from metareward.errors import StoreError
from metareward.records import Battle, Judgment, Prompt, Response

_Row = TypeVar("_Row", Response, Judgment, Battle)


@dataclass(frozen=True, slots=True)
class Bundle:
    """One prompt and the rows that belong to it, each kind in the order of its stream."""

    prompt: Prompt
    responses: list[Response]
    judgments: list[Judgment]
    battles: list[Battle]


def bundles(
    prompts: Iterable[Prompt],
    responses: Iterable[Response] = (),
    judgments: Iterable[Judgment] = (),
    battles: Iterable[Battle] = (),
) -> Iterator[Bundle]:
    """One bundle a prompt, in the order of the prompts; each stream is read once.

    All streams follow the order of the prompts. A prompt may have no rows, but a row whose prompt is not
    among the prompts, or comes out of order, is a StoreError once the prompts have ended.
    """
    children = _Stream("response", responses), _Stream("judgment", judgments), _Stream("battle", battles)
    for prompt in prompts:
        yield Bundle(
            prompt, children[0].take(prompt.id), children[1].take(prompt.id), children[2].take(prompt.id)
        )
    for child in children:
        child.require_empty()


class _Stream(Generic[_Row]):
    """Rows with one of them in sight."""

    def __init__(self, kind: str, rows: Iterable[_Row]) -> None:
        self._kind = kind
        self._rows = iter(rows)
        self._next = next(self._rows, None)

    def take(self, prompt_id: str) -> list[_Row]:
        taken: list[_Row] = []
        while self._next is not None and self._next.prompt_id == prompt_id:
            taken.append(self._next)
            self._next = next(self._rows, None)
        return taken

    def require_empty(self) -> None:
        if self._next is not None:
            raise StoreError(
                f"{self._kind} {self._next.id} belongs to prompt {self._next.prompt_id}, which is not among "
                f"the prompts or stands in another order there; make both from the same prompts"
            )
