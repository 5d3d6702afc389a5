"""The base models of the lab: those that ship with the package, and those that a user has made."""

import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path

from metareward.errors import StoreError, UserError
from metareward.lab.habits import WORLDS
from metareward.models.base import Model
from metareward.models.directory import directory_fingerprint

PLAIN = "plain"  # one of the worlds that ship
_NAME = re.compile(r"base-([0-9]+)")


def known(world: str = PLAIN) -> list[int]:
    """The seeds of the base models of a world: a name in `WORLDS`, or a directory of base-0, base-1 ..."""
    with _root(world) as root:
        found = sorted(int(match[1]) for path in root.iterdir() if (match := _NAME.fullmatch(path.name)))
    if not found:
        raise UserError(f"{world}: there is no base model; make one with python -m metareward.lab.pretrain")
    return found


def about(seed: int, world: str = PLAIN) -> dict[str, object]:
    """How a base model was made, and what it had learnt."""
    with _base(seed, world) as folder:
        return json.loads((folder / "about.json").read_text(encoding="utf-8"))


def packed_fingerprint(seed: int, world: str = PLAIN) -> str:
    """What names a base model as it lies there. Raises UserError if there is no such base model."""
    with _base(seed, world) as folder:
        return directory_fingerprint(folder)


def unpack(seed: int, folder: Path, world: str = PLAIN) -> Model:
    """A base model in single precision, so that small steps of training are not rounded away.

    `folder`, with the base model's fingerprint at its end, is made, and found again the next time. Raises
    UserError if there is no such base model.
    """
    with _base(seed, world) as packed:
        return unpack_from(packed, folder, f"lab-{seed}")


def unpack_from(packed: Path, folder: Path, name: str = "lab") -> Model:
    """As `unpack`, a base model that lies in the directory `packed`."""
    folder = folder.with_name(f"{folder.name}-{directory_fingerprint(packed)[:8]}")
    if not (folder / "config.json").is_file():
        _widen(packed, folder)
    return Model(name, str(folder), directory_fingerprint(folder))


def _widen(packed: Path, folder: Path) -> None:
    from metareward import disk
    from metareward.engines.loading import load_network
    from metareward.engines.quiet import quiet
    from metareward.lab.tokenizer import save_tokenizer

    aside = folder.with_name(f".{folder.name}.{os.getpid()}.partial")  # another may do the same just now
    disk.make_directory(aside)
    with quiet():
        load_network(str(packed), "cpu", "float32").save_pretrained(aside)
    save_tokenizer(aside)
    try:
        disk.rename(aside, folder)
    except StoreError:
        shutil.rmtree(aside, ignore_errors=True)
        if not (folder / "config.json").is_file():
            raise


@contextmanager
def _base(seed: int, world: str) -> Iterator[Path]:
    with _root(world) as root:
        folder = root / f"base-{seed}"
        if not (folder / "model.safetensors").is_file():
            raise UserError(
                f"{world}: there is no base model {seed}; there are {', '.join(map(str, known(world)))}"
            )
        yield folder


@contextmanager
def _root(world: str) -> Iterator[Path]:
    if world in WORLDS:
        with resources.as_file(resources.files("metareward") / "lab" / "shipped" / world) as root:
            yield root
        return
    root = Path(world).expanduser()
    if not root.is_dir():
        names = ", ".join(WORLDS)
        raise UserError(f"{world}: no such directory; a world is {names}, or a directory of base models")
    yield root
