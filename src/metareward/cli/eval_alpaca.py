"""`metareward eval alpaca-eval`: AlpacaEval 2, from annotations or by asking a judge."""

from pathlib import Path
from typing import Annotated, Any

import typer

from metareward import files
from metareward.cli import places, render_alpaca
from metareward.cli.eval import eval_app, measured, place_of, print_json
from metareward.disk import json_text
from metareward.errors import ConfigError
from metareward.evaluate.alpaca_ask import AlpacaEval, choose, paired, read_outputs
from metareward.evaluate.alpaca_eval import LengthControl, check_same_set, score
from metareward.evaluate.annotations import ALLOWED_MISSING, read_annotations, read_instructions
from metareward.evaluate.tables import difficulty_of, read_baseline_rows, read_difficulty, read_weights
from metareward.options import Machine
from metareward.stages.generate import Generate
from metareward.stages.prefer import Prefer, published_template

_METHODS = ("length_controlled_v1", "length_controlled_noreg")

_File = Path | None
Annotations = Annotated[_File, typer.Option(help="Annotations to score; asks no model.")]
Instructions = Annotated[_File, typer.Option(help="The set: rows with instruction, and dataset if known.")]
Difficulty = Annotated[_File, typer.Option(help="instruction_difficulty.csv, for the length control.")]
BaselineRows = Annotated[_File, typer.Option(help="df_gamed.csv: the gamed baselines, for the fit.")]
WeightsFile = Annotated[_File, typer.Option(help="Published weights, used instead of a fit.")]
Name = Annotated[str | None, typer.Option(help="The model's name in the table of weights.")]
Method = Annotated[str, typer.Option(help=" or ".join(_METHODS) + " (without --baseline-rows).")]
Subset = Annotated[bool, typer.Option("--subset", help="Score part of the set; difficulties by instruction.")]
Unread = Annotated[
    float, typer.Option(min=0, max=1, help="The share of rows without a readable preference to leave out.")
]
Outputs = Annotated[_File, typer.Option(help="The model's outputs, to be judged.")]
ModelName = Annotated[str | None, typer.Option("--model", help="A model to generate outputs.")]
Baseline = Annotated[_File, typer.Option(help="The baseline's outputs.")]
Judge = Annotated[str | None, typer.Option(help="The model that compares.")]
Template = Annotated[_File, typer.Option(help="The judge's prompt, ours or in the published form.")]
Choices = Annotated[str | None, typer.Option(help="The answers for the first and the second, as 'm,M'.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Ask so many instructions, drawn by --seed.")]
Seed = Annotated[int, typer.Option(help="Draws the instructions of --limit, and samples.")]
MaxTokens = Annotated[int, typer.Option(min=1, help="The longest output of --model.")]
Temperature = Annotated[float, typer.Option(min=0, help="Of --model's outputs; 0 is greedy.")]
Save = Annotated[_File, typer.Option(help="Write the annotations here, to be scored again.")]
Directory = Annotated[
    _File,
    typer.Option("--directory", "-d", parser=places.path, help="Keeps every answer of this evaluation."),
]
Engine = Annotated[str, typer.Option(help="transformers, or fake to try a command out.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for a program to read.")]


@eval_app.command("alpaca-eval")
def alpaca_eval(
    annotations: Annotations = None,
    instructions: Instructions = None,
    difficulty: Difficulty = None,
    baseline_rows: BaselineRows = None,
    weights: WeightsFile = None,
    name: Name = None,
    method: Method = _METHODS[0],
    subset: Subset = False,
    allow_unread: Unread = 0.0,
    model: ModelName = None,
    outputs: Outputs = None,
    baseline: Baseline = None,
    judge: Judge = None,
    template: Template = None,
    choices: Choices = None,
    limit: Limit = None,
    seed: Seed = 0,
    max_tokens: MaxTokens = 2048,
    temperature: Temperature = 0.0,
    save: Save = None,
    directory: Directory = None,
    engine: Engine = "transformers",
    device: Device = "auto",
    as_json: Json = False,
) -> None:
    """AlpacaEval 2: win rate over a baseline, as it is and at equal lengths.

    Scores --annotations, or has --judge compare --baseline with --outputs or with what --model writes.
    """
    asking = {"--model": model, "--outputs": outputs, "--baseline": baseline, "--judge": judge}
    if annotations is not None:
        given = [option for option, value in asking.items() if value is not None]
        if given:
            raise ConfigError(f"--annotations are scored as they are; leave out {', '.join(given)}")
        known = read_instructions(instructions) if instructions else ()
        read = read_annotations(annotations, known)
        named = name or read.model or annotations.stem
        control = _control(difficulty, baseline_rows, weights, named, method, subset)
        check_same_set(control, known)
        missing = 1.0 if subset else ALLOWED_MISSING
        result = score(read, control, len(known) or None, missing, allow_unread)
        result = {"model": named, "baseline": read.baseline or None, **result}
    else:
        _require_asking(model, outputs, baseline, judge, instructions)
        control = _control(difficulty, baseline_rows, weights, name or model or "", method, True)
        generate = Generate(samples=1, temperature=temperature, top_p=1.0, max_tokens=max_tokens, seed=seed)
        prefer = _prefer(template, choices)
        asked = _evaluation(instructions, baseline, outputs, control, generate, prefer, limit, seed)
        machine = Machine(engine=engine, device=device)
        result = _measure(asked, model, judge or "", outputs, directory, machine, as_json)
        _save(result.pop("annotations"), save)
    if as_json:
        print_json(result)
    else:
        render_alpaca.alpaca(result)


