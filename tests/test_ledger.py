"""The ledger: every call and token once, whatever stopped the run, and in agreement with the summary."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

import loops
import planted
from metareward.cli.app import app
from metareward.ledger import NOT_USED, TRAIN, UNFINISHED, WHOLE, add, ledger
from metareward.recipes.settings import Iteration
from metareward.records import Finish, Prompt
from metareward.store import Cost, Store, Writer
from metareward.summary import summarise
from metareward.train.fake import FakeTrainer
from metareward.train.job import finished, write_result

WORLD = planted.World()
ONE = (Iteration(rho=0.2),)
SMALL = loops.small_meta(iterations=ONE)


class Timed(FakeTrainer):
    """Trains nothing, but says what it would have cost: 100 tokens and half a second a pair."""

    def __call__(self, job, listener=lambda event: None):
        if (done := finished(job)) is not None:
            return done
        result = super().__call__(job, listener)
        result = dataclasses.replace(result, tokens=100 * result.pairs_used, seconds=0.5 * result.pairs_used)
        write_result(job.output_dir, result)
        return result


def counts(cost: Cost) -> tuple[int, ...]:
    """Everything but the seconds, which no two runs share."""
    return (cost.prompt_tokens, cost.output_tokens, cost.calls, cost.failures, cost.reused)


def lines(root):
    return {
        (line.section, line.step, line.key): (line.rows, counts(line.cost)) for line in ledger(root).lines
    }


class Counting(loops.Asked):
    """Also adds up what the engine really answered."""

    def __init__(self, *given, **named):
        super().__init__(*given, **named)
        self.paid = Cost()

    def answer(self, engine, requests):
        for completion in super().answer(engine, requests):
            broken = completion.finish is Finish.FAILED
            self.paid += Cost(0.0, completion.prompt_tokens, completion.output_tokens, 1, broken)
            yield completion


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    asked, root = Counting(WORLD), tmp_path_factory.mktemp("whole")
    loops.loop(root, asked, settings=SMALL, trainer=Timed())
    return root, asked


def test_every_call_and_token_that_the_engine_gave_is_in_it(undisturbed):
    root, asked = undisturbed
    assert counts(ledger(root).total) == counts(asked.paid)
    assert asked.paid.calls == len(asked.answered) > 100


def test_it_agrees_with_the_summary(undisturbed, tmp_path):
    run, _ = loops.loop(tmp_path, loops.Asked(WORLD), trainer=Timed())
    said = {(line.section, line.step): line for line in ledger(tmp_path).lines if line.section[:2] == "it"}
    summary = summarise(run.history, tmp_path)
    assert len(summary["iterations"]) == 2
    for number, iteration in enumerate(summary["iterations"]):
        for step, tokens in iteration["tokens"].items():
            line = said.pop((f"iteration {number}", step))
            if step == TRAIN:
                assert line.trained_tokens == tokens["trained"] == 100 * iteration["trained_pairs"]
                assert line.cost.seconds == iteration["seconds"][step]
            else:
                assert (line.cost.prompt_tokens, line.cost.output_tokens) == (
                    tokens["prompt"],
                    tokens["output"],
                )
                assert round(line.cost.seconds, 1) == iteration["seconds"][step]
    assert not said, "nothing is in the ledger that the summary does not know"


@given(st.lists(st.integers(0, 120), min_size=1, max_size=3))
@settings(max_examples=8, deadline=None)
def test_stopped_and_taken_up_again_it_has_the_same_tokens_and_calls(tmp_path_factory, undisturbed, stops):
    root = tmp_path_factory.mktemp("stopped")
    for stop in stops:
        with pytest.raises(KeyboardInterrupt):
            loops.loop(root, loops.Asked(WORLD, break_at=stop), settings=SMALL)
            raise KeyboardInterrupt  # it was finished before it could be stopped
    loops.loop(root, loops.Asked(WORLD), settings=SMALL, trainer=Timed())
    assert lines(root) == lines(undisturbed[0])
    read = ledger(root)
    paid = sum(read.by_session().values(), Cost())
    assert counts(paid) == counts(read.total)
    asked = [line.cost.seconds for line in read.lines if line.step != TRAIN]
    assert paid.seconds == pytest.approx(sum(asked))
    assert len(read.sessions) == len(stops) + 1


def test_what_each_session_paid_is_known_also_of_a_stopped_one(tmp_path):
    first, second = Counting(WORLD, break_at=40), Counting(WORLD)
    with pytest.raises(KeyboardInterrupt):
        loops.loop(tmp_path, first, settings=SMALL)
    (line,) = [line for line in ledger(tmp_path).lines if line.state == UNFINISHED]
    assert line.rows == line.cost.calls > 0
    assert counts(ledger(tmp_path).total) == counts(first.paid)
    loops.loop(tmp_path, second, settings=SMALL)
    paid = ledger(tmp_path).by_session()
    assert counts(paid[1]) == counts(first.paid)
    assert counts(paid[2]) == counts(second.paid)


def test_killed_at_any_moment_it_holds_what_the_rows_on_the_disk_cost(tmp_path):
    """A hard kill loses rows and their cost together, so the resumed run's ledger is that of a quiet one."""
    text = (
        "[prompts]\nper_iteration = 20\nheld_out = 1\n[generate]\nsamples = 3\n[judge]\nsamples = 3\n[dpo]\n"
        "batch_size = 2\nepochs = 1\n[[iterations]]\nrho = 0.3\n[machine]\nengine = 'fake'\n"
    )
    (tmp_path / "c.toml").write_text(text)
    command = [sys.executable, "-m", "metareward", "run", "c.toml", "-d"]
    child = subprocess.Popen([*command, "killed"], cwd=tmp_path, stdout=subprocess.DEVNULL)
    while len(list(tmp_path.glob("killed/artifacts/judge-*/question"))) < 2 and child.poll() is None:
        time.sleep(0.01)
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    for name in ("killed", "quiet"):
        subprocess.run([*command, name], cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    assert lines(tmp_path / "killed") == lines(tmp_path / "quiet")
    read = ledger(tmp_path / "killed")
    assert [record.outcome for record in read.sessions] == ["no end: killed, or at work still", "finished"]
    assert counts(sum(read.by_session().values(), Cost())) == counts(read.total)


def test_time_that_passed_without_rows_is_its_sessions_too(tmp_path):
    artifact = Store(tmp_path).artifact("x", "key", Prompt)
    with Writer(artifact, rows=1, session=4) as writer:
        writer.add(0, planted.prompts(1)[0], calls=1)
        time.sleep(0.05)
        about = {"name": "x", "inputs": [], "step": {}, "model": None, "section": "", "question_key": "q"}
        writer.seal(about)
    (line,) = ledger(tmp_path).lines
    assert line.cost.seconds > 0.05
    assert line.sessions == {4: line.cost}


def test_failures_and_second_tries_are_counted(tmp_path):
    tries: dict[str, int] = {}

    def breaks(request):
        tries[request.id] = tries.get(request.id, 0) + 1
        return request.step == "generate" and (
            request.seed % 5 == 0 or (request.seed % 5 == 1 and tries[request.id] == 1)
        )

    asked = Counting(WORLD, fail=breaks)
    loops.loop(tmp_path, asked, settings=SMALL)
    total = ledger(tmp_path).total
    assert counts(total) == counts(asked.paid)
    seeds = {request.id: request.seed % 5 for request in asked.requests if request.step == "generate"}
    always, once = (list(seeds.values()).count(remainder) for remainder in (0, 1))
    assert total.failures == 2 * always + once > 2 * always > 0
    assert total.calls == len({request.id for request in asked.requests}) + always + once


def test_rows_taken_over_cost_nothing_and_are_counted(tmp_path):
    loops.loop(tmp_path, loops.Asked(WORLD), settings=loops.small_meta(samples=3, iterations=ONE))
    before = ledger(tmp_path)
    asked = Counting(WORLD)
    loops.loop(tmp_path, asked, settings=loops.small_meta(samples=4, iterations=ONE))
    after = ledger(tmp_path)
    assert counts(after.by_session()[2])[:4] == counts(asked.paid)[:4]
    place = {(line.section, line.step): line for line in after.lines if line.state == WHOLE}
    generate, judge = place["iteration 0", "generate"], place["iteration 0", "judge"]
    assert (generate.rows, generate.cost.calls, generate.cost.reused) == (24, 6, 18)
    assert judge.cost.reused > 0
    assert judge.rows == judge.cost.calls + judge.cost.reused
    old = [line for line in after.lines if line.state == NOT_USED]
    assert {(line.section, line.step) for line in old} >= {
        ("iteration 0", "generate"),
        ("iteration 0", "judge"),
    }
    assert after.total.calls == before.total.calls + asked.paid.calls, "what was paid for stays in the total"


def test_another_iteration_is_priced_without_what_was_taken_over(tmp_path):
    loops.loop(tmp_path / "a", loops.Asked(WORLD), settings=SMALL, trainer=Timed())
    like, cost, trained = ledger(tmp_path / "a").another_iteration() or pytest.fail("nothing to go by")
    own = [line for line in ledger(tmp_path / "a").lines if line.section == "iteration 0"]
    assert (like, counts(cost)) == ("iteration 0", counts(add(own)))
    assert trained == sum(line.trained_tokens for line in own) > 0
    loops.loop(tmp_path / "b", loops.Asked(WORLD), settings=loops.small_meta(samples=3, iterations=ONE))
    assert ledger(tmp_path / "b").another_iteration()
    loops.loop(tmp_path / "b", loops.Asked(WORLD), settings=SMALL, trainer=Timed())
    _, priced, _ = ledger(tmp_path / "b").another_iteration() or pytest.fail("nothing to go by")
    assert priced.calls == cost.calls, "the same iteration costs the same, though here most was taken over"
    assert priced.output_tokens == pytest.approx(cost.output_tokens, rel=0.2)
    assert ledger(tmp_path / "none").another_iteration() is None


def test_models_are_told_apart_and_named(tmp_path):
    loops.loop(tmp_path, loops.Asked(WORLD), trainer=Timed())
    read = ledger(tmp_path)
    by_model = read.by_model()
    assert [read.names[name] for name in by_model] == ["M0", "M1", "M2"]
    assert by_model["f0"][1] == 0, "nobody trained the first"
    assert counts(sum((cost for cost, _ in by_model.values()), Cost())) == counts(read.total)
    assert (
        sum(trained for _, trained in by_model.values())
        == sum(line.trained_tokens for line in read.lines)
        > 0
    )


def test_a_training_that_was_begun_is_unfinished(tmp_path):
    def dies(job, listener):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        loops.loop(tmp_path, loops.Asked(WORLD), settings=SMALL, trainer=dies)
    (line,) = [line for line in ledger(tmp_path).lines if line.step == TRAIN]
    assert (line.state, line.section, line.rows) == (UNFINISHED, "iteration 0", 0)


def test_the_command_says_the_same_as_the_ledger(undisturbed):
    root, _ = undisturbed
    said = json.loads(CliRunner().invoke(app, ["cost", str(root), "--json"]).output)
    assert said == json.loads(json.dumps(ledger(root).as_dict()))
    assert said["total"]["calls"] == sum(step["calls"] for step in said["steps"])
    (session,) = said["sessions"]
    assert session["paid"]["calls"] == said["total"]["calls"]
    assert session["outcome"] == "finished"
    text = CliRunner().invoke(app, ["cost", str(root)]).output
    assert f"{said['total']['calls']:,}" in text
    assert "another iteration, if like iteration 0" in text
    assert "failed" not in text, "a column in which nothing stands is left out"


def test_no_run_is_said_so(tmp_path):
    result = CliRunner().invoke(app, ["cost", str(tmp_path)])
    assert "holds no run" in str(result.exception)
