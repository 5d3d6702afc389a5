"""The picture of a comparison: what stands in it, that names do not touch, and what is said without it."""

import sys
from itertools import pairwise

import pytest

from lab_cells import cell
from metareward.lab import picture
from metareward.lab.picture import COLOURS, apart, draw
from metareward.lab.report import report

NAMES = ("oracle", "frozen_judge", "self_rewarding", "meta_rewarding")


def planted(names=NAMES, seeds=2, ended=None):
    cells = [
        cell(
            name,
            0,
            seed,
            [3.0 + place / 10 + seed / 10 + number * place / 20 for number in range(7)],
            [0.6] * 7,
        )
        for place, name in enumerate(names)
        for seed in range(seeds)
    ]
    if ended:
        cells[0] = cell(names[0], 0, 0, [3.0, 2.5], ended=ended)
    return report(cells, 6)


def texts(axes):
    return [text.get_text() for text in axes.texts]


@pytest.fixture(scope="module")
def figure():
    drawn = picture._figure(planted())
    drawn.draw_without_rendering()
    return drawn


def test_both_files_are_there_and_equal_reports_give_equal_pictures(tmp_path):
    png, svg = draw(planted(), tmp_path / "one")
    assert png.read_bytes().startswith(b"\x89PNG")
    assert "meta_rewarding" in svg.read_text(), "text stays text"
    again = draw(planted(), tmp_path / "two")
    assert [path.read_bytes() for path in again] == [png.read_bytes(), svg.read_bytes()]


def test_the_axes_are_whole_and_say_what_their_ends_mean(figure):
    left, right = figure.axes
    assert left.get_ylim()[0] == right.get_ylim()[0] == 0
    assert left.get_ylim()[1] > 5
    assert right.get_ylim()[1] > 1
    assert {"all are met", *NAMES} == set(texts(left))
    assert {"a coin", "always right", *NAMES} == set(texts(right))
    assert [tick.get_text() for tick in left.get_xticklabels()] == [f"M{n}" for n in range(7)]


def test_sampled_is_solid_greedy_dashed_in_one_colour_and_the_band_is_of_all_loops(figure):
    left, right = figure.axes
    lines = [line for line in left.get_lines() if len(line.get_xdata()) == 7]
    styles = [(line.get_linestyle(), line.get_color()) for line in lines]
    assert styles == [(style, colour) for colour in COLOURS[:4] for style in ("-", "--")]
    own = planted()["conditions"][NAMES[0]]["measures"]
    drawn = [list(line.get_ydata()) for line in lines[:2]]
    assert drawn == [own["truth"]["mean"], own["truth_greedy"]["mean"]]
    band = left.collections[1].get_paths()[0].vertices[:, 1]
    told = planted()["conditions"]["frozen_judge"]["measures"]["truth"]
    assert (band.min(), band.max()) == pytest.approx((min(told["lowest"]), max(told["highest"])))
    assert len([line for line in right.get_lines() if len(line.get_xdata()) == 7]) == 4


@pytest.mark.parametrize("count", [4, 15])
def test_no_text_lies_on_another_or_outside(count):
    drawn = picture._figure(planted([f"a_condition_named_{n}" for n in range(count)], ended="no pairs"))
    drawn.draw_without_rendering()
    width, height = drawn.canvas.get_width_height()
    for axes in drawn.axes:
        boxes = [text.get_window_extent() for text in [*axes.texts, axes.title, *drawn.texts]]
        for place, box in enumerate(boxes):
            assert box.x0 >= 0, axes.texts[place]
            assert box.x1 <= width + 1
            assert box.y0 >= 0
            assert box.y1 <= height
            assert not any(box.overlaps(other) for other in boxes[:place])


def test_what_the_lines_are_is_said():
    (caption,) = [text.get_text() for text in picture._figure(planted(ended="no pairs")).texts]
    assert "mean of 2 loops (1 base model, 2 seeds); bands: from the lowest loop to the highest" in caption
    assert "1 loop ended early" in caption
    (caption,) = [text.get_text() for text in picture._figure(planted(seeds=1)).texts]
    assert "one loop (1 base model, 1 seed)" in caption
    assert "ended early" not in caption


def test_more_conditions_than_colours_are_told_apart_by_their_marks():
    left = picture._figure(planted([f"c{n}" for n in range(15)])).axes[0]
    looks = [
        (line.get_color(), line.get_marker()) for line in left.get_lines() if line.get_linewidth() == 1.8
    ]
    assert len(set(looks)) == 15


def test_places_keep_their_distance_and_their_order():
    assert apart([1.0, 3.0], 0.5, (0, 5)) == [1.0, 3.0]
    found = apart([2.0, 2.0, 2.1, 4.99], 0.5, (0, 5))
    assert found == sorted(found)
    assert min(b - a for a, b in pairwise(found)) >= 0.5 - 1e-9
    assert apart([5.0, 5.0, 5.0], 1.0, (0, 5)) == pytest.approx([3.0, 4.0, 5.0]), "not beyond the edge"
    assert apart([0.0, 0.1], 1.0, (0, 5)) == pytest.approx([0.0, 1.0])
    assert apart([], 1.0, (0, 5)) == []


def test_without_matplotlib_there_is_none_and_nothing_breaks(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(picture, "find_spec", lambda name: None)
    assert draw(planted(), tmp_path) == []
    assert "pip install 'metareward[plot]'" in picture.MISSING
