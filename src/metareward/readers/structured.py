"""Judgments written as data: JSON, XML and tables become lines, so that verdicts are read in one way."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from metareward.readers.words import NEUTRAL

_LONGEST = 100_000  # characters; what is longer is not looked at as JSON
_NAME = "[a-z_]{1,30}"
_BETWEEN = re.compile(rf"(</?{_NAME}>)[ \t]{{0,4}}(?=</?{_NAME}>)", re.IGNORECASE)
_ALONE = re.compile(
    r"^[ \t]{0,8}<(?!response|answer|question|quote|example)([a-z_]{1,30})>[ \t]{0,4}\r?\n"
    r"[ \t]{0,8}([^\s<>][^<>\n]{0,40}?)[ \t]{0,4}\r?\n[ \t]{0,8}</\1>",
    re.IGNORECASE | re.MULTILINE,
)
_BESIDE = re.compile(r"^[ \t]{0,8}\{.{1,2000}\}[ \t\r]{0,4}$", re.MULTILINE)
_ROW = re.compile(
    r"^[ \t]{0,4}\|[ \t]{0,20}([^|\n]{1,40}?)[ \t]{0,20}\|"
    r"[ \t]{0,20}([^|\n]{1,20}?)[ \t]{0,20}\|?[ \t]{0,4}(\r?)$",
    re.MULTILINE,
)
_DEEPEST = 3
_VALUE = 20  # characters; a longer text is a remark


def as_lines(text: str) -> str:
    """The text with its JSON object, its elements and its table rows as lines. Takes linear time.

    An object counts where it is all there is, or the end of the text in a fence. One on a line beside other
    text may be quoted: its values become lines that are not clear. A row of a table counts with two cells.
    """
    text = _of_object(text)
    if '":' in text and len(text) <= _LONGEST:
        text = _BESIDE.sub(_beside, text)
    if "</" in text:
        text = _ALONE.sub(r"<\1>\2</\1>", _BETWEEN.sub("\\1\n", text))
    return _ROW.sub(_row, text) if "|" in text else text


def _beside(found: re.Match[str]) -> str:
    said = _object(found[0])
    return (
        found[0] if said is None else "\n".join(f"{line} (in JSON)" for line in _lines(said) if line.strip())
    )


def _row(found: re.Match[str]) -> str:
    """A row as `name: value`; what only draws the table stays as it is."""
    return f"{found[1]}: {found[2]}{found[3]}" if re.search(r"\w", found[2]) else found[0]


def _of_object(text: str) -> str:
    stripped = text.strip()
    if len(text) > _LONGEST or not stripped.endswith(("}", "```")):
        return text
    before, body = "", stripped
    if stripped.endswith("```"):
        before, fence, body = stripped[:-3].rpartition("```")
        mark, _, body = body.partition("\n")
        if not fence or mark.strip().casefold() not in ("", "json") or before.count("```") % 2:
            return text
    said = _object(body)
    return text if said is None else "\n".join([before, *_lines(said)])


def _object(text: str) -> Mapping[str, Any] | None:
    try:
        said = json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) and said else None


def _lines(said: Mapping[str, Any], depth: int = 1) -> Iterator[str]:
    """What is said first, then the parts, then the values: a value of the whole stands behind its parts."""
    key, inner = next(iter(said.items()))
    if len(said) == 1 and isinstance(inner, dict) and inner and key.casefold() in NEUTRAL:
        said = inner
    for value in said.values():
        if isinstance(value, str) and len(value) > _VALUE:
            yield value
    for key, value in said.items():
        if isinstance(value, dict) and depth < _DEEPEST:
            yield f"\n### {key}"
            yield from _lines(value, depth + 1)
    yield ""
    for key, value in said.items():
        short = isinstance(value, str) and len(value) <= _VALUE
        if short or (isinstance(value, int | float) and not isinstance(value, bool)):
            yield f"{key.replace('_', ' ').strip().capitalize()}: {value}"
