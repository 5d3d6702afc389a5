"""The store: rows survive in order, harm is found, and nothing is whole before its manifest."""

import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metareward import disk
from metareward.errors import StoreError
from metareward.records import Dropped, Finish, Judgment, Message, PreferencePair, Prompt, Role
from metareward.store import Artifact, Store, Writer, parts

ABOUT = {"name": "x", "question_key": None, "inputs": [], "step": {}, "model": None, "section": ""}
TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\x00", "\ud800", "\x1a", "\x1ad800", "‮x"]
)


def prompt(number: int, text: str = "hello") -> Prompt:
    return Prompt(f"p{number}", (Message("system", "s"), Message("user", text)), f"file:{number}")


def write(store: Store, rows: list[tuple[int, object]], limit: int = 3) -> Artifact:
    artifact = store.artifact("x", "key", Prompt)
    with Writer(artifact, rows=limit) as writer:
        for position, row in rows:
            writer.add(position, row, prompt_tokens=2, output_tokens=1)
        writer.seal(ABOUT)
    return store.artifact("x", "key", Prompt)


@given(st.permutations(range(17)), st.integers(1, 20))
@settings(max_examples=25, deadline=None)
def test_rows_come_back_in_canonical_order_whatever_order_they_came_in(tmp_path_factory, order, limit):
    store = Store(tmp_path_factory.mktemp("run"))
    artifact = write(store, [(n, prompt(n)) for n in order], limit)
    assert list(artifact) == [prompt(n) for n in range(17)]
    assert list(artifact) == [prompt(n) for n in range(17)], "an artifact can be read as often as needed"
    assert len(artifact) == 17
    assert artifact.cost.prompt_tokens == 34
    assert artifact.cost.output_tokens == 17


@given(TEXT, TEXT, st.lists(st.integers(0, 2**31 - 1)) | st.none(), st.floats(0, 5) | st.none())
@settings(max_examples=60, deadline=None)
def test_any_text_and_any_missing_value_survives(tmp_path_factory, text, other, ids, score):
    tokens = None if ids is None else tuple(ids)
    messages = (Message("user", other),)
    row = Judgment("j", "p", "r", 3, "m", messages, text, tokens, Finish.LENGTH, score, text or None)
    store = Store(tmp_path_factory.mktemp("run"))
    artifact = store.artifact("judge", "k", Judgment)
    with Writer(artifact) as writer:
        writer.add(0, row)
        writer.seal(ABOUT)
    assert list(store.artifact("judge", "k", Judgment)) == [row]


def test_every_record_type_goes_through(tmp_path):
    pair = PreferencePair(
        "i", Role.JUDGE, "p", None, (Message("user", "q"),), "c", "r", "yes", "no", (1, 2), None, 1.5, -0.5
    )
    store = Store(tmp_path)
    artifact = store.artifact("pairs", "k", PreferencePair)
    with Writer(artifact) as writer:
        writer.add(0, pair)
        writer.seal(ABOUT)
    assert list(artifact) == [pair]
    assert isinstance(next(iter(artifact)).role, Role)


def test_an_artifact_is_whole_only_with_its_manifest(tmp_path):
    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with Writer(artifact) as writer:
        writer.add(0, prompt(0))
    assert not artifact.whole
    assert store.done(artifact) == {0}, "rows are on the disk before the artifact is whole"
    with pytest.raises(StoreError, match="not finished"):
        list(artifact)


def test_what_a_rule_leaves_out_is_counted_by_reason(tmp_path):
    rows = [
        (0, prompt(0)),
        (1, Dropped("p1", "too long")),
        (2, Dropped("p2", "too long")),
        (3, Dropped("p3", "dull")),
    ]
    artifact = write(Store(tmp_path), rows)
    assert artifact.manifest.dropped == {"dull": 1, "too long": 2}
    assert [row.subject_id for row in artifact.dropped()] == ["p1", "p2", "p3"]
    assert len(artifact) + sum(artifact.manifest.dropped.values()) == len(rows)


