"""What differs between two runs, on planted changes: first causes, what is kept, and rows that are known."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from metareward import session
from metareward.cli.app import app
from metareward.config import load
from metareward.diff import Difference, compare, side, two_sides
from metareward.diff.steps import AFTER, BEFORE, CHANGED, SAME
from metareward.errors import DataError
from metareward.events import ignore
from metareward.rundir import claimed, differences
from metareward.store import Store

CONFIG = """
seed = 3
[prompts]
per_iteration = 6
held_out = 1
[generate]
samples = 3
[judge]
samples = 2
[dpo]
batch_size = 2
epochs = 1
[watch]
bank_prompts = 0
[[iterations]]
rho = 0.3
[[iterations]]
rho = 0.2
[machine]
engine = "fake"
"""


def run(here: Path, directory: str, *changes: tuple[str, str]) -> Path:
    """Carry CONFIG out with changes, going on in a directory that is there already."""
    text = CONFIG
    here.mkdir(exist_ok=True)
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    (here / "c.toml").write_text(text)
    loaded = load(here / "c.toml", here / directory)
    with claimed(loaded, change=True):
        session.execute(loaded, ignore)
    return here / directory


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    return run(tmp_path_factory.mktemp("plain"), "plain")


def against(plain: Path, here: Path, *changes: tuple[str, str]) -> Difference:
    return compare(side(str(plain)), side(str(run(here, "other", *changes))))


def states(found: Difference) -> dict[tuple[str, str], str]:
    return {(step.section, step.step): step.state for step in found.steps}


def test_the_same_config_twice_differs_in_nothing(plain, tmp_path):
    found = against(plain, tmp_path)
    assert found.is_empty
    assert {step.state for step in found.steps} == {SAME}
    iterations, looks, back = 2 * 8, 3 * 4, 3
    assert len(found.steps) == iterations + looks + back + 1, "and the held-out prompts"


def test_a_changed_rho_invalidates_pairs_and_what_follows_but_nothing_before(plain, tmp_path):
    found = against(plain, tmp_path, ("rho = 0.3", "rho = 0.45"))
    assert [(c.name, c.before, c.after) for c in found.settings] == [("method.iterations[0].rho", 0.3, 0.45)]
    assert [*found.speed, *found.environment, *found.content] == []
    said = states(found)
    for step in ("prompts", "generate", "keep_distinct", "judge", "meta_judge", "judge_pairs"):
        assert said["iteration 0", step] == SAME, step
    for step in ("actor_pairs", "train"):
        assert said["iteration 0", step] == CHANGED, step
    assert {state for (section, _), state in said.items() if section == "held-out M0"} == {SAME}
    assert said["iteration 1", "prompts"] == SAME
    later = [
        s
        for (section, step), s in said.items()
        if section in ("iteration 1", "held-out M1")
        if step != "prompts"
    ]
    assert set(later) == {CHANGED}
    assert found.causes == ("iteration 0, actor_pairs: rho 0.3 -> 0.45",)
    because = {(step.section, step.step): step.because for step in found.steps}
    assert because["iteration 0", "actor_pairs"] == ("rho 0.3 -> 0.45",)
    assert because["iteration 0", "train"] == ("iteration 0, actor_pairs",)
    assert because["iteration 1", "generate"] == ("the model of iteration 0, train",)


def test_more_judgments_keep_every_row_there_was(plain, tmp_path):
    """In the first iteration each old judgment is known; of later ones none, the model is another."""
    found = against(plain, tmp_path, ("[judge]\nsamples = 2", "[judge]\nsamples = 5"))
    steps = {(step.section, step.step): step for step in found.steps}
    judge = steps["iteration 0", "judge"]
    assert steps["iteration 0", "generate"].state == SAME
    assert judge.because == ("samples 2 -> 5",)
    had = _rows(plain, "judge", "iteration 0")
    assert (judge.rows, judge.reusable) == (had / 2 * 5, had)
    later = steps["iteration 1", "judge"]
    assert later.state == CHANGED
    assert later.reusable == 0 < (later.rows or 0)
    assert steps["iteration 0", "actor_pairs"].reusable is None, "a rule costs nothing"


def test_fewer_judgments_are_all_known(plain, tmp_path):
    actor = [(f"rho = {rho}", f"rho = {rho}\nroles = ['actor']") for rho in (0.3, 0.2)]  # one holds no battle
    found = against(plain, tmp_path, ("[judge]\nsamples = 2", "[judge]\nsamples = 1"), *actor)
    (judge,) = [step for step in found.steps if step.section == "iteration 0" if step.step == "judge"]
    assert judge.reusable == judge.rows == _rows(plain, "judge", "iteration 0") / 2


def test_what_is_said_to_be_known_is_what_a_run_takes_over(plain, tmp_path):
    """The number agrees with what `--change` in the first run's own directory really reused."""
    first = run(tmp_path, "one")
    run(tmp_path, "one", ("[generate]\nsamples = 3", "[generate]\nsamples = 4"))
    (one, last), *_ = two_sides(first)
    found = compare(one, last)
    taken = {}
    for _, manifest in Store(first).manifests(current=True):
        if manifest.question_key:
            taken[manifest.key] = manifest.cost["reused"]
    changed = [step for step in found.steps if step.state == CHANGED and step.reusable is not None]
    assert {step.after: step.reusable for step in changed} == {
        step.after: taken[step.after] for step in changed
    }
    assert sum(taken.values()) > 0


