"""What a model is to a run: a name to show, a place to load from, and a fingerprint of its weights."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """A model named by what made it.

    fingerprint: hash of the weights (or hub id and commit); for a trained model the key of the
        training step, so that it is known before the training has run.
    path: a local directory or a hub id; for a model that is yet to be trained, where it will lie.
    """

    name: str
    path: str
    fingerprint: str
