"""The tables at the end of a run: its models, its iterations, and what the anchors say of both."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

from metareward.cli import render, render_epochs, render_samples
from metareward.cli.render_answers import answer_rows
from metareward.cli.render_gates import gate_rows, legend
from metareward.config import Config
from metareward.display import one_line
from metareward.evaluate.verifiable import WAYS, Verifiable
from metareward.provenance import FAKE, engine_said

_HEADLINES: Mapping[str, tuple[str, ...]] = {  # where in an evaluation's numbers its first one stands
    "ifeval": ("strict", "prompt"),
    "gsm8k": ("flexible",),
    "judge": ("accuracy",),
    "mt_bench": ("score",),
    "arena_hard": (),
}


def summary(result: dict[str, Any], config: Config) -> None:
    """The run's table and where everything lies."""
    made_up = " (made up by the fake engine)" if result.get("engine") == FAKE else ""
    where = " on held-out prompts" if result["models"][0]["held_out"] else ""
    table = Table(title=f"Models{where}{made_up}")
    for title in ("", *(entry["model"] for entry in result["models"])):
        table.add_column(Text(one_line(title)), justify="left" if not title else "right")
    for name, row in (*_model_rows(result["models"], _span(result)), *_anchor_rows(result)):
        table.add_row(*render.cells(name, *row))
    render.out.print(table)
    steps = Table(title=f"Iterations{made_up}")
    for title in ("", *(f"{entry['iteration']}" for entry in result["iterations"])):
        steps.add_column(title, justify="left" if not title else "right")
    for name, row in (*_iteration_rows(result["iterations"]), *gate_rows(result)):
        steps.add_row(*render.cells(name, *row))
    render.out.print(steps)
    if marks := legend(result):
        render.say(marks)
    for table in render_epochs.tables(result["iterations"]):
        render.out.print(table)
    if result.get("eft"):
        render.out.print(_fine_tuning(result["eft"]))
    render_samples.show(result.get("samples") or {})
    _paths(result, config.directory)


def _span(result: Mapping[str, Any]) -> str:
    scale = result.get("judge_scale") or {"low": 0, "high": 5}
    return f"{scale['low']}-{scale['high']}"


def _model_rows(models: list[dict[str, Any]], span: str) -> Iterator[tuple[str, list[str]]]:
    yield from _accuracy_rows(models)
    yield f"mean score by itself ({span})", [_with_error(m, "mean_score") for m in models]
    yield "mean score by the first model", [_with_error(m, "referee_score") for m in models]
    yield "mean length (characters)", [_number(m["mean_length"], ".0f") for m in models]
    yield "answers cut off", [_percent(m["cut_off_rate"]) for m in models]
    yield from answer_rows(models)
    yield from _reasoning_rows(models)
    yield "unreadable judgments", [_percent(m["unreadable_rate"]) for m in models]
    if any(m.get("disarmed_rate") for m in models):
        yield "judge prompts with a fence in the data", [_percent(m.get("disarmed_rate")) for m in models]
    yield "battles tied", [_percent(m["tie_rate"]) for m in models]
    yield "battles won by the first shown", [_percent(m["first_position_win_rate"]) for m in models]