def _rows(root: Path, name: str, section: str) -> int:
    (rows,) = [m.rows for _, m in Store(root).manifests() if (m.name, m.section) == (name, section)]
    return rows


def test_more_prompts_keep_the_rows_of_those_there_were(plain, tmp_path):
    found = against(plain, tmp_path, ("[[iterations]]\nrho = 0.2\n", ""))
    steps = {(step.section, step.step): step for step in found.steps}
    assert steps["iteration 0", "train"].state == SAME
    assert steps["iteration 1", "train"].state == BEFORE
    assert [c.name for c in found.settings] == ["method.iterations[1]"]
    more = against(plain, tmp_path / "more", ("per_iteration = 6", "per_iteration = 8"))
    steps = {(step.section, step.step): step for step in more.steps}
    prompts, generate = steps["iteration 0", "prompts"], steps["iteration 0", "generate"]
    assert (prompts.rows, prompts.reusable, prompts.because) == (8, 6, ("other prompts",))
    assert (generate.rows, generate.reusable) == (24, 18)
    assert generate.because == ("iteration 0, prompts",)
    assert steps["held-out M0", "generate"].state == SAME, "the held-out prompts stay"


def test_a_role_left_out_and_a_learning_rate(plain, tmp_path):
    found = against(plain, tmp_path, ("rho = 0.2", "rho = 0.2\nroles = ['actor']\nlearning_rate = 1e-4"))
    steps = {(step.section, step.step): step for step in found.steps}
    assert steps["iteration 1", "meta_judge"].state == BEFORE
    assert steps["iteration 1", "train"].because == ("learning_rate 5e-06 -> 0.0001", "judge_pairs left out")
    assert set(found.causes) == {
        "iteration 1, train: learning_rate 5e-06 -> 0.0001",
        "iteration 1, train: judge_pairs left out",
    }


def test_another_model_is_the_first_cause_of_everything(plain, tmp_path, monkeypatch):
    from metareward.models.base import Model

    monkeypatch.setattr(session, "model_of", lambda name, *_: Model("other", "", "other weights"))
    found = against(plain, tmp_path)
    said = states(found)
    assert {s for (_, step), s in said.items() if step == "prompts"} == {SAME}
    assert {s for (_, step), s in said.items() if step != "prompts"} == {CHANGED}
    assert found.causes == ("the model the run begins with",)
    assert {change.name for change in found.content} >= {"model.fingerprint"}


def test_a_template_and_a_seed(plain, tmp_path):
    text = "Judge {{ conversation }}\nand {{ response }}\nfrom 0 to 5."
    (tmp_path / "mine.txt").write_text(text)
    found = against(plain, tmp_path, ("[judge]", "[judge]\ntemplate = './mine.txt'\nseed = 9"))
    assert {c.name for c in found.settings} == {"method.judge.template", "method.judge.seed"}
    causes = [cause for cause in found.causes if cause.startswith("iteration 0, judge")]
    assert "iteration 0, judge: seed 3 -> 9" in causes
    said = CliRunner().invoke(app, ["diff", str(plain), str(tmp_path / "other")]).output
    assert "method.judge.template:\n" in said
    assert "    +and {{ response }}\n" in said
    assert "method.judge.seed: 3 -> 9" in said
    assert "from 0 to 5." not in said.partition("What that invalidated")[2], "a text is named by its length"


def test_the_environment_and_the_machine_invalidate_nothing_and_are_said(plain, tmp_path, monkeypatch):
    from metareward.provenance import machine, packages

    other = {**packages.versions(), "numpy": "1.0"}
    monkeypatch.setattr(machine.packages, "versions", lambda: other)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    found = against(plain, tmp_path, ('engine = "fake"', 'engine = "fake"\nmax_rows = 9'))
    assert ("versions.numpy", "1.0") in [(change.name, change.after) for change in found.environment]
    assert ("variables.OMP_NUM_THREADS", "7") in [(change.name, change.after) for change in found.environment]
    assert [(change.name, change.after) for change in found.speed] == [("machine.max_rows", 9)]
    assert set(states(found).values()) == {SAME}
    assert not found.is_empty


