"""What a row is, and why one cannot be used."""

from typing import Any

from metareward.errors import DataError

Row = tuple[str, Any]
"""Where a row stands ("prompts.jsonl:12"), and the row; a BadRow in its place where it cannot be read."""


class BadRow(DataError):
    """One row cannot be used. `reason`: of a fixed few words, for a count of those that are left out."""

    def __init__(self, reason: str, message: str) -> None:
        super().__init__(message)
        self.reason = reason


def kind(value: Any) -> str:
    """What a value of JSON or Parquet is called."""
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false", type(None): "nothing"}
    names |= {int: "a number", float: "a number", bytes: "bytes"}
    return names.get(type(value), f"a {type(value).__name__}")
