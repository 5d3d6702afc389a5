"""What evaluation fine-tuning does to the model that also acts, without and with its own answers replayed.

    python benchmarks/eft_forms.py RANKS.jsonl DIRECTORY [--replay 0 1 0.5] [--prompts 80] [--epochs 2] ...

RANKS.jsonl: responses that people rated (docs/eft.md). The model as it is and one fine-tuned model for each
`--replay` are asked the same: shipped prompts, slices of IFEval and GSM8K, and judgments of held-out
responses. DIRECTORY keeps every answer, so the same command goes on where it was stopped; what is finished
stands in DIRECTORY/numbers.json, the settings among it, and as a table in numbers.md.

Two forms of the step are compared. *One model* acts and judges: a fine-tuned model's numbers, both as an
actor and as a judge. *A judge apart*: the untouched model acts, and the one of `--replay 0` judges; its
numbers stand in the rows "before" and "replay 0", and no model of its own is needed to measure it.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable, Sequence
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
JUDGED = (
    "readable",
    "pairwise",
    "length_baseline",
    "pairwise_longer_is_better",
    "pairwise_shorter_is_better",
)
Marks = dict[str, list[float]]
"""For each measure a mark of 0 or 1 for every prompt, in the order of the prompts."""


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
        longer_share=asked.longer_share or None,
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
        asks = {"before": start}
        for share in asked.replay:
            name = f"replay {share:g}"
            asks[name], numbers[name] = tuned(run, asked, replace(eft, replay=share), start)
        for measure in (_answers, _judging, _ifeval, _gsm8k):
            found = {name: measure(run, asked, eft, model) for name, model in asks.items()}
            for name, (marks, said) in found.items():
                row = numbers.setdefault(name, {})
                row |= said | {kind: _share(each) for kind, each in marks.items()}
                if name != "before":
                    row |= _differences(found["before"][0], marks)
            _write(asked.directory, numbers)
    print(table(numbers))


def table(numbers: dict[str, Any]) -> str:
    """The numbers as a Markdown table: a column a model, 95 % intervals in brackets."""
    names = [name for name in numbers if name != "settings"]
    names.sort(key=lambda name: name != "before")
    rows = [["", *names], ["---"] * (len(names) + 1)]
    kinds = dict.fromkeys(kind for name in names for kind in numbers[name])
    for kind in kinds:
        cells = [numbers[name].get(kind) for name in names]
        if kind.startswith("judge, "):
            rows += [[f"{kind}: {row}", *(_cell((cell or {}).get(row)) for cell in cells)] for row in JUDGED]
        else:
            rows.append([kind, *map(_cell, cells)])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _cell(found: Any) -> str:
    if isinstance(found, dict) and "value" in found:
        return f"{found['value']:.3f} [{found['lower']:.3f}, {found['upper']:.3f}]"
    if isinstance(found, dict):
        return ", ".join(f"{name} {value}" for name, value in found.items()).replace("|", "")
    return "-" if found is None else str(found)


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


def _answers(run: Run, asked: Any, eft: EFT, model: Model) -> tuple[Marks, dict[str, Any]]:
    """Answers to shipped prompts."""
    generate = Generate(samples=1, max_tokens=asked.answer_tokens)
    prompts = run.prompts(load_prompts("shipped").prompts[: asked.answers])
    answers = list(run.ask(generate, prompts, of=model))
    return _openings(answers), {"answers": _look(answers)}


def _judging(run: Run, asked: Any, eft: EFT, model: Model) -> tuple[Marks, dict[str, Any]]:
    """Agreement with people on held-out prompts, and whether free judgments can be read."""
    ranked = eft.read().held_out.ranked
    forced = replace(JUDGE, reading="forced", max_tokens=24)
    return {}, {
        "judge, forced": _judged(run, model, JudgeRanks(ranked, forced)),
        "judge, free": _judged(run, model, JudgeRanks(chosen_prompts(ranked, asked.free), JUDGE)),
    }


def _ifeval(run: Run, asked: Any, eft: EFT, model: Model) -> tuple[Marks, dict[str, Any]]:
    evaluation = IFEval(limit=asked.ifeval, max_tokens=asked.tokens, details=True)
    said = evaluation.score(*evaluation.ask(run, model, model))
    kinds = ("strict", "loose")
    return {f"IFEval, {k}": [float(all(row[k])) for row in said["verdicts"]] for k in kinds}, {}


def _gsm8k(run: Run, asked: Any, eft: EFT, model: Model) -> tuple[Marks, dict[str, Any]]:
    evaluation = GSM8K(limit=asked.gsm8k, max_tokens=asked.tokens, details=True)
    said = evaluation.score(*evaluation.ask(run, model, model))
    return {f"GSM8K, {k}": [float(row[k]) for row in said["verdicts"]] for k in READINGS}, {}


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


def _share(marks: Sequence[float]) -> dict[str, float]:
    """A share with Wilson's 95 % interval."""
    lower, upper = wilson(round(sum(marks)), len(marks))
    return {"value": sum(marks) / len(marks), "lower": lower, "upper": upper, "n": len(marks)}


def _differences(before: Marks, after: Marks) -> dict[str, Any]:
    """After minus before on the same prompts, with a 95 % interval over prompts."""
    return {
        f"{name}, less before": mean_of_clusters(
            [[b - a] for a, b in zip(row, after[name], strict=True)]
        ).as_dict()
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
    (directory / "numbers.md").write_text(table(numbers) + "\n")


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
    add("--longer-share", type=float, default=0.0, help="as [eft] has it; 0 leaves length unbalanced")
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
