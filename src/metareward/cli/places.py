"""Directories as they are named on the command line."""

from pathlib import Path

from metareward.errors import ConfigError


def path(value: str | Path) -> Path:
    """A directory's name; ConfigError for an empty one, which would mean where one happens to be."""
    if not str(value).strip():
        raise ConfigError("--directory must be a name, not ''; leave it out for the default")
    return Path(value)
