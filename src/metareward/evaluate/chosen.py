"""Which evaluations a run makes of every model: the settings of [evaluate], and what they stand for."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from metareward.evaluate.base import Evaluation
from metareward.evaluate.contamination import THRESHOLD
from metareward.settings import check_sampling, require
from metareward.stages.generate import Generate
from metareward.templates import shipped


@dataclass(frozen=True)
class IFEvalSettings:
    """IFEval on `limit` of its prompts, drawn by `seed`; all if not set. data: the benchmark's own file."""

    limit: int | None = None
    seed: int = 0
    max_tokens: int = 1280
    data: str | None = None

    def build(self, base: Path) -> Evaluation:
        """The evaluation; files are relative to `base`. Raises DataError if one cannot be read."""
        from metareward.evaluate.ifeval import IFEval, load_tasks, shipped_tasks

        tasks = load_tasks(base / self.data) if self.data else shipped_tasks()
        return IFEval(self.limit, self.seed, self.max_tokens, allow_missing=True, tasks=tasks)


@dataclass(frozen=True)
class GSM8KSettings:
    """GSM8K on `limit` of its problems, drawn by `seed`; all if not set. data: the benchmark's own file."""

    limit: int | None = None
    seed: int = 0
    max_tokens: int = 512
    data: str | None = None

    def build(self, base: Path) -> Evaluation:
        """The evaluation; files are relative to `base`. Raises DataError if one cannot be read."""
        from metareward.evaluate.gsm8k import GSM8K, load_problems, shipped_problems

        problems = load_problems(base / self.data) if self.data else shipped_problems()
        return GSM8K(self.limit, self.seed, self.max_tokens, allow_missing=True, problems=problems)


@dataclass(frozen=True)
class AlpacaEvalSettings:
    """AlpacaEval 2 against the outputs in `baseline`, on the `instructions` (or `limit` of them).

    difficulty, baseline_rows: the published tables, for the length control; without them it is left out.
    """

    instructions: str
    baseline: str
    difficulty: str | None = None
    baseline_rows: str | None = None
    limit: int | None = None
    seed: int = 0
    max_tokens: int = 2048

    def build(self, base: Path) -> Evaluation:
        """The evaluation; files are relative to `base`. Raises DataError if one cannot be read."""
        from metareward.evaluate.alpaca_ask import AlpacaEval, choose, paired, read_outputs
        from metareward.evaluate.annotations import read_instructions

        known = read_instructions(base / self.instructions)
        outputs = read_outputs(base / self.baseline, known)
        chosen = choose(known, min(self.limit, len(known)), self.seed) if self.limit else known
        chosen = paired(chosen, outputs, None)
        texts = tuple(outputs[instruction.number] for instruction in chosen)
        generate = _greedy(self.max_tokens)
        return AlpacaEval(chosen, texts, None, self._control(base), generate, allow_unread=1.0)

    def _control(self, base: Path) -> Any:
        from metareward.evaluate.alpaca_eval import LengthControl
        from metareward.evaluate.tables import difficulty_of, read_baseline_rows, read_difficulty

        rows = read_baseline_rows(base / self.baseline_rows) if self.baseline_rows else None
        if self.difficulty:
            return LengthControl(read_difficulty(base / self.difficulty), rows, by_number=True)
        hard = difficulty_of(base / self.baseline_rows) if self.baseline_rows else None
        return LengthControl(hard, rows, by_number=True)


@dataclass(frozen=True)
class ArenaHardSettings:
    """Arena-Hard against the answers in `baseline`, on the `questions` (or `limit` of them)."""

    questions: str
    baseline: str
    limit: int | None = None
    seed: int = 0
    max_tokens: int = 4096
    method: Literal["bradley-terry", "mean"] = "bradley-terry"
    reading: Literal["free", "forced"] = "free"
    judge_tokens: int = 4096

    def build(self, base: Path) -> Evaluation:
        """The evaluation; files are relative to `base`. Raises DataError if one cannot be read."""
        from metareward.evaluate.arena_ask import ArenaHard, paired, read_answers, read_questions
        from metareward.stages.five_way import FiveWay

        known, answers = read_questions(base / self.questions), read_answers(base / self.baseline)
        pairs, _ = paired(known, answers, None, self.limit, self.seed)
        judge = FiveWay(max_tokens=self.judge_tokens, reading=self.reading)
        return ArenaHard(pairs, None, _greedy(self.max_tokens), judge, self.method)


@dataclass(frozen=True)
class MTBenchSettings:
    """MT-Bench on the `questions` (or `limit` of them), rated, or compared with the answers in `baseline`.

    references: answers by which reasoning, math and coding are judged; without them the judge has only its
    own knowledge.
    """

    questions: str
    references: str | None = None
    baseline: str | None = None
    limit: int | None = None
    seed: int = 0
    max_tokens: int = 1024
    reading: Literal["free", "forced"] = "free"
    judge_tokens: int = 2048

    def build(self, base: Path) -> Evaluation:
        """The evaluation; files are relative to `base`. Raises DataError if one cannot be read."""
        from metareward.evaluate.mt_ask import MTBench, chosen_questions
        from metareward.evaluate.mt_files import read_answers, read_questions
        from metareward.stages.rate import Rate
        from metareward.stages.three_way import ThreeWay

        references = read_answers(base / self.references) if self.references else None
        baseline = read_answers(base / self.baseline) if self.baseline else None
        known = read_questions(base / self.questions)
        asked = chosen_questions(known, self.limit, self.seed, references, None, baseline)
        rate = Rate(max_tokens=self.judge_tokens, reading=self.reading)
        compare = ThreeWay(max_tokens=self.judge_tokens, reading=self.reading)
        generate = replace(_greedy(self.max_tokens), seed=self.seed)
        return MTBench(asked, references, None, baseline, generate, rate, compare)


