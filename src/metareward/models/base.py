"""What a model is to a run: a name to show, a place to load from, and a fingerprint of its weights."""

from dataclasses import dataclass, replace

from metareward.ids import fingerprint
from metareward.reasoning import AUTO, Reasoning


@dataclass(frozen=True, slots=True)
class Model:
    """A model named by what made it.

    fingerprint: hash of the weights (or hub id and commit); for a trained model the key of the
        training step, so that it is known before the training has run.
    path: a local directory or a hub id; for a model that is yet to be trained, where it will lie.
    reasoning: how its reasoning is told from its answers; what is not the default is in the fingerprint.
    """

    name: str
    path: str
    fingerprint: str
    reasoning: Reasoning = AUTO

    def with_reasoning(self, reasoning: Reasoning) -> "Model":
        """The same model asked and read in another way, to the store another model."""
        if reasoning == self.reasoning:
            return self
        return replace(
            self, fingerprint=fingerprint("asked", self.fingerprint, reasoning), reasoning=reasoning
        )
