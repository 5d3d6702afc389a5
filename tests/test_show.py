"""Why a record is there: every id of a run tells its causes, with the numbers of the records."""

import json
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
from metareward.engines.base import Request
from metareward.engines.fake import Reply
from metareward.errors import StoreError, UserError
from metareward.models.base import Model
from metareward.recipes.settings import Iteration
from metareward.records import Battle, Dropped, Finish, Judgment, Message, Prompt, Response
from metareward.run import Run
from metareward.show import Story, explain, explain_in, find
from metareward.show.archive import Archive
from metareward.store import Store, Writer
from metareward.store import artifact as artifact_file

ABOUT = {"name": "x", "question_key": None, "inputs": [], "step": {}, "model": None, "section": ""}
NASTY = "[bold]\x1b[2J\x1b]0;owned\x07 \ud800 \u202eback[/]"


def script(request: Request, model: Model) -> Reply | str:
    """The planted world, with judgments that cannot be read and a nasty answer here and there."""
    reply = planted.World()(request, model)
    if request.step == "judge" and request.seed % 5 == 0:
        return "I would rather not say."
    if request.step == "generate" and request.seed % 4 == 0:
        return f"{reply if isinstance(reply, str) else reply.text} {NASTY}"
    return reply


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return loops.loop(tmp_path_factory.mktemp("run") / "run", loops.Asked(script))[0]


def walk(story: Story) -> Iterator[Story]:
    yield story
    yield from chain.from_iterable(map(walk, story.children))


def titled(story: Story, *beginnings: str) -> list[Story]:
    return [child for child in story.children if child.title.startswith(beginnings)]


def the(story: Story, beginning: str) -> Story:
    (child,) = titled(story, beginning)
    return child


def pairs_of(run: Run, role: str) -> list[tuple[int, Any]]:
    return [
        (number, pair)
        for number, round in enumerate(run.history.rounds)
        for artifact in round.pairs
        for pair in artifact
        if pair.role == role
    ]


def test_an_actor_pair_tells_both_responses_their_judgments_and_the_prompt(run):
    for number, pair in pairs_of(run, "actor"):
        story = explain(run.store, pair.id)
        assert story.title == f"preference pair {pair.id}"
        assert story.facts["in"] == f"iteration {number}, actor_pairs"
        assert story.facts["role"] == "actor"
        assert story.facts["chosen"] == f"{pair.chosen_id}, {pair.chosen_score:.3f}"
        assert story.facts["rejected"] == f"{pair.rejected_id}, {pair.rejected_score:.3f}"
        judgments = list(run.history.rounds[number].judgments)
        for side, name, score in (
            ("chosen", pair.chosen_id, pair.chosen_score),
            ("rejected", pair.rejected_id, pair.rejected_score),
        ):
            response = the(story, f"{side} response")
            own = [judgment for judgment in judgments if judgment.response_id == name]
            assert response.title == f"{side} response {name}"
            assert response.facts["mean score"] == f"{score:.3f}"
            assert [child.title for child in response.children] == [f"judgment {j.id}" for j in own]
            assert [child.facts["score"] for child in response.children] == [j.score for j in own]
            readable = sum(judgment.score is not None for judgment in own)
            assert response.facts["readable judgments"] == f"{readable} of {len(own)}"
            assert [child.facts.get("unreadable") for child in response.children] == [j.unread for j in own]
        assert the(story, "prompt").title == f"prompt {pair.prompt_id}"
        assert the(story, "prompt").facts["conversation"] == pair.messages[0].content