def _accuracy_rows(models: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Accuracy on problems whose answer is known, and the paired difference from the first model."""
    found = [model.get("accuracy") or {} for model in models]
    for way in WAYS:
        if any(way in each for each in found):
            yield f"right answers, {way}", [_interval(each.get(way), "value", 100, " %") for each in found]
            above = [(each.get("above_first") or {}).get(way) for each in found]
            yield "  above the first model (paired)", [_signed(each) for each in above]


def _signed(numbers: Mapping[str, Any] | None) -> str:
    if numbers is None:
        return "-"
    value, lower, upper = (100 * numbers[name] for name in ("value", "lower", "upper"))
    return f"{value:+.1f} % [{lower:+.1f}, {upper:+.1f}]"


def _reasoning_rows(models: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Reasoning before answers and before verdicts; only what there was."""
    for name, whose in (("", "answers"), ("judgment_", "judgments")):
        if any(m.get(f"{name}reasoning_rate") for m in models):
            yield f"{whose} with reasoning", [_percent(m.get(f"{name}reasoning_rate")) for m in models]
            lengths = [_number(m.get(f"mean_{name}reasoning_length"), ".0f") for m in models]
            yield "  its mean length (characters)", lengths
        if any(m.get(f"{name}reasoning_cut_off_rate") for m in models):
            cut = [_percent(m.get(f"{name}reasoning_cut_off_rate")) for m in models]
            yield f"{whose} whose reasoning was cut off", cut


def _anchor_rows(result: Mapping[str, Any]) -> Iterator[tuple[str, list[str]]]:
    """The bank, both ladders and the evaluations; only what the run has."""
    models = result["models"]
    banks = [(model.get("bank") or {}).get("overall") for model in models]
    if any(banks):
        yield "right on pairs known by construction", [_interval(bank, "value", 100, " %") for bank in banks]
    for judge, title in (("referee", "the first judge"), ("newest", "the newest judge")):
        found = {entry["model"]: entry for entry in ((result.get("ladders") or {}).get(judge) or ())}
        if found:
            entries = [found.get(model["model"]) for model in models]
            yield f"Elo above the first model, by {title}", [_elo(entry) for entry in entries]
    names = dict.fromkeys(name for model in models for name in model.get("evaluations", {}))
    for name in (name for name in names if name != Verifiable.name):  # it has rows of its own
        yield (
            name.replace("_", " "),
            [_headline(name, model.get("evaluations", {}).get(name)) for model in models],
        )


def _headline(name: str, numbers: Mapping[str, Any] | None) -> str:
    """The number that stands for an evaluation, with its interval; summary.json says why there is none."""
    if numbers is None or "error" in numbers:
        return "none" if numbers else "-"
    if name == "alpaca_eval":
        prefix = "" if numbers.get("lc_win_rate") is None else "lc_"
        lower, upper = (
            numbers.get(f"{prefix}win_rate_interval") or numbers.get(f"{prefix}interval") or (None, None)
        )
        shown = {"value": numbers[f"{prefix}win_rate"], "lower": lower, "upper": upper}
        return _interval(shown, "value", 1, " %" + (" (length-controlled)" if prefix else ""))
    part: Any = numbers
    for step in _HEADLINES.get(name, ()):
        part = part.get(step) or {}
    key = next((key for key in ("accuracy", "value", "score", "mean") if key in part), "")
    fraction = name not in ("mt_bench", "arena_hard")
    return (
        _interval(part, key, 100 if fraction else 1, " %" if fraction else "") if key else "see summary.json"
    )


def _interval(numbers: Mapping[str, Any] | None, key: str, times: float, unit: str, digits: int = 1) -> str:
    if numbers is None or numbers.get(key) is None:
        return "-"
    value = f"{times * numbers[key]:.{digits}f}{unit}"
    if numbers.get("lower") is None:
        return value
    return f"{value} [{times * numbers['lower']:.{digits}f}, {times * numbers['upper']:.{digits}f}]"


def _elo(entry: Mapping[str, Any] | None) -> str:
    """Elo with its interval, which may be open to one side; the first model has none, being the zero."""
    if entry is None:
        return "-"
    if entry["elo"] is None:
        return f"cannot tell ({entry['games']} prompts)"
    lower, upper, value = entry["lower"], entry["upper"], f"{entry['elo']:.1f}"
    if lower is not None and lower == upper:
        return value
    ends = ("-∞" if lower is None else f"{lower:.1f}", "∞" if upper is None else f"{upper:.1f}")
    return f"{value} [{ends[0]}, {ends[1]}]"


_JUDGED = {
    "readable": "judgments that can be read",
    "pairwise": "right on pairs that people rank",
    "length_baseline": "  the rule 'the longer is better'",
    "pairwise_longer_is_better": "  where the longer is better",
    "pairwise_shorter_is_better": "  where the shorter is better",
}


def _fine_tuning(eft: Mapping[str, Any]) -> Table:
    """The judge on held-out prompts before and after evaluation fine-tuning."""
    shown = f"{eft['taken']} judgments and {eft.get('replayed', 0)} answers of its own"
    title = f"Evaluation fine-tuning: {eft['how']}, trained on {shown}"
    table = Table(title=Text(one_line(title)))
    for name in ("on held-out prompts", "before", "after"):
        table.add_column(name, justify="left" if name == "on held-out prompts" else "right")
    for name, words in _JUDGED.items():
        both = [_interval((eft[side] or {}).get(name), "value", 100, " %") for side in ("before", "after")]
        table.add_row(*render.cells(words, *both))
    return table


def _iteration_rows(iterations: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    for name in ("prompts", "responses", "judgments", "battles", "actor_pairs", "judge_pairs"):
        yield name.replace("_", " "), [str(entry[name]) for entry in iterations]
    if any(entry.get("attack_pairs") for entry in iterations):
        yield "attack pairs", [str(entry["attack_pairs"]) for entry in iterations]
    shares = [entry.get("judge_share_of_weight") for entry in iterations]
    if any(shares):
        yield "judge pairs, share of the weight", [_percent(share) for share in shares]
    for reason in sorted({reason for entry in iterations for reason in entry["dropped"]}):
        yield f"left out: {reason}", [str(entry["dropped"].get(reason, 0)) for entry in iterations]
    if any(entry.get("judge_auc") for entry in iterations):
        found = [_interval(entry.get("judge_auc"), "value", 1, "", 2) for entry in iterations]
        yield "judge: right above wrong answers (AUC; .5 is chance)", found
    yield from _length_rows(iterations)
    yield from _beside_rows(iterations)
    losses = [f"{_number(e['loss_first'], '.4f')} -> {_number(e['loss_last'], '.4f')}" for e in iterations]
    yield "DPO loss, first -> last step", losses
    yield "seconds", [f"{sum(entry['seconds'].values()):.0f}" for entry in iterations]


def _length_rows(iterations: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """What came of length control: rho, where it was searched, and the margins of the actor pairs."""
    rhos = [entry.get("rho") or {} for entry in iterations]
    if any(rho.get("automatic") for rho in rhos):
        yield "rho", [_rho(rho) for rho in rhos]
    for name in ("score", "length"):
        margins = [_number(entry.get(f"actor_{name}_margin"), "+.2f") for entry in iterations]
        yield f"chosen - rejected, {name}", margins


def _beside_rows(iterations: list[dict[str, Any]]) -> Iterator[tuple[str, list[str]]]:
    """Other models' part: whose responses are in the pairs, and how far two judges agreed."""
    for name, side in (("past", "rejected"), ("future", "chosen")):
        others = [next((o for o in e.get("beside", ()) if o["name"] == name), None) for e in iterations]
        if any(others):
            yield f"pairs with a {name} response {side}", [str(o[side]) if o else "-" for o in others]
    agreed = [entry.get("consistency") for entry in iterations]
    if any(agreed):
        yield "Kendall's tau with the judge before", [_tau(found) for found in agreed]
        certainties = [_number(found["certainty"] if found else None, ".2f") for found in agreed]
        yield "certainty of pairs, mean", certainties


def _tau(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    error = found["tau_standard_error"]
    return _number(found["tau"], ".2f") + (f" ± {1.96 * error:.2f}" if error is not None else "")


def _rho(rho: Mapping[str, Any]) -> str:
    if not rho:
        return "-"
    if not rho["automatic"]:
        return f"{rho['rho']:g}"
    first = rho["curve"][0]
    before = f"length {_number(first['length_difference'], '+.0f')} at {first['rho']:g}"
    return f"{rho['rho']:g} ({'' if rho['reached'] else 'target not reached; '}{before})"


def _with_error(model: dict[str, Any], name: str) -> str:
    error = model[f"{name}_standard_error"]
    return _number(model[name], ".2f") + (f" ± {1.96 * error:.2f}" if error is not None else "")


def _number(value: float | None, form: str) -> str:
    return "-" if value is None else format(value, form)


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.0f} %"


def _paths(result: dict[str, Any], directory: Path) -> None:
    if result["checkpoint"]:
        render.say(f"checkpoint  {directory / result['checkpoint']}")
    render.say(f"data        {directory / 'artifacts'}")
    render.say(f"config      {directory / 'config.toml'}")
    render.say(f"summary     {directory / 'summary.json'}")
    render.say(f"supervision {result['supervision']}")
    render.say(f"engine      {engine_said(result.get('engine', ''))}")
    if found := result.get("contaminated"):
        render.say(
            f"contaminated {len(found)} prompts equal or nearly equal evaluation items; summary.json has them"
        )
    render.out.print(
        "± and [ ] are 95 % intervals over prompts. A score by itself can rise because the judge drifted: "
        "then Elo by the newest judge rises alone, or its share of known pairs falls."
    )
