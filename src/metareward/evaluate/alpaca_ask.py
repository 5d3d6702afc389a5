"""AlpacaEval 2 with any engine as the judge: outputs are made or given, compared, and become annotations."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from metareward.errors import DataError
from metareward.evaluate.alpaca_eval import LengthControl, score
from metareward.evaluate.annotations import ALLOWED_MISSING, Annotation, Annotations, Instruction
from metareward.evaluate.jsonrows import complain, read_rows, require_fields
from metareward.ids import fingerprint, seed_of
from metareward.models.base import Model
from metareward.reasoning import AUTO
from metareward.records import Comparison, Finish, Prompt, Response
from metareward.runner import Runner
from metareward.settings import checked, require
from metareward.sources import prompt_of
from metareward.stages.base import Shape
from metareward.stages.generate import Generate
from metareward.stages.prefer import Prefer


@dataclass(frozen=True)
class Strip:
    """The answers of responses without white space at their ends, as the benchmark keeps them."""

    name: ClassVar[str] = "strip"
    record: ClassVar[type[Response]] = Response

    def apply(self, responses: Iterable[Response]) -> Iterator[Response]:
        """One a response; the tokens are those sampled."""
        for response in responses:
            yield replace(response, text=response.answer.strip(), reasoning=0)

    def shape(self, *shapes: Shape) -> Shape:
        """As many rows as there were."""
        return shapes[0]


@dataclass(frozen=True, eq=False)
@checked("alpaca_eval")
class AlpacaEval:
    """A model's outputs against a baseline's, preferred by a judge.

    instructions: the set, or a subset of it. baseline: its output for each of them. outputs: the model's,
    if they are given and not to be generated. control: the length control; difficulties go by instruction.
    generate: one sample, greedy unless told otherwise, so that checkpoints differ by their weights alone.
    allow_unread: the share of instructions that may stay without a verdict (a failed or too long request).
    missing: how many instructions were left out because a side has no output for them. sampled_from: the
    size of the set, where the instructions are a sample of it; both only go into the score.
    details: put the annotations into the score, too, in the short form.
    """

    name: ClassVar[str] = "alpaca_eval"

    instructions: tuple[Instruction, ...]
    baseline: tuple[str, ...]
    outputs: tuple[str, ...] | None = None
    control: LengthControl = LengthControl()
    generate: Generate = Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=2048)
    prefer: Prefer = Prefer()
    allow_unread: float = ALLOWED_MISSING
    missing: int = 0
    sampled_from: int | None = None
    details: bool = False

    def __post_init__(self) -> None:
        require(self.generate.samples == 1, "alpaca_eval.generate.samples", "1", self.generate.samples)
        count = len(self.instructions)
        for side in ("baseline", "outputs"):
            given = getattr(self, side)
            fits = given is None or len(given) == count
            require(fits, f"alpaca_eval.{side}", f"{count} texts, one an instruction", len(given or ()))

    @property
    def prompts(self) -> list[Prompt]:
        """Each instruction as a user's turn."""
        return [
            prompt_of(instruction.text, f"alpaca_eval:{instruction.number}")
            for instruction in self.instructions
        ]

    def items(self) -> Iterable[str]:
        """Every instruction that is asked."""
        return (instruction.text for instruction in self.instructions)

    def ask(self, run: Runner, of: Model, judge: Model) -> tuple[Any, ...]:
        """Generate, or take the given outputs, and let `judge` compare: (outputs, comparisons)."""
        rows = self.prompts
        prompts = run.prompts(rows)
        baseline = run.given(_given(rows, self.baseline, "baseline"))
        if self.outputs is not None:
            outputs = run.given(_given(rows, self.outputs, "given"))
        else:
            outputs = run.derive(Strip(), run.ask(self.generate, prompts, of=of))
        return outputs, run.ask(self.prefer, prompts, baseline, outputs, of=judge)

    def score(self, *asked: Any) -> dict[str, Any]:
        """As `alpaca_eval.score`. DataError, with counts, where the judge left too much unread."""
        outputs, comparisons = asked
        annotations = self.annotations(outputs, comparisons)
        control = replace(self.control, by_number=True)
        result = score(annotations, control, allow_missing=1.0, allow_unread=self.allow_unread)
        result |= {"missing": self.missing, "sampled_from": self.sampled_from}
        return result | ({"annotations": short_rows(annotations)} if self.details else {})

    def annotations(self, outputs: Iterable[Response], comparisons: Iterable[Comparison]) -> Annotations:
        """What the judge said of each instruction; equal outputs are a tie, a failed one is unread."""
        written = {response.prompt_id: response for response in outputs}
        said = {comparison.prompt_id: comparison for comparison in comparisons}
        rows = []
        for prompt, instruction, base in zip(self.prompts, self.instructions, self.baseline, strict=True):
            response = written.get(prompt.id)
            verdict = _verdict(response, said.get(prompt.id), base)
            length = len(response.answer) if response else 0
            rows.append(Annotation(instruction.number, verdict, len(base), length, instruction.dataset))
        return Annotations(tuple(rows))


