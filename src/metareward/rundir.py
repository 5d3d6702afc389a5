"""A run's directory: one config, one living process, and every config it was ever run with."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import zip_longest
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.config import Config
from metareward.errors import ConfigError, StoreError
from metareward.ids import fingerprint, later
from metareward.provenance.records import CONFIGS
from metareward.store import claim
from metareward.store.confine import check_confined

_SHOWN = 8
_WRITTEN = ("config.json", "config.toml", "run.json", "summary.json", "current.json", "artifacts", "models")


@contextmanager
def claimed(config: Config, change: bool = False) -> Iterator[Path]:
    """Hold the run's directory for this process while the context lasts.

    Raises ConfigError when another live process holds it, or when it was made by a config that means
    something else and `change` is not set. With `change`, only what depends on the difference is redone.
    """
    directory = config.directory
    check_confined(directory)
    _check_is_a_runs(directory, config.path)
    with claim(directory):
        _check_config(config, directory, change)
        _record(config, directory)
        yield directory


@contextmanager
def held(directory: Path) -> Iterator[Path]:
    """Hold a directory for this process; ConfigError when another live process holds it.


    StoreError if something in it leads out of it.
    """
    check_confined(directory)
    with claim(directory):
        yield directory


def _check_is_a_runs(directory: Path, config: Path) -> None:
    """Refuse a directory with files of somebody else's that a run would write over."""
    try:
        if (directory / "lock").exists():
            return
        taken = [directory / name for name in _WRITTEN if (directory / name).exists()]
        others = [file for file in taken if not (config.exists() and file.samefile(config))]
    except OSError:
        return  # whether it can be used at all is said by the next step
    if others:
        raise ConfigError(
            f"{directory}: holds {others[0].name}, but no run of metareward, which would write over it; give "
            "another --directory"
        )


def _check_config(config: Config, directory: Path, change: bool) -> None:
    file = directory / "config.json"
    if not file.is_file():
        return
    try:
        before = disk.read_checked(file)
    except StoreError as error:
        raise StoreError(f"{error}; remove it to go on: the rows are kept") from None
    since = later(config.method, "method")  # the directory may be older than these settings
    now = config.meaning()
    differing = [
        f"{name}: {_brief(old)} -> {_brief(new)}"
        for name, old, new in changed({name: before.get(name) for name in now}, now)
        if not (old is None and name in since)
    ]
    if differing and not change:
        more = f"\n  and {len(differing) - _SHOWN} more" if len(differing) > _SHOWN else ""
        raise ConfigError(
            f"{directory} was made with other settings:\n  " + "\n  ".join(differing[:_SHOWN]) + more + "\n"
            "Give this run another --directory, or add --change to go on here: what does not depend on these "
            "settings is kept, the rest is done anew beside it."
        )


def differences(before: Any, after: Any) -> list[str]:
    """The settings in which two configs differ, as lines `name: before -> after`."""
    return [f"{name}: {_brief(old)} -> {_brief(new)}" for name, old, new in changed(before, after)]


def changed(before: Any, after: Any, where: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Each dotted name at which two pieces of plain data differ, with both values; None: not there.

    Lists of tables are compared one by one, `iterations[1].rho`; other lists as a whole.
    """
    if isinstance(before, Mapping) and isinstance(after, Mapping):
        for name in dict.fromkeys([*before, *after]):
            yield from changed(before.get(name), after.get(name), f"{where}.{name}".lstrip("."))
    elif _are_tables(before) and _are_tables(after):
        for number, (old, new) in enumerate(zip_longest(before, after)):
            yield from changed(old, new, f"{where}[{number}]")
    elif before != after:
        yield where, before, after


def _are_tables(value: Any) -> bool:
    return isinstance(value, list | tuple) and bool(value) and all(isinstance(v, Mapping) for v in value)


def _brief(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _record(config: Config, directory: Path) -> None:
    disk.write_checked(directory / "config.json", config.resolved())
    disk.replace(directory / "config.toml", config.path.read_bytes())


def keep_config(config: Config) -> dict[str, str]:
    """Keep a config among the run's, as given and as resolved; returns their names, which are hashes.

    Configs of earlier sessions stay beside it.
    """
    folder, given = config.directory / CONFIGS, config.path.read_bytes()
    names = {
        "given": hashlib.sha256(given).hexdigest()[:20],
        "resolved": fingerprint("config", json.loads(json.dumps(config.resolved()))),
    }
    disk.make_directory(folder)
    disk.replace(folder / f"{names['given']}.toml", given)  # even if it is there: it may be damaged
    disk.write_json(folder / f"{names['resolved']}.json", config.resolved())
    return names
