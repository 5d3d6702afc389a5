"""Any pair is walked to its causes, through trained models down to the first, and on to what it trained."""

import json
from collections.abc import Iterator
from itertools import chain

import pytest

import loops
import planted
from metareward.engines.base import Request
from metareward.engines.fake import default_script
from metareward.errors import StoreError, UserError
from metareward.run import Run
from metareward.show import Story, explain, explain_in
from metareward.train.lineage import Training, model_names, trainings


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> Run:
    return loops.loop(tmp_path_factory.mktemp("run") / "run", loops.Asked(planted.World()))[0]


def models(story: Story) -> list[Story]:
    return [child for child in story.children if child.title.startswith("model ")]


def walk(story: Story) -> Iterator[Story]:
    yield story
    yield from chain.from_iterable(map(walk, story.children))


def test_every_pair_names_the_models_behind_it_and_the_training_it_went_into(run):
    assert len(run.history.rounds) == 2
    for number, round in enumerate(run.history.rounds):
        for artifact in round.pairs:
            for pair in artifact:
                story = explain(run.store, pair.id)
                (wrote,) = models(story)
                assert wrote.title == f"model M{number} {round.start.fingerprint}"
                (trained,) = [child for child in story.children if child.title.startswith("trained model")]
                assert trained.title == f"trained model {round.trained.fingerprint}"
                assert trained.facts["in"] == f"iteration {number}"
                assert trained.facts["pairs used"] == sum(len(part) for part in round.pairs)


def test_what_a_trained_model_wrote_leads_down_to_the_pairs_that_trained_it_and_to_the_first(run):
    first, second = run.history.rounds
    response = next(iter(second.answers))
    (wrote,) = models(explain(run.store, response.id))
    assert wrote.title == f"model M1 {response.model}"
    assert wrote.facts["made by"] == "training in iteration 0"
    for part in first.pairs:
        assert wrote.facts[part.manifest.name] == f"{len(part)} pairs of step {part.key}"
    (start,) = models(wrote)
    assert start.title == "model M0 f0"
    assert start.facts["made by"] == "not here, the run began with it"
    assert not start.children


def test_judgments_and_battles_tell_their_model_too(run):
    second = run.history.rounds[1]
    for artifact in (second.judgments, second.battles):
        (spoke,) = models(explain(run.store, next(iter(artifact)).id))
        assert spoke.title == f"model M1 {second.start.fingerprint}"
    referee = run.history.looks[2].refereed
    (spoke,) = models(explain(run.store, next(iter(referee)).id))
    assert spoke.title == "model M0 f0", "the first model judged M2's answers"


def test_a_model_is_told_by_the_beginning_of_its_fingerprint_with_its_pairs(run):
    last = run.history.rounds[-1]
    key = last.trained.fingerprint
    story = explain_in([run.store.root], key[:10])
    assert story.title == f"model M2 {key}"
    for part in last.pairs:
        said = story.facts[part.manifest.name]
        assert said.startswith(f"{len(part)} pairs of step {part.key}: ")
        ids = said.partition(": ")[2].partition(" and ")[0].split(", ")
        assert ids == [pair.id for pair in part][: len(ids)]
        for one in ids:
            assert explain(run.store, one).title == f"preference pair {one}"
    assert [one.title for one in walk(story)][1:] == [f"model M1 {last.start.fingerprint}", "model M0 f0"]
    with pytest.raises(UserError, match="no record"):
        explain_in([run.store.root], "0" * 10)


def test_the_beginning_of_several_models_is_refused(run, monkeypatch):
    from metareward.show import lineage

    several = {name: next(iter(trainings(run.store.root).values())) for name in ("abcdef1", "abcdef2")}
    monkeypatch.setattr(lineage, "trainings", lambda root: several)
    with pytest.raises(UserError, match=r"beginning of 2 models; write more of it:\n  model abcdef1"):
        explain(run.store, "abcdef")


def test_a_story_says_which_session_wrote_it_and_under_what_supervision(run):
    story = explain(run.store, next(iter(run.history.rounds[0].answers)).id)
    assert story.facts["written in"] == "session 1 (finished)"
    assert story.facts["supervision"] == "none"
    json.dumps(story.as_dict())


def test_rows_of_several_sessions_are_told_as_such(tmp_path):
    asked = loops.Asked(planted.World(), break_at=8)
    with pytest.raises(KeyboardInterrupt):
        loops.loop(tmp_path, asked)
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()))
    story = explain(run.store, next(iter(run.history.looks[0].battles or ())).id)
    assert story.facts["written in"] == "session 1 (interrupted), session 2 (finished)"


def test_a_failed_row_says_why_and_what_became_of_it(tmp_path):
    def fails(request: Request) -> bool:
        return request.step == "generate" and request.seed % 5 == 0

    run, _ = loops.loop(tmp_path, loops.Asked(default_script, fail=fails))
    broken = next(row for row in run.history.rounds[0].answers if row.error)
    story = explain(run.store, broken.id)
    assert story.facts["error"] == "made to fail"
    (left,) = [child for child in story.children if child.title == "left out of keep_distinct"]
    assert left.facts["reason"] == "engine failure"


def test_a_training_is_written_down_before_it_begins_and_only_once(tmp_path):
    def dies(job, listener):
        raise KeyboardInterrupt

    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            loops.loop(tmp_path, loops.Asked(planted.World()), trainer=dies)
        (training,) = trainings(tmp_path).values()
        assert training.result is None
        assert training.start == training.reference == {"name": "M0", "fingerprint": "f0"}
        assert training.step["beta"] == 0.1
        assert len(training.pairs) == 2
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()))
    (done,) = (t for t in trainings(tmp_path).values() if t.section == "iteration 0")
    assert done.result is not None
    assert done.result.pairs_used == sum(len(part) for part in run.history.rounds[0].pairs)


def test_a_damaged_record_of_a_training_is_said_so(tmp_path):
    run, _ = loops.loop(tmp_path, loops.Asked(planted.World()))
    file = next(iter(sorted((tmp_path / "training").glob("*/step.json"))))
    file.write_text("{")
    with pytest.raises(StoreError, match=r"step\.json: damaged, the next run writes it anew"):
        explain(run.store, next(iter(run.history.rounds[0].answers)).id)
    file.unlink()
    loops.loop(tmp_path, loops.Asked(planted.World()))
    assert len(trainings(tmp_path)) == 2


def test_models_are_called_as_the_recipes_call_them():
    def trained(key: str, start: str, fingerprint: str) -> Training:
        named = {"name": start, "fingerprint": fingerprint}
        return Training(key, "", {}, [], named, named)

    chain_of_two = [trained("k1", "M0", "f0"), trained("k2", "M1", "k1")]
    assert model_names(chain_of_two) == {"f0": "M0", "k1": "M1", "k2": "M2"}
    assert model_names([trained("k1", "mine", "f0")]) == {"f0": "mine", "k1": "mine+"}
