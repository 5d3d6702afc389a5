"""Fingerprints and seeds: everything is named by what it depends on, never by when it was made."""

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Any

LENGTH = 20  # hexadecimal digits of an id: 80 bits, so 10^9 rows collide with probability below 10^-6


def fingerprint(*parts: Any) -> str:
    """Name a value by its content: 20 hexadecimal digits, equal for equal content on any machine.

    Takes strings, numbers, None, enums, sequences, mappings and dataclasses (whose class name counts,
    so two stages with equal fields differ). Anything else is a TypeError.
    """
    text = json.dumps([_plain(part) for part in parts], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:LENGTH]


def added(default: Any) -> Any:
    """A dataclass field that came later: at its default it is in no fingerprint.

    So what was paid for before the setting existed is still found under its name.
    """
    return dataclasses.field(default=default, metadata={"added": True})


def identity(value: Any) -> dict[str, Any]:
    """The fields of a dataclass that name it, with their values: all but `added` ones left at their default."""
    return {
        field.name: getattr(value, field.name)
        for field in dataclasses.fields(value)
        if not (field.metadata.get("added") and getattr(value, field.name) == field.default)
    }


def later(value: Any, where: str = "") -> set[str]:
    """The dotted names of all `added` fields within a dataclass that are left at their default."""
    if isinstance(value, list | tuple):
        return {name for number, each in enumerate(value) for name in later(each, f"{where}[{number}]")}
    if not dataclasses.is_dataclass(value) or isinstance(value, type):
        return set()
    named = identity(value)
    found = {f"{where}.{field.name}" for field in dataclasses.fields(value) if field.name not in named}
    return found.union(*(later(part, f"{where}.{name}") for name, part in named.items()))


def seed_of(*parts: Any) -> int:
    """A seed in [0, 2^63) that depends on nothing but `parts`."""
    return int(hashlib.sha256(fingerprint(*parts).encode()).hexdigest()[:16], 16) >> 1


def file_digest(path: Path) -> str:
    """SHA-256 of a file's bytes, in full."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {name: _plain(found) for name, found in identity(value).items()}
        return {"__type__": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    raise TypeError(f"cannot fingerprint a {type(value).__name__}: {value!r}")
