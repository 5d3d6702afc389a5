"""Where the model a run began with came from, for its record: no place on anybody's machine."""

from pathlib import Path

from metareward.models.base import Model
from metareward.models.catalogue import CATALOGUE


def origin(name_or_path: str, model: Model) -> dict[str, str]:
    """What a user's name for a model (see `resolve`) turned out to be: `from`, `name`, `fingerprint`, ...

    `from` is "catalogue" (with the SHA-256 of what is fetched), "directory", "hub" (with the revision) or
    "fake".
    """
    known = {"fingerprint": model.fingerprint}
    if model.fingerprint == "fake":
        return {"from": "fake", "name": model.name, **known}
    if entry := CATALOGUE.get(name_or_path):
        return {"from": "catalogue", "name": entry.name, "sha256": entry.sha256, **known}
    if Path(name_or_path).expanduser().exists():
        return {"from": "directory", "name": Path(model.path).name, **known}
    return {"from": "hub", "name": name_or_path, "revision": Path(model.path).name, **known}