def test_a_judge_pair_tells_both_judgments_their_battles_the_response_and_the_prompt(run):
    assert pairs_of(run, "judge")
    for number, pair in pairs_of(run, "judge"):
        story = explain(run.store, pair.id)
        assert story.facts["role"] == "judge"
        assert story.facts["in"] == f"iteration {number}, judge_pairs"
        battles = list(run.history.rounds[number].battles or ())
        for side, name, text in (
            ("chosen", pair.chosen_id, pair.chosen),
            ("rejected", pair.rejected_id, pair.rejected),
        ):
            judgment = the(story, f"{side} judgment")
            assert judgment.title.endswith(name)
            assert judgment.facts["text"] == text
            fought: dict[str, Battle] = {b.id: b for b in battles if name in (b.first_id, b.second_id)}
            assert {child.title for child in judgment.children} == {f"battle {b}" for b in fought}
            for child in judgment.children:
                check_battle(child, fought[child.title.split()[-1]], name)
            for position, shown in (("first_id", "shown first"), ("second_id", "shown second")):
                own = [b for b in fought.values() if getattr(b, position) == name]
                won = sum(b.outcome == position.removesuffix("_id") for b in own)
                lost = sum(b.outcome in ("first", "second") for b in own) - won
                assert judgment.facts[shown].startswith(
                    f"{won} won, {lost} lost, {len(own) - won - lost} tied"
                )
        assert the(story, "response").title == f"response {pair.response_id}"
        assert the(story, "prompt").title == f"prompt {pair.prompt_id}"


def check_battle(told: Story, battle: Battle, name: str) -> None:
    """The planted meta-judge prefers what is less off; won and lost must say so from `name`'s side."""
    position = "first" if battle.first_id == name else "second"
    other = battle.second_id if position == "first" else battle.first_id
    result = "won" if battle.outcome == position else battle.outcome.value
    result = "lost" if result in ("first", "second") else result
    assert told.facts == {"shown": position, "against": other, "result": result}


def test_the_winner_of_a_planted_world_won_its_battles(run):
    (_, pair), *_ = pairs_of(run, "judge")
    story = explain(run.store, pair.id)
    won, lost = the(story, "chosen judgment"), the(story, "rejected judgment")
    assert planted.error_of(won.facts["text"]) < planted.error_of(lost.facts["text"])
    assert "won" in [child.facts["result"] for child in won.children]
    assert "won" not in [child.facts["result"] for child in lost.children]


def test_the_story_of_a_response_goes_down_to_the_prompt_and_up_to_the_pair(run):
    (_, pair), *_ = pairs_of(run, "actor")
    story = explain(run.store, pair.rejected_id)
    assert story.facts["in"] == "iteration 0, generate; iteration 0, keep_distinct"
    assert the(story, "prompt").title.endswith(pair.prompt_id)
    assert the(story, "preference pair").facts["as"] == "rejected"
    assert "chosen" in the(explain(run.store, pair.chosen_id), "preference pair").facts["as"]
    assert len(titled(story, "judgment")) == 3


def test_the_story_of_a_judgment_a_battle_and_a_prompt(run):
    (_, pair), *_ = pairs_of(run, "judge")
    judgment = explain(run.store, pair.chosen_id)
    assert the(judgment, "response").title.endswith(str(pair.response_id))
    assert f"preference pair {pair.id}" in [child.title for child in judgment.children]
    assert titled(judgment, "battle")
    fought = next(
        b
        for b in run.history.rounds[0].battles or ()
        if {b.first_id, b.second_id} == {pair.chosen_id, pair.rejected_id}
    )
    battle = explain(run.store, fought.id)
    assert battle.facts["outcome"] == ("first" if fought.first_id == pair.chosen_id else "second")
    assert the(battle, "first judgment").title.endswith(fought.first_id)
    assert the(battle, "second judgment").title.endswith(fought.second_id)
    assert titled(battle, "preference pair")
    assert the(battle, "prompt").title.endswith(pair.prompt_id)
    prompt = explain(run.store, pair.prompt_id)
    assert len(titled(prompt, "response")) == 4
    made = {child.title for child in titled(prompt, "preference pair")}
    every = [p for role in ("actor", "judge") for _, p in pairs_of(run, role)]
    assert made == {f"preference pair {p.id}" for p in every if p.prompt_id == pair.prompt_id}


