"""Which record an id means: beginnings, several runs, and stores with rows missing, dropped or damaged."""

from pathlib import Path

import pytest

from by_hand import write
from metareward.errors import StoreError, UserError
from metareward.records import Dropped, Finish, Message, Prompt, Response
from metareward.show import explain, explain_in, find
from metareward.store import Store, Writer
from stories import the


def prompts(*names: str) -> list[Prompt]:
    return [Prompt(name, (Message("user", "Hi"),), "file:1") for name in names]


def test_an_ambiguous_beginning_lists_the_candidates(tmp_path):
    store = Store(tmp_path)
    write(store, "a", Prompt, prompts("abcdef0", "abcdef1"))
    write(store, "b", Response, [Response("abcdef2", "abcdef0", 0, "m", "x", None, Finish.STOP)])
    with pytest.raises(UserError, match="beginning of 3 ids") as caught:
        explain(store, "abcdef")
    assert str(caught.value).endswith("more of it:\n  prompt abcdef0\n  prompt abcdef1\n  response abcdef2")
    assert find(store, "abcdef1").record == prompts("abcdef1")[0]


def test_many_candidates_are_not_all_listed(tmp_path):
    write(Store(tmp_path), "a", Prompt, prompts(*(f"abcdef{n:03}" for n in range(30))))
    with pytest.raises(UserError, match="beginning of 30 ids") as caught:
        find(Store(tmp_path), "abcdef")
    assert str(caught.value).splitlines()[-1] == "  and 22 more"


def test_an_unknown_a_short_and_an_odd_id(tmp_path):
    store = Store(tmp_path / "run-7")
    write(store, "a", Prompt, prompts("abcdef0"))
    with pytest.raises(UserError, match="run-7 has an id that begins with 'abcdee'; only its finished steps"):
        explain(store, "abcdee")
    with pytest.raises(UserError, match="too short for an id; give 6 or more"):
        explain(store, "abcde")
    for odd in (".*.*.*", "%%%%%%", "abcdef\x00"):
        with pytest.raises(UserError, match="no record"):
            find(store, odd)


def test_a_step_that_is_not_finished_is_not_searched(tmp_path):
    artifact = Store(tmp_path).artifact("x", "a", Prompt)
    with Writer(artifact) as writer:
        writer.add(0, prompts("abcdef0")[0])
    with pytest.raises(UserError, match="no record"):
        find(Store(tmp_path), "abcdef0")


def test_a_row_in_two_steps_is_one_record(tmp_path):
    store = Store(tmp_path)
    write(store, "a", Prompt, prompts("abcdef0"), section="iteration 0", name="one")
    write(store, "b", Prompt, prompts("abcdef0", "abcdef1"), section="iteration 1", name="two")
    assert explain(store, "abcdef0").facts["in"] == "iteration 0, one; iteration 1, two"


def test_a_parent_that_is_not_there_is_said_to_be_missing(tmp_path):
    store = Store(tmp_path)
    write(store, "a", Response, [Response("abcdef2", "gone", 0, "m", "x", None, Finish.FAILED, "no\x07pe")])
    story = explain(store, "abcdef2")
    assert the(story, "prompt gone").facts == {"missing": "not in a finished step of this run"}
    assert story.facts["error"] == "no\x07pe"
    assert story.facts["mean score"] is None


def test_dropped_subjects_need_no_rows(tmp_path):
    store = Store(tmp_path)
    write(store, "a", Prompt, prompts("abcdef0"))
    write(
        store, "b", Response, [Dropped("abcdef0", "equal scores")], section="iteration 3", name="actor_pairs"
    )
    told = the(explain(store, "abcdef0"), "left out of actor_pairs")
    assert told.facts == {"reason": "equal scores", "subject": "abcdef0", "in": "iteration 3"}


def test_several_runs_are_searched_and_the_one_is_told(tmp_path):
    for name, ids in (("one", ("abcdef0", "abcdef9")), ("two", ("abcdef1", "abcdef9"))):
        write(Store(tmp_path / name), "a", Prompt, prompts(*ids))
    both = [tmp_path / "one", tmp_path / "two"]
    assert explain_in(both, "abcdef1").title == "prompt abcdef1"
    with pytest.raises(UserError, match=r"2 runs have a record .* say which with --run:"):
        explain_in(both, "abcdef9")
    with pytest.raises(UserError, match=r"Searched the finished steps of:\n.*one\n.*two"):
        explain_in(both, "abcdef2")
    with pytest.raises(UserError, match="too short"):
        explain_in(both, "a")


def test_a_damaged_part_is_a_store_error_that_names_it(tmp_path):
    write(Store(tmp_path), "a", Prompt, prompts("abcdef0"))
    (part,) = tmp_path.rglob("*.parquet")
    part.write_bytes(b"PAR1 no more")
    with pytest.raises(StoreError, match=r"rows-.*parquet: damaged or missing"):
        find(Store(tmp_path), "abcdef0")
    part.unlink()
    with pytest.raises(StoreError, match=r"rows-.*parquet: damaged or missing"):
        find(Store(tmp_path), "abcdef0")


def test_the_search_reads_no_texts(tmp_path, monkeypatch):
    from metareward.show import archive

    store, asked, read = Store(tmp_path), [], archive._table
    write(store, "a", Prompt, prompts("abcdef0"))
    monkeypatch.setattr(archive, "_table", lambda path, names=None: asked.append(names) or read(path, names))
    archive.Archive(store).matching("abcdef")
    assert asked == [["id"]]


def test_a_run_may_lie_anywhere(tmp_path: Path):
    place = tmp_path / "lr=1" / "[run] é"
    write(Store(place), "a", Prompt, prompts("abcdef0"))
    assert find(Store(place), "abcdef0").record.id == "abcdef0"