@dataclass(frozen=True)
class JudgePairsSettings:
    """How well each iteration's model itself judges the `pairs` of a file, or those of `limit` prompts.

    form: "pairwise", in both orders, or "pointwise", by its scores of both. brief: the short prompts.
    judge_tokens: the longest judgment; the stage's own limit if not set.
    """

    pairs: str
    form: Literal["pairwise", "pointwise"] = "pairwise"
    reading: Literal["free", "forced"] = "free"
    brief: bool = False
    limit: int | None = None
    seed: int = 0
    judge_tokens: int | None = None

    def build(self, base: Path) -> Evaluation:
        """The evaluation; the file is relative to `base`. Raises DataError if it cannot be read."""
        from metareward.evaluate.judge_ask import JudgePairs, chosen_prompts
        from metareward.evaluate.judge_data import read_pairs
        from metareward.stages.compare import Compare
        from metareward.stages.judge import Judge

        known = chosen_prompts(read_pairs(base / self.pairs), self.limit, self.seed)
        ending = "_brief" if self.brief else ""
        asking: dict[str, Any] = {"samples": 1, "temperature": 0.0, "reading": self.reading}
        if self.judge_tokens is not None:
            asking["max_tokens"] = self.judge_tokens
        compare = Compare(template=shipped(f"compare{ending}"), seed=self.seed, **asking)
        judge = Judge(template=shipped(f"judge{ending}"), seed=self.seed, **asking)
        return JudgePairs(known, self.form, compare, judge)


@dataclass(frozen=True)
class VerifiableSettings:
    """Accuracy on problems whose answer is a number: greedy, and of `samples` answers at `temperature`.

    data: a file of rows {"prompt" or "question", "answer"}; without one the arithmetic that ships. limit: so
    many of them, drawn by `seed`; the others may be trained on, and tell whether the judge knows right from
    wrong there.
    """

    limit: int | None = None
    seed: int = 0
    samples: int = 1
    temperature: float = 0.8
    top_p: float = 0.95
    max_tokens: int = 512
    data: str | None = None

    def __post_init__(self) -> None:
        check_sampling("evaluate.verifiable", self.temperature, self.top_p, self.max_tokens)
        require(self.samples >= 0, "evaluate.verifiable.samples", "0 or more", self.samples)

    def build(self, base: Path) -> Evaluation:
        """The evaluation; the file is relative to `base`. Raises DataError if it cannot be read."""
        from metareward.evaluate.verifiable import Verifiable, read_problems

        own = {name: getattr(self, name) for name in _VERIFIABLE}
        return (
            Verifiable(**own, problems=read_problems(base / self.data), first=0)
            if self.data
            else Verifiable(**own)
        )


_VERIFIABLE = ("limit", "seed", "samples", "temperature", "top_p", "max_tokens")


def _greedy(max_tokens: int) -> Generate:
    return Generate(samples=1, temperature=0.0, top_p=1.0, max_tokens=max_tokens)


KINDS = {
    "ifeval": IFEvalSettings,
    "gsm8k": GSM8KSettings,
    "alpaca_eval": AlpacaEvalSettings,
    "arena_hard": ArenaHardSettings,
    "mt_bench": MTBenchSettings,
    "judge_pairs": JudgePairsSettings,
    "verifiable": VerifiableSettings,
}


@dataclass(frozen=True)
class Evaluate:
    """The evaluations of every iteration's model, and what is done about prompts they share with training.

    judge: the model that grades where a judge is needed; the run's first model if not set.
    contaminated: "drop" leaves training prompts out that equal or nearly equal an evaluation's item, "report"
        only says so. threshold: as in `evaluate.contamination.overlaps`.
    against: further files of prompts that must not be trained on (.jsonl, .json or .parquet).
    """

    judge: str | None = None
    contaminated: Literal["drop", "report"] = "drop"
    threshold: float = THRESHOLD
    against: tuple[str, ...] = ()
    ifeval: IFEvalSettings | None = None
    gsm8k: GSM8KSettings | None = None
    alpaca_eval: AlpacaEvalSettings | None = None
    arena_hard: ArenaHardSettings | None = None
    mt_bench: MTBenchSettings | None = None
    judge_pairs: JudgePairsSettings | None = None
    verifiable: VerifiableSettings | None = None

    def __post_init__(self) -> None:
        require(0 < self.threshold <= 1, "evaluate.threshold", "above 0 and at most 1", self.threshold)
        for name in KINDS:
            for setting in ("limit", "max_tokens", "judge_tokens"):
                value = getattr(getattr(self, name), setting, None)
                require(value is None or value >= 1, f"evaluate.{name}.{setting}", "at least 1", value)

    def build(self, base: Path) -> tuple[Evaluation, ...]:
        """The chosen evaluations, in the order above. Raises DataError where a file cannot be used."""
        chosen = (getattr(self, name) for name in KINDS)
        return tuple(settings.build(base) for settings in chosen if settings is not None)


def items_of(evaluations: Iterable[Evaluation]) -> dict[str, Sequence[str]]:
    """The texts that must not be trained on, by the evaluation that asks them."""
    return {evaluation.name: tuple(evaluation.items()) for evaluation in evaluations}
