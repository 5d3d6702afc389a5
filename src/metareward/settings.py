"""Checks that several settings share, with one form of message."""

import dataclasses
import inspect
import json
import math
import re
from collections.abc import Callable
from enum import Enum
from functools import lru_cache
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from metareward.errors import ConfigError

T = TypeVar("T")
Fits = Callable[[Any], bool]
MOST_SAMPLES = 10_000
MOST_TOKENS = 10_000_000  # no model has a longer context
VARIABLE = re.compile(r"\$(\w+|\{\w+\})")
NO_VARIABLES = "written out (variables such as $HOME are not filled in; ~ is)"
_SHOWN = 80  # characters of a value in a message


def require(holds: bool, setting: str, wanted: str, given: object) -> None:
    """Raise a ConfigError naming the setting, what it may be, and what it was."""
    if not holds:
        raise ConfigError(f"{setting} must be {wanted}, not {shown(given)}")


def shown(value: object) -> str:
    """A value as a user would write it, on one line, cut where it is long."""
    if value is None:
        return "unset"
    if isinstance(value, str):
        text = repr(value)
    elif isinstance(value, bool | int | float | list | tuple | dict):
        text = json.dumps(value, default=str).replace("NaN", "nan").replace("Infinity", "inf")
    else:
        text = str(value)
    return text if len(text) <= _SHOWN else text[: _SHOWN - 3] + "..."


def one_of(choices: Any) -> str:
    """Names to choose from, as a sentence has them."""
    *others, last = [f"'{choice}'" for choice in choices]
    return f"{', '.join(others)} or {last}" if others else last


def positive(value: float) -> bool:
    """Whether it is a number above 0, and neither infinite nor NaN."""
    return 0 < value < math.inf


def path_of(given: Path | str, what: str) -> Path:
    """A path that may be given as a text; ConfigError if it is neither."""
    if not isinstance(given, Path | str):
        raise ConfigError(f"{what} must be a path, not {shown(given)}")
    return Path(given)


def check_sampling(where: str, temperature: float, top_p: float, max_tokens: int) -> None:
    """Temperature is 0 (greedy) or 0.001 to 100, top_p in (0, 1], max_tokens 1 to what any context holds."""
    sane = temperature == 0 or 0.001 <= temperature <= 100
    require(sane, f"{where}.temperature", "0 (greedy) or 0.001 to 100", temperature)
    require(0 < top_p <= 1, f"{where}.top_p", "above 0 and at most 1", top_p)
    sane = 1 <= max_tokens <= MOST_TOKENS
    require(sane, f"{where}.max_tokens", f"at least 1 and at most {MOST_TOKENS:,}", max_tokens)


def check_samples(setting: str, count: int) -> None:
    """So many samples that a run would never end are a slip of the hand."""
    require(1 <= count <= MOST_SAMPLES, setting, f"at least 1 and at most {MOST_SAMPLES:,}", count)


def check_seed(setting: str, seed: int) -> None:
    """A seed that every random generator takes."""
    require(0 <= seed < 2**32, setting, "in 0 .. 2^32 - 1", seed)


def check_reading(where: str, reading: str) -> None:
    """A verdict is read `free` (from sampled text) or `forced` (from probabilities)."""
    require(reading in ("free", "forced"), f"{where}.reading", "'free' or 'forced'", reading)


def checked(where: str) -> Callable[[type[T]], type[T]]:
    """Decorates a dataclass of settings, below `@dataclass`: each value must be of its annotation's type.

    Else a ConfigError names the setting in `where`, before the checks of its own `__post_init__`.
    """

    def decorate(kind: type[T]) -> type[T]:
        own: Callable[[Any], None] | None = getattr(kind, "__post_init__", None)

        def check(self: Any) -> None:
            check_types(self, where)
            if own is not None:
                own(self)

        kind.__post_init__ = check  # type: ignore[attr-defined]
        return kind

    return decorate


def check_types(settings: Any, where: str) -> None:
    """ConfigError unless every field of a dataclass holds what its annotation says.

    A whole number is a number, too, and a list does where a tuple is meant; true and false are no numbers,
    and a text is none.
    """
    for name, kind, fits in _fields(type(settings)):
        value = getattr(settings, name)
        if not fits(value):
            require(False, f"{where}.{name}".lstrip("."), _wanted(kind), value)


@lru_cache(maxsize=256)
def _fields(settings: type[Any]) -> tuple[tuple[str, Any, Fits], ...]:
    hints = get_type_hints(settings)
    fields = dataclasses.fields(settings)
    return tuple((field.name, hints[field.name], _fits(hints[field.name])) for field in fields)


def _fits(kind: Any) -> Fits:
    """Whether a value is of a kind, as a function: a rule may be made for every row."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        each = [_fits(one) for one in inner]
        return lambda value: any(fits(value) for fits in each)
    if origin is Literal:
        return lambda value: any(isinstance(value, type(one)) and value == one for one in inner)
    if origin is tuple:
        return _row_fits(inner)
    if kind in (int, float):
        numbers = (int,) if kind is int else (int, float)
        return lambda value: isinstance(value, numbers) and not isinstance(value, bool)
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return lambda value: value in [one.value for one in kind]
    known = inspect.isclass(kind) and not getattr(kind, "_is_protocol", False)
    return lambda value: isinstance(value, kind) if known else True


def _row_fits(inner: tuple[Any, ...]) -> Fits:
    """Of a tuple's annotation: whether a value is a list of such values."""
    if len(inner) == 2 and inner[1] is Ellipsis:
        fits = _fits(inner[0])
        return lambda value: isinstance(value, list | tuple) and all(map(fits, value))
    each = [_fits(one) for one in inner]

    def fit(value: Any) -> bool:
        right = isinstance(value, list | tuple) and len(value) == len(each)
        return right and all(fits(one) for fits, one in zip(each, value, strict=True))

    return fit


_NAMES = {int: "a whole number", float: "a number", str: "a text", bool: "true or false", NoneType: "not set"}


def _wanted(kind: Any) -> str:
    """A kind in words."""
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):
        return " or ".join(dict.fromkeys(map(_wanted, inner)))
    if origin is Literal:
        return one_of(inner)
    if origin is tuple:
        return _row_wanted(inner)
    if kind in _NAMES:
        return _NAMES[kind]
    if inspect.isclass(kind) and issubclass(kind, Enum):
        return one_of([one.value for one in kind])
    name = kind.__name__ if inspect.isclass(kind) else str(kind)
    return f"an {name}" if name[0] in "AEIO" else f"a {name}"


def _row_wanted(inner: tuple[Any, ...]) -> str:
    if len(inner) == 2 and inner[1] is Ellipsis:
        return f"a list of which each is {_wanted(inner[0])}"
    return f"a list of {len(inner)}: {', '.join(map(_wanted, inner))}"