def test_rows_are_flushed_by_time_while_the_engine_is_busy(tmp_path):
    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with Writer(artifact, rows=1000, seconds=0.05) as writer:
        writer.add(7, prompt(7))
        deadline = time.monotonic() + 10
        while not store.done(artifact) and time.monotonic() < deadline:
            time.sleep(0.01)
        assert store.done(artifact) == {7}


def test_rows_are_kept_when_the_work_breaks_off(tmp_path):
    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with pytest.raises(KeyboardInterrupt), Writer(artifact) as writer:
        writer.add(4, prompt(4))
        raise KeyboardInterrupt
    assert store.done(artifact) == {4}


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


def test_rows_of_siblings_are_found_by_the_question_they_answer(tmp_path):
    store = Store(tmp_path)
    for name, question in (("one", "q"), ("two", "other")):
        artifact = store.artifact("x", name, Prompt)
        store.mark(artifact, question)
        with Writer(artifact) as writer:
            writer.add(0, prompt(0, name))
    new = store.artifact("x", "new", Prompt)
    assert [row.messages[1].content for row in store.answered(new, "q")] == ["one"]


def test_a_merge_opens_few_parts_at_a_time(tmp_path, monkeypatch):
    from metareward.store import artifact as module

    open_now, most = 0, 0
    plain = module.read

    def counting(part, record):
        nonlocal open_now, most
        open_now += 1
        most = max(most, open_now)
        yield from plain(part, record)
        open_now -= 1

    artifact = write(Store(tmp_path), [(n, prompt(n)) for n in range(60)], limit=2)
    monkeypatch.setattr(module, "read", counting)
    assert len(list(artifact)) == 60
    assert most <= 2, "parts that do not overlap are never open together"


def test_two_threads_may_add(tmp_path):
    store = Store(tmp_path)
    artifact = store.artifact("x", "key", Prompt)
    with Writer(artifact, rows=5, seconds=0.01) as writer:
        threads = [
            threading.Thread(target=lambda k=k: [writer.add(n, prompt(n)) for n in range(k, 200, 4)])
            for k in range(4)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        writer.seal(ABOUT)
    assert [row.id for row in artifact] == [f"p{n}" for n in range(200)]


def test_the_manifest_is_plain_json(tmp_path):
    artifact = write(Store(tmp_path), [(0, prompt(0))])
    said = json.loads(artifact.manifest_path.read_text())
    assert said["rows"] == 1
    assert said["record"] == "Prompt"
    assert set(said["parts"]) == {path.name for path in Path(artifact.directory).glob("*.parquet")}


def test_a_part_without_the_newer_columns_is_read_with_their_defaults(tmp_path):
    import pyarrow as pa

    from metareward.store import columns

    pair = PreferencePair(
        "p",
        Role.JUDGE,
        "q",
        None,
        (Message("user", "x"),),
        "c",
        "r",
        "a",
        "b",
        None,
        (1, 2),
        1.0,
        0.0,
        0.5,
        0.75,
    )
    table = columns.to_table(PreferencePair, [(3, pair)])
    (whole,) = table.to_batches()
    assert list(columns.from_batch(PreferencePair, whole)) == [(3, pair)]
    (old,) = table.drop_columns(["weight", "certainty"]).to_batches()
    ((position, back),) = columns.from_batch(PreferencePair, old)
    assert (position, back.weight, back.certainty, back.chosen) == (3, 1.0, 1.0, "a")
    for harmed in (
        table.drop_columns(["chosen"]),
        table.append_column("more", pa.array([1])),
        table.set_column(table.schema.get_field_index("weight"), "weight", pa.array([1])),
        table.select([*table.schema.names[1:], "position"]),
    ):
        with pytest.raises(ValueError, match="columns are not those of a PreferencePair"):
            list(columns.from_batch(PreferencePair, harmed.to_batches()[0]))
