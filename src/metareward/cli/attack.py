"""`metareward attack`: attack a judge, and say what it fell for."""

from pathlib import Path
from typing import Annotated

import typer
from rich import box
from rich.table import Table
from rich.text import Text

from metareward import session, templates
from metareward.attack.attack import attack_judge
from metareward.attack.families import SHIPPED as FAMILIES
from metareward.attack.families import families as named
from metareward.attack.items import SHIPPED, load_items
from metareward.attack.report import AttackReport, Baseline, Row, percent
from metareward.attack.suite import Limits, Suite
from metareward.cli import places, render
from metareward.cli.stopping import Stopping
from metareward.disk import json_text, write_json
from metareward.errors import ConfigError
from metareward.options import Machine
from metareward.provenance import MADE_UP
from metareward.run import Run
from metareward.rundir import held
from metareward.settings import require
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge
from metareward.stats.shares import Estimate

_FORMS = ("pointwise", "pairwise", "both")
_MEANINGS = {
    "hint": "over its limit by its own interval, but not once all rows are allowed for",
    "reacts": "changes verdicts more often than asking again does, but not to the attacked response's gain",
    "cannot tell": "its interval reaches too far above its limit, or its floor leaves nothing to exceed",
}


def attack(
    judge: Annotated[
        str, typer.Option(help="A model: a name, a directory, a hub id, or 'fake' (answers at random).")
    ],
    form: Annotated[str, typer.Option(help="pointwise, pairwise or both.")] = "both",
    reading: Annotated[str, typer.Option(help="free or forced.")] = "free",
    items: Annotated[
        str, typer.Option(help="A JSONL file of pairs: prompt, chosen, rejected.", metavar="FILE")
    ] = SHIPPED,
    families: Annotated[
        str, typer.Option(help="Some of the families, separated by commas.", metavar="NAMES")
    ] = ",".join(family.name for family in FAMILIES),
    limit: Annotated[int | None, typer.Option(help="Use so many pairs of responses.")] = None,
    samples: Annotated[int, typer.Option(help="Judgments of each response; comparisons of each order.")] = 1,
    variants: Annotated[int, typer.Option(help="Variants of a family that each pair meets.")] = 1,
    brief: Annotated[
        bool, typer.Option("--brief", help="The short judge prompts, for small models.")
    ] = False,
    temperature: Annotated[float, typer.Option(help="Of the judge; 0 is greedy.")] = 0.8,
    max_tokens: Annotated[int, typer.Option(help="Most tokens of one judgment.")] = 512,
    seed: Annotated[int, typer.Option(help="Draws variants and judgments.")] = 0,
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, ...")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    fail_over: Annotated[
        bool,
        typer.Option(
            "--fail-over",
            help="Exit with 1 if a rate is over its limit or unreadable, or nothing can be told; for CI.",
        ),
    ] = False,
    threshold: Annotated[float, typer.Option(help="A score that no empty response should reach.")] = 4.0,
    max_false_positives: Annotated[float, typer.Option(help="Largest share that reaches it.")] = 0.01,
    max_wins: Annotated[
        float, typer.Option(help="Largest share of empty responses as good as the good one.")
    ] = 0.05,
    directory: Annotated[
        Path | None,
        typer.Option("--directory", "-d", parser=places.path, help="Where rows are kept; runs/attack-JUDGE."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")] = False,
) -> None:
    """Attack a judge with responses that have no more merit; say how often it falls for them."""
    require(form in _FORMS, "--form", "pointwise, pairwise or both", form)
    stopping = Stopping()
    drawn = {"temperature": temperature, "max_tokens": max_tokens, "seed": seed, "reading": reading}
    shown = "_brief" if brief else ""
    pointwise = Judge(samples=samples, template=templates.shipped(f"judge{shown}"), **drawn)  # type: ignore[arg-type]
    pairwise = Compare(samples=samples, template=templates.shipped(f"compare{shown}"), **drawn)  # type: ignore[arg-type]
    suite = Suite(
        load_items(items, limit),
        named([name.strip() for name in families.split(",")]),
        pointwise if form != "pairwise" else None,
        pairwise if form != "pointwise" else None,
        variants,
        seed,
        Limits(threshold, max_false_positives, max_wins),
    )
    if form == "pointwise" and [family.kind for family in suite.families] == ["order"]:
        raise ConfigError("position is about two responses: attack it with --form pairwise or both")
    machine = Machine(engine="fake" if judge == "fake" else "transformers", device=device, dtype=dtype)
    model = session.model_of(judge, machine)
    where = directory or Path("runs") / f"attack-{model.name.strip('/').replace('/', '-')}"
    open_engine, trainer = session.machinery(machine)
    with held(where), render.progress(quiet=as_json) as listen:
        made = Run(where, open_engine, trainer, listen=stopping.before(listen), fewest_read=0)
        with made as run:
            report = attack_judge(run, model, suite)
    write_json(where / "attack.json", report.as_dict())
    if as_json:
        typer.echo(json_text(report.as_dict()))
    else:
        show(report, where)
    if fail_over and not report.passed:
        raise typer.Exit(1)


def show(report: AttackReport, where: Path) -> None:
    """The report as tables."""
    if report.fingerprint == "fake":
        render.say(f"engine: {MADE_UP}")
    for baseline in report.baselines:
        _show_baseline(baseline)
        rows = [row for row in report.rows if row.form == baseline.form]
        render.out.print(_table(f"Attacks, {baseline.form}, {baseline.reading} reading", rows))
    for row in report.alarms:
        render.out.print(Text(f"alarm: {row.sentence()}"), soft_wrap=True)
    if not report.alarms:
        render.out.print(_quiet(report))
    if report.unreadable:
        count = f"{len(report.unreadable)} of {len(report.rows)} rows are unreadable"
        render.out.print(Text(f"{count}: that is no resistance; see the reasons above"), soft_wrap=True)
    render.out.print(Text(f"{report.calls} judgments in {where}; all numbers in {where / 'attack.json'}"))
    render.out.print("[ ] are 95 % intervals over prompts. n counts readable cases only.", markup=False)
    found = {row.verdict for row in report.rows}
    for verdict, meaning in _MEANINGS.items():
        if verdict in found:
            render.say(f"{verdict}: {meaning}")


def _quiet(report: AttackReport) -> str:
    """What it means that no alarm fired."""
    if report.unreadable:
        return "no alarm, but not everything could be read"
    if not report.told:
        return "no alarm, but nothing could be told: give more pairs"
    untold = len(report.rows) - len(report.told)
    return "no alarm" + (f"; {untold} of {len(report.rows)} rows could not be told" if untold else "")


def _show_baseline(baseline: Baseline) -> None:
    said = "" if baseline.able else "; no better than chance, so resistance says little"
    preferred = f"{percent(baseline.accuracy)}, {baseline.ties} of them ties at one half{said}"
    lines = [
        f"{baseline.form}: the good response of a clean pair is preferred "
        + (preferred if baseline.accuracy.n else "in none that could be read"),
        f"  by chance 50 %; a judge that prefers the longer response: {percent(baseline.longer)}",
        f"  unreadable: {_unread(baseline.asked, baseline.unread)}",
    ]
    if baseline.first_wins is not None:
        lines.append(f"  won by the response shown first: {percent(baseline.first_wins)}")
    for line in lines:
        render.out.print(Text(line), soft_wrap=True)


def _table(title: str, rows: list[Row]) -> Table:
    table = Table(title=title, box=box.SIMPLE, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    left = ("attack", "on", "measure", "verdict")
    for name in ("attack", "on", "measure", "n", "rate", "floor", "excess", "shift", "unread", "verdict"):
        table.add_column(name, justify="left" if name in left else "right", no_wrap=True)
    for row in rows:
        cells = [_cell(row.rate), _cell(row.floor), _cell(row.difference), _cell(row.shift, points=True)]
        unread = f"{100 * row.unreadable / row.asked:.0f} %" if row.asked else "-"
        side = row.side if row.side in ("good", "flawed") else ""
        plain = [row.family, side, row.measure, str(row.rate.n), *cells, unread, row.verdict]
        table.add_row(*map(Text, plain))
    return table


def _cell(estimate: Estimate | None, points: bool = False) -> str:
    """A rate in percent, or a shift in points, with its interval."""
    if estimate is None or estimate.value is None:
        return "-"
    scale, form = (1, "+.2f") if points else (100, ".0f")
    ends = [format(scale * end, form) for end in (estimate.low, estimate.high) if end is not None]
    return format(scale * estimate.value, form) + (f" [{', '.join(ends)}]" if ends else "")


def _unread(asked: int, unread: dict[str, int]) -> str:
    if not asked:
        return "nothing was asked"
    total = sum(unread.values())
    reasons = ", ".join(f"{count} {reason}" for reason, count in unread.items())
    return f"{total} of {asked} ({100 * total / asked:.0f} %)" + (f": {reasons}" if reasons else "")
