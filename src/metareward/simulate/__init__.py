"""A simulated model: latent abilities, texts that show them, and real DPO on what its pairs say.

Whole recipes run on it in seconds, with a truth that is known. It shows whether a gate would see a failure,
and what a recipe does about it, under assumptions that are stated (docs/simulation.md); it says nothing about
how large an effect is in a language model.
"""

from metareward.simulate.abilities import Abilities, load, store
from metareward.simulate.measure import Truth, truth
from metareward.simulate.rehearsal import Rehearsal, Seen, rehearse
from metareward.simulate.trainer import SimulatedTrainer
from metareward.simulate.world import (
    FOLLOWING,
    PAPER_FIRST,
    PAPER_SECOND,
    UNBIASED,
    MetaJudging,
    World,
    questions,
    simulated,
    start,
)

__all__ = [
    "FOLLOWING",
    "PAPER_FIRST",
    "PAPER_SECOND",
    "UNBIASED",
    "Abilities",
    "MetaJudging",
    "Rehearsal",
    "Seen",
    "SimulatedTrainer",
    "Truth",
    "World",
    "load",
    "questions",
    "rehearse",
    "simulated",
    "start",
    "store",
    "truth",
]