def test_other_data_under_the_same_name_is_found(tmp_path):
    rows = [{"prompt": f"What is {n} and 1?"} for n in range(20)]
    source = ("[prompts]", "[prompts]\nsource = 'mine.jsonl'")
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, rows)))
    run(tmp_path, "one", source)
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, [*rows[1:], {"prompt": "Else?"}])))
    found = compare(side(str(tmp_path / "one")), side(str(run(tmp_path, "other", source))))
    assert not found.settings
    assert {"data.sha256", "data.fingerprint"} <= {change.name for change in found.content}
    assert any(cause.endswith("other prompts") for cause in found.causes)


def test_sessions_of_one_run_are_compared_with_the_latest_that_differs(tmp_path):
    root = run(tmp_path, "one")
    with pytest.raises(DataError, match="one session only"):
        two_sides(root)
    run(tmp_path, "one", ("rho = 0.2", "rho = 0.1"))
    run(tmp_path, "one", ("rho = 0.2", "rho = 0.1"))
    said = CliRunner().invoke(app, ["diff", str(root), "--json"])
    told = json.loads(said.output)
    sides = (told["before"], told["after"])
    assert (said.exit_code, *sides) == (1, "one@1 (the fake engine)", "one@3 (the fake engine)")
    assert told["causes"] == ["iteration 1, actor_pairs: rho 0.2 -> 0.1"]
    assert CliRunner().invoke(app, ["diff", f"{root}@2", f"{root}@3"]).exit_code == 0
    assert CliRunner().invoke(app, ["diff", f"{root}@1", f"{root}@3"]).exit_code == 1
    assert side(f"{root}@2").label == "one@2 (the fake engine)"
    with pytest.raises(DataError, match="has no session 9; it has 1, 2, 3"):
        side(f"{root}@9")


def test_a_stopped_session_stands_for_what_its_run_had(tmp_path, monkeypatch):
    root = run(tmp_path, "one")

    def stop(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(session.Run, "train", stop)
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "one")
    monkeypatch.undo()
    assert compare(side(f"{root}@1"), side(f"{root}@2")).is_empty


def test_the_command_exits_as_diff_does(plain, tmp_path, monkeypatch):
    same, other = run(tmp_path, "same"), run(tmp_path, "other", ("rho = 0.3", "rho = 0.1"))
    done = CliRunner().invoke(app, ["diff", str(plain), str(same)])
    assert (done.exit_code, "Nothing differs." in done.output) == (0, True)
    done = CliRunner().invoke(app, ["diff", str(plain), str(other)])
    assert done.exit_code == 1
    assert "method.iterations[0].rho: 0.3 -> 0.1" in done.output
    assert "First causes: iteration 0, actor_pairs: rho 0.3 -> 0.1" in done.output
    assert "held-out M0 (all), iteration 0 (6 of 8)" in done.output
    (tmp_path / "empty").mkdir()
    for wrong in ("none", "empty", "same@5"):
        assert isinstance(
            CliRunner().invoke(app, ["diff", str(plain), str(tmp_path / wrong)]).exception, DataError
        )
    next(iter((same / "configs").glob("*.json"))).write_text("{")
    with pytest.raises(DataError, match="damaged or missing"):
        CliRunner().invoke(app, ["diff", str(plain), str(same)], catch_exceptions=False)


def test_differences_of_lists_of_tables_are_told_one_by_one():
    before = {"iterations": [{"rho": 0.1, "roles": ["actor"]}, {"rho": 0.2}]}
    after = {"iterations": [{"rho": 0.1, "roles": ["judge"]}, {"rho": 0.3}, {"rho": 0.4}]}
    assert differences(before, after) == [
        'iterations[0].roles: ["actor"] -> ["judge"]',
        "iterations[1].rho: 0.2 -> 0.3",
        'iterations[2]: null -> {"rho": 0.4}',
    ]


def test_steps_of_the_later_side_alone_are_said(plain, tmp_path):
    found = against(
        plain, tmp_path, ("[[iterations]]\nrho = 0.2\n", "[[iterations]]\nrho = 0.2\n[[iterations]]\n")
    )
    added = [step for step in found.steps if step.section == "iteration 2"]
    assert {step.state for step in added} == {AFTER}
    assert states(found)["iteration 1", "train"] == SAME
