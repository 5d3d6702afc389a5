"""Harm to a store is found: what was broken off or damaged is set aside, and what is left counts."""

import json
import time

import pytest

from by_hand import ABOUT
from metareward import disk
from metareward.errors import StoreError
from metareward.records import Prompt
from metareward.store import Store, Writer, parts
from stored_prompts import prompt, write


def test_a_failed_write_in_the_timer_reaches_the_caller(tmp_path):
    def full(operation, path, act):
        raise OSError(28, "No space left on device")

    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with Writer(artifact, seconds=0.01) as writer:
        with pytest.raises(StoreError, match=r"No space left.*make room.*run the same command again"):
            with disk.guarded(full):
                writer.add(0, prompt(0))
                for _ in range(500):
                    time.sleep(0.01)
                    writer.add(1, prompt(1))
    assert 0 in store.done(artifact), "what could not be written is written when there is room again"


@pytest.mark.parametrize("operation", ["write", "sync", "rename"])
@pytest.mark.parametrize("interruption", [KeyboardInterrupt, OSError(5, "Input/output error")])
def test_a_flush_that_breaks_off_anywhere_can_be_repeated(tmp_path, operation, interruption):
    """Broken off right after the rename, a second flush must not write the rows a second time."""
    broken = []

    def breaking(done, path, act):
        act()
        if done == operation and not broken:
            broken.append(path)
            raise interruption

    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with pytest.raises((KeyboardInterrupt, StoreError)), disk.guarded(breaking), Writer(artifact) as writer:
        for number in range(3):
            writer.add(number, prompt(number))
        writer.flush()
    assert broken
    assert len(parts.find(artifact.directory)) == 1
    with Writer(artifact) as writer:
        writer.seal(ABOUT)
    assert list(store.artifact("x", "key", Prompt)) == [prompt(number) for number in range(3)]


def test_rows_that_lie_there_twice_are_never_sealed_and_then_mended(tmp_path):
    """Two writers that know nothing of each other, as two processes without a lock would be."""
    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with pytest.raises(StoreError, match="2 rows lie there twice"):
        with Writer(artifact) as one, Writer(artifact) as other:
            for number in range(2):
                one.add(number, prompt(number))
                other.add(number, prompt(number), output_tokens=1)
            one.flush()
            other.seal(ABOUT)
    mending = Store(tmp_path, mend=True)
    again = mending.artifact("x", "key", Prompt)
    assert len(mending.damaged) == 1
    assert sum(part.count() for part in again.parts) == 2


@pytest.mark.parametrize("harm", ["cut", "flip", "empty"])
def test_a_damaged_part_is_set_aside_and_its_rows_are_missing(tmp_path, harm):
    artifact = write(Store(tmp_path), [(n, prompt(n)) for n in range(6)], limit=2)
    victim = sorted(artifact.directory.glob("rows-*.parquet"))[1]
    content = bytearray(victim.read_bytes())
    content[len(content) // 2] ^= 1
    victim.write_bytes({"cut": bytes(content[:-9]), "flip": bytes(content), "empty": b""}[harm])
    fresh = Store(tmp_path, mend=True)
    again = fresh.artifact("x", "key", Prompt)
    assert not again.whole
    assert fresh.done(again) == {0, 1, 4, 5}
    assert {path.name.split(".damaged")[0] for path in fresh.damaged} == {victim.name, "manifest.json"}
    assert all(path.exists() for path in fresh.damaged), "damaged files are kept"


def test_a_manifest_with_wrong_values_is_damaged_though_it_is_json(tmp_path):
    artifact = write(Store(tmp_path), [(0, prompt(0))])
    said = json.loads(artifact.manifest_path.read_text())
    for name, value in (("rows", 2), ("key", "other"), ("cost", {}), ("parts", said["parts"])):
        harmed = {**said, name: value}
        artifact.manifest_path.write_text(json.dumps(harmed))
        assert Store(tmp_path).artifact("x", "key", Prompt).whole == (harmed == said)
    artifact.manifest_path.write_text(json.dumps({k: v for k, v in said.items() if k != "checksum"}))
    assert not Store(tmp_path).artifact("x", "key", Prompt).whole


def test_a_marker_that_is_damaged_is_not_believed_and_the_manifest_is(tmp_path):
    store = Store(tmp_path)
    artifact = store.artifact("x", "one", Prompt)
    store.mark(artifact, "q")
    with Writer(artifact) as writer:
        writer.add(0, prompt(0))
        (artifact.directory / "question").write_text("")
        assert not list(store.answered(store.artifact("x", "new", Prompt), "q"))
        writer.seal({**ABOUT, "question_key": "q"})
    assert len(list(store.answered(store.artifact("x", "new", Prompt), "q"))) == 1
    (artifact.directory / "question").write_bytes(b"\xff\x00")
    assert len(list(store.answered(store.artifact("x", "new", Prompt), "q"))) == 1


def test_a_store_that_is_only_read_changes_nothing(tmp_path):
    artifact = write(Store(tmp_path), [(n, prompt(n)) for n in range(6)], limit=2)
    victim = sorted(artifact.directory.glob("rows-*.parquet"))[1]
    victim.write_bytes(b"")
    (artifact.directory / ".x.4711.tmp").touch()
    before = sorted(tmp_path.rglob("*"))
    reading = Store(tmp_path)
    again = reading.artifact("x", "key", Prompt)
    assert not again.whole
    assert reading.done(again) == {0, 1, 4, 5}
    assert sorted(tmp_path.rglob("*")) == before


def test_a_part_damaged_behind_our_back_is_a_store_error(tmp_path):
    artifact = write(Store(tmp_path), [(n, prompt(n)) for n in range(4)], limit=2)
    victim = sorted(artifact.directory.glob("rows-*.parquet"))[1]
    victim.write_bytes(victim.read_bytes()[:-30])
    with pytest.raises(StoreError, match=r"cannot be read.*run the same command again"):
        list(artifact)
    victim.unlink()
    with pytest.raises(StoreError, match="parts are missing"):
        list(artifact)


@pytest.mark.parametrize("harm", ["", "{", '{"a": 1}', "[]", "null"])
def test_a_damaged_manifest_is_set_aside(tmp_path, harm):
    artifact = write(Store(tmp_path), [(0, prompt(0))])
    artifact.manifest_path.write_text(harm)
    fresh = Store(tmp_path, mend=True)
    again = fresh.artifact("x", "key", Prompt)
    assert not again.whole
    assert fresh.done(again) == {0}


def test_a_missing_part_makes_an_artifact_unwhole(tmp_path):
    artifact = write(Store(tmp_path), [(n, prompt(n)) for n in range(4)], limit=2)
    sorted(artifact.directory.glob("rows-*.parquet"))[0].unlink()
    assert not Store(tmp_path).artifact("x", "key", Prompt).whole
