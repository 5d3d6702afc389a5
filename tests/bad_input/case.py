"""One kind of bad input: how to make it, what to type, and what must then be said."""

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

FAKE = """
[generate]
samples = 2
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 1
[[iterations]]
rho = 0.3
[machine]
engine = "fake"
"""
RUN = "[prompts]\nper_iteration = 4\nheld_out = 2" + FAKE
TWO = '{"prompt": "What is a fjord?"}\n{"prompt": "Name three rivers."}\n'

Make = Callable[[Path], object]


@dataclass(frozen=True)
class Case:
    """what: in plain words, unique. says: the message, all of it, … stands for anything. code: the exit status.

    files: to write first, by name. make: what else to prepare, given the directory. patch: how to make this
    machine worse. process: run it by a shell in a process of its own, as typed. act: how to carry it out
    where typing is not all; gives (exit status, what was said). mark: of pytest.
    """

    what: str
    command: str
    says: str
    code: int = 2
    files: Mapping[str, str | bytes] = field(default_factory=dict)
    make: Make | None = None
    patch: Callable[[pytest.MonkeyPatch], object] | None = None
    process: bool = False
    act: Callable[[Path], tuple[int, str]] | None = None
    mark: str = ""

    @property
    def arguments(self) -> list[str]:
        """What follows `metareward` in the command."""
        program, *arguments = shlex.split(self.command)
        assert program == "metareward", self.command
        return arguments

    def prepare(self, directory: Path) -> None:
        """Write the files and make the rest."""
        for name, content in self.files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        if self.make is not None:
            self.make(directory)

    def matches(self, said: str) -> bool:
        """Whether what was said last is this message, from its beginning to its end, line breaks aside."""
        pattern = ".*".join(re.escape(plain(part)) for part in self.says.split("…"))
        start = "" if self.says.startswith("…") else "(^|.* )metareward: "
        return re.fullmatch(f"{start}{pattern}", plain(said)) is not None


def plain(text: str) -> str:
    """On one line, without the frames that typer draws."""
    return " ".join(re.sub("[─-╿]", " ", text).split())


def setting(toml: str, says: str, **more: Any) -> Case:
    """A config of a few lines that is planned; `says` follows the config's name."""
    what = f"`{'; '.join(toml.splitlines())}`"
    return Case(what, "metareward plan c.toml", f"c.toml: {says}", files={"c.toml": toml}, **more)
