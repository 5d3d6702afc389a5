"""MT-Bench in small: questions of every kind, and a world whose answers say what they are worth."""

import re
from pathlib import Path
from typing import Any

import loops
from metareward.engines.fake import Reply
from metareward.evaluate.mt_ask import MTBench
from metareward.evaluate.mt_files import TwoTurns
from metareward.run import Run
from metareward.train.fake import FakeTrainer

CATEGORIES = ("writing", "math", "stem", "coding", "extraction", "roleplay")
QUESTIONS = tuple(
    TwoTurns(str(81 + n), category, (f"First question {n}?", f"Second question {n}?"))
    for n, category in enumerate(CATEGORIES)
)
REFERENCES = {str(q): (f"Reference {q} one.", f"Reference {q} two.") for q in (82, 84)}
WORTH = re.compile(r"worth (\d+)")


def baseline(first: int = 3, second: int = 3) -> dict[str, tuple[str, str]]:
    return {q.id: (f"Base, worth {first}.", f"Base, worth {second}.") for q in QUESTIONS}


class World:
    """The model is worth `first` in turn 1 and `second` in turn 2; the judge says what it sees.

    how: "fair", "mumbles" (no verdict), "biased" (names A, rates 10), or "loud" (rates 11).
    """

    def __init__(self, first: int = 8, second: int = 4, how: str = "fair") -> None:
        self.first, self.second, self.how = first, second, how

    def __call__(self, request: Any, model: Any) -> Reply | str:
        if request.step == "generate":
            turn = len(request.messages)
            return f"Mine, worth {self.first}." if turn == 1 else f"Again, worth {self.second}."
        if self.how == "mumbles":
            return "I like it."
        return {"rate": self.rate, "three_way": self.compare}[request.step](request)

    def rate(self, request: Any) -> Reply | str:
        shown = request.messages[-1].content.split("<response>")[1]
        rating = {"biased": 10, "loud": 11}.get(self.how, int(WORTH.findall(shown)[0]))
        if request.forced:
            return Reply("Well.", {f"{rating}]]": 1.0})
        return f"Well.\nRating: [[{rating}]]"

    def compare(self, request: Any) -> Reply | str:
        text = request.messages[-1].content.split("<conversation_a>")[1]
        worth = [int(WORTH.findall(part)[-1]) for part in text.split("<conversation_b>")]
        verdict = "A" if worth[0] > worth[1] or self.how == "biased" else "CB"[worth[0] < worth[1]]
        if request.forced:
            return Reply("Well.", {f"{verdict}]]": 1.0})
        return f"Well.\n[[{verdict}]]"


def asked(
    directory: Path, world: Any, fail: Any = None, break_at: int | None = None, **settings: Any
) -> tuple[MTBench, tuple[Any, ...], loops.Asked]:
    evaluation = MTBench(QUESTIONS, **settings)
    engine = loops.Asked(world, break_at, fail)
    with Run(directory, engine, FakeTrainer()) as run:
        artifacts = evaluation.ask(run, loops.START, loops.START)
    return evaluation, artifacts, engine


def scored(directory: Path, world: Any, **settings: Any) -> dict[str, Any]:
    evaluation, artifacts, _ = asked(directory, world, **settings)
    return evaluation.score(*artifacts)
