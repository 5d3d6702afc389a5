"""One picture of a comparison: what answers are worth, and how right the judge is, model by model.

Needs matplotlib, which `metareward[plot]` brings.
"""

import io
from collections.abc import Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from metareward import disk
from metareward.lab.reading import JUDGE, TRUTH
from metareward.lab.words import CRITERIA

MISSING = "no picture: matplotlib is not installed here; pip install 'metareward[plot]' brings it"
FORMATS = ("png", "svg")
# Okabe and Ito (2008): told apart by colour-blind readers. Yellow is left out: too light on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#000000", "#E69F00", "#56B4E9")
_MARKERS = ("o", "s", "^", "D", "v")
_GREY = "#767676"
_GREEDY = "truth_greedy"


def can_draw() -> bool:
    """Whether there is something to draw with."""
    return find_spec("matplotlib") is not None


def draw(report: Mapping[str, Any], folder: Path, name: str = "picture") -> list[Path]:
    """Write NAME.png and NAME.svg; equal reports give equal pictures. Nothing where matplotlib is missing."""
    if not can_draw():
        return []
    figure = _figure(report)
    disk.make_directory(folder)
    return [_written(figure, folder / f"{name}.{kind}", kind) for kind in FORMATS]


def _written(figure: Any, path: Path, kind: str) -> Path:
    import matplotlib

    undated = {"Date": None} if kind == "svg" else {"Software": None}
    content = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "metareward", "svg.fonttype": "none"}):
        figure.savefig(content, format=kind, dpi=150, metadata=undated)
    disk.replace(path, content.getvalue())
    return path


def _figure(report: Mapping[str, Any]) -> Any:
    from matplotlib.figure import Figure

    tall = max(5.6, 0.27 * len(report["conditions"]) + 2.4)
    figure = Figure(figsize=(12.5, tall), facecolor="white")
    left, right = figure.subplots(1, 2, gridspec_kw={"width_ratios": [1.25, 1]})
    figure.subplots_adjust(left=0.045, right=0.845, top=1 - 0.6 / tall, bottom=1.1 / tall, wspace=0.5)
    _panel(left, report, TRUTH, "Truth of answers: criteria met, of five", (0, len(CRITERIA)))
    _panel(right, report, JUDGE, "Judge: share of right verdicts on fixed answers", (0, 1))
    _level(left, len(CRITERIA), "all are met")
    _level(right, 1.0, "always right")
    _level(right, 0.5, "a coin")
    figure.text(0.045, 0.22 / tall, _caption(report), fontsize=9, color=_GREY, va="bottom", linespacing=1.5)
    return figure


def _panel(axes: Any, report: Mapping[str, Any], measure: str, title: str, span: tuple[float, float]) -> None:
    """The lines of one measure, and their names at its right side."""
    iterations, ends = report["iterations"], {}
    for (name, own), (colour, marker) in zip(report["conditions"].items(), _looks(), strict=False):
        told = own["measures"][measure]
        _line(axes, told, colour, marker)
        if measure == TRUTH:
            _line(axes, own["measures"][_GREEDY], colour, "", "--", band=False)
        known = [value for value in told["mean"] if value is not None]
        if known:
            ends[name] = (known[-1], colour)
    room = 0.05 * (span[1] - span[0])
    axes.axvspan(
        iterations + 0.5 - len(report["end"]), iterations + 0.15, color="#f3f3f3", linewidth=0, zorder=0
    )
    axes.set_xlim(-0.15, iterations + 0.15)
    axes.set_ylim(span[0], span[1] + room)
    axes.set_xticks(range(iterations + 1), [f"M{number}" for number in range(iterations + 1)])
    axes.set_title(title, loc="left", fontsize=11.5, pad=12)
    axes.tick_params(colors=_GREY, labelcolor="black", labelsize=9)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("bottom", "left"):
        axes.spines[side].set_color(_GREY)
    _names(axes, ends, span)


def _line(
    axes: Any, told: Mapping[str, Any], colour: str, marker: str, style: str = "-", band: bool = True
) -> None:
    """The mean over loops, and a band from the lowest loop to the highest."""
    at = [number for number, value in enumerate(told["mean"]) if value is not None]
    rows = [[told[name][number] for number in at] for name in ("mean", "lowest", "highest")]
    width = 1.8 if style == "-" else 1.2
    axes.plot(at, rows[0], style, color=colour, marker=marker, markersize=4, linewidth=width, zorder=3)
    if band:
        axes.fill_between(at, rows[1], rows[2], color=colour, alpha=0.13, linewidth=0, zorder=2)


def _level(axes: Any, value: float, name: str) -> None:
    """A line that says what a number means."""
    axes.axhline(value, color=_GREY, linewidth=0.8, linestyle=":", zorder=1)
    axes.text(-0.1, value, name, color=_GREY, fontsize=8, ha="left", va="bottom")


def _names(axes: Any, ends: Mapping[str, tuple[float, str]], span: tuple[float, float]) -> None:
    """The name of each line beside its end, moved apart where two would touch, with a thread to it."""
    ordered = sorted(ends, key=lambda name: ends[name][0])
    share = 15.0 / (axes.get_position().height * axes.figure.get_figheight() * 72)
    places = apart([ends[name][0] for name in ordered], share * (span[1] - span[0]), span)
    edge = axes.get_xlim()[1]
    beside = edge + 0.055 * edge
    for name, place in zip(ordered, places, strict=True):
        value, colour = ends[name]
        axes.plot([edge - 0.1, beside - 0.06], [value, place], color=colour, linewidth=0.7, clip_on=False)
        axes.text(beside, place, name, color=colour, fontsize=9.5, va="center_baseline")
    axes.set_xlim(right=edge)


def apart(values: Sequence[float], gap: float, span: tuple[float, float]) -> list[float]:
    """Places at least `gap` apart and within `span` where that can be, each near its value. Values ascend."""
    groups: list[list[float]] = []
    for value in values:
        groups.append([value])
        while len(groups) > 1 and _top(groups[-2], gap, span) + gap > _bottom(groups[-1], gap, span) + 1e-12:
            groups[-2:] = [groups[-2] + groups[-1]]
    return [_bottom(group, gap, span) + number * gap for group in groups for number in range(len(group))]


def _bottom(group: Sequence[float], gap: float, span: tuple[float, float]) -> float:
    """Where a group begins: around its mean, but not beyond the edges."""
    high = (len(group) - 1) * gap
    middle = sum(group) / len(group)
    return max(span[0], min(middle - high / 2, span[1] - high))


def _top(group: Sequence[float], gap: float, span: tuple[float, float]) -> float:
    return _bottom(group, gap, span) + (len(group) - 1) * gap


def _looks() -> Iterator[tuple[str, str]]:
    """A colour and a marker for each condition; the markers differ where colours must come again."""
    while True:
        for marker in _MARKERS:
            for colour in COLOURS:
                yield colour, marker


def _caption(report: Mapping[str, Any]) -> str:
    bases, seeds, early = len(report["bases"]), len(report["seeds"]), len(report["ended"])
    loops = max(own["cells"] for own in report["conditions"].values())
    units = f"{_count(bases, 'base model')}, {_count(seeds, 'seed')}"
    mean = f"mean of {loops} loops ({units}); bands: from the lowest loop to the highest"
    lines = [
        f"Solid: sampled answers, {mean if loops > 1 else f'one loop ({units})'}. Dashed: greedy answers."
    ]
    lines += ["Grey ground: the models whose mean stands in the tables."]
    if early:
        lines[1] += f" {_count(early, 'loop')} ended early: the last model stands for those that never were."
    return "\n".join(lines)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
