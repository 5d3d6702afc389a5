"""The table of the paper's numbers in the docs is compared with the code, row by row."""

import re
from pathlib import Path
from typing import Any

import pytest

from metareward.config import load
from metareward.recipes.meta_rewarding import MetaRewarding

ROOT = Path(__file__).parent.parent
LINES = (ROOT / "docs" / "paper.md").read_text().splitlines()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in LINES if line.startswith("|")]
NUMBERS = [row for row in ROWS if len(row) == 5 and row[2].startswith("`")]
RULES = [row for row in ROWS if len(row) == 4 and "::" in row[3]]
PAPER = load(ROOT / "examples" / "meta-rewarding-llama3-8b.toml")


def plain(value: Any) -> str:
    if value is None:
        return "none"
    return "+".join(value) if isinstance(value, tuple) else str(value)


def value_of(setting: str, method: Any, config: Any) -> str:
    section, _, name = setting.partition(".")
    if section == "iterations":
        return ", ".join(plain(getattr(iteration, name)) for iteration in method.iterations)
    found = config if section == "prompts" else method
    for name in setting.split("."):
        found = getattr(found, name)
    return plain(found)


@pytest.mark.parametrize("method", [MetaRewarding(), PAPER.method], ids=["defaults", "example"])
@pytest.mark.parametrize("row", NUMBERS, ids=lambda row: row[2])
def test_every_number_is_where_the_table_says(row, method):
    _, _, setting, value, _ = row
    assert value_of(setting.strip("`"), method, PAPER) == value


def test_the_table_leaves_no_setting_of_the_schedule_out():
    assert len(NUMBERS) >= 28
    assert len(RULES) >= 17
    assert {row[2] for row in NUMBERS} >= {"`generate.samples`", "`iterations.rho`", "`dpo.beta`"}


@pytest.mark.parametrize("row", NUMBERS + RULES, ids=lambda row: row[0])
def test_every_test_that_pins_a_row_exists(row):
    file, _, name = row[-1].strip("`").partition("::")
    assert re.search(rf"^ *def {name}\(", (ROOT / "tests" / file).read_text(), re.MULTILINE)


@pytest.mark.parametrize("row", RULES, ids=lambda row: row[0])
def test_every_place_that_a_row_names_exists(row):
    assert (ROOT / "src" / "metareward" / row[2].strip("`")).is_file()
