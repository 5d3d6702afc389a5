"""The command line as a user meets it: one clear message for each mistake, exit codes, JSON that parses."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

FAKE = """
recipe = "meta_rewarding"
[prompts]
per_iteration = 5
held_out = 3
[generate]
samples = 3
[judge]
samples = 3
[dpo]
batch_size = 2
epochs = 1
[[iterations]]
rho = 0.3
[machine]
engine = "fake"
"""


def metareward(*arguments: object, cwd: Path, code: int = 0) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "metareward", *map(str, arguments)]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == code, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A directory with a config and its finished run on the fake engine."""
    here = tmp_path_factory.mktemp("cli")
    (here / "tiny.toml").write_text(FAKE)
    metareward("run", "tiny.toml", cwd=here)
    return here


def test_run_leaves_a_table_and_a_summary(finished):
    said = metareward("run", "tiny.toml", cwd=finished).stdout
    assert "kept from before" in said
    for line in ("mean score by the first model", "unreadable judgments", "battles won by the first shown"):
        assert line in said
    assert "summary     runs/tiny/summary.json" in said
    summary = json.loads((finished / "runs/tiny/summary.json").read_text())
    assert [model["model"] for model in summary["models"]] == ["M0", "M1"]
    for name in (
        "mean_score",
        "referee_score",
        "mean_length",
        "unreadable_rate",
        "tie_rate",
        "first_position_win_rate",
    ):
        assert all(name in model for model in summary["models"])
    (iteration,) = summary["iterations"]
    assert iteration["responses"] == 15
    assert iteration["judgments"] <= 45
    assert set(iteration["seconds"]) == {"generate", "judge", "meta_judge", "train"}
    assert set(iteration["tokens"]) == {"generate", "judge", "meta_judge", "train"}
    assert isinstance(iteration["dropped"], dict)
    assert (finished / "runs/tiny" / summary["checkpoint"]).is_dir()
    assert not Path(summary["checkpoint"]).is_absolute()


def test_run_prints_json_alone(finished):
    said = json.loads(metareward("run", "tiny.toml", "--json", cwd=finished).stdout)
    assert said == json.loads((finished / "runs/tiny/summary.json").read_text())


def test_a_run_records_what_it_ran_with(finished):
    run = finished / "runs/tiny"
    record = json.loads(sorted((run / "sessions").glob("*.json"))[0].read_text())
    assert record["environment"]["versions"]["metareward"]
    assert record["environment"]["python"]
    assert json.loads((run / "config.json").read_text())["method"]["judge"]["samples"] == 3
    assert (run / "config.toml").read_text() == FAKE


def test_plan_before_and_after(finished, tmp_path):
    (tmp_path / "tiny.toml").write_text(FAKE)
    before = json.loads(metareward("plan", "tiny.toml", "--json", cwd=tmp_path).stdout)
    assert {step["state"] for step in before["steps"]} == {"to do"}
    assert not (tmp_path / "runs").exists(), "a plan writes nothing"
    after = json.loads(metareward("plan", "tiny.toml", "--json", cwd=finished).stdout)
    assert {step["state"] for step in after["steps"]} == {"done"}
    assert after["seconds_left"] == 0
    assert [step["key"] for step in before["steps"]] == [step["key"] for step in after["steps"]]


def test_plan_of_the_papers_config():
    here = Path(__file__).parent.parent
    steps = json.loads(
        metareward("plan", "examples/meta-rewarding-llama3-8b.toml", "--json", cwd=here).stdout
    )["steps"]
    for number in range(4):
        calls = {
            s["makes"]: s["calls"]
            for s in steps
            if s["section"] == f"iteration {number}" and s["step"] != "train"
        }
        assert calls["responses"] == 35_000
        assert calls["judgments"] == 385_000
        assert calls.get("battles", 0) == (550_000 if number < 2 else 0)
    said = metareward("plan", "examples/meta-rewarding-llama3-8b.toml", cwd=here).stdout
    for count in ("35,000 responses", "385,000 judgments", "550,000 battles"):
        assert count in said


def test_a_plan_with_given_speeds_has_a_time(tmp_path):
    speeds = "[plan]\nprompt_tokens_per_second = 1000\n"
    speeds += "output_tokens_per_second = 100\ntrain_tokens_per_second = 500\n"
    (tmp_path / "tiny.toml").write_text(FAKE + speeds)
    plan = json.loads(metareward("plan", "tiny.toml", "--json", cwd=tmp_path).stdout)
    first = plan["steps"][0]
    expected = first["prompt_tokens"] / 1000 + first["output_tokens"] / 100
    assert first["seconds"] == pytest.approx(expected)
    assert plan["seconds_left"] > expected


