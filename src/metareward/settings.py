"""Checks that several settings share, with one form of message."""

import json
import math
import re
from typing import Any

from metareward.errors import ConfigError

MOST_SAMPLES = 10_000
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


def check_sampling(where: str, temperature: float, top_p: float, max_tokens: int) -> None:
    """Temperature is 0 (greedy) or 0.001 to 100, top_p in (0, 1], max_tokens at least 1."""
    sane = temperature == 0 or 0.001 <= temperature <= 100
    require(sane, f"{where}.temperature", "0 (greedy) or 0.001 to 100", temperature)
    require(0 < top_p <= 1, f"{where}.top_p", "above 0 and at most 1", top_p)
    require(max_tokens >= 1, f"{where}.max_tokens", "at least 1", max_tokens)


def check_samples(setting: str, count: int) -> None:
    """So many samples that a run would never end are a slip of the hand."""
    require(1 <= count <= MOST_SAMPLES, setting, f"at least 1 and at most {MOST_SAMPLES:,}", count)


def check_seed(setting: str, seed: int) -> None:
    """A seed that every random generator takes."""
    require(0 <= seed < 2**32, setting, "in 0 .. 2^32 - 1", seed)


def check_reading(where: str, reading: str) -> None:
    """A verdict is read `free` (from sampled text) or `forced` (from probabilities)."""
    require(reading in ("free", "forced"), f"{where}.reading", "'free' or 'forced'", reading)
