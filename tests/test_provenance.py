"""What a session writes down: all packages, the very code, the data, the machine without its owner."""

import importlib.metadata
import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import fake_run
from fake_run import FAKE, facts
from metareward import session
from metareward.config import load
from metareward.events import ignore
from metareward.provenance import at_home, gpus, packages, revision
from metareward.provenance.data import hub_revision
from metareward.provenance.machine import variables
from metareward.provenance.sessions import command

loaded = fake_run.loaded


def test_every_installed_package_of_the_tree_is_named_with_its_version():
    """Against `packaging`, which reads the same requirements with their markers."""
    from packaging.requirements import Requirement
    from packaging.utils import canonicalize_name

    found = packages.versions()
    for name in ("torch", "transformers", "trl", "numpy", "pyarrow", "jinja2", "metareward", "tokenizers"):
        assert found[name] == importlib.metadata.version(name)
    for name in found:
        for text in importlib.metadata.requires(name) or []:
            needed = Requirement(text)
            here = needed.marker is None or needed.marker.evaluate({"extra": ""})
            if here:
                assert canonicalize_name(needed.name) in found, (name, text)
    assert not {"pytest", "pyright", "hypothesis", "ruff"} & set(found), "no result depends on these"


def git(place: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    done = subprocess.run(
        ["git", *identity, *arguments], cwd=place, capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_the_code_is_named_by_commit_and_by_what_was_changed_since(tmp_path, monkeypatch):
    package = tmp_path / "src/thing"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("a = 1\n")
    assert revision.code_of(package) is None, "no checkout"
    git(tmp_path, "init", "-q")
    (tmp_path / "README").write_text("of something else")
    git(tmp_path, "add", "README")
    git(tmp_path, "commit", "-qm", "x")
    assert revision.code_of(package) is None, "a repository around it that does not track it is none of ours"
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "x")
    clean = revision.code_of(package)
    assert clean == {"revision": git(tmp_path, "rev-parse", "HEAD"), "changes": None}
    seen = []
    for text in ("a = 2\n", "a = 3\n"):
        (package / "__init__.py").write_text(text)
        seen.append((revision.code_of(package) or {})["changes"])
    (package / "__init__.py").write_text("a = 1\n")
    (package / "new.py").write_text("b = 1\n")
    seen.append((revision.code_of(package) or {})["changes"])
    assert len({*seen, None}) == 4
    (package / "new.py").unlink()
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert revision.code_of(package) == clean


def test_only_variables_that_change_numbers_are_kept():
    given = {
        "OMP_NUM_THREADS": "2",
        "CUDA_VISIBLE_DEVICES": "0",
        "PYTORCH_CUDA_ALLOC_CONF": "x",
        "TORCH_API_KEY": "secret-value",
        "TORCH_HOME": "/home/me",
        "HOME": "/home/me",
        "USER": "me",
        "HF_TOKEN": "hf_x",
    }
    assert set(variables(given)) == {"OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES", "PYTORCH_CUDA_ALLOC_CONF"}


def test_gpus_are_told_where_torch_sees_them_and_torch_is_not_loaded_to_ask(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    assert gpus() is None
    properties = SimpleNamespace(name="Some GPU", total_memory=80 * 2**30, major=9, minor=0)
    cuda = SimpleNamespace(
        is_available=lambda: True, device_count=lambda: 2, get_device_properties=lambda n: properties
    )
    fake = SimpleNamespace(cuda=cuda, version=SimpleNamespace(cuda="12.8"))
    monkeypatch.setitem(sys.modules, "torch", fake)
    assert [gpu["name"] for gpu in gpus() or []] == ["Some GPU"] * 2
    assert (gpus() or [])[0] | {"driver": None} == {
        "name": "Some GPU", "memory_gib": 80.0, "capability": "9.0", "cuda": "12.8", "driver": None
    }  # fmt: skip
    cuda.is_available = lambda: False
    assert gpus() == []


def test_a_run_on_the_fake_engine_loads_no_torch(tmp_path):
    (tmp_path / "tiny.toml").write_text(FAKE)
    code = "import sys; sys.argv = ['metareward', 'run', 'tiny.toml']\n"
    code += "from metareward.cli.app import app\n"
    code += "app(standalone_mode=False); assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    assert facts(tmp_path / "runs/tiny")["gpus"] is None


def test_a_session_says_what_it_ran_with_and_what_came_of_it(tmp_path, loaded):
    session.execute(loaded, ignore)
    said = facts(tmp_path / "run")
    assert said["outcome"] == "finished"
    assert said["ended"] >= said["started"]
    assert said["seconds"] > 0
    assert said["seeds"] == {
        "seed": 0,
        "generate.seed": 0,
        "judge.seed": 0,
        "meta_judge.seed": 0,
        "attack.seed": 0,
        "dpo.seed": 0,
        "eft.seed": 0,
    }
    assert said["supervision"] == {"level": "none", "detail": ""}
    assert said["model"] == {"from": "fake", "name": "fake", "fingerprint": "fake"}
    data = said["data"]
    assert data["source"] == "shipped"
    assert len(data["sha256"]) == 64
    assert (data["kept"], data["held_out"], data["dropped"]) == (6, 2, {})
    assert data["kept"] + data["unused"] == sum(1 for _ in _shipped())
    kept = json.loads((tmp_path / f"run/configs/{said['config']['resolved']}.json").read_text())
    assert kept == json.loads(json.dumps(loaded.resolved()))
    assert (tmp_path / f"run/configs/{said['config']['given']}.toml").read_text() == FAKE
    names = [(step["section"], step["step"]) for step in said["steps"]]
    assert ("iteration 0", "train") in names
    assert names.count(("held-out M1", "judge")) == 5, (
        "itself, the referee, the bank, and back at both models"
    )


def _shipped():
    from importlib import resources

    return resources.files("metareward").joinpath("prompts", "shipped.jsonl").read_text().splitlines()


def test_a_file_of_prompts_is_named_by_its_hash_and_its_rows_add_up(tmp_path):
    lines = [{"prompt": f"What is {n}?"} for n in [*range(8), 0, 1]]
    (tmp_path / "mine.jsonl").write_text("\n".join(map(json.dumps, lines)))
    (tmp_path / "tiny.toml").write_text(FAKE.replace("[prompts]", "[prompts]\nsource = 'mine.jsonl'"))
    session.execute(load(tmp_path / "tiny.toml", tmp_path / "run"), ignore)
    data = facts(tmp_path / "run")["data"]
    import hashlib

    assert data["sha256"] == hashlib.sha256((tmp_path / "mine.jsonl").read_bytes()).hexdigest()
    assert data["kept"] + data["unused"] + sum(data["dropped"].values()) == 10
    assert data["dropped"] == {"duplicate prompt": 2}


def test_the_revision_of_a_hub_dataset_is_found_in_what_was_downloaded_or_cached():
    commit = "0123456789abcdef0123456789abcdef01234567"
    urls = {f"hf://datasets/some/thing@{commit}/data/train.parquet": {"num_bytes": 1}}
    assert hub_revision(SimpleNamespace(info=SimpleNamespace(download_checksums=urls))) == commit
    cached = [{"filename": f"/cache/some___thing/default/0.0.0/{commit}/thing-train.arrow"}]
    assert hub_revision(SimpleNamespace(info=None, cache_files=cached)) == commit
    assert hub_revision(SimpleNamespace(info=None, cache_files=[{"filename": "/tmp/x.arrow"}])) is None


def test_the_command_line_is_kept_without_places_and_secrets(monkeypatch):
    monkeypatch.setenv("HOME", "/home/someone")
    monkeypatch.setenv("HF_TOKEN", "opensesame")
    given = ["/opt/x/metareward/__main__.py", "run", "/home/someone/a.toml", "-d", "opensesame"]
    assert command(given) == ["metareward", "run", "~/a.toml", "-d", "[secret]"]
    assert command(["/usr/bin/metareward", "plan"]) == ["metareward", "plan"]
    assert command([""]) == ["python"]
    assert at_home("/home/someone") == "~"
    assert at_home("/home/someone-else/x") == "/home/someone-else/x"


def test_no_record_names_the_user_the_host_or_the_home(tmp_path, loaded):
    import getpass
    import socket

    session.execute(loaded, ignore)
    text = (tmp_path / "run/sessions/0001.json").read_text()
    assert str(Path.home()) + "/" not in text
    assert socket.gethostname() not in text
    user = getpass.getuser()
    assert user == "root" or user not in text
    assert str(tmp_path) not in text
