"""Ordinary answers replayed beside judgments: how many, which, as sampled, and never a judgment again."""

import json
from collections import Counter
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

import loops
import planted
import ranked_worlds
from metareward import summary
from metareward.eft.replay import A_VERDICT, ENOUGH, NO_END, Replayed
from metareward.engines.fake import Reply
from metareward.errors import ConfigError, NoPairsError
from metareward.ids import fingerprint
from metareward.recipes.eft import EFT, fine_tuned
from metareward.records import Demonstration, Dropped, Finish, Message, Prompt, Response, Role
from metareward.run import Run
from metareward.stages.base import step_key
from metareward.train.answers import NO_LOSS, encode_answers
from metareward.train.fake import FakeTrainer
from metareward.train.sft import SFT
from metareward.train.tokens import Coder


def answer(prompt: int, sample: int, **changes: Any) -> Response:
    text = changes.pop("text", f"Answer {sample} to {prompt}.")
    tokens = (*range(10, 10 + len(text.split())), 2)
    made = Response(f"r{prompt}.{sample}", f"p{prompt}", sample, "m", text, tokens, Finish.STOP)
    return replace(made, **changes)


def asked(count: int) -> list[Prompt]:
    return [Prompt(f"p{n}", (Message("user", f"Tell me about {n}."),)) for n in range(count)]


def applied(
    judgments: int, prompts: int, answers: list[Response], share: float = 1.0, seed: int = 0
) -> tuple[list[Demonstration], list[Dropped]]:
    shown = [ranked_worlds.demonstration(number) for number in range(judgments)]
    rows = list(Replayed(share, seed).apply(shown, asked(prompts), answers))
    kept = [row for row in rows if isinstance(row, Demonstration)]
    return kept, [row for row in rows if isinstance(row, Dropped)]


def grid(prompts: int, samples: int) -> list[Response]:
    return [answer(prompt, sample) for prompt in range(prompts) for sample in range(samples)]


@pytest.mark.parametrize(("share", "count"), [(1.0, 20), (0.5, 10), (2.0, 40), (0.01, 1), (0.0, 0)])
def test_there_are_so_many_for_each_judgment(share, count):
    kept, dropped = applied(20, 4, grid(4, 3), share)
    assert len(kept) == count
    uses = Counter(row.response_id for row in kept)
    assert len(uses) + len(dropped) == 12, "every answer is taken or counted"
    assert {row.reason for row in dropped} <= {ENOUGH}
    if count:
        assert max(uses.values()) - min(uses.values()) <= 1
    assert len({row.id for row in kept}) == count


def test_every_prompt_gives_one_answer_before_any_gives_two():
    answers = [row for row in grid(5, 4) if row.sample < 2 or row.prompt_id == "p0"]
    for judgments, most in ((3, 1), (5, 1), (7, 2)):
        kept, _ = applied(judgments, 5, answers)
        each = Counter(row.prompt_id for row in kept)
        assert len(each) == min(judgments, 5)
        assert max(each.values()) == most
    assert [row.prompt_id for row in applied(5, 5, answers)[0]] == ["p0", "p1", "p2", "p3", "p4"]


def test_the_draw_is_by_seed_and_a_larger_share_contains_the_smaller():
    def names(share, seed=0):
        return {row.response_id for row in applied(6, 8, grid(8, 2), share, seed)[0]}

    assert names(0.5) == names(0.5)
    assert len({frozenset(names(0.5, seed)) for seed in range(6)}) > 1
    assert names(0.5) < names(1.0) < names(2.0)


def test_an_answer_is_learnt_after_its_own_prompt_as_it_was_sampled():
    (one,), _ = applied(1, 1, [answer(0, 0)])
    sampled = answer(0, 0)
    assert (one.role, one.text, one.token_ids) == (Role.ACTOR, sampled.text, sampled.token_ids)
    assert one.messages == asked(1)[0].messages
    assert (one.judgment_id, one.score, one.quality) == (None, None, None)


@pytest.mark.parametrize("text", ["Score: 4", "Clear and right.\nScore: 0", "Graded.\n**Score: 5/5**"])
def test_what_reads_as_a_verdict_is_not_replayed(text):
    kept, dropped = applied(2, 1, [answer(0, 0, text=text), answer(0, 1, text="My score: it was 4.")])
    assert {row.response_id for row in kept} == {"r0.1"}
    assert [(row.subject_id, row.reason) for row in dropped] == [("r0.0", A_VERDICT)]


def test_an_answer_that_was_cut_off_teaches_no_end():
    cut = answer(0, 0, text="And then", token_ids=(7, 8), finish=Finish.LENGTH)
    unknown = replace(cut, id="r0.1", token_ids=None)
    kept, dropped = applied(1, 1, [cut, unknown])
    assert [(row.subject_id, row.reason) for row in dropped] == [("r0.1", NO_END)]
    words = {7: "And", 8: " then"}
    coder = Coder(lambda turns: [1], lambda text: [99], lambda ids: "".join(words[i] for i in ids), end=2)
    ready = encode_answers(kept, coder, 100)
    assert (ready.ids, ready.labels, ready.reencoded) == ([[1, 7, 8]], [[NO_LOSS, 7, 8]], 0)


def eft(folder: Path, **changes: Any) -> EFT:
    rows = [{**row, "prompt": f"Once more: {row['prompt']}"} for row in ranked_worlds.usual(18)]
    source = ranked_worlds.write(folder / "ranked.jsonl", rows)  # prompts that the loop has not
    settings = {"held_out": 6, "verdict": "human", "sft": SFT(batch_size=4, epochs=1, stop_after_epoch=1)}
    return EFT(enabled=True, source=source, **{**settings, "justification": "neutral", **changes})