def _control(
    difficulty: _File, rows: _File, weights: _File, name: str, method: str, by_number: bool
) -> LengthControl:
    if method not in _METHODS:
        raise ConfigError(f"--method must be {' or '.join(_METHODS)}, not {method!r}")
    if method == _METHODS[1] and (rows or weights):
        raise ConfigError(f"{_METHODS[1]} fits without --baseline-rows and --weights; leave them out")
    baseline = read_baseline_rows(rows) if rows else None
    hard = read_difficulty(difficulty) if difficulty else difficulty_of(rows) if rows else None
    published = read_weights(weights, name) if weights else None
    return LengthControl(hard, baseline, published, method == _METHODS[0], by_number)


def _require_asking(
    model: str | None, outputs: _File, baseline: _File, judge: str | None, instructions: _File
) -> None:
    needed = {"--instructions": instructions, "--baseline": baseline, "--judge": judge}
    missing = [option for option, value in needed.items() if value is None]
    if (model is None) == (outputs is None) or missing:
        lacking = f"; missing: {', '.join(missing)}" if missing else ""
        raise ConfigError(
            "give --annotations FILE to score a file; or --instructions, --baseline, --judge and either "
            f"--model or --outputs to have a judge compare{lacking}"
        )


def _prefer(template: _File, choices: str | None) -> Prefer:
    answers = tuple(choices.split(",")) if choices else None
    if answers is not None and len(answers) != 2:
        raise ConfigError(f"--choices must be two answers with a comma between, as 'm,M', not {choices!r}")
    if template is None:
        return Prefer(choices=answers or ("A", "B"))
    try:
        text = files.read_text(template)
    except files.UnreadableError as error:
        raise ConfigError(f"{template}: the template cannot be read: {error}") from None
    published = "{{" not in text
    text = published_template(text, str(template)) if published else text
    return Prefer(text, answers or (("m", "M") if published else ("A", "B")))


def _evaluation(
    instructions: _File,
    baseline: _File,
    outputs: _File,
    control: LengthControl,
    generate: Generate,
    prefer: Prefer,
    limit: int | None,
    seed: int,
) -> AlpacaEval:
    assert instructions is not None
    assert baseline is not None
    known = read_instructions(instructions)
    check_same_set(control, known)
    base = read_outputs(baseline, known)
    own = read_outputs(outputs, known) if outputs else None
    sample = choose(known, limit, seed) if limit else known
    chosen = paired(sample, base, own)
    texts = tuple(base[instruction.number] for instruction in chosen)
    given = tuple(own[instruction.number] for instruction in chosen) if own is not None else None
    return AlpacaEval(
        chosen,
        texts,
        given,
        control,
        generate,
        prefer,
        missing=len(sample) - len(chosen),
        sampled_from=len(known) if limit else None,
        details=True,
    )


def _measure(
    evaluation: AlpacaEval,
    model: str | None,
    judge: str,
    outputs: _File,
    directory: _File,
    machine: Machine,
    quiet: bool,
) -> dict[str, Any]:
    named = model or (outputs.stem if outputs else "outputs")
    place = directory or place_of("alpaca", named)
    result = measured(evaluation, model, judge, place, machine, quiet)
    result.pop("fingerprint", None)
    return {**result, "model": named, "judge": judge}


def _save(rows: list[dict[str, Any]], path: _File) -> None:
    if path is not None:
        lines = "".join(json_text(row, None) + "\n" for row in rows)
        try:
            path.write_text(lines, encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: the annotations cannot be written: {error.strerror}") from None
