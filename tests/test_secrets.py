"""Secrets: found in what they look like, refused in configs, and in no byte that a run leaves anywhere."""

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from fake_run import FAKE
from metareward import config, secrets
from metareward.cli.app import app
from metareward.errors import ConfigError
from metareward.secrets import MASK, lines_with_secrets, looks_secret, scrub, scrub_file

HIDDEN = {
    "HF_TOKEN": "hf_" + "Zq7wEr5TyU1oPa3SdF",
    "OPENAI_API_KEY": "sk-proj-" + "9aB8cD7eF6gH5iJ4",
    "WANDB_API_KEY": "0123456789abcdef" * 2,
    "MY_SERVICE_PASSWORD": "correct horse battery",
}
URL_SECRET = "s3cr3tInTheUrl"
SECRETS = [*HIDDEN.values(), URL_SECRET]

SECRET_NAMES = ["HF_TOKEN", "OPENAI_API_KEY", "apiKey", "OPENAI_APIKEY", "AWS_SECRET_ACCESS_KEY", "password"]
PLAIN_NAMES = [
    "max_tokens", "batch_tokens", "prompt_tokens_per_second", "TOKENIZERS_PARALLELISM", "keyboard", "monkey",
    "seed", "template", "PATH",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET_NAMES)
def test_names_of_secrets(name):
    assert looks_secret(name)


@pytest.mark.parametrize("name", PLAIN_NAMES)
def test_names_of_other_things(name):
    assert not looks_secret(name)


