"""Checks that several settings share, with one form of message."""

from metareward.errors import ConfigError


def require(holds: bool, setting: str, wanted: str, given: object) -> None:
    """Raise a ConfigError naming the setting, what it may be, and what it was."""
    if not holds:
        raise ConfigError(f"{setting} must be {wanted}, not {given!r}")


def check_sampling(where: str, temperature: float, top_p: float, max_tokens: int) -> None:
    """Temperature is at least 0 (0 is greedy), top_p in (0, 1], max_tokens at least 1."""
    require(temperature >= 0, f"{where}.temperature", "0 (greedy) or more", temperature)
    require(0 < top_p <= 1, f"{where}.top_p", "above 0 and at most 1", top_p)
    require(max_tokens >= 1, f"{where}.max_tokens", "at least 1", max_tokens)


def check_reading(where: str, reading: str) -> None:
    """A verdict is read `free` (from sampled text) or `forced` (from probabilities)."""
    require(reading in ("free", "forced"), f"{where}.reading", "'free' or 'forced'", reading)
