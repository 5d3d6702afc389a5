"""`metareward eval judge`: a judge against what people decided, from verdicts in a file or asked anew."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from metareward import templates
from metareward.cli import places, render
from metareward.cli.eval import eval_app, measured, print_json
from metareward.disk import json_text
from metareward.errors import ConfigError
from metareward.evaluate.judge_ask import JudgePairs, JudgeRanks, chosen_prompts
from metareward.evaluate.judge_data import read_pairs, read_ranked
from metareward.evaluate.judge_verdicts import compare_files, score_file
from metareward.options import Machine
from metareward.stages.compare import Compare
from metareward.stages.judge import Judge

_File = Path | None
Verdicts = Annotated[_File, typer.Option(help="Verdicts to score; asks no model.")]
Pairs = Annotated[_File, typer.Option(help="Pairs that people decided, to ask about (or LLMBar's labels).")]
Ranks = Annotated[_File, typer.Option(help="Responses that people ranked, to be graded.")]
Against = Annotated[_File, typer.Option(help="With --verdicts: another judge's, on the same pairs.")]
Swapped = Annotated[_File, typer.Option(help="With --verdicts of Auto-J: those on the swapped pairs.")]
JudgeName = Annotated[str | None, typer.Option("--judge", "--model", help="The model to ask as the judge.")]
Form = Annotated[str, typer.Option(help="pairwise (both orders) or pointwise (by the scores of both).")]
Reading = Annotated[str, typer.Option(help="free, or forced: from the probabilities of the verdicts.")]
Brief = Annotated[bool, typer.Option("--brief", help="The short prompts, for small models.")]
Samples = Annotated[int, typer.Option(min=1, help="Verdicts of each question.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="The longest justification.")]
Temperature = Annotated[float, typer.Option(min=0, help="Of the justification; 0 is greedy.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask about so many prompts, drawn by --seed.")]
Seed = Annotated[int, typer.Option(help="Draws the prompts of --limit, and samples.")]
Save = Annotated[_File, typer.Option(help="Write the verdicts here, to be scored or compared again.")]
Directory = Annotated[
    _File,
    typer.Option("--directory", "-d", parser=places.path, help="Keeps every answer of this evaluation."),
]
Engine = Annotated[str, typer.Option(help="transformers, or fake to try a command out.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16: of the weights in memory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@eval_app.command("judge")
def judge(
    verdicts: Verdicts = None,
    pairs: Pairs = None,
    ranks: Ranks = None,
    against: Against = None,
    swapped: Swapped = None,
    judge: JudgeName = None,
    form: Form = "pairwise",
    reading: Reading = "free",
    brief: Brief = False,
    samples: Samples = 1,
    max_tokens: MaxTokens = 512,
    temperature: Temperature = 0.0,
    limit: Limit = None,
    seed: Seed = 0,
    save: Save = None,
    directory: Directory = None,
    engine: Engine = "transformers",
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Json = False,
) -> None:
    """How well a judge tells better from worse: accuracy, consistency, baselines, rank agreement.

    Scores --verdicts, or asks --judge about --pairs or --ranks.
    """
    if verdicts is not None:
        if judge or ranks:
            raise ConfigError("--verdicts are scored as they are; leave out --judge and --ranks")
        result = _of_files(verdicts, pairs, against, swapped)
    else:
        if judge is None or (pairs is None) == (ranks is None):
            raise ConfigError(
                "give --verdicts FILE to score a file; or --judge MODEL and either --pairs or --ranks to "
                "ask one"
            )
        settings = {"samples": samples, "temperature": temperature, "max_tokens": max_tokens}
        settings |= {"reading": reading, "seed": seed}
        ending = "_brief" if brief else ""
        compare = Compare(template=templates.shipped(f"compare{ending}"), **settings)  # type: ignore[arg-type]
        grade = Judge(template=templates.shipped(f"judge{ending}"), **settings)  # type: ignore[arg-type]
        if pairs is not None:
            known = chosen_prompts(read_pairs(pairs), limit, seed)
            asked: Any = JudgePairs(known, _form(form), compare, grade, details=True)
        else:
            rated, unrated = read_ranked(ranks or Path())
            asked = JudgeRanks(chosen_prompts(rated, limit, seed), grade, unrated)
        machine = Machine(engine=engine, device=device, dtype=dtype)
        result = measured(asked, judge, None, directory, machine, as_json)
        _save(result.pop("verdicts", None), save)
    if as_json:
        print_json(result)
    else:
        _show(result)


def _of_files(verdicts: Path, pairs: _File, against: _File, swapped: _File) -> dict[str, Any]:
    result = score_file(verdicts, pairs, against, swapped=swapped)
    if against is not None and result["benchmark"] == "pairs":
        result["compared"] = compare_files(verdicts, against)
    return result


def _form(name: str) -> Any:
    if name not in ("pairwise", "pointwise"):
        raise ConfigError(f"--form must be pairwise or pointwise, not {name!r}")
    return name


def _save(rows: list[dict[str, Any]] | None, path: _File) -> None:
    if path is None:
        return
    if rows is None:
        raise ConfigError("--save keeps the verdicts on --pairs; rankings have none")
    try:
        path.write_text(
            "".join(json_text(row, None, ascii_only=True) + "\n" for row in rows), encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(f"{path}: the verdicts cannot be written: {error.strerror}") from None


def _show(result: dict[str, Any]) -> None:
    if "runs" in result:
        for run in result["runs"]:
            _table(run, " ".join(str(run[name]) for name in ("subset", "judge", "prompt") if name in run))
    elif "judges" in result:
        for name, judged in result["judges"].items():
            _table(judged, name)
    elif "agreement" in result and isinstance(result["agreement"], dict) and "votes" in result:
        for name, both in result["agreement"].items():
            _table(both, name)
    else:
        _table(result, str(result.get("model", "")))


def _table(values: dict[str, Any], title: str) -> None:
    table = Table(title=Text(title))
    for column in ("", "value", "95 % interval", "prompts"):
        table.add_column(column, justify="left" if not column else "right")
    own = ((f"published: {name}", value) for name, value in values.get("statistics", {}).items())
    rows = [
        *own,
        *values.items(),
        *((f"  {name}", row) for name, row in values.get("categories", {}).items()),
    ]
    for name, value in rows:
        if isinstance(value, dict) and {"value", "lower", "upper", "n"} <= value.keys():
            interval = f"[{value['lower']:.3f}, {value['upper']:.3f}]"
            table.add_row(
                Text(str(name).replace("_", " ")), f"{value['value']:.3f}", interval, str(value["n"])
            )
        elif isinstance(value, int | float) and not isinstance(value, bool):
            table.add_row(Text(str(name).replace("_", " ")), f"{value:g}", "", "")
    render.out.print(table)
