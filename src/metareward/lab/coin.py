"""A meta-judge that really is a coin: the control for every effect of judge pairs.

The base models' own `coin` was taught to be one and leaks: it shares a network with meta-judges that see, and
over twenty battles a small lean is enough to tell better judgments from worse.
"""

from dataclasses import dataclass, replace

from metareward.engines.base import Completion
from metareward.ids import seed_of
from metareward.models.base import Model
from metareward.records import Battle, Outcome
from metareward.stages.base import Question
from metareward.stages.meta_judge import MetaJudge


@dataclass(frozen=True)
class CoinFlips(MetaJudge):
    """Asks as `MetaJudge` does; the winner is by chance, whatever the model answers."""

    def read(self, question: Question, completion: Completion, of: Model) -> Battle:
        """The battle, decided by a coin whose seed is the battle's own id."""
        battle = super().read(question, completion, of)
        heads = seed_of("lab coin", battle.id) % 2 == 0
        return replace(battle, outcome=Outcome.FIRST if heads else Outcome.SECOND, p_first=None)
