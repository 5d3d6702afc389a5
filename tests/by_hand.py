"""Artifacts of a store that are written by hand, for tests of what reads them."""

from typing import Any

from metareward.store import Store, Writer

ABOUT = {"name": "x", "question_key": None, "inputs": [], "step": {}, "model": None, "section": ""}


def write(store: Store, key: str, kind: type[Any], rows: list[Any], **about: Any) -> None:
    """A whole artifact of these rows; `about` goes into its manifest."""
    artifact = store.artifact("x", key, kind)
    with Writer(artifact, rows=100) as writer:
        for position, row in enumerate(rows):
            writer.add(position, row)
        writer.seal({**ABOUT, **about})