def choose(instructions: Sequence[Instruction], count: int, seed: int = 0) -> tuple[Instruction, ...]:
    """A random subset in the order of the set; a larger one contains a smaller one of the same seed."""
    require(1 <= count <= len(instructions), "limit", f"1 to {len(instructions)}", count)
    drawn = sorted(instructions, key=lambda instruction: seed_of("subset", seed, instruction.text))
    return tuple(sorted(drawn[:count], key=lambda instruction: instruction.number))


def read_outputs(path: Path, instructions: Sequence[Instruction]) -> dict[int, str]:
    """A model's outputs by instruction number: rows with `output`, and `i` or `instruction`.

    DataError counts rows of another form, of no instruction of the set, or of one that comes twice.
    """
    rows = read_rows(path)
    wanted = "outputs have rows with output (a text), and i or instruction to say of which instruction"
    require_fields(path, rows, lambda row: "output" in row and ("i" in row or "instruction" in row), wanted)
    numbers = {instruction.text: instruction.number for instruction in instructions}
    outputs: dict[int, str] = {}
    faults = []
    for place, row in enumerate(rows, 1):
        number = _number_of(row, numbers, len(instructions))
        if not isinstance(row["output"], str):
            faults.append(("have an output that is no text", f"row {place}"))
        elif number is None:
            faults.append(("are of no instruction in the set", f"row {place}"))
        elif number in outputs:
            faults.append(("repeat an instruction", f"row {place}"))
        else:
            outputs[number] = AUTO.answer(row["output"])
    complain(path, faults, len(rows), wanted)
    return outputs


def short_rows(annotations: Annotations) -> list[dict[str, Any]]:
    """The short form of annotations, for a file; the preference is None where none could be read."""
    rows = []
    for row in annotations.rows:
        preference = None if math.isnan(row.preference) else 1 + row.preference
        plain = {"i": row.number, "preference": preference}
        plain |= {"len_baseline": row.len_baseline, "len_model": row.len_model}
        rows.append(plain | ({"dataset": row.dataset} if row.dataset else {}))
    return rows


def _verdict(response: Response | None, comparison: Comparison | None, baseline: str) -> float:
    """How far the model's output is preferred, in 0..1; NaN if that could not be read."""
    if response is None or response.finish is Finish.FAILED:
        return math.nan
    if response.answer == baseline:
        return 0.5
    if comparison is None or comparison.p_first is None:
        return math.nan
    return comparison.p_first if comparison.first_id == response.id else 1 - comparison.p_first


def _given(prompts: Sequence[Prompt], texts: Sequence[str], source: str) -> list[Response]:
    return [
        Response(fingerprint(source, prompt.id, text), prompt.id, 0, source, text, None, Finish.STOP)
        for prompt, text in zip(prompts, texts, strict=True)
    ]


def _number_of(row: Mapping[str, Any], numbers: Mapping[str, int], size: int) -> int | None:
    if "i" in row:
        number = row["i"]
        whole = isinstance(number, int) and not isinstance(number, bool)
        return number if whole and 0 <= number < size else None
    text = row["instruction"]
    return numbers.get(text) if isinstance(text, str) else None


def paired(
    instructions: Sequence[Instruction], baseline: Mapping[int, str], outputs: Mapping[int, str] | None
) -> tuple[Instruction, ...]:
    """The instructions that both sides have an output for; DataError with counts if more than few do not."""
    both = tuple(
        instruction
        for instruction in instructions
        if instruction.number in baseline and (outputs is None or instruction.number in outputs)
    )
    lacking = len(instructions) - len(both)
    if not both or lacking > ALLOWED_MISSING * len(instructions):
        raise DataError(
            f"{lacking} of {len(instructions)} instructions have no output of the baseline or of the model; "
            "give both sides' outputs for the same set"
        )
    return both
