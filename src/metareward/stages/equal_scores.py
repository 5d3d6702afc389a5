"""Of battles that were held, those that no score can have decided."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar

from metareward.records import Battle, Dropped, Judgment, Prompt, Response
from metareward.stages.base import Shape
from metareward.stages.grouping import bundles
from metareward.stages.matching import stated


@dataclass(frozen=True)
class EqualScores:
    """The battles between judgments of the same stated score, as they were held.

    What `MetaJudge.between = "same"` would have asked, taken from what was asked already.
    """

    name: ClassVar[str] = "equal_scores"
    record: ClassVar[type[Battle]] = Battle

    def apply(
        self,
        prompts: Iterable[Prompt],
        responses: Iterable[Response],
        judgments: Iterable[Judgment],
        battles: Iterable[Battle],
    ) -> Iterator[Battle | Dropped]:
        """Each battle whose judgments state one score; the others drop."""
        for bundle in bundles(prompts, responses, judgments, battles):
            score = {judgment.id: stated(judgment) for judgment in bundle.judgments}
            for battle in bundle.battles:
                if score[battle.first_id] == score[battle.second_id]:
                    yield battle
                else:
                    yield Dropped(battle.id, "different scores")

    def shape(self, *shapes: Shape) -> Shape:
        """At most as many as there were."""
        return shapes[-1]
