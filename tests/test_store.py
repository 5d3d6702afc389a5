"""The store: rows survive in order, whoever adds them, and nothing is whole before its manifest."""

import json
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from by_hand import ABOUT
from metareward.errors import StoreError
from metareward.records import Dropped, Finish, Judgment, Message, PreferencePair, Prompt, Role
from metareward.store import Store, Writer
from stored_prompts import prompt, write

TEXT = st.text(st.characters(exclude_categories=())) | st.sampled_from(
    ["\x00", "\ud800", "\x1a", "\x1ad800", "‮x"]
)


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


def test_rows_of_siblings_are_found_by_the_question_they_answer(tmp_path):
    store = Store(tmp_path)
    for name, question in (("one", "q"), ("two", "other")):
        artifact = store.artifact("x", name, Prompt)
        store.mark(artifact, question)
        with Writer(artifact) as writer:
            writer.add(0, prompt(0, name))
    new = store.artifact("x", "new", Prompt)
    assert [row.messages[1].content for row in store.answered(new, "q")] == ["one"]


def test_of_siblings_only_the_rows_that_are_wanted_are_made(tmp_path, monkeypatch):
    store, made = Store(tmp_path), []
    for name in ("a", "b"):
        artifact = store.artifact("x", name, Prompt)
        store.mark(artifact, "q")
        with Writer(artifact) as rows:
            for n in range(700):
                rows.add(n, Prompt(f"{name}{n}", (Message("user", f"{n}"),)))
    begin = Prompt.__init__
    monkeypatch.setattr(Prompt, "__init__", lambda own, *a, **b: (made.append(1), begin(own, *a, **b))[1])
    new, wanted = store.artifact("x", "new", Prompt), {"a3", "a699", "b600", "c1"}
    assert [row.id for row in store.answered(new, "q", wanted.__contains__)] == ["a3", "a699", "b600"]
    assert len(made) == 3
    ids = store.answered_ids(new, "q")
    assert (len(ids), "a3" in ids, "c1" in ids) == (1400, True, False)


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
