"""The model's own ordinary answers, learnt beside the judgments, so that it does not forget how to answer.

A model that is fine-tuned on judgments alone may judge whatever it is asked: there is nothing in the set that
says otherwise. So it is also shown what it answered itself to the prompts of the file, before the training.
Self-Rewarding adds its judgments to a set of instructions in the same way (arXiv 2401.10020, section 2.4).
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import ClassVar

from metareward.ids import fingerprint, seed_of
from metareward.readers import read_score
from metareward.records import Demonstration, Dropped, Finish, Prompt, Response, Role
from metareward.settings import check_seed, require
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles

ENOUGH = "an answer more than are replayed"
A_VERDICT = "an answer that reads as a verdict"
NO_END = "an answer that was cut off, of which no tokens are known"
MOST = 10.0


@dataclass(frozen=True)
class Replayed:
    """Answers as demonstrations of the actor: subjects are responses.

    share: so many answers for each judgment that is trained on, copies included. Every prompt gives its
    first answer, in an order drawn by `seed`, before one gives its second; where there are fewer answers than
    are wanted all of them come equally often, give or take one. An answer is learnt as it was sampled; one
    that was cut off is learnt to where it was cut, and no end with it.
    """

    name: ClassVar[str] = "replayed_answers"
    record: ClassVar[type[Demonstration]] = Demonstration

    share: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(0 <= self.share <= MOST, "eft.replay", f"in 0 .. {MOST:g}", self.share)
        check_seed("eft.seed", self.seed)

    def apply(
        self, judgments: Iterable[Demonstration], prompts: Iterable[Prompt], responses: Iterable[Response]
    ) -> Iterator[Demonstration | Dropped]:
        """The copies of each answer, or why there is none. Prompts and responses are read twice.

        TypeError if they can be read only once.
        """
        if any(iter(rows) is rows for rows in (prompts, responses)):
            raise TypeError("Replayed reads prompts and responses twice: give lists or artifacts")
        wanted, groups = self._wanted(sum(1 for _ in judgments)), list[list[str]]()
        for bundle in bundles(prompts, responses):
            groups.append([row.id for row in bundle.responses if _fault(row) is None])
        drawn = self._drawn(groups)
        each, more = divmod(wanted, len(drawn)) if drawn else (0, 0)
        uses = {name: each + (place < more) for place, name in enumerate(drawn)}
        for bundle in bundles(prompts, responses):
            for row in bundle.responses:
                copies = uses.get(row.id, 0)
                if not copies:
                    yield Dropped(row.id, _fault(row) or ENOUGH)
                for copy in range(copies):
                    yield _demonstration(bundle.prompt, row, copy)

    def shape(self, *shapes: Shape) -> Shape:
        """At most the share of the judgments; tokens with the prompt."""
        judgments, prompts, responses = shapes
        return Shape(ceil(self.share * judgments.rows), prompts.tokens + responses.tokens)

    def _wanted(self, judgments: int) -> int:
        return max(1, round(self.share * judgments)) if self.share and judgments else 0

    def _drawn(self, groups: Sequence[Sequence[str]]) -> list[str]:
        """The ids of the answers in the order in which they are taken."""
        order = [list(group) for group in groups]
        random.Random(seed_of("eft replay", self.seed)).shuffle(order)
        rounds = max((len(group) for group in order), default=0)
        return [group[turn] for turn in range(rounds) for group in order if turn < len(group)]


def _fault(row: Response) -> str | None:
    if read_score(row.answer, Finish.STOP).score is not None:
        return A_VERDICT
    return NO_END if row.finish is Finish.LENGTH and row.token_ids is None else None


def _demonstration(prompt: Prompt, row: Response, copy: int) -> Demonstration:
    return Demonstration(
        id=fingerprint("replayed answer", row.id, copy),
        role=Role.ACTOR,
        prompt_id=row.prompt_id,
        response_id=row.id,
        judgment_id=None,
        messages=prompt.messages,
        text=row.text,
        token_ids=row.token_ids,
        score=None,
        quality=None,
        length=len(row.text),
        copy=copy,
    )