def run_with(folder: Path, tuning: EFT, asked: Any = None, trainer: Any = None) -> Any:
    settings = replace(loops.small_self(), eft=tuning)
    folder.mkdir(exist_ok=True)
    opened = asked or loops.Asked(planted.World())
    return loops.loop(folder / "run", opened, "self_rewarding", settings, trainer=trainer)[0]


def test_by_default_as_many_answers_as_judgments_are_learnt_and_said(tmp_path):
    trainer = FakeTrainer()
    run = run_with(tmp_path, eft(tmp_path), trainer=trainer)
    tuned = run.history.tuned
    rows = list(chain.from_iterable([tuned.taken, tuned.replayed]))
    roles = Counter(row.role for row in rows)
    assert roles[Role.JUDGE] == roles[Role.ACTOR] == len(tuned.taken) > 0
    said = summary.summarise(run.history, run.store.root)["eft"]
    assert (said["taken"], said["replayed"]) == (len(tuned.taken), len(tuned.replayed))
    assert said["trained"] == len(rows)
    assert json.dumps(said)


def test_the_model_itself_answers_the_training_prompts_alone_before_the_training(tmp_path):
    opened = loops.Asked(planted.World())
    tuning = eft(tmp_path)
    run = run_with(tmp_path, tuning, opened)
    found = tuning.read()
    trained, held = ({prompt.id for prompt in part.prompts} for part in (found.train, found.held_out))
    answers = {row.response_id: row for row in run.history.tuned.replayed}
    texts = {prompt.messages for prompt in found.train.prompts}
    requests = [r for r in opened.requests if r.step == "generate" and r.messages in texts]
    assert len(requests) == 3 * len(trained), "three responses a prompt in the file, so three answers"
    assert set(answers) <= {request.id for request in requests}
    assert {row.prompt_id for row in answers.values()} == trained
    assert not {row.prompt_id for row in answers.values()} & held
    assert all("An answer of quality" in row.text and row.token_ids for row in answers.values())


def test_none_are_asked_for_where_replay_is_off_and_keys_are_what_they_were(tmp_path):
    opened = loops.Asked(planted.World())
    run = run_with(tmp_path, eft(tmp_path, replay=0.0), opened)
    tuned = run.history.tuned
    start = loops.START.fingerprint
    assert tuned.replayed is None
    assert tuned.trained.fingerprint == step_key(eft(tmp_path).sft, start, start, tuned.taken.key)
    said = summary.summarise(run.history, run.store.root)["eft"]
    assert (said["replayed"], said["trained"]) == (0, len(tuned.taken))
    with_answers = run_with(tmp_path / "with", eft(tmp_path)).history.tuned
    assert with_answers.taken.key == tuned.taken.key
    assert with_answers.trained.fingerprint != tuned.trained.fingerprint


def test_greedy_answers_are_asked_for_once(tmp_path):
    settings = replace(loops.small_self(), eft=eft(tmp_path))
    greedy = replace(settings.generate, temperature=0.0)
    opened = loops.Asked(planted.World())
    with Run(tmp_path / "run", opened, FakeTrainer()) as run:
        fine_tuned(run, settings.eft, settings.judge, loops.START, greedy)
    texts = {prompt.messages for prompt in eft(tmp_path).read().train.prompts}
    assert sum(r.step == "generate" and r.messages in texts for r in opened.requests) == len(texts)


def test_a_run_that_broke_off_among_the_answers_asks_only_for_the_others(tmp_path):
    tuning = eft(tmp_path)
    whole = loops.Asked(planted.World())
    run = run_with(tmp_path / "whole", tuning, whole)
    first = next(place for place, request in enumerate(whole.requests) if request.step == "generate")
    broken = loops.Asked(planted.World(), break_at=first + 10)
    with pytest.raises(KeyboardInterrupt):
        run_with(tmp_path / "cut", tuning, broken)
    again = loops.Asked(planted.World())
    resumed = run_with(tmp_path / "cut", tuning, again)
    assert not set(again.answered) & set(broken.answered)
    assert set(again.answered) | set(broken.answered) == set(whole.answered)
    assert list(resumed.history.tuned.replayed) == list(run.history.tuned.replayed)


def test_a_model_with_no_ordinary_answer_is_told_so(tmp_path):
    class Ruined(planted.World):
        def act(self, request: Any) -> Reply | str:
            return "Graded for relevance.\nScore: 3"

    with pytest.raises(NoPairsError, match=rf"no ordinary answer.*{A_VERDICT}.*eft\.replay = 0"):
        run_with(tmp_path, eft(tmp_path), loops.Asked(Ruined()))


def test_failures_and_repeats_are_counted_and_not_replayed(tmp_path):
    texts = {prompt.messages for prompt in eft(tmp_path).read().train.prompts}

    def fails(request: Any) -> bool:
        return request.step == "generate" and request.messages in texts and request.seed % 2 == 0

    run = run_with(tmp_path, eft(tmp_path), loops.Asked(planted.World(), fail=fails))
    replayed = list(run.history.tuned.replayed)
    assert len(replayed) == len(run.history.tuned.taken)
    assert all(row.text for row in replayed)


@pytest.mark.parametrize("share", [-0.1, 10.5, float("nan")])
def test_a_share_that_cannot_be_is_refused(share):
    with pytest.raises(ConfigError, match=r"eft\.replay must be in 0 \.\. 10"):
        EFT(replay=share)


def test_the_share_and_the_seed_name_the_step():
    assert fingerprint(Replayed(1.0)) != fingerprint(Replayed(0.5)) != fingerprint(Replayed(0.5, 1))