@pytest.mark.parametrize("by", ["sampling", "weight"])
def test_a_judge_pair_that_a_share_was_held_for_tells_all_that_it_rests_on(tmp_path, by):
    """The rule that held the share was given pairs alone; what they rest on is told all the same."""
    iterations = (Iteration(max_judge_share=0.2, judge_share_by=by),)
    settings = loops.small_meta(iterations=iterations)
    capped, _ = loops.loop(tmp_path, loops.Asked(planted.World()), settings=settings, prompts=12)
    (round,) = capped.history.rounds
    assert round.training is not None
    trained = [pair for part in round.training.capped for pair in part]
    assert trained
    for pair in trained:
        story = explain(capped.store, pair.id)
        assert f"{'cap' if by == 'sampling' else 'weigh'}_judge_pairs" in story.facts["in"]
        assert story.facts["scores are"] == "Elo (natural log units)"
        assert story.facts.get("weight") == (pair.weight if by == "weight" else None)
        for side, name, text in (
            ("chosen", pair.chosen_id, pair.chosen),
            ("rejected", pair.rejected_id, pair.rejected),
        ):
            judgment = the(story, f"{side} judgment")
            assert judgment.title.endswith(name)
            assert judgment.facts["text"] == text
            assert len(judgment.children) == 4, "both orders against each of the two others"
        assert titled(story, f"response {pair.response_id}")
        assert the(story, "prompt").title == f"prompt {pair.prompt_id}"


def test_a_step_of_pairs_that_names_itself_is_not_followed_for_ever(tmp_path):
    """A forged manifest: a weighing whose first input is the weighing."""
    iterations = (Iteration(max_judge_share=0.2, judge_share_by="weight"),)
    made, _ = loops.loop(
        tmp_path, loops.Asked(planted.World()), settings=loops.small_meta(iterations=iterations), prompts=12
    )
    archive = Archive(made.store)
    (step,) = [each for _, each in made.store.manifests() if each.name == "weigh_judge_pairs"]
    assert archive.first_made(step).name == "judge_pairs"
    step.inputs[0] = step.key
    for _, each in archive._steps:
        if each.key == step.key:
            each.inputs[0] = step.key
    assert archive.first_made(step).key == step.key


def test_what_was_left_out_says_why(run):
    """Every Dropped row of the run is told by its subject and by the subject's prompt."""
    left_out = [
        (artifact.manifest, row)
        for round in run.history.rounds
        for artifact in (round.responses, *round.pairs)
        for row in artifact.dropped()
    ]
    assert left_out
    for manifest, row in left_out:
        expected = {"reason": row.reason, "subject": row.subject_id, "in": manifest.section}
        story = explain(run.store, row.subject_id)
        assert expected in [child.facts for child in titled(story, f"left out of {manifest.name}")]


def test_every_id_of_a_run_is_found_by_a_unique_beginning(run):
    rows: dict[str, Any] = {}
    for directory, manifest in run.store.manifests():
        kind = {k.__name__: k for k in (Prompt, Response, Judgment, Battle)}.get(manifest.record)
        if kind:
            rows |= {row.id: row for row in artifact_file.Artifact(directory, manifest.key, kind)}
    for name in list(rows)[::7]:
        shortest = next(n for n in range(6, 21) if sum(other.startswith(name[:n]) for other in rows) == 1)
        assert find(run.store, f" {name[:shortest].upper()}").record == rows[name]


def test_texts_are_told_as_they_are(run):
    """What is exact for a program is made fit for a terminal by who shows it (tests/test_display.py)."""
    nasty = next(row for row in run.history.rounds[0].responses if NASTY in row.text)
    story = explain(run.store, nasty.id)
    assert story.facts["text"] == nasty.text
    assert json.loads(json.dumps(story.as_dict()))["facts"]["text"] == nasty.text
    assert story.as_dict()["children"][0] == story.children[0].as_dict()


def write(store: Store, key: str, kind: type[Any], rows: list[Any], **about: Any) -> None:
    artifact = store.artifact("x", key, kind)
    with Writer(artifact) as writer:
        for position, row in enumerate(rows):
            writer.add(position, row)
        writer.seal({**ABOUT, **about})


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


def test_a_pair_is_told_from_the_inputs_of_its_own_step(run, tmp_path):
    """Judgments made under other settings lie beside those a pair rests on; they must not be told."""
    (_, pair), *_ = pairs_of(run, "actor")
    before = explain(run.store, pair.id)
    stray = Judgment("0" * 20, pair.prompt_id, pair.chosen_id, 9, "m", (), "", None, Finish.STOP, 0.0, None)
    write(run.store, "stray", Judgment, [stray])
    try:
        assert explain(run.store, pair.id) == before
        assert len(titled(explain(run.store, pair.chosen_id), "judgment")) == 4
    finally:
        (run.store.root / "artifacts" / "x-stray" / "manifest.json").unlink()


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
