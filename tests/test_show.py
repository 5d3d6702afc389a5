"""Why a record is there: every id of a run tells its causes, with the numbers of the records."""

import json
from typing import Any

import pytest

import loops
import planted
from by_hand import write
from metareward.engines.base import Request
from metareward.engines.fake import Reply
from metareward.models.base import Model
from metareward.recipes.settings import Iteration
from metareward.records import Battle, Finish, Judgment, Prompt, Response
from metareward.run import Run
from metareward.show import Story, explain, find
from metareward.show.archive import Archive
from metareward.store import artifact as artifact_file
from stories import the, titled

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
