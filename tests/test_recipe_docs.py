"""The page of recipes says what the code does: every default in its table, every recipe, every example."""

import re
from pathlib import Path
from typing import Any

import pytest

from metareward import config

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs/recipes.md").read_text()


def table() -> list[tuple[str, str, str]]:
    """(setting, recipe, value) of the table of defaults."""
    lines = PAGE.partition("## What nothing set means")[2].partition("\n## ")[0].splitlines()
    rows = [
        [cell.strip(" `") for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")
    ]
    head, _, *body = rows
    return [(row[0], recipe, value) for row in body for recipe, value in zip(head[1:], row[1:], strict=True)]


def value_of(method: Any, setting: str) -> str:
    if setting == "iterations":
        return str(len(method.iterations))
    part, _, name = setting.partition(".")
    if part == "iterations":
        return ", ".join(dict.fromkeys(str(getattr(one, name)) for one in method.iterations))
    return str(getattr(getattr(method, part), name))


@pytest.mark.parametrize(("setting", "recipe", "value"), table())
def test_every_default_is_as_the_page_says(setting, recipe, value):
    assert value_of(config.RECIPES[recipe][0](), setting) == value


def test_the_table_is_read():
    assert len(table()) > 50


@pytest.mark.parametrize("recipe", sorted(config.RECIPES))
def test_every_recipe_is_on_the_page_and_in_an_example(recipe):
    assert f"| `{recipe}` |" in PAGE
    examples = [config.load(path) for path in sorted((ROOT / "examples").glob("*.toml"))]
    assert recipe in {example.recipe for example in examples}


@pytest.mark.parametrize("recipe", ["temporal", "cream", "combined"])
def test_each_sibling_has_its_section_and_a_small_example(recipe):
    assert f"\n## {recipe}\n" in PAGE
    example = config.load(ROOT / f"examples/{recipe}.toml")
    assert example.recipe == recipe
    assert example.model == "smollm2-135m-instruct"
    assert len(example.method.iterations) == 2, "the second is where past and previous models come in"
    assert (example.prompts.per_iteration or 99) <= 8


def test_settings_that_the_page_names_exist():
    methods = [cls() for cls, _ in config.RECIPES.values()]
    for name in re.findall(r"`(\w+) = ", PAGE):
        known = any(
            hasattr(method, name)
            or any(hasattr(getattr(method, part, None), name) for part in ("judge_gate", "dpo"))
            or hasattr(method.iterations[0], name)
            for method in methods
        )
        assert known, name
