"""`metareward eval arena-hard`: from battles or judgments in a file, or by asking a judge."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from metareward.cli import places, render
from metareward.cli.eval import eval_app, measured, print_json
from metareward.errors import ConfigError
from metareward.evaluate import arena_hard as arena
from metareward.evaluate.arena_ask import ArenaHard, paired, read_answers, read_questions
from metareward.evaluate.arena_files import read_battles
from metareward.options import Machine
from metareward.stages.five_way import FiveWay
from metareward.stages.generate import Generate

_File = Path | None
Battles = Annotated[_File, typer.Option(help="Battles, or a judge's games, to score; asks no model.")]
Baseline = Annotated[
    str | None, typer.Option(help="With --battles the baseline's name, else a file of its answers.")
]
Method = Annotated[str, typer.Option(help="bradley-terry (v0.1) or mean (the newer script).")]
Questions = Annotated[_File, typer.Option(help="The questions, with uid and prompt.")]
Answers = Annotated[_File, typer.Option(help="The model's answers, to be judged.")]
ModelName = Annotated[str | None, typer.Option("--model", help="A model to answer.")]
Judge = Annotated[str | None, typer.Option(help="The model that judges.")]
Reading = Annotated[str, typer.Option(help="free, or forced: the likeliest verdict after the explanation.")]
Explain = Annotated[int, typer.Option("--judge-tokens", min=1, help="The longest explanation of the judge.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask so many questions, drawn by --seed.")]
Seed = Annotated[int, typer.Option(help="Draws the questions of --limit.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="The longest answer of --model.")]
Directory = Annotated[
    _File,
    typer.Option("--directory", "-d", parser=places.path, help="Keeps every answer of this evaluation."),
]
Engine = Annotated[str, typer.Option(help="transformers, or fake to try a command out.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16: of the weights in memory.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@eval_app.command("arena-hard")
def arena_hard(
    battles: Battles = None,
    baseline: Baseline = None,
    method: Method = arena.METHODS[0],
    questions: Questions = None,
    answers: Answers = None,
    model: ModelName = None,
    judge: Judge = None,
    reading: Reading = "free",
    judge_tokens: Explain = 4096,
    limit: Limit = None,
    seed: Seed = 0,
    max_tokens: MaxTokens = 4096,
    directory: Directory = None,
    engine: Engine = "transformers",
    device: Device = "auto",
    dtype: Dtype = "auto",
    as_json: Json = False,
) -> None:
    """Arena-Hard: battles against a baseline, five-way verdicts in both orders.

    Scores --battles, or has --judge compare --baseline with --answers or with what --model writes.
    """
    if method not in arena.METHODS:
        raise ConfigError(f"--method must be {' or '.join(arena.METHODS)}, not {method!r}")
    if battles is not None:
        asked = {"--questions": questions, "--answers": answers, "--model": model, "--judge": judge}
        if given := [option for option, value in asked.items() if value is not None]:
            raise ConfigError(f"--battles are scored as they are; leave out {', '.join(given)}")
        result = score_file(battles, baseline, method)
    else:
        if baseline is None or questions is None or judge is None or (model is None) == (answers is None):
            raise ConfigError(
                "give --battles FILE and --baseline NAME to score a file; or --questions, --baseline, "
                "--judge and either --model or --answers to have a judge compare"
            )
        known, base = read_questions(questions), read_answers(Path(baseline))
        own = read_answers(answers) if answers else None
        qas, texts = paired(known, base, own, limit, seed)
        generate = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=max_tokens)
        five = FiveWay(max_tokens=judge_tokens, reading=reading)  # type: ignore[arg-type]
        evaluation = ArenaHard(qas, texts, generate, five, method)
        machine = Machine(engine=engine, device=device, dtype=dtype)
        named = model or Path(str(answers)).stem
        one = measured(evaluation, model or judge, judge, directory, machine, as_json, named)
        result = {"benchmark": "arena-hard", "method": method, "baseline": baseline, "models": {named: one}}
    if as_json:
        print_json(result)
    else:
        _show(result)


def score_file(battles: Path, baseline: str | None, method: Any) -> dict[str, Any]:
    """Every model in a file of battles or judgments against `baseline`."""
    if baseline is None:
        raise ConfigError("--battles needs --baseline NAME: the model that all are measured against")
    fought, unread = read_battles(battles, baseline, method)
    models = arena.score(fought, baseline, method)
    about = {"benchmark": "arena-hard", "method": method, "baseline": baseline, "unread_games": unread}
    return {**about, "models": models}


def _show(result: dict[str, Any]) -> None:
    coverage = "95 %" if result["method"] == "bradley-terry" else "90 %"
    table = Table(title=Text(f"Arena-Hard against {result['baseline']}"))
    for title in ("model", "score", f"{coverage} interval", "battles"):
        table.add_column(title, justify="left" if title == "model" else "right")
    known = {name: one for name, one in result["models"].items() if one["score"] is not None}
    for name, one in sorted(known.items(), key=lambda item: -item[1]["score"]):
        interval = f"[{one['lower']:.1f}, {one['upper']:.1f}]"
        table.add_row(*render.cells(name, f"{one['score']:.1f}", interval, str(one["battles"])))
    render.out.print(table)
    if apart := sorted(result["models"].keys() - known.keys()):
        render.say(f"No number for {', '.join(apart)}: no battle leads to {result['baseline']}.")
    if unread := result.get("unread_games") or sum(
        m.get("unread_games", 0) for m in result["models"].values()
    ):
        render.out.print(f"{unread} games without a verdict that can be read are left out.")
