"""Papers that cannot drift: what the README shows is run, and what the docs name exists."""

import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

import metareward
from metareward import config
from metareward.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PAPERS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


def commands() -> list[list[str]]:
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines if line.strip()]


def test_the_two_commands_come_first():
    first = blocks("sh")[0]
    assert "make demo" in first
    assert "make test" in first
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert {"demo", "test", "check", "bench", "slow"} <= set(targets)


def test_every_command_shown_exists():
    for words in commands():
        if words[0] == "metareward":
            named = words[1:3] if words[1] == "models" else words[1:2]
            result = CliRunner().invoke(app, [*named, "--help"])
            assert result.exit_code == 0, words


def test_every_config_shown_loads(tmp_path):
    for number, block in enumerate(blocks("toml")):
        path = tmp_path / f"{number}.toml"
        path.write_text(block)
        assert config.load(path).recipe in config.RECIPES


def test_every_example_shown_is_there():
    for path in re.findall(r"examples/[\w-]+\.toml", README):
        assert (ROOT / path).is_file()


@pytest.mark.parametrize("paper", PAPERS, ids=lambda path: path.name)
def test_links_lead_somewhere(paper):
    for target in re.findall(r"\]\(([^)#]+)\)", paper.read_text()):
        if not target.startswith("http"):
            assert (paper.parent / target).exists(), target


def test_files_that_the_docs_name_exist():
    for paper in PAPERS:
        for name in re.findall(
            r"`((?:tests|docs|src|examples|benchmarks|stages|stats)/[\w/.-]+)`", paper.read_text()
        ):
            assert (ROOT / name).exists() or (ROOT / "src/metareward" / name).exists(), (paper.name, name)


def test_every_name_the_python_example_uses_is_public():
    (example,) = blocks("python")
    assert set(re.findall(r"\bmr\.(\w+)", example)) <= set(metareward.__all__)
    statements = [
        line for line in example.splitlines() if line and not line.startswith((" ", ")", "import", "from"))
    ]
    assert len(statements) <= 10


@pytest.mark.model
def test_the_python_example_runs(tmp_path, monkeypatch, default_model, capsys):
    (example,) = blocks("python")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "README.md", "exec"), {})  # noqa: S102 - our own README
    said = capsys.readouterr().out
    assert "loss_first" in said
    (trained,) = (tmp_path / "runs/notebook/models").iterdir()
    assert (trained / "model.safetensors").is_file()
