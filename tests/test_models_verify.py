"""Models in a cache are held to their checksums, and a model that is replaced while it is used is noticed."""

import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from fake_index import TINY, FakePip, install, lying_in
from metareward.errors import ModelError
from metareward.ids import file_digest
from metareward.models import memo
from metareward.models.base import Model
from metareward.models.directory import directory_fingerprint
from metareward.models.fetch import MANIFEST, get
from metareward.models.verify import check_snapshot, require_unchanged, stamped


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePip:
    monkeypatch.setenv("METAREWARD_CACHE", str(tmp_path / "cache"))
    return install(monkeypatch)


def spoil(file: Path) -> None:
    """Change a byte and leave size and time as they were."""
    state, content = file.stat(), bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(bytes(content))
    os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))


def test_a_fetched_model_has_the_checksum_of_every_file(pip: FakePip, tmp_path: Path) -> None:
    path = get(TINY.name)
    manifest = json.loads((path / MANIFEST).read_text())
    assert manifest["digests"] == {name: file_digest(path / name) for name in manifest["files"]}


@pytest.mark.parametrize("noted", [False, True])
@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_model_of_the_right_size_and_other_bytes_is_fetched_again_and_said(
    pip: FakePip, monkeypatch: pytest.MonkeyPatch, name: str, noted: bool
) -> None:
    monkeypatch.setattr(memo, "_SMALL", 0 if noted else 1 << 26)
    path, said = get(TINY.name), []
    whole = (path / name).read_bytes()
    get(TINY.name)
    spoil(path / name)
    get(TINY.name, listen=said.append)
    assert (path / name).read_bytes() == whole
    assert said[0].startswith(f"{TINY.name}: {name} in {path} is damaged")
    assert len(pip.calls) == 2
    assert lying_in(path.parent) == [TINY.name]


def test_a_model_of_an_earlier_version_gets_its_checksums_and_is_kept(pip: FakePip) -> None:
    path = get(TINY.name)
    manifest = json.loads((path / MANIFEST).read_text())
    whole = manifest.pop("digests")
    (path / MANIFEST).write_text(json.dumps(manifest))
    get(TINY.name)
    assert json.loads((path / MANIFEST).read_text())["digests"] == whole
    assert len(pip.calls) == 1
    spoil(path / "model.safetensors")
    get(TINY.name)
    assert len(pip.calls) == 2


def test_a_cache_that_cannot_be_written_is_used_all_the_same(
    pip: FakePip, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = get(TINY.name)
    manifest = json.loads((path / MANIFEST).read_text())
    del manifest["digests"]
    (path / MANIFEST).write_text(json.dumps(manifest))

    def refused(*_: Any, **__: Any) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(Path, "write_text", refused)
    assert get(TINY.name) == path


def test_what_was_found_is_not_looked_for_again_while_a_file_is_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("METAREWARD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(memo, "_SMALL", 0)
    file, looks = tmp_path / "weights", []
    file.write_bytes(b"one")

    def found() -> int:
        return memo.remembered("sum", [file], lambda: looks.append(1) or sum(file.read_bytes()))

    assert found() == found() == sum(b"one")
    assert len(looks) == 1
    with memo.anew():
        found()
    assert len(looks) == 2
    spoil(file)  # the same size, the same time
    assert found() == sum(file.read_bytes()) != sum(b"one")
    assert len(looks) == 3
    (note,) = (tmp_path / "cache/found").glob("*.json")
    note.write_text("damaged")
    assert found() == sum(file.read_bytes())


def snapshot(root: Path) -> Path:
    """A snapshot as the hub's cache has it: links to files named by their hashes."""
    folder = root / "models--a--b/snapshots/0123"
    blobs = root / "models--a--b/blobs"
    folder.mkdir(parents=True)
    blobs.mkdir()
    config, weights = b'{"model_type": "llama"}', b"\x02\0\0\0\0\0\0\0{}"
    git = hashlib.sha1(b"blob %d\0" % len(config) + config).hexdigest()
    for name, content, blob in (
        ("config.json", config, git),
        ("model.safetensors", weights, hashlib.sha256(weights).hexdigest()),
        ("tokenizer.json", b"{}", "of-another-kind"),
    ):
        (blobs / blob).write_bytes(content)
        (folder / name).symlink_to(f"../../blobs/{blob}")
    return folder


@pytest.mark.parametrize("name", ["config.json", "model.safetensors"])
def test_a_damaged_snapshot_of_the_hub_is_refused_with_what_to_remove(tmp_path: Path, name: str) -> None:
    folder = snapshot(tmp_path)
    check_snapshot(folder)
    blob = (folder / name).resolve()
    spoil(blob)
    with pytest.raises(ModelError, match=rf"{name} is damaged: its checksum .* Remove {blob} and run again"):
        check_snapshot(folder)


def test_a_model_that_is_replaced_while_it_is_used_is_noticed(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"1")
    model = stamped(Model("m", str(folder), directory_fingerprint(folder)))
    require_unchanged(model, Model("made here", str(tmp_path / "none"), "key"))
    shutil.copytree(folder, tmp_path / "copy")
    shutil.rmtree(folder)
    with pytest.raises(ModelError, match=r"changed while this was at work.*Put the model back and run again"):
        require_unchanged(model)
    (tmp_path / "copy").rename(folder)
    require_unchanged(model)  # other files of the same content
    (folder / "model.safetensors").write_bytes(b"2")
    with pytest.raises(ModelError, match="changed while"):
        require_unchanged(model)
