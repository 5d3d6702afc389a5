"""The latent abilities of a simulated model: the parameters of log-linear policies of actor and judge."""

import json
from dataclasses import asdict, astuple, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metareward.errors import DataError

FILE = "abilities.json"
ACTOR, JUDGE = slice(0, 2), slice(2, 5)  # whose parameters they are, in the order of the fields


@dataclass(frozen=True)
class Abilities:
    """What one model can do, in natural log units; 0 is no tendency.

    quality: added to the log-odds that an answer meets a point of the rubric.
    length: log-odds of each further sentence of padding.
    insight: of a judge's verdict on a point, in favour of the truth.
    leniency: of a verdict, in favour of the point, whatever the truth.
    halo: of a verdict, in favour of the point, for each sentence of padding above the middle.

    With v_k in {0, 1} the verdict on point k, t_k in {-1, 1} the truth and l the padding above the middle, a
    judge's policy is log pi(v) = sum_k v_k (insight t_k + leniency + halo l) + const. It is linear in the
    parameters, as the actor's is: log pi(t, l) = sum_k [t_k = 1] (quality + ease_k) + length l + const.
    """

    quality: float = 0.0
    length: float = 0.0
    insight: float = 1.0
    leniency: float = 1.1
    halo: float = 0.15

    def vector(self) -> NDArray[np.float64]:
        """The parameters, [5], in the order of the fields."""
        return np.array(astuple(self), dtype=np.float64)


def store(abilities: Abilities) -> bytes:
    """The content of a simulated model's one file."""
    return (json.dumps(asdict(abilities), indent=2) + "\n").encode()


def load(directory: str | Path) -> Abilities:
    """The abilities of the model that lies in a directory. Raises DataError if none does."""
    file = Path(directory) / FILE
    try:
        return Abilities(**json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{file}: no simulated model ({error}); make one with metareward.simulate.start"
        ) from None
