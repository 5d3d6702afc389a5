"""A run's directory: one config, one living process, and a record of what it ran with."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.config import Config
from metareward.errors import ConfigError, StoreError
from metareward.store import claim

_PACKAGES = (
    "metareward",
    "torch",
    "transformers",
    "trl",
    "accelerate",
    "peft",
    "datasets",
    "pyarrow",
    "numpy",
)
_SHOWN = 8


@contextmanager
def claimed(config: Config, change: bool = False) -> Iterator[Path]:
    """Hold the run's directory for this process while the context lasts.

    Raises ConfigError when another live process holds it, or when it was made by a config that means
    something else and `change` is not set. With `change`, only what depends on the difference is redone.
    """
    directory = config.directory
    with claim(directory):
        _check_config(config, directory, change)
        _record(config, directory)
        yield directory


def _check_config(config: Config, directory: Path, change: bool) -> None:
    file = directory / "config.json"
    if not file.is_file():
        return
    try:
        before = disk.read_checked(file)
    except StoreError as error:
        raise StoreError(f"{error}; remove it to go on: the rows are kept") from None
    differing = differences({name: before.get(name) for name in config.meaning()}, config.meaning())
    if differing and not change:
        more = f"\n  and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise ConfigError(
            f"{directory} was made with other settings:\n  " + "\n  ".join(differing[:_SHOWN]) + more + "\n"
            "Give this run another --directory, or add --change to go on here: what does not depend on these "
            "settings is kept, the rest is done anew beside it."
        )


def differences(before: Any, after: Any, where: str = "") -> list[str]:
    """The settings in which two configs differ, as lines `name: before -> after`."""
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        names = list(dict.fromkeys([*before, *after]))
        inner = [differences(before.get(n), after.get(n), f"{where}.{n}".lstrip(".")) for n in names]
        return [line for lines in inner for line in lines]
    return [] if before == after else [f"{where}: {_brief(before)} -> {_brief(after)}"]


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _record(config: Config, directory: Path) -> None:
    disk.write_checked(directory / "config.json", config.resolved())
    disk.replace(directory / "config.toml", config.path.read_bytes())
    disk.write_checked(directory / "run.json", provenance())


def provenance() -> dict[str, Any]:
    """What this process runs on: versions, code revision, hardware, time."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": sys.version.split()[0],
        "platform": platform.platform(),
        "cores": os.cpu_count(),
        "versions": {name: version for name in _PACKAGES if (version := _version(name))},
        "revision": _revision(),
        "supervision": "none",
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _revision() -> str | None:
    """The commit of the code, where it runs from a checkout."""
    here = Path(__file__).parent
    try:
        asked = subprocess.run(
            ["git", "-C", str(here), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return asked.stdout.strip() or None
