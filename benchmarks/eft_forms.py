"""What evaluation fine-tuning does to the model that also acts, without and with its own answers replayed.

    python benchmarks/eft_forms.py RANKS.jsonl DIRECTORY [--replay 0 1 0.5] [--prompts 80] [--epochs 2] ...

RANKS.jsonl: responses that people rated (docs/eft.md). The model as it is and one fine-tuned model for each
`--replay` are asked the same: shipped prompts, slices of IFEval and GSM8K, and judgments of held-out
responses. DIRECTORY keeps every answer, so the same command goes on where it was stopped; what is finished
stands in DIRECTORY/numbers.json, the settings among it.

Two forms of the step are compared. *One model* acts and judges: a fine-tuned model's numbers, both as an
actor and as a judge. *A judge apart*: the untouched model acts, and the one of `--replay 0` judges; its
numbers stand in the rows "before" and "replay 0", and no model of its own is needed to measure it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from metareward import models, templates
from metareward.eft.measure import measured
from metareward.engines.transformers import open_transformers
from metareward.evaluate.gsm8k import GSM8K, READINGS
from metareward.evaluate.ifeval import IFEval
from metareward.evaluate.judge_ask import JudgeRanks, chosen_prompts
from metareward.ids import file_digest
from metareward.models.base import Model
from metareward.readers import read_score
from metareward.recipes.eft import EFT, demonstrations, ordinary_answers
from metareward.records import Finish, Response
from metareward.run import Run
from metareward.sources import load_prompts
from metareward.stages.generate import Generate
from metareward.stages.judge import Judge
from metareward.stats.bootstrap import mean_of_clusters
from metareward.stats.proportions import wilson
from metareward.train.dpo import TrainMachine
from metareward.train.launch import launch
from metareward.train.sft import SFT

JUDGE = Judge(samples=1, max_tokens=40, template=templates.shipped("judge_brief"))
OPENING = 4  # words
Marks = dict[str, list[float]]
"""For each measure a mark for every prompt, in the order of the prompts; 1 is good but for `verdict`."""


def main() -> None:
    asked = _arguments()
    eft = EFT(
        enabled=True,
        source=str(asked.ranks),
        prompts=asked.prompts,
        held_out=asked.held_out,
        max_prompt_characters=400,
        max_response_characters=900,
        verdict="human",
        justification="neutral",
        other_template=templates.shipped("judge"),
        other_share=0.1,
        margin=0.15,
        longer_share=0.35,
        sft=SFT(
            learning_rate=asked.learning_rate,
            batch_size=16,
            epochs=asked.epochs,
            stop_after_epoch=None,
            warmup_ratio=0.05,
            max_length=1024,
            lora_rank=16,
            lora_layers=12,
        ),
    )
    numbers: dict[str, Any] = {"settings": _settings(asked, eft)}
    machine = TrainMachine(pairs_per_device=4, dtype="float32", checkpoint_minutes=2)
    with Run(asked.directory, open_transformers(dtype="float32"), launch, machine, listen=_say) as run:
        start = models.resolve(asked.model)
        before = _measure(run, asked, eft, start)
        numbers["before"] = _told(*before)
        _write(asked.directory, numbers)
        for share in asked.replay:
            trained, made = tuned(run, asked, replace(eft, replay=share), start)
            after = _measure(run, asked, eft, trained)
            apart = _differences(before[0], after[0])
            numbers[f"replay {share:g}"] = {**made, **_told(*after), "difference from before": apart}
            _write(asked.directory, numbers)
    print(json.dumps(numbers, indent=2))


def tuned(run: Run, asked: Any, eft: EFT, start: Model) -> tuple[Model, dict[str, Any]]:
    """The fine-tuned model, as the recipe makes it, and what it was trained on."""
    ranks = eft.read().train
    generate = Generate(max_tokens=asked.answer_tokens)
    with run.within("tuning"):
        _, taken = demonstrations(run, eft, JUDGE, ranks, start)
        replayed = ordinary_answers(run, eft, generate, ranks, start, taken)
        shown = [taken] if replayed is None else [taken, replayed]
        trained = run.train(eft.sft, shown, start=start, reference=start)
    said = {"judgments": len(taken), "replayed": 0 if replayed is None else len(replayed)}
    if replayed is not None:
        said["distinct answers replayed"] = len({row.response_id for row in replayed})
    return trained, said


def _measure(run: Run, asked: Any, eft: EFT, model: Model) -> tuple[Marks, dict[str, Any]]:
    """Marks of the model as an actor, prompt by prompt, and its numbers as a judge."""
    generate = Generate(samples=1, max_tokens=asked.answer_tokens)
    prompts = run.prompts(load_prompts("shipped").prompts[: asked.answers])
    answers = list(run.ask(generate, prompts, of=model))
    marks = _openings(answers)
    for name, evaluation, read in (
        ("ifeval", IFEval(limit=asked.ifeval, max_tokens=asked.tokens, details=True), _ifeval),
        ("gsm8k", GSM8K(limit=asked.gsm8k, max_tokens=asked.tokens, details=True), _gsm8k),
    ):
        said = evaluation.score(*evaluation.ask(run, model, model))
        marks |= {f"{name}, {kind}": found for kind, found in read(said["verdicts"]).items()}
    ranked = eft.read().held_out.ranked
    forced = replace(JUDGE, reading="forced", max_tokens=24)
    judged = {
        "forced": _judged(run, model, JudgeRanks(ranked, forced)),
        "free": _judged(run, model, JudgeRanks(chosen_prompts(ranked, asked.free), JUDGE)),
    }
    return marks, {**judged, "answers": _look(answers)}


def _openings(answers: Sequence[Response]) -> Marks:
    """Answers that read as a verdict, and those whose first words another answer has as well."""
    opening = Counter(_first_words(row) for row in answers)
    return {
        "answers that read as a verdict": [float(_is_verdict(row)) for row in answers],
        "answers that begin like another": [float(opening[_first_words(row)] > 1) for row in answers],
    }


def _is_verdict(row: Response) -> bool:
    return read_score(row.text, Finish.STOP).score is not None


def _first_words(row: Response) -> str:
    return " ".join(row.text.split()[:OPENING])


def _ifeval(verdicts: Iterable[Any]) -> Marks:
    rows = list(verdicts)
    return {kind: [float(all(row[kind])) for row in rows] for kind in ("strict", "loose")}


def _gsm8k(verdicts: Iterable[Any]) -> Marks:
    rows = list(verdicts)
    return {kind: [float(row[kind]) for row in rows] for kind in READINGS}


def _judged(run: Run, model: Model, evaluation: JudgeRanks) -> dict[str, Any]:
    (rows,) = evaluation.ask(run, model, model)
    return measured(evaluation, rows)


def _look(answers: Sequence[Response]) -> dict[str, Any]:
    """What a reader wants to know of a set of answers."""
    opening, times = Counter(_first_words(row) for row in answers).most_common(1)[0]
    return {
        "n": len(answers),
        "distinct": len({row.text for row in answers}),
        "most common opening": [opening, times],
        "mean characters": round(sum(len(row.text) for row in answers) / len(answers), 1),
        "cut off": sum(row.finish is Finish.LENGTH for row in answers),
    }


def _told(marks: Marks, judged: dict[str, Any]) -> dict[str, Any]:
    return {"actor": {name: _share(row) for name, row in marks.items()}, "judge": judged}


def _share(marks: Sequence[float]) -> dict[str, float]:
    """A share with Wilson's 95 % interval."""
    lower, upper = wilson(round(sum(marks)), len(marks))
    return {"value": sum(marks) / len(marks), "lower": lower, "upper": upper, "n": len(marks)}


