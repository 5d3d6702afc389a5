"""What a user wrote laid over the defaults: every name known, every value of its type, or one message."""

import dataclasses
import json
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import TypeAdapter, ValidationError

from metareward.errors import ConfigError
from metareward.settings import shown

_WANTED = {
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "string_type": "a text (in quotes)",
    "bool_type": "true or false",
    "tuple_type": "a list",
}
_ALTERNATIVES = (
    "int",
    "float",
    "str",
    "bool",
)  # where a setting may be of several types, the checker adds which


def overlay(default: Any, given: Any, where: str, leave_out: tuple[str, ...] = ()) -> Any:
    """The dataclass `default` with the settings of the table `given`; ConfigError names the setting."""
    settings = table(given, where)
    known = [name for name in names(default) if name not in leave_out]
    known_names(settings, known, f"in [{where}]")
    kept = {name: getattr(default, name) for name in known}
    return _validated(type(default), {**kept, **settings}, where)


def typed(kind: type[Any], value: Any, where: str) -> Any:
    """The value, if it is of that type."""
    return _validated(kind, value, where)


def text(value: Any, where: str) -> str:
    """A text that names something: not blank, and fit for a path."""
    name = typed(str, value, where)
    if not name.strip() or "\0" in name:
        raise ConfigError(f"{where} must be a name, not {shown(name)}; leave it out for the default")
    return name


def table(given: Any, where: str) -> dict[str, Any]:
    """A table of settings."""
    if not isinstance(given, dict):
        raise ConfigError(f"{where} must be a table of settings, [{where}], not {shown(given)}")
    return given


def names(settings: Any) -> list[str]:
    """The names of a dataclass's settings."""
    return [field.name for field in dataclasses.fields(settings)]


def known_names(given: Mapping[str, Any], known: list[str], where: str) -> None:
    """Refuse a name that is none of `known`."""
    for name in given:
        if name not in known:
            raise ConfigError(
                f"unknown setting {shown(name)} {where}{near(name, known)}; known: {', '.join(known)}"
            )


def near(name: object, known: Iterable[str]) -> str:
    """`; did you mean 'x'?`, where something is like it."""
    found = get_close_matches(str(name)[:100], list(known), n=1)
    return f"; did you mean {found[0]!r}?" if found else ""


def _validated(kind: type[Any], value: Any, where: str) -> Any:
    def refuse(date: Any) -> None:
        raise ConfigError(
            f"{where}: {date} is a date or a time, which no setting takes; quote it if it is a text"
        )

    try:
        return TypeAdapter(kind).validate_json(json.dumps(value, default=refuse), strict=True)
    except ValidationError as error:
        first, *others = (_complaint(one) for one in error.errors())
        wanted = [first[1], *(wanted for setting, wanted in others if setting == first[0])]
        place, given = ".".join([where, *first[0]]), shown(error.errors()[0]["input"])
        raise ConfigError(f"{place} must be {' or '.join(dict.fromkeys(wanted))}, not {given}") from None


def _complaint(error: Any) -> tuple[tuple[str, ...], str]:
    """The setting and what it may be. Of a choice between types there is one complaint for each."""
    setting = tuple(str(part) for part in error["loc"])
    if setting and (setting[-1] in _ALTERNATIVES or setting[-1].startswith("literal[")):
        setting = setting[:-1]
    wanted = _WANTED.get(error["type"]) or error.get("ctx", {}).get("expected") or error["msg"].lower()
    return setting, wanted
