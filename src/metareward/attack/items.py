"""What a judge is tried on: prompts, each with a good and a flawed response."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from metareward import files
from metareward.errors import DataError
from metareward.ids import fingerprint
from metareward.reasoning import AUTO
from metareward.records import Message
from metareward.sources import prompt_of

SHIPPED = "shipped"
_FORM = 'a line is {"prompt": text or messages, "chosen": the good response, "rejected": the flawed one}'


@dataclass(frozen=True)
class Item:
    """A conversation with a good and a flawed response to it. `source` says where it came from."""

    messages: tuple[Message, ...]
    good: str
    flawed: str
    source: str = ""

    @property
    def id(self) -> str:
        """Names the item by its content."""
        return fingerprint("attack item", self.messages, self.good, self.flawed)

    @property
    def cluster(self) -> str:
        """Names the conversation alone."""
        return fingerprint("attack cluster", self.messages)

    @property
    def question(self) -> str:
        """The last turn, which the response answers."""
        return self.messages[-1].content


def load_items(source: str = SHIPPED, limit: int | None = None) -> tuple[Item, ...]:
    """Read pairs from a JSONL file, or the shipped set; with `limit`, a spread of so many over the file.

    Items that are given twice count once. DataError names the file and line of what cannot be used.
    """
    name, lines = _lines(source)
    rows = [(f"{name}:{number}", line) for number, line in enumerate(lines, 1) if line.strip()]
    items = list(
        {item.id: item for item in (_item(_parsed(line, where), where) for where, line in rows)}.values()
    )
    if not items:
        raise DataError(f"{source}: there are no pairs in it; {_FORM}")
    if limit is None or limit >= len(items):
        return tuple(items)
    if limit < 1:
        raise DataError(f"the number of pairs to attack with must be at least 1, not {limit}")
    return tuple(items[place * len(items) // limit] for place in range(limit))


def longer_wins(items: Iterable[Item]) -> list[float]:
    """For each item 1 if the good response is the longer one, 0 if it is shorter, else one half."""
    lengths = [(len(item.good), len(item.flawed)) for item in items]
    return [0.5 if good == flawed else float(good > flawed) for good, flawed in lengths]


def _lines(source: str) -> tuple[str, list[str]]:
    if source == SHIPPED:
        text = resources.files("metareward").joinpath("attack", "items.jsonl").read_text(encoding="utf-8")
        return SHIPPED, text.split("\n")
    path = Path(source).expanduser()
    try:
        return path.name, files.read_text(path).split("\n")
    except files.UnreadableError as error:
        raise DataError(f"{path}: cannot be read as a file of pairs: {error}; {_FORM}") from None


def _parsed(line: str, where: str) -> Mapping[str, Any]:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where}: not JSON: {error}; {_FORM}") from None
    if not isinstance(row, dict):
        raise DataError(f"{where}: not an object; {_FORM}")
    return row


def _item(row: Mapping[str, Any], where: str) -> Item:
    good, flawed = (_text(row, name, where) for name in ("chosen", "rejected"))
    if good == flawed:
        raise DataError(f"{where}: 'chosen' and 'rejected' are the same text, so neither is the better one")
    return Item(prompt_of(_conversation(row.get("prompt"), where), where).messages, good, flawed, where)


def _text(row: Mapping[str, Any], name: str, where: str) -> str:
    value = row.get(name)
    if isinstance(value, list) and value and isinstance(value[-1], dict):  # the answer as a last message
        value = value[-1].get("content")
    answer = AUTO.answer(value) if isinstance(value, str) else ""
    if not answer.strip():
        raise DataError(f"{where}: {name!r} must be a text that is not blank; {_FORM}")
    return answer


def _conversation(value: Any, where: str) -> str | list[Message]:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        raise DataError(f"{where}: 'prompt' must be a text or a list of messages; {_FORM}")
    return [_turn(turn, f"{where}: message {number}") for number, turn in enumerate(value, 1)]


def _turn(turn: Any, where: str) -> Message:
    known = ("system", "user", "assistant")
    if (
        not isinstance(turn, dict)
        or turn.get("role") not in known
        or not isinstance(turn.get("content"), str)
    ):
        raise DataError(f'{where}: must be {{"role": one of {", ".join(known)}, "content": text}}')
    return Message(turn["role"], turn["content"])