def _differences(before: Marks, after: Marks) -> dict[str, Any]:
    """After minus before on the same prompts, with a 95 % interval over prompts."""
    return {
        name: mean_of_clusters([[b - a] for a, b in zip(row, after[name], strict=True)]).as_dict()
        for name, row in before.items()
    }


def _settings(asked: argparse.Namespace, eft: EFT) -> dict[str, Any]:
    plain = {**asdict(eft), "source": Path(eft.source).name, "replay": asked.replay}
    plain["other_template"] = "judge" * bool(eft.other_share)
    data = {"file": plain["source"], "sha256": file_digest(asked.ranks)}
    own = {name: value for name, value in vars(asked).items() if name not in ("ranks", "directory")}
    return {"asked": own, "eft": plain, "data": data}


def _write(directory: Path, numbers: dict[str, Any]) -> None:
    (directory / "numbers.json").write_text(json.dumps(numbers, indent=2) + "\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add: Callable[..., Any] = parser.add_argument
    add("ranks", type=Path)
    add("directory", type=Path)
    add("--model", default="smollm2-135m-instruct")
    add("--replay", type=float, nargs="+", default=[0.0, 1.0, 0.5])
    add("--prompts", type=int, default=80, help="training prompts of the file")
    add("--held-out", type=int, default=60, help="prompts whose responses are judged")
    add("--free", type=int, default=20, help="of these, prompts judged in free reading as well")
    add("--epochs", type=int, default=2)
    add("--learning-rate", type=float, default=8e-4)
    add("--answers", type=int, default=32, help="shipped prompts that are answered")
    add("--answer-tokens", type=int, default=64)
    add("--ifeval", type=int, default=50)
    add("--gsm8k", type=int, default=40)
    add("--tokens", type=int, default=128, help="of an answer to IFEval and GSM8K at most")
    return parser.parse_args()


def _say(event: Any) -> None:
    print(event, file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
