"""The study of docs/lab.md: its parts are the commands it prints, its tables what their loops came to."""

import importlib
import sys
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from lab_cells import cell
from metareward.cli import lab
from metareward.cli.app import app
from metareward.lab.conditions import CONDITIONS
from metareward.lab.report import report

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
study: Any = importlib.import_module("lab_study")


class Asked(Exception):
    """What loops were asked for."""


def asking(conditions, budget, bases, seeds, root, world, *_: Any) -> None:
    raise Asked(list(conditions), budget, list(bases), list(seeds), world)


@pytest.mark.parametrize("name", study.PARTS)
def test_a_part_is_the_command_that_stands_over_its_tables(name, monkeypatch, tmp_path):
    part = study.PARTS[name]
    monkeypatch.setattr(study, "compare", asking)
    monkeypatch.setattr(lab, "compare", asking)
    with pytest.raises(Asked) as ours:
        study.cells_of(part, tmp_path, 0)
    done = CliRunner().invoke(app, part.command.split()[1:])
    assert isinstance(done.exception, Asked), done.output
    assert done.exception.args == ours.value.args
    assert part.command in (ROOT / "docs/lab-study.md").read_text(), "make the page anew"


def test_parts_that_lie_in_one_place_have_one_budget():
    places: dict[str, set[Any]] = {}
    for part in study.PARTS.values():
        places.setdefault(part.place, set()).add((part.world, part.budget))
    assert all(len(budgets) == 1 for budgets in places.values())
    assert len({budgets.copy().pop() for budgets in places.values()}) == len(places)


def test_what_is_told_together_has_the_same_meta_judge_and_length():
    for _, parts, recipes in study.TOGETHER.values():
        one, other = (study.PARTS[part] for part in parts)
        assert one.budget == other.budget
        assert one.world == other.world
        assert not set(one.bases) & set(other.bases)
        assert set(recipes) <= set(one.recipes) & set(other.recipes)


def test_contrasts_are_of_conditions_that_there_are():
    assert {name for pair in study.CONTRASTS for name in pair} <= set(CONDITIONS)


@pytest.fixture
def cells() -> dict[str, list[dict[str, Any]]]:
    """Two parts with other base models; guarded is better by .5 and greedy by .25."""
    truths = {"meta_rewarding": 3.0, "guarded": 3.5}
    return {
        part: [
            cell(name, base, seed, [2.0, truth + base / 10, truth + base / 10], greedy=4 + truth / 2)
            | {"key": f"{name}-{base}-{seed}"}
            for name, truth in truths.items()
            for base in study.PARTS[part].bases
            for seed in (0, 1)
        ]
        for part in ("flattery", "best")
    }


def test_the_sign_of_a_contrast(cells):
    found = report(cells["best"], 2)
    (line,) = [line for line in study.contrasts(found).splitlines() if line.startswith("| guarded - meta")]
    assert [each.strip() for each in line.split("|")[2:5:2]] == [
        "+0.50 [+0.50, +0.50]",
        "+0.25 [+0.25, +0.25]",
    ]
    assert line.rstrip(" |").endswith("6 of 6")


def test_a_page_tells_of_two_parts_together(cells):
    found = {"best": report(cells["best"], 2), "all-best": report([*cells["flattery"], *cells["best"]], 2)}
    page = "".join(study.pages(found))
    assert f"`{study.PARTS['best'].command}`" in page
    assert "The loops of `flattery` and `best` together." in page
    assert page.count("12 of 12") >= 1, "six base models, two seeds"


def test_a_loop_that_parts_share_counts_once(cells):
    (one, *_), again = cells["best"], cells["best"][:1]
    found = study.once({**cells, "again": again})
    assert len(found) == sum(map(len, cells.values()))
    assert found.count(one) == 1
