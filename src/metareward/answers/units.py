"""Text cut into units that can be counted in any script, in linear time."""

import re
from collections.abc import Iterator, Sequence

from metareward.records import Prompt, Response

_WIDE = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LONGEST = 12  # letters of a unit: a word without an end is cut into pieces that repeat
_UNIT = re.compile(rf"(?!\s)[{_WIDE}]|(?:(?![{_WIDE}])[^\W_]){{1,{_LONGEST}}}|[^\w\s]|_")
_CHARACTERS = 20_000  # of a text that are looked at


def said(response: Response) -> str:
    """What a response answers, as it is measured; at most 20,000 characters of it."""
    return response.answer[:_CHARACTERS]


def asked(prompt: Prompt) -> str:
    """What the last message of a prompt says, cut likewise."""
    return prompt.messages[-1].content[:_CHARACTERS] if prompt.messages else ""


def whole(prompt: Prompt) -> str:
    """Everything a prompt says, the system message and earlier turns included, cut likewise."""
    return "\n".join(message.content[:_CHARACTERS] for message in prompt.messages)[:_CHARACTERS]


def units(text: str) -> list[str]:
    """Words and marks, without case: pieces of at most 12 letters or digits, every other mark alone.

    In scripts that are written without spaces every character is a unit.
    """
    return _UNIT.findall(text.casefold())


def words(text: str) -> list[str]:
    """The units that are words; all units where none is one."""
    found = units(text)
    return [unit for unit in found if unit[0].isalnum()] or found


def grams(sequence: Sequence[str], length: int) -> Iterator[tuple[str, ...]]:
    """Every run of `length` neighbours."""
    return zip(*(sequence[start:] for start in range(length)), strict=False)
