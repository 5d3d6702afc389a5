"""A run's directory: one config, one living process, and a record of what it ran with."""

import fcntl
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
from typing import IO, Any

from metareward.config import Config
from metareward.errors import ConfigError, StoreError
from metareward.store.parts import write_json

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
    with held(directory):
        _check_config(config, directory, change)
        _record(config, directory)
        yield directory


@contextmanager
def held(directory: Path) -> Iterator[Path]:
    """Hold a directory for this process; ConfigError when another live process holds it."""
    with _open_lock(directory) as lock:
        _lock(lock, directory)
        yield directory


def _open_lock(directory: Path) -> IO[str]:
    try:
        directory.mkdir(parents=True, exist_ok=True)
        return (directory / "lock").open("a+")
    except OSError as error:
        raise ConfigError(
            f"{directory}: cannot be used as a run directory: {error.strerror}; give another --directory"
        ) from error


def _lock(lock: IO[str], directory: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        lock.seek(0)
        raise ConfigError(
            f"{directory} is in use by another process (number {lock.read().strip() or 'unknown'}); "
            "wait for it, stop it, or give this run another --directory"
        ) from None
    lock.truncate(0)
    lock.write(f"{os.getpid()}\n")
    lock.flush()


def _check_config(config: Config, directory: Path, change: bool) -> None:
    file = directory / "config.json"
    if not file.is_file():
        return
    try:
        before = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{file}: damaged ({error}); remove it to go on: the rows are kept") from None
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
    write_json(directory / "config.json", config.resolved())
    (directory / "config.toml").write_bytes(config.path.read_bytes())
    write_json(directory / "run.json", provenance())


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
