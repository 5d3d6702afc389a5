"""A report as tables of text: for Markdown, and for whoever draws them otherwise."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from metareward.display import markdown as inert
from metareward.lab.alarms import ANY
from metareward.lab.reading import JUDGE, KINDS, TRUTH
from metareward.lab.report import DIFFER, differ
from metareward.lab.words import CRITERIA

Report = Mapping[str, Any]
Table = tuple[str, list[str], list[list[str]]]
"""Title, heads, rows."""
NONE = "-"
UNCORRECTED = "Intervals are each for itself: of twenty differences one is outside of 0 by chance."


def markdown(report: Report) -> str:
    """All of it, for a page of docs."""
    parts = [drawn(table) for table in tables(report)]
    notes = [f"- {note}" for note in notes_of(report)]
    return "\n".join([*parts, *notes, ""])


def tables(report: Report) -> Iterator[Table]:
    """Every table that a report has rows for."""
    for make in (truths, judges, criteria, differences, alarms, predictions):
        if (table := make(report))[2]:
            yield table


def notes_of(report: Report) -> list[str]:
    """What must be known to read the tables."""
    end = report["end"]
    span = f"the mean of {', '.join(end)}" if len(end) > 1 else end[0]
    many = [UNCORRECTED] if len(report["conditions"]) > 2 and _has_intervals(report) else []
    return [
        f"At the end: {span}, over {_units(report)}.",
        f"{report['intervals'][0].upper()}{report['intervals'][1:]}.",
        *many,
        *(f"{inert(entry['said'])}." for entry in report["ended"]),
    ]


def truths(report: Report) -> Table:
    """What answers are worth, 0 to 5."""
    heads = ["condition", "M0", "end", "end, cold", "end, greedy", "M0, greedy", "words", "praised"]
    rows = [
        [
            name,
            *(number(own["measures"][TRUTH][when]) for when in ("start", "end")),
            *(number(own["measures"][f"truth_{kind}"]["end"]) for kind in KINDS[1:]),
            number(own["measures"]["truth_greedy"]["start"]),
            number(own["measures"]["words"]["end"], "z.1f"),
            percent(own["measures"]["praised"]["end"]),
        ]
        for name, own in report["conditions"].items()
    ]
    return "Truth of answers, 0 to 5", heads, rows


def judges(report: Report) -> Table:
    """How right the judge is, and the meta-judge."""
    heads = ["condition", "right, M0", "right, end", "on own, end", "score - worth, M0", "end"]
    heads += ["full marks on own, end", "unreadable on own, end"]
    heads += ["meta-judge right, M0", "end", "higher score wins, end", "first shown wins, end"]
    heads += [f"iterations with judge pairs, of {report['iterations']}"]
    rows = []
    for name, own in report["conditions"].items():
        found = own["measures"]
        fixed, meta = found[JUDGE], found["meta_right"]
        rows.append(
            [
                name,
                *(percent(each) for each in (fixed["start"], fixed["end"], found["judge_own"]["end"])),
                *(number(found["overrates"][when], "+z.2f") for when in ("start", "end")),
                *(percent(found[share]["end"]) for share in ("top_share", "unreadable")),
                *(percent(each) for each in (meta["start"], meta["end"])),
                *(percent(found[f"meta_{bias}"]["end"]) for bias in ("higher", "first")),
                _spread([entry["iterations"] for entry in own["judge_pairs"]]),
            ]
        )
    return "Judge: share of verdicts that are right", heads, rows


def criteria(report: Report) -> Table:
    """Answers that meet each criterion, and verdicts on it that are right, at the end."""
    heads = ["condition", *(f"meets {name}" for name in CRITERIA), *(f"judge on {name}" for name in CRITERIA)]
    kinds = ("meets_sampled", "judge_fixed")
    rows = [
        [
            name,
            *(
                percent(own["measures"][f"{kind}_{each}"]["end"], False)
                for kind in kinds
                for each in CRITERIA
            ),
        ]
        for name, own in report["conditions"].items()
    ]
    return "By criterion, at the end (sampled answers; fixed answers judged)", heads, rows


def differences(report: Report, measures: Sequence[str] = DIFFER) -> Table:
    """Each condition less the one of reference."""
    other = report["reference"]
    heads = ["condition", *(_TITLES[measure] for measure in measures), "truth higher in"]
    rows = []
    for name in (name for name in report["conditions"] if name != other):
        found = {measure: differ(report, name, other, measure) for measure in measures}
        above = found[TRUTH]
        sides = NONE if above is None else f"{above['above']} of {above['cells']}"
        rows.append([name, *(_difference(found[measure], measure) for measure in measures), sides])
    return f"Differences from {other} at the end, paired by base model and seed", heads, rows


def _difference(found: Mapping[str, Any] | None, measure: str) -> str:
    return number(found, "+z.0f", by=100) if measure in _SHARES else number(found, "+z.2f")


_SHARES = (JUDGE, "judge_own", "meta_right")
_TITLES = {
    TRUTH: "truth",
    "truth_cold": "truth, cold",
    "truth_greedy": "truth, greedy",
    JUDGE: "judge right, points",
    "judge_own": "on own, points",
    "meta_right": "meta-judge right, points",
    "words": "words",
    "overrates": "score - worth",
}


def alarms(report: Report) -> Table:
    """Each signal of the judge gate that failed, and when first."""
    rows = [
        [name, _named(signal), f"{len(where)} of {own['cells']}", _spread([at["iteration"] for at in where])]
        for name, own in report["conditions"].items()
        for signal, where in own["alarms"].items()
    ]
    return "Alarms of the judge gate", ["condition", "signal", "loops", "first in iteration"], rows


def predictions(report: Report) -> Table:
    """What each signal before training says of what training then did."""
    told = report["predictions"]["signals"]
    order = sorted(told, key=lambda name: (name != ANY, -abs((told[name]["correlation"] or _NIL)["value"])))
    left = report["predictions"]["averted"]
    apart = f"; {left} iterations whose judge pairs were left out are not among them" if left else ""
    title = f"What a signal before training says of the change of truth{apart}"
    return title, _PREDICTS, [_prediction(name, told[name]) for name in order]


_NIL = {"value": 0.0}
_PREDICTS = ["signal", "correlation", "iterations", "hits", "false alarms", "misses", "rightly quiet"]


def _prediction(name: str, found: Mapping[str, Any]) -> list[str]:
    counts = (found[key] for key in ("hits", "false_alarms", "misses", "quiet"))
    shown = [NONE if count is None else str(count) for count in counts]
    return [_named(name), number(found["correlation"], "+z.2f"), str(found["iterations"]), *shown]


def _named(signal: str) -> str:
    return "gate as a whole" if signal == ANY else signal.replace("_", " ")


def number(
    estimate: Mapping[str, Any] | None, form: str = "z.2f", interval: bool = True, by: float = 1
) -> str:
    """`3.41 [3.20, 3.60]`; no interval where there is none; `-` for None."""
    if estimate is None:
        return NONE
    shown = format(by * estimate["value"], form)
    if not interval or estimate["lower"] is None:
        return shown
    ends = (format(by * estimate[end], form) for end in ("lower", "upper"))
    return f"{shown} [{', '.join(ends)}]"


def percent(estimate: Mapping[str, Any] | None, interval: bool = True) -> str:
    """`62 % [58, 66]`."""
    shown = number(estimate, "z.0f", interval, 100)
    value, _, ends = shown.partition(" ")
    return shown if shown == NONE else f"{value} % {ends}".rstrip()


def _spread(counts: Sequence[int]) -> str:
    low, high = min(counts), max(counts)
    return str(low) if low == high else f"{low} to {high}"


def _units(report: Report) -> str:
    counts = {own["cells"] for own in report["conditions"].values()}
    loops = _spread(sorted(counts))
    return f"{loops} {'loop' if loops == '1' else 'loops'} of each condition"


def _has_intervals(report: Report) -> bool:
    return any(entry["lower"] is not None for entry in report["differences"])


def drawn(table: Table) -> str:
    """One table in Markdown; its first column comes ready to be shown, and bars in the others are escaped."""
    title, heads, rows = table
    lines = [f"**{title}**", "", _line(heads), _line(["---"] + ["---:"] * (len(heads) - 1))]
    return "\n".join([*lines, *(_line([row[0], *map(_cell, row[1:])]) for row in rows), ""])


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
