"""What a run directory was begun with: the prompts and the first model by content, not by name alone."""

import json
from collections.abc import Mapping
from pathlib import Path

from metareward.disk import make_directory, write_json
from metareward.errors import ConfigError

FILE = "inputs.json"


def settle(directory: Path, now: Mapping[str, tuple[str, str]], change: bool = False) -> None:
    """Note what a run is begun with; refuse to go on with something else under the same name.

    now: for each input its name and its fingerprint. Raises ConfigError if one of the name has another
    fingerprint than before and `change` is not set. A damaged note is written anew: it can only warn.
    """
    if not change and (refusal := refusal_of(directory, now)):
        raise ConfigError(refusal)
    noted = {kind: list(pair) for kind, pair in now.items()}
    if _read(directory / FILE) != noted:
        make_directory(directory)
        write_json(directory / FILE, noted)


def refusal_of(directory: Path, now: Mapping[str, tuple[str, str]]) -> str | None:
    """Why a run in this directory would not go on with these inputs; None if it would."""
    before = _read(directory / FILE)
    for kind, (name, fingerprint) in now.items():
        known = before.get(kind)
        if known and known[0] == name and known[1:] != [fingerprint]:
            return (
                f"{directory} was begun with other {kind}: {name} is no longer what it was. Put it back, "
                "give this run another --directory, or add --change to go on here: what does not depend on "
                "it is kept, the rest is done anew beside it."
            )
    return None


def _read(file: Path) -> dict[str, list[str]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    pairs = content.items() if isinstance(content, dict) else ()
    return {kind: pair for kind, pair in pairs if isinstance(pair, list) and len(pair) == 2}