def test_another_config_in_the_same_directory_is_refused_and_can_be_insisted_on(finished, tmp_path):
    changed = tmp_path / "changed.toml"
    changed.write_text(FAKE.replace("rho = 0.3", "rho = 0.1"))
    arguments = ("run", changed, "--directory", "runs/tiny")
    said = metareward(*arguments, cwd=finished, code=2).stderr
    assert "was made with other settings" in said
    assert "rho" in said
    assert "--change" in said
    metareward(*arguments, "--change", cwd=finished)
    metareward("run", "tiny.toml", "--change", cwd=finished)


def test_a_directory_in_use_is_refused(tmp_path):
    import fcntl

    (tmp_path / "tiny.toml").write_text(FAKE)
    lock = tmp_path / "runs/tiny/lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        held.write("4711\n")
        held.flush()
        said = metareward("run", "tiny.toml", cwd=tmp_path, code=2).stderr
    assert "runs/tiny is in use by another process (number 4711)" in said
    metareward("run", "tiny.toml", cwd=tmp_path)


MISTAKES = [
    ("[judge]\nsamplse = 3", "did you mean 'samples'"),
    ("[prompts]\nsource = 'none.jsonl'", "none.jsonl"),
    ("[prompts]\nheld_out = 100000", "100000"),
    ("model = 'smollm'\n[machine]\nengine = 'transformers'", "smollm2-135m-instruct"),
    ("model = './nothing'\n[machine]\nengine = 'transformers'", "nothing"),
]


@pytest.mark.parametrize(("text", "said"), MISTAKES)
def test_mistakes_exit_with_2_and_one_message(tmp_path, text, said):
    (tmp_path / "bad.toml").write_text(text if "engine" in text else text + "\n[machine]\nengine = 'fake'")
    done = metareward("run", "bad.toml", cwd=tmp_path, code=2)
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stderr.startswith("metareward: ")


def test_no_run_no_config(tmp_path):
    assert "there is no such file" in metareward("run", "none.toml", cwd=tmp_path, code=2).stderr
    assert "no run below runs/" in metareward("show", "abcdef", cwd=tmp_path, code=2).stderr
    assert "nothing to export" in metareward("export", ".", "out", cwd=tmp_path, code=2).stderr


def test_show_walks_from_a_pair_to_its_causes(finished):
    (pair,) = list(_rows(finished, "actor_pairs"))[:1]
    told = json.loads(metareward("show", pair["id"], "--json", cwd=finished).stdout)
    assert pair["chosen_id"] in json.dumps(told)
    text = metareward("show", pair["id"][:10], cwd=finished).stdout
    assert "chosen" in text
    assert "unknown" not in metareward("show", "00000000", cwd=finished, code=2).stdout


def test_export_reads_back(finished, tmp_path):
    target = tmp_path / "out"
    said = metareward("export", "runs/tiny", target, cwd=finished).stdout
    assert "load with" in said
    assert metareward("export", "runs/tiny", target, cwd=finished, code=2).stderr


def test_models_list_is_json(tmp_path):
    rows = json.loads(metareward("models", "list", "--json", cwd=tmp_path).stdout)
    assert "smollm2-135m-instruct" in {row["name"] for row in rows}


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_it_says_so_and_goes_on(tmp_path, how):
    long = FAKE.replace("per_iteration = 5", "per_iteration = 150").replace("samples = 3", "samples = 6")
    (tmp_path / "tiny.toml").write_text(long)
    command = [sys.executable, "-m", "metareward", "run", "tiny.toml"]
    child = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    while not list(tmp_path.glob("runs/tiny/artifacts/*/question")) and child.poll() is None:
        time.sleep(0.01)
    os.kill(child.pid, how)
    _, said = child.communicate(timeout=60)
    assert child.returncode == 130, said
    assert "everything answered so far is kept" in said
    metareward("run", "tiny.toml", cwd=tmp_path)


@pytest.mark.parametrize("command", ["run", "plan"])
def test_interrupted_before_there_is_anything_to_stop_it_says_so_too(tmp_path, monkeypatch, capfd, command):
    from metareward import config
    from metareward.cli.app import app
    from metareward.cli.failures import guarded

    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(config, "load", interrupted)
    assert guarded(lambda: app([command, str(tmp_path / "c.toml")])) == 130
    said = capfd.readouterr().err
    assert said.count("everything answered so far is kept") == 1
    assert "Traceback" not in said


def _rows(finished: Path, name: str) -> list[dict]:
    import pyarrow.parquet as pq

    return [
        row
        for path in finished.glob(f"runs/tiny/artifacts/{name}-*/rows-*.parquet")
        for row in pq.read_table(path).to_pylist()
    ]
