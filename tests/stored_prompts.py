"""Prompts, and a small artifact of them in a store."""

from by_hand import ABOUT
from metareward.records import Message, Prompt
from metareward.store import Artifact, Store, Writer


def prompt(number: int, text: str = "hello") -> Prompt:
    return Prompt(f"p{number}", (Message("system", "s"), Message("user", text)), f"file:{number}")


def write(store: Store, rows: list[tuple[int, object]], limit: int = 3) -> Artifact:
    artifact = store.artifact("x", "key", Prompt)
    with Writer(artifact, rows=limit) as writer:
        for position, row in rows:
            writer.add(position, row, prompt_tokens=2, output_tokens=1)
        writer.seal(ABOUT)
    return store.artifact("x", "key", Prompt)