MASKED = [
    ("GET https://user:hunter2@host/x failed", "GET https://[secret]@host/x failed"),
    ("https://hunter2token@host:8000/x", "https://[secret]@host:8000/x"),
    ("postgres://u:p@ss@host/db", "postgres://[secret]@host/db"),
    ("http://h/x?token=abcdefgh&page=2", "http://h/x?token=[secret]&page=2"),
    ('{"api_key": "abcdefgh", "n": 1}', '{"api_key": "[secret]", "n": 1}'),
    ("Authorization: Basic dXNlcjpwYXNz", "Authorization: Basic [secret]"),
    ("{'Authorization': 'Bearer abc123def456'}", "{'Authorization': 'Bearer [secret]'}"),
    ("key " + "sk-" + "an0123456789abcdefghij" + " is wrong", "key [secret] is wrong"),
    ("hf_abcdefghijklmnopqrst", "[secret]"),
    ("AKIAABCDEFGHIJKLMNOP", "[secret]"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE\nabc\n-----END RSA PRIVATE KEY-----\nrest", "[secret]\nrest"),
]


@pytest.mark.parametrize(("text", "expected"), MASKED)
def test_forms_of_secrets_are_masked_and_the_rest_stays(text, expected):
    assert scrub(text, {}) == expected


HARMLESS = [
    "unexpected token: 'end of template'",
    "a basic understanding of bearer bonds",
    "mail me at someone@example.org",
    "https://huggingface.co/org/name@main/resolve",
    "token 12 of 400; max_tokens = 2048; batch_tokens=100000",
    "3f9a1c04b7d2e6f80a1b iteration 0: judge: 45 rows, 0.1 s",
    "/home/me/runs/tiny/artifacts/judge-0123456789abcdef0123/rows-000000000-000000044-0123456789abcdef.parquet",
]


@pytest.mark.parametrize("text", HARMLESS)
def test_what_is_no_secret_stays(text):
    assert scrub(text, {}) == text


def test_values_of_the_environment_are_masked_where_their_names_are_secret():
    given = {
        "HF_TOKEN": "opensesame",
        "LANG": "open-not",
        "A_KEY": "true",
        "B_KEY": "12345678",
        "C_KEY": "ab",
    }
    assert scrub("opensesame open-not true 12345678", given) == f"{MASK} open-not true 12345678"
    lines = {"X_SECRET": "first line of it\nsecond line of it"}
    assert scrub("says: second line of it", lines) == f"says: {MASK}"
    assert scrub(repr("tab\there"), {"X_SECRET": "tab\there"}) == f"'{MASK}'"
    here = str(Path(__file__))
    assert scrub(here, {"X_KEY": here}) == here, "the path of a file is no key"


def test_the_longer_of_two_secrets_goes_first():
    assert scrub("opensesame-street", {"A_KEY": "opensesame", "B_KEY": "opensesame-street"}) == MASK


@given(st.text(), st.text("abcdefXYZ09-_+/=", min_size=6, max_size=40), st.text())
def test_no_secret_value_survives_wherever_it_stands(before, value, after):
    if secrets._telling(value.strip()):
        assert value not in scrub(before + value + after, {"SOME_TOKEN": value}) or value in MASK


@given(st.text())
def test_scrubbing_twice_is_scrubbing_once(text):
    assert scrub(scrub(text, {}), {}) == scrub(text, {})


def test_a_file_is_scrubbed_in_place_and_other_bytes_stay(tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", HIDDEN["HF_TOKEN"])
    log = tmp_path / "worker.log"
    log.write_bytes(b"\xff\xfe said " + HIDDEN["HF_TOKEN"].encode() + b" end")
    scrub_file(log)
    assert log.read_bytes() == b"\xff\xfe said [secret] end"
    assert [path.name for path in tmp_path.iterdir()] == ["worker.log"]
    scrub_file(tmp_path / "none")


def test_a_scrubbing_stream_is_the_stream_otherwise(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", HIDDEN["HF_TOKEN"])
    under = io.StringIO()
    stream = secrets.Scrubbing(under)
    assert stream.write(f"a {HIDDEN['HF_TOKEN']}\n") == len(HIDDEN["HF_TOKEN"]) + 3
    assert under.getvalue() == f"a {MASK}\n"
    assert stream.getvalue() == under.getvalue()


REFUSED = [
    ("api_key = 'VERYSECRETVALUE'", "api_key"),
    ("[machine]\napi_key = 'VERYSECRETVALUE'", "machine.api_key"),
    ("[machine.openai]\nauthToken = 'VERYSECRETVALUE'", "machine.openai.authToken"),
    ("[[iterations]]\npassword = 'VERYSECRETVALUE'", "iterations[0].password"),
    ("[prompts]\nsource = 'https://me:VERYSECRETVALUE@host/p.jsonl'", "line 2"),
    ("seed = 1\n# my key: sk-VERYSECRETVALUE0123456789", "line 2"),
    ("[prompts]\nsource = 'http://h/p.jsonl?access_token=VERYSECRETVALUE'", "line 2"),
    ("[machine]\n'sk-VERYSECRETVALUE0123456789' = 1", "line 2"),
    ("[judge]\ntemplate = './mine.txt'", "a template: line"),
]


@pytest.mark.parametrize(("text", "place"), REFUSED)
def test_a_config_with_a_secret_is_refused_without_repeating_it(tmp_path, text, place):
    (tmp_path / "mine.txt").write_text("{{ conversation }} {{ response }} sk-VERYSECRETVALUE0123456789")
    (tmp_path / "c.toml").write_text(text)
    with pytest.raises(ConfigError) as caught:
        config.load(tmp_path / "c.toml")
    assert place in str(caught.value)
    assert "environment variable" in str(caught.value)
    assert "VERYSECRETVALUE" not in str(caught.value)


def test_a_config_that_repeats_a_secret_of_the_environment_is_refused(tmp_path, monkeypatch):
    monkeypatch.setenv("MY_SERVICE_PASSWORD", HIDDEN["MY_SERVICE_PASSWORD"])
    (tmp_path / "c.toml").write_text(f"seed = 1\nmodel = '{HIDDEN['MY_SERVICE_PASSWORD']}'")
    assert lines_with_secrets((tmp_path / "c.toml").read_text()) == [2]
    with pytest.raises(ConfigError, match="line 2 looks like a secret"):
        config.load(tmp_path / "c.toml")


def test_every_shipped_config_is_free_of_what_looks_like_a_secret():
    for path in sorted(Path(__file__).parent.parent.joinpath("examples").glob("*.toml")):
        assert lines_with_secrets(path.read_text()) == []


# A library that fails with a secret in its message, in one answer of four; or a bug that shows a traceback.
FAULTY = """
import os, sys
from metareward.engines import fake
from metareward.engines.base import failed
whole = fake.FakeEngine._answer
def answer(self, request):
    url = "https://user:{url}@host/v1"
    said = f"401 for {{url}} with {{os.environ['OPENAI_API_KEY']}}"
    if MODE == "rows" and request.step == "generate" and request.seed % 4 == 0:
        return failed(request, said)
    if MODE == "crash" and request.step == "judge":
        raise RuntimeError(said + os.environ["HF_TOKEN"])
    return whole(self, request)
fake.FakeEngine._answer = answer
from metareward.cli import main
sys.argv = ["metareward", *sys.argv[1:]]
main()
"""


def call(here: Path, *arguments: str, mode: str | None = None) -> str:
    """Run the command line with secrets in its environment; all it says."""
    if mode:
        code = f"MODE = {mode!r}\n" + FAULTY.format(url=URL_SECRET)
        command = [sys.executable, "-c", code, *arguments]
    else:
        command = [sys.executable, "-m", "metareward", *arguments]
    done = subprocess.run(
        command,
        cwd=here,
        capture_output=True,
        text=True,
        env={**os.environ, **HIDDEN},
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


def everything_written(here: Path) -> dict[str, str]:
    """Every file below a directory as text; Parquet also as the rows and the notes it holds."""
    import pyarrow.parquet as pq

    found = {str(path): path.read_bytes().decode("latin-1") for path in here.rglob("*") if path.is_file()}
    for name in list(found):
        if name.endswith(".parquet"):
            table = pq.read_table(name)
            found[name] += json.dumps(table.to_pylist(), ensure_ascii=False) + str(table.schema.metadata)
    return found


def leaks(texts: dict[str, str]) -> list[tuple[str, str]]:
    return [(name, secret) for name, text in texts.items() for secret in SECRETS if secret in text]


def test_no_byte_of_a_run_its_reports_and_its_failures_holds_a_secret(tmp_path, monkeypatch):
    for name, value in HIDDEN.items():
        monkeypatch.setenv(name, value)
    (tmp_path / "tiny.toml").write_text(FAKE)
    said = {"rows": call(tmp_path, "run", "tiny.toml", mode="rows")}
    other = ("run", "tiny.toml", "-d", "runs/other")
    said["crash"] = call(tmp_path, *other, mode="crash")
    assert "RuntimeError: 401 for https://[secret]@host/v1 with [secret]" in said["crash"]
    said["again"] = call(tmp_path, *other)
    bad = tmp_path / "bad.toml"
    bad.write_text(f"{FAKE}\napi_key = '{HIDDEN['HF_TOKEN']}'\n")
    said["bad"] = call(tmp_path, "run", "bad.toml")
    assert "looks like a secret" in said["bad"]
    bad.unlink()
    monkeypatch.chdir(tmp_path)
    (failed, *_) = ids_of_failures(tmp_path / "runs/tiny")
    reports = ["cost runs/tiny", "diff runs/tiny runs/other", "diff runs/other", "verify runs/tiny"]
    reports += ["plan tiny.toml", "export runs/tiny out", f"show {failed} --run runs/tiny"]
    for command in reports:
        said[command] = CliRunner().invoke(app, command.split()).output
    assert "supervision: none" in said["cost runs/tiny"]
    assert "error: 401 for https://[secret]@host/v1 with [secret]" in said[reports[-1]]
    assert leaks(said) == []
    assert (tmp_path / "out/README.md").is_file()
    assert leaks(everything_written(tmp_path)) == []
    outcomes = [json.loads(f.read_text()) for f in sorted((tmp_path / "runs/other/sessions").iterdir())]
    assert [session["outcome"] for session in outcomes] == ["error", "finished"]
    assert MASK in outcomes[0]["message"]


def ids_of_failures(run: Path) -> list[str]:
    import pyarrow.parquet as pq

    rows = [
        row for path in run.glob("artifacts/generate-*/rows-*") for row in pq.read_table(path).to_pylist()
    ]
    return [row["id"] for row in rows if row["finish"] == "failed"]


@pytest.mark.model
def test_a_training_child_that_prints_secrets_leaves_none(tmp_path):
    """Printed when Python starts, before our code could look: the log is scrubbed when the child ends."""
    from test_session import prepare

    prepare(tmp_path)
    (tmp_path / "startup").mkdir()
    said_at_start = "import os, sys\nprint(os.environ.get('HF_TOKEN'), file=sys.__stderr__)\n"
    said_at_start += f"print('https://user:{URL_SECRET}@host', file=sys.__stderr__)\n"
    (tmp_path / "startup/sitecustomize.py").write_text(said_at_start)
    path = os.pathsep.join([str(tmp_path / "startup"), os.environ.get("PYTHONPATH", "")])
    environment = {**os.environ, **HIDDEN, "PYTHONPATH": path}
    command = [sys.executable, "-m", "metareward", "run", "config.toml"]
    done = subprocess.run(
        command, cwd=tmp_path, capture_output=True, env=environment, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    (log,) = tmp_path.glob("run/training/*/worker.log")
    assert MASK in log.read_text()
    assert leaks(everything_written(tmp_path / "run")) == []
