"""`metareward models check`: what it prints, and its exit status."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from in_process import one_thread  # noqa: F401 - a fixture
from metareward.cli.app import app
from tiny_llama import write_tiny_llama


def check(*arguments: str) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["models", "check", *arguments])
    return done.exit_code, done.stdout


def as_json(folder: Path) -> tuple[int, dict[str, Any]]:
    code, said = check(str(folder), "--json")
    return code, json.loads(said)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_tiny_llama(tmp_path / "m")


def test_a_right_model(folder: Path) -> None:
    code, found = as_json(folder)
    assert code == 0
    assert found["problems"] == []
    assert found["ends"] == ["<|im_end|>"]
    assert (found["finite"], found["generation_prompt"], found["keeps_every_turn"]) == (True, True, True)
    code, said = check(str(folder))
    assert code == 0
    assert "nothing is wrong" in said


def test_what_is_wrong_is_a_sentence_and_exit_1(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().partition("{% if add_generation")[0])
    code, found = as_json(folder)
    assert code == 1
    assert found["generation_prompt"] is False
    assert len(found["problems"]) == 1
    code, said = check(str(folder))
    assert code == 1
    assert "problem: " in said
    assert "add_generation_prompt" in said


def test_a_directory_that_is_no_model_is_a_problem_too(folder: Path) -> None:
    (folder / "adapter_config.json").write_text("{}")
    code, found = as_json(folder)
    assert code == 1
    assert "holds a whole model and a LoRA adapter" in found["problems"][0]
    assert found["ends"] is None


def test_a_hostile_template_moves_no_terminal(folder: Path) -> None:
    template = folder / "chat_template.jinja"
    template.write_text(template.read_text().replace("assistant", "\x1b[2Jassistant"))
    assert "\x1b" not in check(str(folder))[1]
