"""`metareward eval mt-bench`: from judgments in a file, or by asking a judge about two turns of answers."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from metareward.cli import places, render
from metareward.cli.eval import eval_app, measured, print_json
from metareward.disk import json_text
from metareward.display import plain
from metareward.errors import ConfigError
from metareward.evaluate.mt_ask import MTBench, chosen_questions
from metareward.evaluate.mt_files import read_answers, read_questions, score_file
from metareward.options import Machine
from metareward.stages.generate import Generate
from metareward.stages.rate import Rate
from metareward.stages.three_way import ThreeWay

_File = Path | None
Judgments = Annotated[_File, typer.Option(help="Judgments to score, single or pairwise; asks no model.")]
Missing = Annotated[bool, typer.Option("--allow-missing", help="Score what --judgments has, count the rest.")]
Questions = Annotated[_File, typer.Option(help="question.jsonl; with --judgments, for the categories.")]
References = Annotated[_File, typer.Option(help="Answers to judge reasoning, math and coding by.")]
ModelName = Annotated[str | None, typer.Option("--model", help="A model to answer both turns.")]
Answers = Annotated[_File, typer.Option(help="The model's answers, to be judged.")]
Baseline = Annotated[_File, typer.Option(help="Answers to compare with, instead of rating from 1 to 10.")]
Judge = Annotated[str | None, typer.Option(help="The model that judges.")]
Reading = Annotated[str, typer.Option(help="free, or forced: from the probabilities of the verdicts.")]
Explain = Annotated[int, typer.Option("--judge-tokens", min=1, help="The longest explanation of the judge.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask so many questions, drawn by --seed.")]
Seed = Annotated[int, typer.Option(help="Draws the questions of --limit, and samples.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="The longest answer of --model to a turn.")]
Save = Annotated[_File, typer.Option(help="Write the judgments here, to be scored again.")]
Directory = Annotated[
    _File,
    typer.Option("--directory", "-d", parser=places.path, help="Keeps every answer of this evaluation."),
]
Engine = Annotated[str, typer.Option(help="transformers, or fake to try a command out.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@eval_app.command("mt-bench")
def mt_bench(
    judgments: Judgments = None,
    allow_missing: Missing = False,
    questions: Questions = None,
    references: References = None,
    model: ModelName = None,
    answers: Answers = None,
    baseline: Baseline = None,
    judge: Judge = None,
    reading: Reading = "free",
    judge_tokens: Explain = 2048,
    limit: Limit = None,
    seed: Seed = 0,
    max_tokens: MaxTokens = 1024,
    save: Save = None,
    directory: Directory = None,
    engine: Engine = "transformers",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """MT-Bench: two turns, rated from 1 to 10 or compared with a baseline in both orders.

    Scores --judgments, or has --judge judge --answers or what --model writes.
    """
    if judgments is not None:
        asking = {"--model": model, "--answers": answers, "--judge": judge, "--baseline": baseline}
        asking |= {"--references": references, "--limit": limit, "--save": save, "--directory": directory}
        if given := [option for option, value in asking.items() if value is not None]:
            raise ConfigError(f"--judgments are scored as they are; leave out {', '.join(given)}")
        known = read_questions(questions) if questions else ()
        result = score_file(judgments, known, allow_missing)
    else:
        if questions is None or judge is None or (model is None) == (answers is None):
            raise ConfigError(
                "give --judgments FILE to score a file; or --questions, --judge and either --model or "
                "--answers to have a judge ask"
            )
        generate = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=max_tokens, seed=seed)
        settings: dict[str, Any] = {"max_tokens": judge_tokens, "reading": reading}
        asked = _evaluation(questions, (references, answers, baseline), limit, seed, generate, settings)
        named = model or Path(str(answers)).stem
        machine = Machine(engine=engine, device=device)
        one = measured(asked, model, judge, directory, machine, as_json, named)
        _save(one.pop("judgments_made"), save, named, baseline, judge)
        form = "single" if baseline is None else "pairwise"
        result = {"benchmark": "mt-bench", "form": form, "judge": judge, "models": {named: one}}
    if as_json:
        print_json(result)
    else:
        _show(result)


def _evaluation(
    questions: Path,
    files: tuple[_File, _File, _File],
    limit: int | None,
    seed: int,
    generate: Generate,
    settings: dict[str, Any],
) -> MTBench:
    references, answers, baseline = (read_answers(file) if file else None for file in files)
    asked = chosen_questions(read_questions(questions), limit, seed, references, answers, baseline)
    rate, compare = Rate(**settings), ThreeWay(**settings)
    return MTBench(asked, references, answers, baseline, generate, rate, compare, details=True)


def _save(rows: list[dict[str, Any]], path: _File, named: str, baseline: _File, judge: str) -> None:
    if path is None:
        return
    who = {"model": named} if baseline is None else {"model_1": named, "model_2": baseline.stem}
    kept = [row | who | {"judge": [judge, "metareward"]} for row in rows]
    try:
        path.write_text(
            "".join(json_text(row, None, ascii_only=True) + "\n" for row in kept), encoding="utf-8"
        )
    except OSError as error:
        raise ConfigError(f"{path}: the judgments cannot be written: {error.strerror}") from None


def _show(result: dict[str, Any]) -> None:
    is_single = result["form"] == "single"
    main = "score" if is_single else "adjusted_win_rate"
    rows = [main, "turn_1", "turn_2"] if is_single else [main, "win_rate", "tie_rate", "turn_1", "turn_2"]
    for name, one in sorted(result["models"].items(), key=lambda item: -item[1][main]["value"]):
        table = Table(title=Text(plain(f"MT-Bench: {name}")))
        for title in ("", "mean" if is_single else "share", "95 % interval", "questions"):
            table.add_column(title, justify="right" if title else "left")
        for row in rows:
            _row(table, row.replace("_", " "), one[row], 2 if is_single else 3)
        table.add_section()
        for category, estimate in one["categories"].items():
            _row(table, category, estimate, 2 if is_single else 3)
        render.out.print(table)
        render.out.print(_notes(one))


def _row(table: Table, name: str, estimate: dict[str, Any] | None, digits: int) -> None:
    if estimate is None:
        table.add_row(Text(plain(name)), "none", "", "0")
        return
    ends = [estimate["lower"], estimate["upper"]]
    interval = "unknown" if None in ends else f"[{ends[0]:.{digits}f}, {ends[1]:.{digits}f}]"
    table.add_row(Text(plain(name)), f"{estimate['value']:.{digits}f}", interval, str(estimate["n"]))


def _notes(one: dict[str, Any]) -> str:
    """What stands behind the numbers, and what is left out of them."""
    counts = {"judgments": "judgments", "matches": "matches", "unread": "unread", "missing": "missing"}
    counts |= {"inconsistent": "ties of two games that disagree", "failed_answers": "answers failed"}
    said = [f"{one[name]} {words}" for name, words in counts.items() if one.get(name)]
    if one.get("with_reference") == 0:
        said.append("no reference answers")
    return ", ".join(said) + "."
